//! Stores events that ingestion rejected in the table `rejects`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use arrow::array::RecordBatch;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use netcrab_api::{AppState, Rejected};
use netcrab_pipeline::plans::table_order::in_table_order;
use netcrab_schema::tables::REJECTS;
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Replace, RunId, Sink};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_128;

/// How long rejected events wait to be stored, at most.
const REJECTS_EVERY: Duration = Duration::from_secs(5);

/// Most rejected events stored at once.
const REJECTS_ROWS_MAX: usize = 100_000;

/// Appends rejected events to the table `rejects`, every few seconds and a last time at `stop`.
pub(in crate::commands) fn store_rejects(
    state: &AppState,
    sink: DeltaSink,
    context: &Arc<TaskContext>,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (rejects, context, stop) = (state.rejects(), Arc::clone(context), stop.clone());
    tokio::spawn(async move {
        let Some(rejects) = rejects else { return };
        loop {
            tokio::select! {
                () = stop.cancelled() => {}
                () = async {
                    rejects.arrived().await;
                    tokio::time::sleep(REJECTS_EVERY).await;
                } => {}
            }
            let rejected = rejects.take(REJECTS_ROWS_MAX);
            if !rejected.is_empty()
                && let Err(fault) = store(&sink, &context, &rejected).await
            {
                tracing::warn!(rows = rejected.len(), reason = %crate::commands::chain_of(&fault), "rejected events are counted only");
            }
            if stop.is_cancelled() {
                return;
            }
        }
    })
}

async fn store(sink: &DeltaSink, context: &Arc<TaskContext>, rejected: &[Rejected]) -> Result<()> {
    let rows: RecordBatch = Rejected::rows(rejected)?;
    let first = rejected.first().map_or(0, |first| first.received_at_ms);
    // Two processes may store at once: each names its rows after itself.
    let name = format!("rejects {} {first} {}", std::process::id(), rejected.len());
    let run = RunId::new(xxh3_128(name.as_bytes()));
    let rows: Arc<dyn ExecutionPlan> = MemorySourceConfig::try_new_exec(&[vec![rows]], REJECTS.in_flight(), None)?;
    let rows = in_table_order(&REJECTS, rows)?.execute(0, Arc::clone(context))?;
    let staged = sink.stage(&REJECTS, &run, rows).await?;
    sink.commit(&REJECTS, &run, &staged, Replace::Nothing).await?;
    Ok(())
}
