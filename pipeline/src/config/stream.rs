//! Settings of a stream.

use serde::Deserialize;

use super::ConfigError;

/// Settings of `netcrab serve` and `netcrab process`; table `[stream]` of `netcrab.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSettings {
    /// Longest time between two epochs while events arrive, in milliseconds; new events are visible about this much
    /// later. Default: 1000.
    pub epoch_ms: u64,
    /// Most bytes of events in one epoch, as the bus stores them: its plans sort a dozen tables within
    /// `run.memory_mib`. Default: 16_777_216 (16 MiB), about 80 000 events.
    pub epoch_bytes_max: usize,
    /// How long the watermark stays behind the latest event, in milliseconds. An event that arrives later for a
    /// closed session is late: a repair merges it. Default: 120_000 (2 min).
    pub lateness_ms: i64,
    /// How far the watermark may be ahead of the clock, in milliseconds, whatever timestamps events have.
    /// Default: 300_000 (5 min).
    pub skew_max_ms: i64,
    /// How long a session key is remembered after its last session closed, in milliseconds. A key that returns later
    /// numbers its sessions from 0 again. Default: 172_800_000 (48 h).
    pub remember_ms: i64,
    /// Fewest events between two state files. Default: 1_000_000.
    pub state_events_min: u64,
    /// Most open sessions that the API shows; more are shown once they close. Default: 50_000.
    pub live_sessions_max: usize,
    /// How long vacuum retains files that no table references, and old entries of a table's log, in milliseconds: no
    /// reader may take longer. Default: 3_600_000 (1 h).
    pub keep_removed_ms: u64,
    /// Days that events_raw and events_sessionized retain, by the watermark; 0 retains all. Default: 0. A late event
    /// older than this finds its session expired.
    pub events_days: u32,
    /// Days that the fact tables retain, by the watermark; 0 retains all. Default: 0.
    pub facts_days: u32,
    /// Shortest time between two repairs of late events, in milliseconds. Default: 60_000 (1 min).
    pub repair_ms: u64,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            epoch_ms: 1000,
            epoch_bytes_max: 16 << 20,
            lateness_ms: 120_000,
            skew_max_ms: 300_000,
            remember_ms: 172_800_000,
            state_events_min: 1_000_000,
            live_sessions_max: 50_000,
            keep_removed_ms: 3_600_000,
            events_days: 0,
            facts_days: 0,
            repair_ms: 60_000,
        }
    }
}

impl StreamSettings {
    /// Refuses settings that no stream can run with.
    ///
    /// # Errors
    /// [`ConfigError::OutOfBounds`], with the setting and what it expects.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |setting: &str, found: String, expected| {
            Err(ConfigError::out_of_bounds(&format!("stream.{setting}"), found, expected))
        };
        if self.epoch_ms < 10 {
            return refuse("epoch_ms", self.epoch_ms.to_string(), "10 or more");
        }
        if self.epoch_bytes_max < 1 << 16 {
            return refuse("epoch_bytes_max", self.epoch_bytes_max.to_string(), "65536 (64 KiB) or more");
        }
        for (setting, value) in
            [("lateness_ms", self.lateness_ms), ("skew_max_ms", self.skew_max_ms), ("remember_ms", self.remember_ms)]
        {
            if value < 0 {
                return refuse(setting, value.to_string(), "0 or more");
            }
        }
        if self.keep_removed_ms < 60_000 {
            return refuse("keep_removed_ms", self.keep_removed_ms.to_string(), "60000 (1 min) or more");
        }
        Ok(())
    }
}
