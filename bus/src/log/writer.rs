//! The thread that writes a log (group commit): all appends that wait become one write and one flush per shard.
//!
//!     queue ─▶ admit (is there room?) ─▶ write ─▶ flush ─▶ publish the new ends ─▶ answer all
//!                                          │         └─ fails: stop for good, as what is on the disk is unknown
//!                                          └─ disk full: roll back, answer, go on
//!
//! A failed flush is never retried: the kernel may have dropped the pages, and would then report success.

use std::fs::{self, File};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::{error, warn};

use super::frame::HEAD;
use super::payload::Frame;
use super::queue::{Pending, Queue};
use super::segment;
use super::settings::LogSettings;
use super::shards::{SegmentInfo, Shard};
use crate::{Clock, Error};

/// Flushes the contents of a file to the disk.
pub(crate) type Flush = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

/// Most shards that are flushed at the same time.
const FLUSHES_MAX: usize = 16;

/// The active segment of a shard and its end offset.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) file: Arc<File>,
    pub(crate) first: u64,
    pub(crate) bytes: u64,
    pub(crate) next: u64,
    pub(crate) made_at_ms: i64,
    pub(crate) newest_at_ms: i64,
}

pub(crate) struct Writer {
    pub(crate) settings: LogSettings,
    pub(crate) clock: Clock,
    pub(crate) flush: Flush,
    pub(crate) schema_message: Vec<u8>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) shards: Arc<Vec<Shard>>,
    pub(crate) ends: Vec<End>,
    /// Bytes of all segments.
    pub(crate) bytes: u64,
    pub(crate) appended: watch::Sender<()>,
}

