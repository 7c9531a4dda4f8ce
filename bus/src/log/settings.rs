//! Settings of the built-in log.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::Error;

/// Settings of the built-in log; table `[bus.log]` of `netcrab.toml`. Amounts are bytes on disk unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// The folder of the log; created where it does not exist. Default: empty, which is `_bus` beside the tables.
    pub folder: PathBuf,
    /// How many shards. Default: 1. An existing log keeps its number: another one here is refused.
    pub shards: u32,
    /// A segment is closed before it would grow beyond this. Default: 67_108_864 (64 MiB).
    /// Only whole segments are deleted, so this is also the step in which the log forgets.
    pub segment_bytes: u64,
    /// Most bytes of the whole log, all shards together. Default: 8_589_934_592 (8 GiB).
    /// Beyond it the oldest released segments are deleted; where there are none, appends are refused with `Full` until
    /// the reader releases some.
    pub bytes_max: u64,
    /// Released segments whose newest events were appended longer ago than this are deleted, in ms.
    /// Default: 259_200_000 (3 days). What is not released is never deleted.
    pub age_max_ms: i64,
    /// Most bytes that may wait to be written. Default: 67_108_864 (64 MiB). Beyond it appends are refused with `Full`.
    pub queue_bytes_max: u64,
    /// Largest batch that is stored as one; a larger one is split in half until it fits. Default: 8_388_608 (8 MiB).
    /// A single event larger than this is refused with `TooLarge`.
    pub frame_bytes_max: u64,
    /// How long a refused sender is told to wait, in ms. Default: 1_000.
    pub retry_after_ms: u64,
    /// How often a process that only reads looks for new events, and one that waits for the shards tries to lock them,
    /// in ms. Default: 100.
    pub poll_ms: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            folder: PathBuf::new(),
            shards: 1,
            segment_bytes: 64 << 20,
            bytes_max: 8 << 30,
            age_max_ms: 3 * 24 * 60 * 60 * 1000,
            queue_bytes_max: 64 << 20,
            frame_bytes_max: 8 << 20,
            retry_after_ms: 1000,
            poll_ms: 100,
        }
    }
}

impl LogSettings {
    /// The defaults, in this folder.
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), ..Self::default() }
    }

    /// Checks that every setting is within its bounds.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let within = |setting, found: u64, low: u64, high: u64, expected| match (low..=high).contains(&found) {
            true => Ok(()),
            false => Err(Error::setting(setting, found, expected)),
        };
        within("shards", self.shards.into(), 1, 1024, "1 to 1024")?;
        within("segment_bytes", self.segment_bytes, 4096, 1 << 30, "4096 (4 KiB) to 1073741824 (1 GiB)")?;
        within("bytes_max", self.bytes_max, 4096, u64::MAX, "4096 (4 KiB) or more")?;
        within("queue_bytes_max", self.queue_bytes_max, 1, 1 << 40, "1 to 1099511627776 (1 TiB)")?;
        within("frame_bytes_max", self.frame_bytes_max, 4096, 1 << 30, "4096 (4 KiB) to 1073741824 (1 GiB)")?;
        within("age_max_ms", self.age_max_ms.try_into().unwrap_or(0), 1, i64::MAX as u64, "1 or more")?;
        within("retry_after_ms", self.retry_after_ms, 1, 3_600_000, "1 to 3600000 (an hour)")?;
        within("poll_ms", self.poll_ms, 1, 60_000, "1 to 60000 (a minute)")
    }

    pub(crate) fn retry_after(&self) -> Duration {
        Duration::from_millis(self.retry_after_ms)
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }
}
