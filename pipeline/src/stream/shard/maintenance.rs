//! What a shard does beside its epochs: small files brought together, and late events brought to their sessions.
//!
//!     an epoch begins it ─▶ a task, with memory of its own, on the files of that time ─▶ a later epoch takes it up
//!
//! One thing after another, and never in the way of an epoch. What came of it is of use only while the files that it
//! replaces are still in the tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionContext;
use netcrab_operators::rules::Rules;
use netcrab_schema::Table;
use netcrab_sinks::{Change, Part};
use tokio_util::task::AbortOnDropHandle;

use super::super::repair::{self, MaintenanceContext, Repair, rewritten};
use super::super::table_files::{self, TableFiles};
use super::super::{compaction, retention};
use super::{EpochPlan, EpochRequest, Shard, StreamContext};

/// Memory that work beside the epochs may take, bytes; beyond it, it spills.
const MAINTENANCE_BYTES: usize = 384 << 20;

/// Small files on their way together.
pub(super) struct RunningCompaction {
    table: &'static Table,
    /// The small files.
    removed: Vec<String>,
    began: Instant,
    pub(super) task: AbortOnDropHandle<Result<Vec<Part>>>,
}

/// LateKeys events on their way to their sessions.
pub(super) struct RunningRepair {
    began: Instant,
    task: AbortOnDropHandle<Result<Repair>>,
}

/// Where work beside the epochs is done. It has memory of its own, for it shall not take theirs.
pub(super) fn maintenance_context<'a>(
    shared: &'a StreamContext,
    files: &'a TableFiles,
    rules: &'a Arc<Rules>,
    run: &'a str,
    shard: u32,
) -> Result<MaintenanceContext<'a>> {
    let pool = Arc::new(FairSpillPool::new(MAINTENANCE_BYTES));
    let runtime = RuntimeEnvBuilder::from_runtime_env(&shared.context.runtime_env()).with_memory_pool(pool);
    // One file after another, in its order.
    let mut config = shared.context.session_config().clone().with_target_partitions(1);
    // What merges spilled rows must have room for some batches of each.
    config = config.with_sort_spill_reservation_bytes(MAINTENANCE_BYTES / 4);
    // A view would hold, and count, all texts of the page that it comes from.
    config.options_mut().execution.parquet.schema_force_view_types = false;
    let session = SessionContext::new_with_config_rt(config, runtime.build_arc()?);
    let needs_deleted_rows = shared.clickhouse.is_some();
    Ok(MaintenanceContext { sink: &shared.sink, files, session, rules, run, shard, needs_deleted_rows })
}

impl Shard {
    /// Whether late events have waited long enough, and no others are repaired.
    pub(super) fn repair_due(&mut self, request: EpochRequest<'_>) -> bool {
        if self.done.late.is_empty() || !self.done.repairing.is_empty() {
            return false;
        }
        // Where nobody knows since when they wait, as after a restart, they wait from now on.
        let since_ms = *self.late_since_ms.get_or_insert(request.now_ms);
        let (waited_ms, repair_ms) = (request.now_ms.saturating_sub(since_ms), self.shared.settings.repair_ms as i64);
        let due = self.done.late.len() >= repair::KEYS_MAX || waited_ms >= repair_ms;
        // Small files cost a repair more than their rows do: they are brought together first, for a while.
        let small = || self.compacting.is_some() || compaction::next(&self.files, &self.uncompactable).is_some();
        request.finish || (due && (waited_ms >= repair_ms.saturating_mul(2) || !small()))
    }

    /// The repair that was made beside the epochs, once it is done. The end of a stream waits for it.
    pub(super) async fn repaired(&mut self, request: EpochRequest<'_>) -> Result<Option<Repair>> {
        let waits = self.compacting.is_some() || (request.now_ms < self.repair_again_ms && !request.finish);
        if self.repairing.is_none() && !waits {
            self.repairing = self.begin_repair(request.rules);
        }
        let is_done = |repairing: &mut RunningRepair| request.finish || repairing.task.is_finished();
        let Some(RunningRepair { began, task }) = self.repairing.take_if(is_done) else { return Ok(None) };
        let repair = match task.await.map_err(anyhow::Error::from).flatten() {
            Ok(repair) => repair,
            Err(fault) if request.finish => {
                return Err(fault.context("late events could not be brought to their sessions"));
            }
            Err(fault) => {
                // What is on the bus goes on meanwhile; the sessions of these events stay open until it succeeds.
                tracing::warn!(shard = self.number, reason = %format!("{fault:#}"), "late events have to wait");
                self.repair_again_ms = request.now_ms.saturating_add(self.shared.settings.repair_ms as i64);
                return Ok(None);
            }
        };
        if self.still_applies(&repair.changes, began) {
            return Ok(Some(repair));
        }
        tracing::info!(shard = self.number, "files under repair were replaced or are old; it begins again");
        self.repairing = self.begin_repair(request.rules);
        Ok(None)
    }

