//! What the writer and the readers of a log share: its shards and how far each goes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use super::mark::Mark;
use super::read::Cursors;
use super::segment;
use crate::{Error, locked};

/// The name of the file that says how far a shard is durable.
const DURABLE: &str = "durable";

/// The name of the file that says how far a shard is released.
const RELEASED: &str = "released";

/// A segment as the writer knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Info {
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

/// How a process knows a shard's segments and end.
#[derive(Debug)]
enum Extent {
    /// It writes them.
    Ours { segments: Mutex<Vec<Info>>, durable: AtomicU64, mark: Mark },
    /// Another one does.
    Theirs { mark: OnceLock<Mark> },
}

impl Shard {
    /// The folder of a shard.
    pub(crate) fn folder(log: &std::path::Path, number: u32) -> PathBuf {
        log.join(format!("shard-{number:04}"))
    }

    /// What the published mark in this folder says.
    pub(crate) fn published(folder: &std::path::Path) -> Result<u64, Error> {
        Mark::open_to_read(&folder.join(DURABLE))?.map_or(Ok(0), |mark| mark.read())
    }

    /// A shard that this process writes.
    pub(crate) fn ours(number: u32, folder: PathBuf, segments: Vec<Info>, durable: u64) -> Result<Self, Error> {
        let mark = Mark::open(folder.join(DURABLE))?;
        mark.write(durable).map_err(Error::io("write", mark.path()))?;
        let extent = Extent::Ours { segments: Mutex::new(segments), durable: AtomicU64::new(durable), mark };
        Self::new(number, folder, extent)
    }

    /// A shard that another process writes.
    pub(crate) fn theirs(number: u32, folder: PathBuf) -> Result<Self, Error> {
        Self::new(number, folder, Extent::Theirs { mark: OnceLock::new() })
    }

    fn new(number: u32, folder: PathBuf, extent: Extent) -> Result<Self, Error> {
        let released = Mark::open(folder.join(RELEASED))?;
        let released_to = AtomicU64::new(released.read()?);
        Ok(Self { number, folder, cursors: Mutex::default(), released, released_to, extent })
    }

    /// The durable end.
    pub(crate) fn durable(&self) -> Result<u64, Error> {
        match &self.extent {
            Extent::Ours { durable, .. } => Ok(durable.load(Ordering::Acquire)),
            Extent::Theirs { mark } => {
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
            Extent::Ours { segments, .. } => Ok(locked(segments).iter().map(|info| info.first).collect()),
            Extent::Theirs { .. } => segment::list(&self.folder),
        }
    }

    /// The segments, for the writer to change; none in a process that only reads.
    pub(crate) fn segments(&self) -> Option<MutexGuard<'_, Vec<Info>>> {
        match &self.extent {
            Extent::Ours { segments, .. } => Some(locked(segments)),
            Extent::Theirs { .. } => None,
        }
    }

    /// Makes it known that the shard is durable up to `end`.
    pub(crate) fn publish(&self, end: u64) -> std::io::Result<()> {
        let Extent::Ours { durable, mark, .. } = &self.extent else { return Ok(()) };
        durable.store(end, Ordering::Release);
        mark.write(end)
    }

    /// Makes it known that what lies before `before` may go.
    pub(crate) fn release(&self, before: u64) -> Result<(), Error> {
        if self.released_to.fetch_max(before, Ordering::AcqRel) < before {
            self.released.write(before).map_err(Error::io("write", self.released.path()))?;
        }
        Ok(())
    }

    /// Up to where the shard is released, by whichever process.
    pub(crate) fn released(&self) -> u64 {
        let written = self.released.read().unwrap_or(0);
        self.released_to.fetch_max(written, Ordering::AcqRel).max(written)
    }
}
