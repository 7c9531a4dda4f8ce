//! What a crash left of the last segment: frames that are whole, and perhaps a torn tail.
//!
//!     ▓▓▓▓ ▓▓▓▓ ▓▓░░            a torn tail: cut
//!     ▓▓▓▓ ░░░░ ▓▓▓▓            the third was written with the second (their group was never durable): cut
//!     ▓▓▓▓ ░░░░ ▓▓▓▓            the third was written when the second was durable: damage, refused
//!
//! A disk may write the pages of one flush in any order, so a whole frame after a bad one proves nothing
//! by itself. What proves damage is a later frame that says the bad one was durable when it was written,
//! or the published mark together with any whole frame.
//!
//! Where the cut takes what the mark says was acknowledged (the disk lost it, or the file was shortened),
//! its offsets are not used again: readers may be beyond them.

use super::frame::{FrameHead, HEAD};
use super::segment::{Found, Segment};
use crate::Error;

/// The last segment as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The length of what is whole.
    pub(crate) bytes: u64,
    /// The length of what is to be cut.
    pub(crate) torn_bytes: u64,
    /// The offset after the last whole frame.
    pub(crate) next: u64,
    /// When the last whole frame was appended.
    pub(crate) newest_at_ms: i64,
}

/// Looks through the last segment; `published` is the shard's durable mark. Damage is an error.
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

/// Whole frames that stand anywhere between `from` and the end. Frames begin at multiples of 16.
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
