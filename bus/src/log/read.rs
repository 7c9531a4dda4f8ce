//! Reads a range of a shard: finds its first frame, then reads on from segment to segment.
//!
//!     from ─▶ segment ─ cursor, frame heads ─▶ byte ─ chunks ─▶ frames ─ checked ─▶ batches

use arrow::datatypes::SchemaRef;

use super::frame::{FrameHead, HEAD};
use super::payload::Decoder;
use super::segment::{Found, Segment};
use super::shards::Shard;
use crate::{Error, Fault, Fetched, LOST, locked};

/// Most bytes that are read from the file at once, unless a frame is larger.
const CHUNK_BYTES: usize = 4 << 20;

/// The range that the caller wants: up to offset `to`, or the durable end, and about `bytes_max` bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
    pub(crate) bytes_max: usize,
}

/// Reads a range of a shard, as far as it is durable.
pub(crate) fn read(shard: &Shard, schema: &SchemaRef, wanted: Wanted) -> Result<Fetched, Error> {
    let (from, number) = (wanted.from, shard.number);
    let end = shard.durable()?;
    if from > end {
        return Err(Error::Beyond { shard: number, from, end });
    }
    let firsts = shard.firsts()?;
    let oldest = firsts.first().copied().unwrap_or(end);
    if from < oldest {
        return Err(Error::Gone { shard: number, from, oldest });
    }
    let stop = wanted.to.map_or(end, |to| to.min(end));
    let mut reading = Reading {
        shard,
        fetched: Fetched { next: from, ..Fetched::default() },
        bytes_left: wanted.bytes_max as u64,
        full: false,
    };
    while reading.fetched.next < stop && !reading.full {
        let at = firsts.partition_point(|first| *first <= reading.fetched.next);
        let Some(segment) = Segment::open(&shard.folder, number, firsts[at - 1])? else {
            if reading.fetched.next > from {
                break;
            }
            let oldest = shard.firsts()?.first().copied().unwrap_or(end);
            return Err(Error::Gone { shard: number, from, oldest });
        };
        let next_first = firsts.get(at).copied();
        let whole = reading.segment(&segment, schema, next_first.unwrap_or(stop).min(stop))?;
        match next_first {
            _ if whole => {}
            Some(next_first) => reading.lost(next_first.min(stop)),
            None => return Err(segment.damaged(segment.len()?, "it ends before its last durable frame")),
        }
    }
    Ok(reading.fetched)
}

struct Reading<'a> {
    shard: &'a Shard,
    fetched: Fetched,
    bytes_left: u64,
    /// Whether `bytes_max` is reached.
    full: bool,
}

impl Reading<'_> {
    /// Reads frames of one segment up to offset `stop`; false where the file ends before.
    fn segment(&mut self, segment: &Segment, schema: &SchemaRef, stop: u64) -> Result<bool, Error> {
        let Some(mut at) = self.find(segment)? else { return Ok(false) };
        let mut decoder = Decoder::new(segment.schema.clone(), schema.clone())?;
        let mut whole = true;
        while self.fetched.next < stop && !self.full {
            let Found::Frame(head) = segment.frame_head(at)? else {
                whole = segment.len()? > at;
                if whole {
                    return Err(segment.damaged(at, "a frame's head is not what was written"));
                }
                break;
            };
            let chunk = CHUNK_BYTES.min(self.bytes_left as usize).max(head.frame_bytes() as usize);
            let chunk = segment.bytes(at, chunk)?;
            let mut taken = 0;
            while let Some(head) = FrameHead::read(&chunk[taken..]) {
                let frame = head.frame_bytes() as usize;
                if self.fetched.next >= stop || chunk.len() - taken < frame {
                    break;
                }
                self.full = frame as u64 > self.bytes_left && self.fetched.rows() > 0;
                if self.full {
                    break;
                }
                let payload = chunk.slice_with_length(taken + HEAD, head.payload_bytes as usize);
                if head.offset != self.fetched.next || !head.fits(&payload) {
                    return Err(segment.damaged(at, "a frame is not what was written"));
                }
                self.fetched.batches.push(decoder.decode(payload)?);
                self.fetched.next += 1;
                self.bytes_left = self.bytes_left.saturating_sub(frame as u64);
                taken += frame;
                at += frame as u64;
            }
            if taken == 0 && !self.full {
                return Err(segment.damaged(at, "a frame is cut off"));
            }
        }
        locked(&self.shard.cursors).remember(self.fetched.next, segment.head.first, at);
        Ok(whole)
    }

    /// The byte at which the next frame begins in `segment`; `None` where the file ends before it.
    fn find(&self, segment: &Segment) -> Result<Option<u64>, Error> {
        let (first, wanted) = (segment.head.first, self.fetched.next);
        let known = locked(&self.shard.cursors).before(first, wanted);
        let (mut offset, mut at) = known.unwrap_or((first, segment.head.bytes()));
        while offset < wanted {
            match segment.frame_head(at)? {
                Found::Frame(head) if head.offset == offset => at += head.frame_bytes(),
                Found::End => return Ok(None),
                _ => return Err(segment.damaged(at, "a frame's head is not what was written")),
            }
            offset += 1;
        }
        Ok(Some(at))
    }

    /// Reports the events up to offset `to` as lost, and goes on there.
    fn lost(&mut self, to: u64) {
        if to > self.fetched.next {
            let reason = "these events were lost: their segment was removed, or its end was torn".to_owned();
            let (shard, offsets) = (self.shard.number, self.fetched.next..to);
            self.fetched.faults.push(Fault { shard, offsets, name: LOST, field: None, reason });
            self.fetched.next = to;
        }
    }
}
