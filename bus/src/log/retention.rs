//! Deletes segments that are released: old ones, and the oldest ones where room is needed.

use std::{fs, io};

use tracing::{info, warn};

use super::segment;
use super::shards::SegmentInfo;
use super::writer::Writer;

impl Writer {
    /// Deletes released segments that are older than `age_max_ms`.
    pub(super) fn retire_aged(&mut self, now_ms: i64) {
        let age_max_ms = self.settings.age_max_ms;
        let aged = |newest_at_ms: i64| now_ms - newest_at_ms > age_max_ms;
        for shard in 0..self.ends.len() {
            let end = &self.ends[shard];
            // Close also the segment that is appended to, where all of it is old and released.
            if end.next > end.first
                && aged(end.newest_at_ms)
                && self.shards[shard].released() >= end.next
                && let Err(fault) = self.roll(shard, now_ms)
            {
                warn!(reason = %fault, shard, "an old segment could not be closed");
            }
            while self.oldest(shard).is_some_and(|oldest| aged(oldest.newest_at_ms))
                && let Some(oldest) = self.retirable(shard)
                && self.retire(shard, oldest)
            {}
        }
    }

    fn oldest(&self, shard: usize) -> Option<SegmentInfo> {
        self.shards[shard].segments()?.first().copied()
    }

    /// Deletes the oldest released segment of all shards. Returns false where there is none.
    pub(super) fn retire_oldest(&mut self) -> bool {
        let retirable = (0..self.ends.len()).filter_map(|shard| Some((shard, self.retirable(shard)?)));
        match retirable.min_by_key(|(_, info)| info.newest_at_ms) {
            Some((shard, info)) => self.retire(shard, info),
            None => false,
        }
    }

    /// The first segment of a shard, if it is released and not the last one.
    fn retirable(&self, shard: usize) -> Option<SegmentInfo> {
        let segments = self.shards[shard].segments()?;
        let released = self.shards[shard].released();
        match segments.as_slice() {
            [first, second, ..] if second.first <= released => Some(*first),
            _ => None,
        }
    }

    fn retire(&mut self, shard: usize, info: SegmentInfo) -> bool {
        let path = segment::path(&self.shards[shard].folder, info.first);
        if let Err(fault) = fs::remove_file(&path).or_else(|fault| match fault.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(fault),
        }) {
            warn!(path = %path.display(), reason = %fault, "an old segment could not be deleted");
            return false;
        }
        if let Some(mut segments) = self.shards[shard].segments() {
            segments.retain(|other| other.first != info.first);
        }
        self.bytes = self.bytes.saturating_sub(info.bytes);
        info!(path = %path.display(), bytes = info.bytes, "an old segment was deleted");
        true
    }
}
