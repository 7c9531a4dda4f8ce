//! Finds what a crash left of the last segment: whole frames, and perhaps a torn tail.
//!
//!     ▓▓▓▓ ▓▓▓▓ ▓▓░░            a torn tail: cut
//!     ▓▓▓▓ ░░░░ ▓▓▓▓            the third frame was written together with the second, and neither was durable: cut
//!     ▓▓▓▓ ░░░░ ▓▓▓▓            the third frame was written when the second was durable: damage, read on behind it
//!
//! A disk may write the pages of one flush in any order, so a whole frame after a bad one does not prove damage. Two
//! things do: a later frame that says the bad one was durable when it was written, and the published mark together with
//! any whole frame.
//!
//! Where the cut removes events that the mark says were acknowledged (the disk lost them, or somebody shortened the
//! file), their offsets are not used again, because readers may be past them.

use std::ops::Range;

use super::frame::FrameHead;
use super::segment::{Found, Segment};
use crate::Error;

/// The end of the last segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The length up to the end of the last whole frame.
    pub(crate) bytes: u64,
    /// How many bytes to cut after that.
    pub(crate) torn_bytes: u64,
    /// The offset after the last whole frame.
    pub(crate) next: u64,
    /// When the last whole frame was appended.
    pub(crate) newest_at_ms: i64,
    /// Offsets before that whose frames are damaged. They stay as they are; reading them gives a fault.
    pub(crate) damaged: Vec<Range<u64>>,
}

/// Finds the end of the last segment; `published` is the shard's durable mark.
///
/// # Errors
/// [`Error::Io`] where the segment cannot be read.
pub(crate) fn tail(segment: &Segment, published: u64) -> Result<Tail, Error> {
    let length = segment.len()?;
    let mut tail = Tail {
        bytes: segment.head.bytes(),
        torn_bytes: 0,
        next: segment.head.first,
        newest_at_ms: segment.head.made_at_ms,
        damaged: Vec::new(),
    };
    loop {
        match segment.check(tail.bytes)? {
            Found::Frame(head) if head.offset == tail.next => {
                tail.bytes += head.frame_bytes();
                tail.next += 1;
                tail.newest_at_ms = head.appended_at_ms;
            }
            Found::End => return Ok(tail),
            Found::Frame(_) | Found::Bad => {
                let later: Vec<_> = segment.whole_frames_after(tail.bytes, tail.next)?.collect();
                let was_durable = |later: &FrameHead| later.durable > tail.next || published > tail.next;
                let damaged = later.iter().any(|(_, head)| was_durable(head));
                let Some((byte, head)) = later.first().copied().filter(|_| damaged) else { break };
                tail.damaged.push(tail.next..head.offset);
                (tail.bytes, tail.next) = (byte, head.offset);
            }
        }
    }
    tail.torn_bytes = length.saturating_sub(tail.bytes);
    Ok(tail)
}
