//! Runs the epochs of the shards that the bus assigns to this process.
//!
//!     bus: assigned 0, 2 ─▶ a task each:  open ─▶ step ─▶ step ─▶ …
//!     bus: revoked 2     ─▶ its task ends after the current epoch ─▶ handed over
//!
//! A shard whose epoch fails is opened again after a pause, for as long as it takes: a full disk or an unreachable bus
//! costs time, no events. Only an error that no retry mends ends the process ([`Error::stops_a_stream`]): another
//! process on the same shard, or files that cannot be read.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use netcrab_bus::{Membership, ShardAssignment};
use netcrab_operators::rules::Rules;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::context::StreamContext;
use super::shard::{EpochReport, EpochRequest, Shard};
use super::status::{ShardStatus, ShardStatuses};
use super::vacuum;
use crate::error::{Error, Result};

/// How long the current epoch may take to end after a stop.
const DRAIN: Duration = Duration::from_secs(20);

/// First and longest pause after a failed epoch.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Runs shards until it is stopped.
pub struct Processor {
    /// What the shards share.
    pub context: Arc<StreamContext>,
    /// The rules; each epoch uses the newest.
    pub rules: watch::Receiver<Arc<Rules>>,
    /// The status of each shard.
    pub statuses: ShardStatuses,
    /// The reader of the tables in this process, refreshed when sessions closed.
    pub tables_reader: Option<Arc<dyn TablesReader>>,
    /// The clock, ms.
    pub clock: fn() -> i64,
}

/// A reader of the tables that caches a snapshot.
#[async_trait]
pub trait TablesReader: Send + Sync {
    /// Reads the newest snapshot; it handles its own errors.
    async fn refresh(&self);
}

/// A task that runs a shard.
struct Worker {
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Processor {
    /// Runs until `stop`; the current epoch ends first.
    ///
    /// # Errors
    /// [`Error::Shard`] where a retry does not help; [`Error::Bus`] where the membership ends.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<()> {
        let keep = Duration::from_millis(self.context.settings.keep_removed_ms);
        let until = stop.child_token();
        let _vacuum_guard = until.clone().drop_guard();
        tokio::spawn(vacuum::vacuum_periodically(self.context.sink.clone(), keep, until));
        let mut membership = self.context.bus.join().await?;
        let mut workers: BTreeMap<u32, Worker> = BTreeMap::new();
        let ended = self.serve(membership.as_mut(), &mut workers, &stop).await;
        for worker in workers.values() {
            worker.stop.cancel();
        }
        for (_, worker) in workers {
            worker.task.await??;
        }
        ended
    }