    /// Begins to bring late events to their sessions, where a repair of them has begun.
    fn begin_repair(&self, rules: &Arc<Rules>) -> Option<RunningRepair> {
        if self.done.repairing.is_empty() {
            return None;
        }
        let keys = repair::late_keys(&self.done.repairing, &self.lock());
        let (shared, files, rules, shard) =
            (Arc::clone(&self.shared), self.files.clone(), Arc::clone(rules), self.number);
        // Where others try as much, they see the same files and take the same names.
        let run = format!("repair {} {}", self.done.digest, self.done.rules);
        let rules_since_ms = self.done.rules_since_ms;
        let task = tokio::spawn(async move {
            let place = maintenance_context(&shared, &files, &rules, &run, shard)?;
            repair::prepare(&place, &keys, rules_since_ms).await
        });
        Some(RunningRepair { began: Instant::now(), task: AbortOnDropHandle::new(task) })
    }

    /// Whether the files that something beside the epochs replaces are still in the tables, and those it wrote are
    /// sure not to be tidied away yet.
    fn still_applies(&self, changes: &BTreeMap<String, Change>, began: Instant) -> bool {
        let keep = Duration::from_millis(self.shared.settings.keep_removed_ms);
        let there = |(name, change): (&String, &Change)| {
            netcrab_schema::by_name(name).is_some_and(|table| self.files.contains_all(table, &change.removed))
        };
        began.elapsed() <= keep / 2 && changes.iter().all(there)
    }

    /// What changes in the tables without any event: days that expire, or files that were brought together.
    pub(super) async fn maintenance_changes(
        &mut self,
        plan: &EpochPlan,
        request: EpochRequest<'_>,
    ) -> BTreeMap<String, Change> {
        let expired = retention::expired(&self.shared.settings, &self.files, plan.watermark_ms);
        if expired.is_empty() { self.compacted(plan, request).await } else { expired }
    }

    /// Begins to bring small files together beside the epochs, where there are many.
    pub(super) fn compact(&self, plan: &EpochPlan, rules: &Arc<Rules>) -> Option<RunningCompaction> {
        let compaction::Compaction { table, parts } = compaction::next(&self.files, &self.uncompactable)?;
        let removed = parts.iter().map(|part| part.path.clone()).collect();
        let (shared, rules, run, shard) = (Arc::clone(&self.shared), Arc::clone(rules), plan.name.clone(), self.number);
        let task = tokio::spawn(async move {
            let none = TableFiles::default();
            let place = maintenance_context(&shared, &none, &rules, &run, shard)?;
            let paths = parts.iter().collect::<Vec<_>>();
            let rows = table_files::rows(&place.session, place.sink, table, &paths).await?;
            let rows = rows.context("files to compact")?;
            place.session.register_table("small", rows.into_view())?;
            place.stage(table, place.session.sql(&table.folded("small")).await?, "compact").await
        });
        Some(RunningCompaction { table, removed, began: Instant::now(), task: AbortOnDropHandle::new(task) })
    }

    /// What compaction changes in this epoch: nothing, until it is done. The end of a stream waits for it.
    async fn compacted(&mut self, plan: &EpochPlan, request: EpochRequest<'_>) -> BTreeMap<String, Change> {
        if request.finish && self.compacting.is_none() && self.done.repairing.is_empty() {
            self.compacting = self.compact(plan, request.rules);
        }
        let is_done = |compacting: &mut RunningCompaction| request.finish || compacting.task.is_finished();
        let Some(RunningCompaction { table, removed, began, task }) = self.compacting.take_if(is_done) else {
            return BTreeMap::new();
        };
        let added = match task.await.map_err(anyhow::Error::from).flatten() {
            Ok(added) => added,
            Err(fault) => {
                tracing::warn!(shard = self.number, table = table.name, reason = %format!("{fault:#}"), "small files stay apart");
                self.uncompactable.insert(table.name);
                return BTreeMap::new();
            }
        };
        let changes =
            BTreeMap::from([(table.name.to_owned(), Change { added: rewritten(added), removed, ..Change::default() })]);
        if self.still_applies(&changes, began) { changes } else { BTreeMap::new() }
    }
}
