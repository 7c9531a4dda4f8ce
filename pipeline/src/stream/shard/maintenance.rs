//! What a shard does in the background, concurrently with its epochs: compaction of small files, and repairs of late
//! events.
//!
//!     an epoch starts a task, with a memory pool of its own, on the files as of that epoch ─▶ a later epoch commits the result
//!
//! One task runs at a time. No epoch waits for it, except at the end of a stream. A result is committed only if the
//! files that it replaces are still in the tables and the task began less than half of `keep_removed_ms` ago. Otherwise
//! it is discarded: a repair restarts at once, a compaction is chosen again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netcrab_operators::rules::Rules;
use netcrab_schema::Table;
use netcrab_sinks::{StagedFile, TableChange};
use tokio_util::task::AbortOnDropHandle;

use super::epoch::{Due, EpochPlan, EpochRequest};
use super::state::ShardState;
use crate::error::{Error, Result};
use crate::stream::compaction::{self, Compaction};
use crate::stream::context::StreamContext;
use crate::stream::maintenance_context::{MaintenanceContext, rewritten};
use crate::stream::repair::{self, Repair};
use crate::stream::retention;
use crate::stream::table_files::{self, TableFiles};

/// The background work of a shard.
pub(super) struct Maintenance {
    compaction: Option<RunningCompaction>,
    repair: Option<RunningRepair>,
    /// When late events were first seen waiting, ms; `None` if none wait.
    late_since_ms: Option<i64>,
    /// After a failed repair, no repair starts before this time, ms.
    repair_not_before_ms: i64,
    /// Tables whose compaction failed; not tried again until the shard is opened again.
    uncompactable: BTreeSet<&'static str>,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            compaction: None,
            repair: None,
            late_since_ms: None,
            repair_not_before_ms: i64::MIN,
            uncompactable: BTreeSet::new(),
        }
    }
}

/// A compaction under way.
struct RunningCompaction {
    table: &'static Table,
    /// The small files that it replaces.
    removed: Vec<String>,
    began: Instant,
    task: AbortOnDropHandle<Result<Vec<StagedFile>>>,
}

/// A repair under way.
struct RunningRepair {
    began: Instant,
    task: AbortOnDropHandle<Result<Repair>>,
}

impl Maintenance {
    /// What is due at the next epoch.
    pub(super) fn due(
        &mut self,
        context: &StreamContext,
        state: &ShardState,
        request: EpochRequest<'_>,
        repair_done: bool,
    ) -> Due {
        let repair_begins = self.repair_is_due(context, state, request);
        let compaction_done = self.compaction.as_ref().is_some_and(|compaction| compaction.task.is_finished());
        Due { repair_done, repair_begins, compaction_done }
    }

    /// Whether a repair must begin: late events have waited long enough or are too many, and no repair is under way.
    fn repair_is_due(&mut self, context: &StreamContext, state: &ShardState, request: EpochRequest<'_>) -> bool {
        let (late, repairing) = (&state.position().late, &state.position().repairing);
        if late.is_empty() || !repairing.is_empty() {
            return false;
        }
        // The waiting time is not persisted; after a restart it counts from now.
        let since_ms = *self.late_since_ms.get_or_insert(request.now_ms);
        let (waited_ms, repair_ms) = (request.now_ms.saturating_sub(since_ms), context.settings.repair_ms as i64);
        let due = late.len() >= repair::KEYS_MAX || waited_ms >= repair_ms;
        // Many small files make a repair slow, so compaction goes first, until late events have waited twice
        // `repair_ms`.
        let small_files = || self.compaction.is_some() || compaction::next(&state.files, &self.uncompactable).is_some();
        request.finish || (due && (waited_ms >= repair_ms.saturating_mul(2) || !small_files()))
    }

    /// Notes that a repair began with the epoch that was just committed.
    pub(super) fn repair_began(&mut self) {
        self.late_since_ms = None;
    }

    /// Returns the result of a finished repair. Starts one if keys are under repair and no task runs. At the end of a
    /// stream it waits for the result.
    ///
    /// # Errors
    /// At the end of a stream, what made the repair fail. Otherwise a repair that fails is logged and tried again.
    pub(super) async fn take_repair(
        &mut self,
        context: &Arc<StreamContext>,
        state: &ShardState,
        request: EpochRequest<'_>,
    ) -> Result<Option<Repair>> {
        let waits = self.compaction.is_some() || (request.now_ms < self.repair_not_before_ms && !request.finish);
        if self.repair.is_none() && !waits {
            self.repair = start_repair(context, state, request.rules);
        }
        let is_done = |repair: &mut RunningRepair| request.finish || repair.task.is_finished();
        let Some(RunningRepair { began, task }) = self.repair.take_if(is_done) else { return Ok(None) };
        let repair = match task.await.map_err(Error::from).flatten() {
            Ok(repair) => repair,
            Err(source) if request.finish => return Err(Error::Repair { source: Box::new(source) }),
            Err(error) => {
                // Epochs go on; the sessions of these keys stay open until a repair succeeds.
                tracing::warn!(shard = state.number(), reason = %error.chain(), "repair of late events failed; it is tried again");
                self.repair_not_before_ms = request.now_ms.saturating_add(context.settings.repair_ms as i64);
                return Ok(None);
            }
        };
        if still_applies(context, state, &repair.changes, began) {
            return Ok(Some(repair));
        }
        tracing::info!(
            shard = state.number(),
            "the repair is stale, for its files were replaced or it took too long; it starts again"
        );
        self.repair = start_repair(context, state, request.rules);
        Ok(None)
    }