    async fn serve(
        self: &Arc<Self>,
        membership: &mut dyn Membership,
        workers: &mut BTreeMap<u32, Worker>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let failed = CancellationToken::new();
        loop {
            let change = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = failed.cancelled() => return Ok(()),
                change = membership.changed() => change?,
            };
            match change {
                ShardAssignment::Assigned(shards) => {
                    for shard in shards {
                        let worker = Arc::clone(self).work_on(shard, stop.child_token(), failed.clone());
                        workers.insert(shard, worker);
                    }
                }
                ShardAssignment::Revoked(handover) => {
                    let gone: Vec<Worker> = handover.shards.iter().filter_map(|shard| workers.remove(shard)).collect();
                    for worker in &gone {
                        worker.stop.cancel();
                        if handover.lost {
                            worker.task.abort();
                        }
                    }
                    for worker in gone {
                        match worker.task.await {
                            Err(ended) if ended.is_cancelled() => {}
                            ended => ended??,
                        }
                    }
                    drop(handover);
                }
            }
        }
    }

    fn work_on(self: Arc<Self>, shard: u32, stop: CancellationToken, failed: CancellationToken) -> Worker {
        let token = stop.clone();
        let task = tokio::spawn(async move {
            let worked = self.work(shard, &token).await;
            if worked.is_err() {
                failed.cancel();
            }
            worked
        });
        Worker { stop, task }
    }

    /// Runs one shard, and retries what may pass.
    async fn work(&self, number: u32, stop: &CancellationToken) -> Result<()> {
        let mut pause = PAUSES.0;
        loop {
            let began = Instant::now();
            let Err(error) = self.epochs(number, stop).await else { return Ok(()) };
            if error.stops_a_stream() {
                return Err(Error::Shard { shard: number, source: Box::new(error) });
            }
            if began.elapsed() > PAUSES.1 {
                pause = PAUSES.0;
            }
            warn!(shard = number, pause_ms = pause.as_millis() as u64, reason = %error.chain(), "epoch failed");
            self.note(number, |status| status.fault = Some(error.chain()));
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Runs epochs until `stop`.
    async fn epochs(&self, number: u32, stop: &CancellationToken) -> Result<()> {
        let rules = self.rules.borrow().clone();
        let mut shard = Shard::open(Arc::clone(&self.context), number, &rules).await?;
        info!(shard = number, epoch = shard.state().epoch(), offset = shard.state().next_offset(), "shard opened");
        self.note_shard(&shard, None);
        shard.restart_feed();
        shard.update_feed(&rules).await?;
        let pace = Duration::from_millis(self.context.settings.epoch_ms.max(1));
        while !stop.is_cancelled() {
            let began = Instant::now();
            let rules = self.rules.borrow().clone();
            let step = shard.step(EpochRequest { now_ms: (self.clock)(), finish: false, rules: &rules });
            let report = tokio::select! {
                report = step => report?,
                // A step that waits for an unreachable server is abandoned, as by a kill.
                () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => return Ok(()),
            };
            let behind = report.as_ref().is_some_and(|report| report.lag > 0);
            if let Some(report) = &report {
                // Readers see closed sessions in the tables before they disappear from the open ones.
                if report.closed > 0
                    && let Some(reader) = &self.tables_reader
                {
                    reader.refresh().await;
                }
                shard.update_feed(&rules).await?;
            }
            let seen = [(number, shard.state().next_offset())];
            self.note_shard(&shard, report);
            if behind {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = async {
                    tokio::time::sleep(pace.saturating_sub(began.elapsed())).await;
                    // Sessions become due without events too, so the wait is at most one epoch.
                    let _ = tokio::time::timeout(pace, self.context.bus.changed(&seen)).await;
                } => {}
            }
        }
        Ok(())
    }

    /// Processes every shard to the end of the bus and closes all sessions, as at the end of a stream.
    ///
    /// # Errors
    /// Whatever an epoch gives.
    pub async fn finish(&self) -> Result<u64> {
        let rules = self.rules.borrow().clone();
        let mut events = 0;
        for number in 0..self.context.bus.shards() {
            let mut shard = Shard::open(Arc::clone(&self.context), number, &rules).await?;
            while let Some(report) =
                shard.step(EpochRequest { now_ms: (self.clock)(), finish: true, rules: &rules }).await?
            {
                events += report.events;
                self.note_shard(&shard, Some(report));
            }
        }
        Ok(events)
    }

    fn note(&self, shard: u32, change: impl FnOnce(&mut ShardStatus)) {
        change(self.statuses.lock().unwrap_or_else(PoisonError::into_inner).entry(shard).or_default());
    }

    fn note_shard(&self, shard: &Shard, report: Option<EpochReport>) {
        let (open_sessions, open_events, state_bytes) = shard.state().open_counts();
        self.note(shard.state().number(), |status| {
            (status.epoch, status.next_offset) = (shard.state().epoch(), shard.state().next_offset());
            status.watermark_ms = shard.state().watermark_ms();
            (status.open_sessions, status.open_events, status.state_bytes) = (open_sessions, open_events, state_bytes);
            status.late_waiting = shard.state().late_keys();
            status.fault = None;
            status.lag = report.as_ref().map_or(0, |report| report.lag);
            if let Some(report) = report {
                status.events += report.events;
                status.closed += report.closed;
                status.late += report.late;
                status.lost += report.lost;
                status.epochs += 1;
                status.last = report;
            }
        });
    }
}
