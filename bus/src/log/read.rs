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

/// Why events are lost.
const MOVED_AWAY: &str = "their segment was removed, or its end was torn";
const DAMAGED: &str = "their frame is not what was written";

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
    let mut reading = Reading {
        shard,
        fetched: Fetched { next: from, ..Fetched::default() },
        bytes_left: wanted.bytes_max as u64,
        full: false,
    };
    let stop = wanted.to.map_or(end, |to| to.min(end));
    if from < oldest {
        // What was not released was not deleted by the log.
        if from < shard.released() {
            return Err(Error::Gone { shard: number, from, oldest });
        }
        reading.lost(oldest.min(stop), None, MOVED_AWAY);
    }
    while reading.fetched.next < stop && !reading.full {
        let at = firsts.partition_point(|first| *first <= reading.fetched.next);
        let next_first = firsts.get(at).copied();
        let within = next_first.unwrap_or(stop).min(stop);
        match Segment::open(&shard.folder, number, firsts[at - 1]) {
            Ok(Some(segment)) if reading.segment(&segment, schema, within)? => {}
            Ok(Some(_)) => reading.lost(within, None, MOVED_AWAY),
            Err(Error::Damaged { .. }) => reading.lost(within, None, "the head of their segment is damaged"),
            Err(fault) => return Err(fault),
            Ok(None) if reading.fetched.next > from => break,
            Ok(None) => {
                let oldest = shard.firsts()?.first().copied().unwrap_or(end);
                return Err(Error::Gone { shard: number, from, oldest });
            }
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
    /// Reads frames of one segment up to offset `stop`; false where the file ends before. A frame that is not what was
    /// written is reported as lost, and the next whole one is read.
    fn segment(&mut self, segment: &Segment, schema: &SchemaRef, stop: u64) -> Result<bool, Error> {
        let Some(mut at) = self.find(segment)? else { return Ok(false) };
        let mut decoder = Decoder::new(segment.schema.clone(), schema.clone())?;
        while self.fetched.next < stop && !self.full {
            let here = match segment.frame_head(at)? {
                Found::Frame(head) if head.offset == self.fetched.next => Some(head),
                Found::End => return Ok(false),
                Found::Frame(_) | Found::Bad => None,
            };
            let left = segment.len()?.saturating_sub(at);
            let Some(head) = here.filter(|head| head.frame_bytes() <= left) else {
                let Some((byte, head)) = segment.whole_frames_after(at, self.fetched.next)?.next() else {
                    return Ok(false);
                };
                self.lost(head.offset.min(stop), None, DAMAGED);
                at = byte;
                continue;
            };
            let chunk = CHUNK_BYTES.min(self.bytes_left as usize).max(head.frame_bytes() as usize);
            let chunk = segment.bytes(at, chunk)?;
            let mut taken = 0;
            while let Some(head) = FrameHead::read(&chunk[taken..]) {
                let frame = head.frame_bytes() as usize;
                let follows = self.fetched.next < stop && head.offset == self.fetched.next;
                if !follows || chunk.len() - taken < frame {
                    break;
                }
                self.full = frame as u64 > self.bytes_left && self.fetched.rows() > 0;
                if self.full {
                    break;
                }
                let payload = chunk.slice_with_length(taken + HEAD, head.payload_bytes as usize);
                let batch = head.fits(&payload).then(|| decoder.decode(payload)).and_then(Result::ok);
                match batch {
                    Some(batch) => {
                        self.fetched.batches.push(batch);
                        self.fetched.next += 1;
                    }
                    None => {
                        self.lost(head.offset + 1, Some(head.rows), DAMAGED);
                        decoder = Decoder::new(segment.schema.clone(), schema.clone())?;
                    }
                }
                self.bytes_left = self.bytes_left.saturating_sub(frame as u64);
                taken += frame;
                at += frame as u64;
            }
        }
        locked(&self.shard.cursors).remember(self.fetched.next, segment.head.first, at);
        Ok(true)
    }

    /// The byte at which the next frame begins in `segment`, or the first whole one after it; `None` where the file ends
    /// before.
    fn find(&self, segment: &Segment) -> Result<Option<u64>, Error> {
        let (first, wanted) = (segment.head.first, self.fetched.next);
        let known = locked(&self.shard.cursors).before(first, wanted);
        let (mut offset, mut at) = known.unwrap_or((first, segment.head.bytes()));
        while offset < wanted {
            match segment.frame_head(at)? {
                Found::Frame(head) if head.offset == offset => {
                    at += head.frame_bytes();
                    offset += 1;
                }
                Found::End => return Ok(None),
                Found::Frame(_) | Found::Bad => match segment.whole_frames_after(at, offset)?.next() {
                    Some((byte, head)) => (at, offset) = (byte, head.offset),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(at))
    }

    /// Reports the events up to offset `to`, `rows` of them, as lost, and goes on there.
    fn lost(&mut self, to: u64, rows: Option<u32>, why: &str) {
        if to > self.fetched.next {
            let (shard, offsets) = (self.shard.number, self.fetched.next..to);
            let rows = rows.map_or(offsets.end - offsets.start, u64::from);
            let reason = format!("these events were lost: {why}");
            self.fetched.faults.push(Fault { shard, offsets, rows, name: LOST, field: None, reason });
            self.fetched.next = to;
        }
    }
}
