//! An epoch: a range of the bus and a watermark, decided before its plans run.
//!
//!     bus from the last offset, clock ─▶ EpochPlan ─▶ plans ─▶ staged files ─▶ Manifest
//!
//! The clock takes part in the watermark only. Everything else follows from the range, the watermark and the open
//! sessions, so whoever repeats the epoch stages the same rows under the same names.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use arrow::util::display::array_value_to_string;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::ExecutionPlan;
use netcrab_bus::{Fault, Fetched, LOST};
use netcrab_operators::chain::{self, DERIVED, TablePlan};
use netcrab_operators::rules::Rules;
use netcrab_operators::sessionize::streaming::StreamingSessionizeExec;
use netcrab_operators::sort::SortEventsExec;
use netcrab_schema::arrow::event_in_flight;
use netcrab_schema::tables::{EVENTS_RAW, REJECTS};
use netcrab_sinks::{RunId, TableChange};
use netcrab_sources::reject;
use xxhash_rust::xxh3::xxh3_128;

use super::state::ShardState;
use crate::checkpoints::manifest::{FORMAT, LateKeys, Manifest, StateFile, digest};
use crate::error::{Error, Result};
use crate::plans::resources::ACTIONS_MAX;
use crate::plans::staging::{Staging, stage_all};
use crate::plans::table_order::in_table_order;
use crate::stream::context::StreamContext;
use crate::stream::crash_points::{self, Step};
use crate::stream::watermark::{self, WatermarkInput};

/// What a caller asks of the next epoch.
#[derive(Debug, Clone, Copy)]
pub struct EpochRequest<'a> {
    /// The wall clock, ms.
    pub now_ms: i64,
    /// Whether the stream has ended: the epoch that reaches the end of the bus closes every session.
    pub finish: bool,
    /// The rules to derive with.
    pub rules: &'a Arc<Rules>,
}

/// What an epoch did.
#[derive(Debug, Clone, Default)]
pub struct EpochReport {
    /// Its number.
    pub epoch: u64,
    /// Events read.
    pub events: u64,
    /// Sessions closed.
    pub closed: u64,
    /// Events that came too late for their session.
    pub late: u64,
    /// Events that the bus lost.
    pub lost: u64,
    /// Offsets of the bus that remain unread because one epoch takes a bounded number of bytes.
    pub lag: u64,
    /// How long each step took, in the order of the steps.
    pub steps: Vec<(Step, Duration)>,
}

impl EpochReport {
    pub(super) fn new(manifest: &Manifest, late: u64, plan: &EpochPlan, timer: StepTimer) -> Self {
        let rows = |change: &TableChange| change.added.iter().map(|part| part.rows).sum();
        Self {
            epoch: manifest.epoch,
            events: manifest.events,
            closed: manifest.tables.get("fact_sessions").map_or(0, rows),
            late,
            lost: lost(&plan.fetched.faults),
            lag: plan.lag,
            steps: timer.steps,
        }
    }
}

/// Times the steps of an epoch.
pub(in crate::stream) struct StepTimer {
    steps: Vec<(Step, Duration)>,
    since: Instant,
}

impl StepTimer {
    pub(in crate::stream) fn start() -> Self {
        Self { steps: Vec::with_capacity(Step::ALL.len()), since: Instant::now() }
    }

    /// Ends a step; tests may kill the process behind it.
    pub(super) fn done(&mut self, step: Step) {
        crash_points::after(step);
        self.record(step);
    }

    /// Ends a step that has crash points of its own.
    pub(super) fn record(&mut self, step: Step) {
        self.steps.push((step, self.since.elapsed()));
        self.since = Instant::now();
    }
}

/// Why an epoch runs even where the bus has nothing new and no session is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// A repair is done and this epoch commits it.
    pub(super) repair_done: bool,
    /// A repair begins with the end of this epoch.
    pub(super) repair_begins: bool,
    /// A compaction is done and this epoch commits it.
    pub(super) compaction_done: bool,
}

impl Due {
    pub(super) fn any(self) -> bool {
        self.repair_done || self.repair_begins || self.compaction_done
    }
}

