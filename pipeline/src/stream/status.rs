//! What each shard of a process is doing, for `/metrics`, `/ready` and the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use netcrab_api::Scrape;

use super::shard::EpochReport;

/// The status of a shard.
#[derive(Debug, Clone, Default)]
pub struct ShardStatus {
    /// The number of the last epoch.
    pub epoch: u64,
    /// The next offset of the bus.
    pub next_offset: u64,
    /// Its watermark, ms.
    pub watermark_ms: i64,
    /// Open sessions.
    pub open_sessions: usize,
    /// Open events.
    pub open_events: usize,
    /// Bytes of what is open.
    pub state_bytes: usize,
    /// Keys with late events that wait for a repair or are in one.
    pub late_waiting: usize,
    /// Offsets of the bus not yet read.
    pub lag: u64,
    /// Since the process began: events, closed sessions, late events, epochs.
    pub events: u64,
    /// See [`Self::events`].
    pub closed: u64,
    /// See [`Self::events`].
    pub late: u64,
    /// Events that the bus lost, since the process began; an entry whose events it cannot count is one.
    pub lost: u64,
    /// See [`Self::events`].
    pub epochs: u64,
    /// The last epoch.
    pub last: EpochReport,
    /// Why the last epoch failed, until one succeeds.
    pub fault: Option<String>,
}

/// The status of every shard that this process has or had.
pub type ShardStatuses = Arc<Mutex<BTreeMap<u32, ShardStatus>>>;

/// Adds the metrics of the shards to those that `/metrics` shows.
pub fn metrics(statuses: &ShardStatuses, scrape: &Scrape) {
    type Family = (&'static str, &'static str, fn(&ShardStatus) -> f64);
    const COUNTERS: [Family; 5] = [
        ("netcrab_stream_events_total", "Events read from the bus.", |status| status.events as f64),
        ("netcrab_stream_sessions_closed_total", "Sessions closed.", |status| status.closed as f64),
        ("netcrab_stream_late_events_total", "Events too late for their session.", |status| status.late as f64),
        ("netcrab_stream_lost_events_total", "Events lost on the bus.", |status| status.lost as f64),
        ("netcrab_stream_epochs_total", "Epochs committed.", |status| status.epochs as f64),
    ];
    const GAUGES: [Family; 8] = [
        ("netcrab_stream_epoch", "Number of the last epoch.", |status| status.epoch as f64),
        ("netcrab_stream_lag", "Offsets of the bus not yet read.", |status| status.lag as f64),
        ("netcrab_stream_watermark_seconds", "Watermark, seconds since 1970.", |status| {
            let is_set = (i64::MIN + 1..i64::MAX).contains(&status.watermark_ms);
            if is_set { status.watermark_ms as f64 / 1000.0 } else { 0.0 }
        }),
        ("netcrab_stream_open_sessions", "Sessions that are open.", |status| status.open_sessions as f64),
        ("netcrab_stream_open_events", "Events that are open.", |status| status.open_events as f64),
        ("netcrab_stream_state_bytes", "Bytes of what is open.", |status| status.state_bytes as f64),
        ("netcrab_stream_late_waiting", "Keys with late events that wait for a repair or are in one.", |status| {
            status.late_waiting as f64
        }),
        ("netcrab_stream_failing", "Whether the shard waits after a failed epoch.", |status| {
            f64::from(u8::from(status.fault.is_some()))
        }),
    ];
    let statuses = statuses.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let series =
        |of: fn(&ShardStatus) -> f64| statuses.iter().map(move |(shard, status)| ([shard.to_string()], of(status)));
    for (name, help, of) in COUNTERS {
        scrape.counters(name, help, ["shard"], series(of));
    }
    for (name, help, of) in GAUGES {
        scrape.gauges(name, help, ["shard"], series(of));
    }
    let steps = statuses.iter().flat_map(|(shard, status)| {
        let steps = status.last.steps.iter();
        steps.map(move |(step, took)| ([shard.to_string(), step.name().to_owned()], took.as_secs_f64()))
    });
    let help = "How long each step of the last epoch took.";
    scrape.gauges("netcrab_stream_step_seconds", help, ["shard", "step"], steps);
}
