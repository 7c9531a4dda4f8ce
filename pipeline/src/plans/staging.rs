//! Executes plans together and stages their rows as files that no table references yet.

use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::physical_plan::common::spawn_buffered;
use netcrab_operators::chain::TablePlan;
use netcrab_schema::Table;
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{RunId, Sink, StagedTable};

use crate::error::Result;

/// Batches of a table buffered before its writer.
const BUFFERED_BATCHES: usize = 2;

/// What is staged so far; discarded where the run fails.
pub(crate) struct Staging<'a> {
    pub(crate) sink: &'a DeltaSink,
    pub(crate) staged: Vec<(&'static Table, StagedTable)>,
}

impl Staging<'_> {
    pub(crate) async fn discard(&self) {
        for (table, staged) in &self.staged {
            // The run has failed already. A file that cannot be removed is referenced by no table; vacuum removes it.
            let _ = self.sink.discard(table, staged).await;
        }
    }
}

pub(crate) async fn stage_all<'a>(
    sink: &DeltaSink,
    plans: &[TablePlan],
    context: &Arc<TaskContext>,
    ids: &(impl Fn(&Table) -> &'a RunId + Sync),
    staging: &mut Staging<'_>,
) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for (table, plan) in plans {
        // Sorting runs ahead of writing, so the last table uses two threads.
        let rows = spawn_buffered(plan.execute(0, Arc::clone(context))?, BUFFERED_BATCHES);
        let (sink, table, id) = (sink.clone(), *table, ids(table).clone());
        tasks.spawn(async move { (table, sink.stage(table, &id, rows).await) });
    }
    let mut fault = None;
    while let Some(task) = tasks.join_next().await {
        match task {
            Ok((table, Ok(staged))) => staging.staged.push((table, staged)),
            Ok((_, Err(error))) => fault = fault.or(Some(error.into())),
            Err(panic) => fault = fault.or(Some(panic.into())),
        }
    }
    let place = |table: &Table| netcrab_schema::ALL.iter().position(|known| known.name == table.name);
    staging.staged.sort_by_key(|(table, _)| place(table));
    fault.map_or(Ok(()), Err)
}
