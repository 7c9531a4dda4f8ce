//! Finds what a crash left of the last segment: whole frames, and perhaps a torn tail.
//!
//!     ▓▓▓▓ ▓▓▓▓ ▓▓░░            a torn tail: cut
//!     ▓▓▓▓ ░░░░ ▓▓▓▓            the third frame was written together with the second, and neither was durable: cut
//!     ▓▓▓▓ ░░░░ ▓▓▓▓            the third frame was written when the second was durable: damage, refused
//!
//! A disk may write the pages of one flush in any order, so a whole frame after a bad one does not prove damage. Two
//! things do: a later frame that says the bad one was durable when it was written, and the published mark together with
//! any whole frame.
//!
//! Where the cut removes events that the mark says were acknowledged (the disk lost them, or somebody shortened the
//! file), their offsets are not used again, because readers may be past them.

use super::frame::{FrameHead, HEAD};
use super::segment::{Found, Segment};
use crate::Error;

/// The end of the last segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The length up to the end of the last whole frame.
    pub(crate) bytes: u64,
    /// How many bytes to cut after that.
    pub(crate) torn_bytes: u64,
    /// The offset after the last whole frame.
    pub(crate) next: u64,
    /// When the last whole frame was appended.
    pub(crate) newest_at_ms: i64,
}

/// Finds the end of the last segment; `published` is the shard's durable mark.
///
/// # Errors
/// [`Error::Damaged`], see above.
pub(crate) fn tail(segment: &Segment, published: u64) -> Result<Tail, Error> {
    let length = segment.len()?;
    let mut tail = Tail {
        bytes: segment.head.bytes(),
        torn_bytes: 0,
        next: segment.head.first,
        newest_at_ms: segment.head.made_at_ms,
    };
    loop {
        match segment.check(tail.bytes)? {
            Found::Frame(head) if head.offset == tail.next => {
                tail.bytes += head.frame_bytes();
                tail.next += 1;
                tail.newest_at_ms = head.appended_at_ms;
            }
            Found::End => return Ok(tail),
            Found::Frame(_) | Found::Bad => break,
        }
    }
    tail.torn_bytes = length.saturating_sub(tail.bytes);
    let was_durable = |later: &FrameHead| later.durable > tail.next || published > tail.next;
    if frames_after(segment, tail.bytes, length)?.iter().any(was_durable) {
        return Err(segment.damaged(tail.bytes, "whole frames follow one that is not"));
    }
    Ok(tail)
}

/// The whole frames between byte `from` and the end. Frames begin at multiples of 16.
fn frames_after(segment: &Segment, from: u64, length: u64) -> Result<Vec<FrameHead>, Error> {
    let rest = segment.bytes(from, length.saturating_sub(from) as usize)?;
    let mut frames = Vec::new();
    let mut at = 0;
    while at + HEAD <= rest.len() {
        let head = FrameHead::read(&rest[at..]);
        let payload = |head: &FrameHead| rest.get(at + HEAD..at + head.frame_bytes() as usize);
        match head.filter(|head| payload(head).is_some_and(|payload| head.fits(payload))) {
            Some(head) => {
                at += head.frame_bytes() as usize;
                frames.push(head);
            }
            None => at += 16,
        }
    }
    Ok(frames)
}