/// An epoch about to run.
pub(super) struct EpochPlan {
    pub(super) epoch: u64,
    /// Identifies what the epoch does: an attempt at the same epoch has the same name.
    pub(super) name: String,
    /// Names the files that it stages.
    pub(super) run: RunId,
    pub(super) fetched: Fetched,
    pub(super) watermark_ms: i64,
    latest_ms: i64,
    last_event: Option<String>,
    rules: String,
    rules_since_ms: i64,
    /// Offsets of the bus that are left for later epochs.
    pub(super) lag: u64,
    due: Due,
}

/// What an epoch did before its commit, for its manifest.
pub(super) struct EpochOutput {
    pub(super) tables: BTreeMap<String, TableChange>,
    pub(super) late: LateKeys,
    pub(super) forgotten_ms: i64,
    pub(super) state: Option<StateFile>,
    pub(super) reopened: Option<StateFile>,
}

impl EpochPlan {
    /// Decides what the next epoch is; `None` where it would change nothing.
    pub(super) async fn next(
        context: &StreamContext,
        state: &mut ShardState,
        request: EpochRequest<'_>,
        due: Due,
    ) -> Result<Option<Self>> {
        let (shard, from) = (state.number(), state.next_offset());
        let fetched = context.bus.read(shard, from, None, context.settings.epoch_bytes_max).await?;
        for fault in &fetched.faults {
            let Fault { shard, offsets, rows, reason, .. } = fault;
            tracing::warn!(shard, ?offsets, rows, %reason, "not an event; see the table rejects");
        }
        let end = context.bus.bounds(shard).await?.end;
        let position = state.position();
        let latest_ms = fetched.batches.iter().filter_map(latest_ts).fold(position.latest_ms, i64::max);
        let idle = fetched.next == from;
        let input = WatermarkInput {
            previous_ms: position.watermark_ms,
            latest_ms,
            idle_ms: state.idle_ms(idle, request.now_ms),
            now_ms: request.now_ms,
        };
        let watermark_ms = match request.finish && fetched.next == end {
            true => i64::MAX,
            false => watermark::next(&context.settings, input),
        };
        let sessions_due = state.open().next_due().is_some_and(|due| due <= watermark_ms);
        if idle && !sessions_due && !due.any() {
            return Ok(None);
        }
        let position = state.position();
        let epoch = position.epoch + 1;
        let rules = digest_of_rules(request.rules)?;
        let rules_since_ms = if rules == position.rules { position.rules_since_ms } else { position.closed_ms };
        let name = format!(
            "{shard} {epoch} {} {from} {} {watermark_ms} {rules} {}",
            position.digest, fetched.next, due.repair_done
        );
        let run = RunId::of_shard(shard, xxh3_128(name.as_bytes()));
        let lag = end.saturating_sub(fetched.next);
        let last_event = last_event(&fetched)?.or_else(|| position.last_event.clone());
        Ok(Some(Self {
            epoch,
            name,
            run,
            fetched,
            watermark_ms,
            latest_ms,
            last_event,
            rules,
            rules_since_ms,
            lag,
            due,
        }))
    }

    /// Runs the plans of the epoch; returns what they add to each table.
    pub(super) async fn stage(
        &self,
        context: &StreamContext,
        state: &ShardState,
        rules: &Arc<Rules>,
    ) -> Result<BTreeMap<String, TableChange>> {
        let plans = self.plans(state, rules)?;
        let mut staging = Staging { sink: &context.sink, staged: Vec::new() };
        let ids = |_: &netcrab_schema::Table| &self.run;
        // The files of an epoch that fails stay: another process that works on the same epoch stages files of the
        // same names, and may have committed them. Vacuum removes those that no epoch committed.
        stage_all(&context.sink, &plans, &context.task, &ids, &mut staging).await?;
        let staged = staging.staged.into_iter().filter(|(_, staged)| !staged.files.is_empty());
        let changes = staged.map(|(table, staged)| {
            (table.name.to_owned(), TableChange { added: staged.files, ..TableChange::default() })
        });
        Ok(changes.collect())
    }