    /// The table changes that maintenance adds to this epoch: removal of expired days, otherwise a finished compaction.
    /// At the end of a stream it waits for the compaction.
    pub(super) async fn changes(
        &mut self,
        context: &Arc<StreamContext>,
        state: &ShardState,
        plan: &EpochPlan,
        request: EpochRequest<'_>,
    ) -> BTreeMap<String, TableChange> {
        let expired = retention::expired(&context.settings, &state.files, plan.watermark_ms);
        if expired.is_empty() { self.take_compaction(context, state, plan, request).await } else { expired }
    }

    /// Starts a compaction where there are many small files and nothing else runs in the background.
    pub(super) fn compact_when_idle(
        &mut self,
        context: &Arc<StreamContext>,
        state: &ShardState,
        plan: &EpochPlan,
        request: EpochRequest<'_>,
    ) {
        if self.compaction.is_none() && state.position().repairing.is_empty() && !request.finish {
            self.compaction = self.start_compaction(context, state, plan, request.rules);
        }
    }

    fn start_compaction(
        &self,
        context: &Arc<StreamContext>,
        state: &ShardState,
        plan: &EpochPlan,
        rules: &Arc<Rules>,
    ) -> Option<RunningCompaction> {
        let Compaction { table, parts } = compaction::next(&state.files, &self.uncompactable)?;
        let removed = parts.iter().map(|part| part.path.clone()).collect();
        let (context, rules, run, shard) = (Arc::clone(context), Arc::clone(rules), plan.name.clone(), state.number());
        let task = tokio::spawn(async move {
            let none = TableFiles::default();
            let work = MaintenanceContext::new(&context, &none, &rules, &run, shard)?;
            let rows = table_files::rows(&work.session, work.sink, table, &parts.iter().collect::<Vec<_>>()).await?;
            let rows = rows.ok_or_else(|| Error::defect("a compaction has no files"))?;
            work.session.register_table("small", rows.into_view())?;
            work.stage(table, work.session.sql(&table.folded("small")).await?, "compact").await
        });
        Some(RunningCompaction { table, removed, began: Instant::now(), task: AbortOnDropHandle::new(task) })
    }

    async fn take_compaction(
        &mut self,
        context: &Arc<StreamContext>,
        state: &ShardState,
        plan: &EpochPlan,
        request: EpochRequest<'_>,
    ) -> BTreeMap<String, TableChange> {
        if request.finish && self.compaction.is_none() && state.position().repairing.is_empty() {
            self.compaction = self.start_compaction(context, state, plan, request.rules);
        }
        let is_done = |compaction: &mut RunningCompaction| request.finish || compaction.task.is_finished();
        let Some(RunningCompaction { table, removed, began, task }) = self.compaction.take_if(is_done) else {
            return BTreeMap::new();
        };
        let added = match task.await.map_err(Error::from).flatten() {
            Ok(added) => added,
            Err(error) => {
                let table_name = table.name;
                tracing::warn!(shard = state.number(), table = table_name, reason = %error.chain(), "compaction failed");
                self.uncompactable.insert(table.name);
                return BTreeMap::new();
            }
        };
        let change = TableChange { added: rewritten(added), removed, ..TableChange::default() };
        let changes = BTreeMap::from([(table.name.to_owned(), change)]);
        if still_applies(context, state, &changes, began) { changes } else { BTreeMap::new() }
    }
}

/// Starts the task that repairs `position.repairing`, if it has keys.
fn start_repair(context: &Arc<StreamContext>, state: &ShardState, rules: &Arc<Rules>) -> Option<RunningRepair> {
    let position = state.position();
    if position.repairing.is_empty() {
        return None;
    }
    let keys = repair::late_keys(&position.repairing, &state.open());
    let (context, files, rules, shard) = (Arc::clone(context), state.files.clone(), Arc::clone(rules), state.number());
    // Another process that tries the same repair sees the same files and stages under the same names.
    let run = format!("repair {} {}", position.digest, position.rules);
    let rules_since_ms = position.rules_since_ms;
    let task = tokio::spawn(async move {
        let work = MaintenanceContext::new(&context, &files, &rules, &run, shard)?;
        repair::prepare(&work, &keys, rules_since_ms).await
    });
    Some(RunningRepair { began: Instant::now(), task: AbortOnDropHandle::new(task) })
}

/// The table changes of a finished repair, plus the rows that other epochs added to its recomputed days.
pub(super) async fn repair_changes(
    context: &StreamContext,
    state: &ShardState,
    plan: &EpochPlan,
    request: EpochRequest<'_>,
    repair: &Repair,
) -> Result<BTreeMap<String, TableChange>> {
    let mut changes = repair.changes.clone();
    let work = MaintenanceContext::new(context, &state.files, request.rules, &plan.name, state.number())?;
    repair::reinsert_concurrent_rows(&work, &mut changes).await?;
    Ok(changes)
}

/// Whether the files that a task replaces are still in the tables, and the files that it staged are too young for
/// vacuum.
fn still_applies(
    context: &StreamContext,
    state: &ShardState,
    changes: &BTreeMap<String, TableChange>,
    began: Instant,
) -> bool {
    let retention = Duration::from_millis(context.settings.keep_removed_ms);
    let in_table = |(name, change): (&String, &TableChange)| {
        netcrab_schema::by_name(name).is_some_and(|table| state.files.contains_all(table, &change.removed))
    };
    began.elapsed() <= retention / 2 && changes.iter().all(in_table)
}
