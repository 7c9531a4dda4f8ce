//! Opens a shard for writing.
//!
//!     segments ─▶ the last one, its torn tail cut (`repair.rs`) ─▶ flushed ─▶ the end to append at

use std::fs::{self, File, OpenOptions};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tracing::warn;

use super::repair::{self, Tail};
use super::segment::{self, Segment};
use super::shards::{SegmentInfo, Shard};
use super::writer::End;
use crate::Error;

/// What opening cut off the end of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The shard.
    pub shard: u32,
    /// How many bytes were cut.
    pub bytes: u64,
    /// Offsets whose events had been acknowledged and are lost. Empty after a crash of the process, and after a crash of
    /// the machine where the disk keeps what it flushed. They are not used again; reading them gives a fault.
    pub lost: Range<u64>,
    /// Offsets before the end whose frames are damaged: their bytes stay, and reading them gives a fault.
    pub damaged: Vec<Range<u64>>,
}

impl Repair {
    fn log(&self, path: &Path) {
        let (path, bytes, lost, damaged) = (path.display(), self.bytes, &self.lost, &self.damaged);
        if !damaged.is_empty() {
            warn!(%path, ?damaged, "frames are not what was written; their events are lost, the others are read");
        }
        match lost.is_empty() {
            true if bytes == 0 => {}
            true => warn!(%path, bytes, "a torn tail was cut; no acknowledged events are lost"),
            false => warn!(%path, bytes, ?lost, "a torn tail was cut, and acknowledged events are lost"),
        }
    }
}

/// Opens one shard for writing: finds its segments, repairs the last one, and flushes it.
pub(super) fn open_shard(
    log: &Path,
    number: u32,
    schema: &[u8],
    now_ms: i64,
) -> Result<(Shard, End, Option<Repair>), Error> {
    let folder = Shard::folder(log, number);
    if !folder.exists() {
        fs::create_dir(&folder).map_err(Error::io("create", &folder))?;
        segment::flush_folder(log).map_err(Error::io("flush", log))?;
    }
    segment::sweep(&folder)?;
    let published = Shard::published(&folder)?;
    let mut segments = segments(&folder, number)?;
    // The last segment is appended to, so one that cannot be read makes room for another.
    let mut next = published;
    let last = loop {
        let Some(first) = segments.last().map(|last| last.first) else { break None };
        match Segment::open(&folder, number, first) {
            Err(Error::Damaged { cause, .. }) => {
                let path = segment::quarantine(&folder, first)?;
                warn!(path = %path.display(), cause, "a segment cannot be read; its events are lost");
                next = next.max(first + 1);
                segments.pop();
            }
            opened => break opened?,
        }
    };
    let Some(last) = last else {
        let end = new_segment(&folder, number, next, schema, now_ms)?;
        segments.push(SegmentInfo { first: end.first, bytes: end.bytes, newest_at_ms: now_ms });
        return Ok((Shard::for_writing(number, folder, segments, end.next)?, end, None));
    };
    let (file, tail) = cut_tail(&last, published)?;
    if let Some(info) = segments.last_mut() {
        (info.bytes, info.newest_at_ms) = (tail.bytes, tail.newest_at_ms);
    }
    let lost = tail.next..next.max(tail.next);
    let end = if lost.is_empty() && last.schema.as_slice() == schema {
        let (first, made_at_ms) = (last.head.first, last.head.made_at_ms);
        End {
            file: Arc::new(file),
            first,
            bytes: tail.bytes,
            next: tail.next,
            made_at_ms,
            newest_at_ms: tail.newest_at_ms,
        }
    } else {
        new_segment(&folder, number, lost.end, schema, now_ms)?
    };
    if end.first > last.head.first {
        segments.push(SegmentInfo { first: end.first, bytes: end.bytes, newest_at_ms: now_ms });
    }
    let Tail { torn_bytes: bytes, damaged, .. } = tail;
    let repair = (bytes > 0 || !lost.is_empty() || !damaged.is_empty()).then_some(Repair {
        shard: number,
        bytes,
        lost,
        damaged,
    });
    if let Some(repair) = &repair {
        repair.log(&last.path);
    }
    Ok((Shard::for_writing(number, folder, segments, end.next)?, end, repair))
}

/// Creates the segment that begins at offset `next`; gives the end of the shard in it.
fn new_segment(folder: &Path, number: u32, next: u64, schema: &[u8], now_ms: i64) -> Result<End, Error> {
    let head = segment::head(number, next, now_ms, schema);
    let created = segment::create(folder, head, schema);
    let (file, bytes) = created.map_err(Error::io("create a segment in", folder))?;
    Ok(End { file: Arc::new(file), first: next, bytes, next, made_at_ms: now_ms, newest_at_ms: now_ms })
}

/// Cuts a torn tail off the last segment, and flushes it; gives its file, open for writing.
fn cut_tail(last: &Segment, published: u64) -> Result<(File, Tail), Error> {
    let tail = repair::tail(last, published)?;
    let opened = OpenOptions::new().read(true).write(true).open(&last.path);
    let file = opened.map_err(Error::io("open", &last.path))?;
    if tail.torn_bytes > 0 {
        file.set_len(tail.bytes).map_err(Error::io("cut", &last.path))?;
    }
    // Whole frames may be in the page cache only, where the process ended between its write and its flush.
    file.sync_all().map_err(Error::io("flush", &last.path))?;
    Ok((file, tail))
}

/// The segments of a shard. The newest events of each are as old as the head of the next segment says.
fn segments(folder: &Path, number: u32) -> Result<Vec<SegmentInfo>, Error> {
    let mut segments: Vec<SegmentInfo> = Vec::new();
    for first in segment::list(folder)? {
        let segment = match Segment::open(folder, number, first) {
            // Reading it gives a fault.
            Err(Error::Damaged { .. }) => {
                segments.push(SegmentInfo { first, bytes: 0, newest_at_ms: i64::MAX });
                continue;
            }
            opened => opened?,
        };
        let Some(segment) = segment else { continue };
        if let Some(before) = segments.last_mut() {
            before.newest_at_ms = segment.head.made_at_ms;
        }
        segments.push(SegmentInfo { first, bytes: segment.len()?, newest_at_ms: segment.head.made_at_ms });
    }
    Ok(segments)
}