    fn plans(&self, state: &ShardState, rules: &Arc<Rules>) -> Result<Vec<TablePlan>> {
        let events = || -> Result<Arc<dyn ExecutionPlan>> {
            let batches = self.fetched.batches.clone();
            Ok(MemorySourceConfig::try_new_exec(&[batches], event_in_flight(), None)?)
        };
        let columns = chain::event_fields(&DERIVED);
        let sessions = StreamingSessionizeExec::new(events()?, state.shared(), self.watermark_ms, columns)?;
        let mut plans = chain::plans_over(Arc::new(sessions), rules, &DERIVED)?;
        plans.push((&EVENTS_RAW, Arc::new(SortEventsExec::new(events()?, ACTIONS_MAX)?)));
        if !self.fetched.faults.is_empty() {
            let rows = vec![rejects(&self.fetched.faults)?];
            plans.push((&REJECTS, MemorySourceConfig::try_new_exec(&[rows], REJECTS.in_flight(), None)?));
        }
        plans.into_iter().map(|(table, plan)| Ok((table, in_table_order(table, plan)?))).collect()
    }

    /// The manifest of the epoch; `state` is that before it.
    pub(super) fn manifest(&self, state: &ShardState, output: EpochOutput) -> Manifest {
        let (shard, position) = (state.number(), state.position());
        let EpochOutput { tables, late, forgotten_ms, state, reopened } = output;
        let before = |late: &LateKeys| if state.is_some() { late.clone() } else { LateKeys::new() };
        Manifest {
            format: FORMAT,
            shard,
            epoch: self.epoch,
            parent: position.digest.clone(),
            from: position.next,
            to: self.fetched.next,
            events: self.fetched.rows() as u64,
            watermark_ms: self.watermark_ms,
            latest_ms: self.latest_ms,
            forgotten_ms,
            late_before: before(&position.late),
            repairing_before: before(&position.repairing),
            state,
            reopened,
            late,
            repair_begins: self.due.repair_begins,
            repaired: self.due.repair_done,
            tables,
            changed: Some(position.changed.clone()),
            last_event: self.last_event.clone(),
            lost: position.lost + lost(&self.fetched.faults),
            rules: self.rules.clone(),
            rules_since_ms: self.rules_since_ms,
        }
    }
}

/// How many events the bus lost, of what stands in place of events.
pub(in crate::stream) fn lost(faults: &[Fault]) -> u64 {
    faults.iter().filter(|fault| fault.name == LOST).map(|fault| fault.rows).sum()
}

/// Most rows of `rejects` for one entry of the bus.
const ROWS_MAX: u64 = 1_000_000;

/// The digest of rules, and of the release that applies them.
pub(in crate::stream) fn digest_of_rules(rules: &Rules) -> Result<String> {
    Ok(digest(&[env!("CARGO_PKG_VERSION").as_bytes(), &serde_json::to_vec(rules)?].concat()))
}

/// The digest of the last event of a range; `None` where it has none.
pub(in crate::stream) fn last_event(fetched: &Fetched) -> Result<Option<String>> {
    let Some(batch) = fetched.batches.iter().rfind(|batch| batch.num_rows() > 0) else { return Ok(None) };
    let text = |name: &str| {
        let column = batch.column_by_name(name).ok_or_else(|| Error::no_column(name))?;
        Ok::<_, Error>(array_value_to_string(column, batch.num_rows() - 1)?)
    };
    let texts = ["org_id", "product_id", "event_id", "ts"].map(text).into_iter().collect::<Result<Vec<_>>>()?;
    Ok(Some(digest(texts.join("\n").as_bytes())))
}

/// Entries of the bus that are no events, as rows of `rejects`: one for each event that an entry was, as far as the bus
/// knows, and at most [`ROWS_MAX`] for an entry.
pub(in crate::stream) fn rejects(faults: &[Fault]) -> Result<RecordBatch> {
    let files: Vec<String> = faults.iter().map(|fault| format!("bus/shard-{:04}", fault.shard)).collect();
    let rejected = faults.iter().zip(&files).flat_map(|(fault, file)| {
        let Range { start, end } = fault.offsets;
        let offset = move |row: u64| (start + row).min(end.saturating_sub(1).max(start));
        let row = move |row: u64| (file.as_str(), offset(row), fault.name, fault.field.as_deref());
        (0..fault.rows.clamp(1, ROWS_MAX)).map(row)
    });
    Ok(reject::rows(rejected)?)
}

/// The latest ts of a batch, ms.
fn latest_ts(batch: &RecordBatch) -> Option<i64> {
    let ts = batch.column_by_name("ts")?.as_primitive_opt::<TimestampMillisecondType>()?;
    arrow::compute::max(ts)
}
