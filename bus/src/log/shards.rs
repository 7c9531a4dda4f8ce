//! The shards of a log, shared by its writer and its readers: segments, durable end, released offset.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use super::cursors::Cursors;
use super::mark::Mark;
use super::segment;
use crate::{Error, locked};

/// The file with the offset up to which a shard is durable.
const DURABLE: &str = "durable";

/// The file with the offset up to which a shard is released.
const RELEASED: &str = "released";

/// What the writer knows of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentInfo {
    /// Its first offset.
    pub(crate) first: u64,
    /// Its length.
    pub(crate) bytes: u64,
    /// When its newest events were appended.
    pub(crate) newest_at_ms: i64,
}

/// A shard.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) number: u32,
    pub(crate) folder: PathBuf,
    pub(crate) cursors: Mutex<Cursors>,
    released: Mark,
    released_to: AtomicU64,
    extent: Extent,
}

/// Where a process knows a shard's segments and durable end from.
#[derive(Debug)]
enum Extent {
    /// This process writes the shard.
    Writer { segments: Mutex<Vec<SegmentInfo>>, durable: AtomicU64, mark: Mark },
    /// Another process writes it.
    Reader { mark: OnceLock<Mark> },
}

impl Shard {
    /// The folder of a shard.
    pub(crate) fn folder(log: &std::path::Path, number: u32) -> PathBuf {
        log.join(format!("shard-{number:04}"))
    }

    /// The durable end that was published in this folder; 0 where none was.
    pub(crate) fn published(folder: &std::path::Path) -> Result<u64, Error> {
        Mark::open_to_read(&folder.join(DURABLE))?.map_or(Ok(0), |mark| mark.read())
    }

    /// A shard that this process writes.
    pub(crate) fn for_writing(
        number: u32,
        folder: PathBuf,
        segments: Vec<SegmentInfo>,
        durable: u64,
    ) -> Result<Self, Error> {
        let mark = Mark::open(folder.join(DURABLE))?;
        mark.write(durable).map_err(Error::io("write", mark.path()))?;
        let extent = Extent::Writer { segments: Mutex::new(segments), durable: AtomicU64::new(durable), mark };
        Self::new(number, folder, extent)
    }

    /// A shard that another process writes.
    pub(crate) fn for_reading(number: u32, folder: PathBuf) -> Result<Self, Error> {
        Self::new(number, folder, Extent::Reader { mark: OnceLock::new() })
    }

    fn new(number: u32, folder: PathBuf, extent: Extent) -> Result<Self, Error> {
        let released = Mark::open(folder.join(RELEASED))?;
        let released_to = AtomicU64::new(released.read()?);
        Ok(Self { number, folder, cursors: Mutex::default(), released, released_to, extent })
    }

    /// The durable end.
    pub(crate) fn durable(&self) -> Result<u64, Error> {
        match &self.extent {
            Extent::Writer { durable, .. } => Ok(durable.load(Ordering::Acquire)),
            Extent::Reader { mark } => {
                if let Some(mark) = mark.get() {
                    return mark.read();
                }
                let Some(opened) = Mark::open_to_read(&self.folder.join(DURABLE))? else { return Ok(0) };
                mark.get_or_init(|| opened).read()
            }
        }
    }

    /// The first offsets of the segments, in order; never empty for the process that writes.
    pub(crate) fn firsts(&self) -> Result<Vec<u64>, Error> {
        match &self.extent {
            Extent::Writer { segments, .. } => Ok(locked(segments).iter().map(|info| info.first).collect()),
            Extent::Reader { .. } => segment::list(&self.folder),
        }
    }

    /// The segments, for the writer to change; none in a process that only reads.
    pub(crate) fn segments(&self) -> Option<MutexGuard<'_, Vec<SegmentInfo>>> {
        match &self.extent {
            Extent::Writer { segments, .. } => Some(locked(segments)),
            Extent::Reader { .. } => None,
        }
    }

    /// Publishes that the shard is durable up to `end`.
    pub(crate) fn publish(&self, end: u64) -> std::io::Result<()> {
        let Extent::Writer { durable, mark, .. } = &self.extent else { return Ok(()) };
        durable.store(end, Ordering::Release);
        mark.write(end)
    }

    /// Publishes that the events before `before` are released.
    pub(crate) fn release(&self, before: u64) -> Result<(), Error> {
        if self.released_to.fetch_max(before, Ordering::AcqRel) < before {
            self.released.write(before).map_err(Error::io("write", self.released.path()))?;
        }
        Ok(())
    }

    /// Up to where any process has released the shard.
    pub(crate) fn released(&self) -> u64 {
        let written = self.released.read().unwrap_or(0);
        self.released_to.fetch_max(written, Ordering::AcqRel).max(written)
    }
}