/// Ends the queue when the thread ends, also by a panic, so that nobody waits for a writer that is gone.
struct Ending(Arc<Queue>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Why a group was not written.
enum Failure {
    /// The disk is full; the group was rolled back.
    DiskFull(Error),
    /// What is on the disk is unknown.
    Stopped(Error),
}

impl Writer {
    /// Writes until the queue is closed.
    pub(crate) fn run(mut self) {
        let _ending = Ending(self.queue.clone());
        self.retire_aged((self.clock)());
        while let Some(pending) = self.queue.take() {
            let now_ms = (self.clock)();
            self.write(pending, now_ms);
            self.retire_aged(now_ms);
        }
    }

    fn write(&mut self, pending: Vec<Pending>, now_ms: i64) {
        let mut admitted = self.admit(pending, now_ms);
        if admitted.is_empty() {
            return;
        }
        let result = loop {
            match self.write_group(&mut admitted, now_ms) {
                Ok(()) => break Ok(()),
                // Try again after deleting a segment that is no longer needed.
                Err(Failure::DiskFull(_)) if self.retire_oldest() => {}
                Err(Failure::DiskFull(fault)) => break Err(fault),
                Err(Failure::Stopped(fault)) => {
                    error!(reason = %fault, "the log stopped");
                    self.queue.stop(fault.clone());
                    break Err(fault);
                }
            }
        };
        for pending in admitted {
            self.answer(pending, result.clone());
        }
        self.appended.send_replace(());
    }

    fn answer(&self, pending: Pending, result: Result<(), Error>) {
        self.queue.free(pending.bytes());
        // The caller may no longer wait.
        let _ = pending.answer.send(result);
    }

    /// Rejects the appends that do not fit; returns the others, in order.
    fn admit(&mut self, pending: Vec<Pending>, now_ms: i64) -> Vec<Pending> {
        let mut admitted = Vec::with_capacity(pending.len());
        let mut sizes: Vec<u64> = self.ends.iter().map(|end| end.bytes).collect();
        let mut planned = 0;
        for pending in pending {
            let mut after = sizes.clone();
            let cost = self.cost(&pending, &mut after, now_ms);
            if cost > self.settings.bytes_max {
                let (bytes, bytes_max, setting) = (cost, self.settings.bytes_max, "bytes_max");
                self.answer(pending, Err(Error::TooLarge { what: "an append", bytes, bytes_max, setting }));
                continue;
            }
            while self.bytes + planned + cost > self.settings.bytes_max && self.retire_oldest() {}
            if self.bytes + planned + cost > self.settings.bytes_max {
                let (bytes_max, retry_after) = (self.settings.bytes_max, self.settings.retry_after());
                let mend = "see that its reader goes on, or raise `bytes_max`";
                self.answer(pending, Err(Error::Full { what: "the log", bytes_max, retry_after, mend }));
                continue;
            }
            planned += cost;
            sizes = after;
            admitted.push(pending);
        }
        admitted
    }

    /// How many bytes `pending` adds to the log, heads of new segments included. `sizes` holds the size of each active
    /// segment and is updated.
    fn cost(&self, pending: &Pending, sizes: &mut [u64], now_ms: i64) -> u64 {
        let mut cost = 0;
        for (shard, frame) in &pending.frames {
            let size = &mut sizes[*shard as usize];
            if self.must_roll(*shard as usize, *size, frame.len(), now_ms) {
                *size = self.head_bytes();
                cost += self.head_bytes();
            }
            *size += frame.len();
            cost += frame.len();
        }
        cost
    }

    fn head_bytes(&self) -> u64 {
        (HEAD + self.schema_message.len()) as u64
    }

    fn must_roll(&self, shard: usize, size: u64, frame_bytes: u64, now_ms: i64) -> bool {
        let end = &self.ends[shard];
        let old = size == end.bytes && now_ms - end.made_at_ms >= self.settings.age_max_ms;
        size > self.head_bytes() && (old || size + frame_bytes > self.settings.segment_bytes)
    }

    /// Writes the frames and makes them durable, or rolls them back.
    fn write_group(&mut self, group: &mut [Pending], now_ms: i64) -> Result<(), Failure> {
        let mut by_shard: Vec<Vec<&mut Frame>> = self.ends.iter().map(|_| Vec::new()).collect();
        for (shard, frame) in group.iter_mut().flat_map(|pending| &mut pending.frames) {
            by_shard[*shard as usize].push(frame);
        }
        let before = self.ends.clone();
        for (shard, frames) in by_shard.into_iter().enumerate() {
            if let Err(fault) = self.write_shard(shard, frames, now_ms) {
                return Err(self.roll_back(before, shard, fault));
            }
        }
        let touched: Vec<usize> =
            (0..before.len()).filter(|shard| self.ends[*shard].next > before[*shard].next).collect();
        for shards in touched.chunks(FLUSHES_MAX) {
            self.flush_all(shards).map_err(|(shard, fault)| self.stopped(shard, fault))?;
        }
        for shard in touched {
            self.publish(shard).map_err(|fault| self.stopped(shard, fault))?;
        }
        Ok(())
    }

    fn write_shard(&mut self, shard: usize, mut frames: Vec<&mut Frame>, now_ms: i64) -> io::Result<()> {
        let durable = self.ends[shard].next;
        for (place, frame) in frames.iter_mut().enumerate() {
            frame.place(durable + place as u64, durable, now_ms);
        }
        let mut rest = frames.as_slice();
        while let Some(first) = rest.first() {
            if self.must_roll(shard, self.ends[shard].bytes, first.len(), now_ms) {
                self.roll(shard, now_ms)?;
            }
            let mut size = self.ends[shard].bytes + first.len();
            let fits = |frame: &&&mut Frame| {
                size += frame.len();
                size <= self.settings.segment_bytes
            };
            let run = 1 + rest[1..].iter().take_while(fits).count();
            let end = &mut self.ends[shard];
            let written = write_all(&end.file, end.bytes, &rest[..run])?;
            end.bytes += written;
            end.next += run as u64;
            end.newest_at_ms = now_ms;
            self.bytes += written;
            rest = &rest[run..];
        }
        Ok(())
    }

    /// Flushes the active segment and rolls to a new one.
    pub(super) fn roll(&mut self, shard: usize, now_ms: i64) -> io::Result<()> {
        let end = &self.ends[shard];
        // Wrapped as `Other`, so that `roll_back` does not take a failed flush for a full disk: it must stop the log.
        (self.flush)(&end.file).map_err(io::Error::other)?;
        let head = segment::head(shard as u32, end.next, now_ms, &self.schema_message);
        let (file, bytes) = segment::create(&self.shards[shard].folder, head, &self.schema_message)?;
        if let Some(mut segments) = self.shards[shard].segments() {
            if let Some(last) = segments.last_mut() {
                (last.bytes, last.newest_at_ms) = (end.bytes, end.newest_at_ms);
            }
            segments.push(SegmentInfo { first: head.first, bytes, newest_at_ms: now_ms });
        }
        let (first, next) = (head.first, head.first);
        self.ends[shard] = End { file: Arc::new(file), first, bytes, next, made_at_ms: now_ms, newest_at_ms: now_ms };
        self.bytes += bytes;
        Ok(())
    }

    fn flush_all(&self, shards: &[usize]) -> Result<(), (usize, io::Error)> {
        let flush = |shard: usize| (self.flush)(&self.ends[shard].file).map_err(|fault| (shard, fault));
        if let [shard] = shards {
            return flush(*shard);
        }
        std::thread::scope(|scope| {
            let flushes: Vec<_> = shards.iter().map(|shard| scope.spawn(move || flush(*shard))).collect();
            flushes
                .into_iter()
                .try_for_each(|flushed| flushed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    fn publish(&self, shard: usize) -> io::Result<()> {
        let end = &self.ends[shard];
        self.check_named(shard)?;
        if let Some(mut segments) = self.shards[shard].segments()
            && let Some(last) = segments.last_mut()
        {
            (last.bytes, last.newest_at_ms) = (end.bytes, end.newest_at_ms);
        }
        self.shards[shard].publish(end.next)
    }

    /// Checks that the active segment still has its name: what is written to a file that was removed is lost.
    fn check_named(&self, shard: usize) -> io::Result<()> {
        let identity = |of: &fs::Metadata| (of.dev(), of.ino());
        let open = identity(&self.ends[shard].file.metadata()?);
        match fs::metadata(self.path(shard)) {
            Ok(named) if identity(&named) == open => Ok(()),
            Ok(_) => Err(io::Error::other("the file was replaced")),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Err(io::Error::other("the file was removed")),
            Err(fault) => Err(fault),
        }
    }

    /// Puts all shards back to their ends before the group. `shard` is the one that could not be written.
    fn roll_back(&mut self, before: Vec<End>, shard: usize, fault: io::Error) -> Failure {
        if !matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return self.stopped(shard, fault);
        }
        for (shard, before) in before.into_iter().enumerate() {
            if let Err(fault) = self.roll_back_shard(shard, before) {
                return self.stopped(shard, fault);
            }
        }
        let path = self.path(shard);
        warn!(path = %path.display(), "the disk is full");
        Failure::DiskFull(Error::DiskFull { path, retry_after: self.settings.retry_after() })
    }

    fn roll_back_shard(&mut self, shard: usize, before: End) -> io::Result<()> {
        let folder = &self.shards[shard].folder;
        if let Some(mut segments) = self.shards[shard].segments() {
            while let Some(made) = segments.pop_if(|info| info.first > before.first) {
                fs::remove_file(segment::path(folder, made.first))?;
            }
            if let Some(last) = segments.last_mut() {
                (last.bytes, last.newest_at_ms) = (before.bytes, before.newest_at_ms);
            }
        }
        before.file.set_len(before.bytes)?;
        if self.ends[shard].first > before.first {
            segment::flush_folder(folder)?;
        }
        self.ends[shard] = before;
        self.count();
        Ok(())
    }

    /// Counts the bytes of all segments.
    fn count(&mut self) {
        let segments = self
            .shards
            .iter()
            .filter_map(|shard| shard.segments().map(|all| all.iter().map(|info| info.bytes).sum::<u64>()));
        self.bytes = segments.sum();
    }

    fn stopped(&self, shard: usize, fault: io::Error) -> Failure {
        Failure::Stopped(Error::Stopped { path: self.path(shard), cause: Arc::new(fault) })
    }

    fn path(&self, shard: usize) -> std::path::PathBuf {
        segment::path(&self.shards[shard].folder, self.ends[shard].first)
    }
}

/// Writes all frames at byte `at`, with as few system calls as possible; gives their length.
fn write_all(mut file: &File, at: u64, frames: &[&mut Frame]) -> io::Result<u64> {
    file.seek(SeekFrom::Start(at))?;
    let mut slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame.bytes())).collect();
    let mut rest = slices.as_mut_slice();
    let mut written = 0;
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => {
                written += more as u64;
                IoSlice::advance_slices(&mut rest, more);
            }
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(written)
}
