//! `netcrab ingest`: events in over HTTP onto the bus; another process brings them to the tables.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use arrow::array::RecordBatch;
use clap::Args;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use netcrab_api::{AgentKey, AppState, DeltaLimits, DeltaStore, Rejected, Server};
use netcrab_pipeline::plans::resources::task_context;
use netcrab_pipeline::plans::table_order::in_table_order;
use netcrab_schema::tables::REJECTS;
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Replace, RunId, Sink};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_128;

use crate::Context;

/// Longest that rejected events wait to be stored.
const REJECTS_EVERY: Duration = Duration::from_secs(5);

/// Most rejected events stored at once.
const REJECTS_ROWS_MAX: usize = 100_000;

/// Arguments of `netcrab ingest`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab ingest --tables ./tables --agent-key nc_agent_secret=acme
  netcrab ingest --tables ./tables --listen 0.0.0.0:7900     keys from [[api.agent_keys]] in netcrab.toml

Then, in other processes: netcrab process --tables ./tables; netcrab serve --tables ./tables --key nc_secret=acme")]
pub(crate) struct Arguments {
    /// Folder of the tables, or s3://bucket/prefix: the built-in log lies beside them, and what is rejected goes to the table rejects.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// Address to listen on, in place of `api.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// A key and the organisation whose events it sends, besides those in `api.agent_keys`.
    #[arg(long = "agent-key", value_name = "KEY=ORG", value_parser = super::serve::agent_key)]
    agent_keys: Vec<AgentKey>,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let mut config = context.config.clone();
    config.api.listen = arguments.listen.unwrap_or(config.api.listen);
    config.api.agent_keys.extend(arguments.agent_keys);
    ensure!(
        !config.api.agent_keys.is_empty(),
        "nobody may send events; add --agent-key nc_agent_secret=ORG or [[api.agent_keys]] in netcrab.toml"
    );
    let bus = super::process::open_bus(&config, &arguments.tables, super::process::Access::Write).await?.bus;
    let sink = super::sink(&arguments.tables)?;
    let store = Arc::new(DeltaStore::open_url(sink.root(), DeltaLimits::default()).await?);
    let state = AppState::taking_events(&config.api, store, jiff::Timestamp::now, config.sources.clone(), bus)?;
    let stop = CancellationToken::new();
    let rejects = store_rejects(&state, sink, &task_context(&config)?, &stop);
    let server = Server::bind(&config.api, state).await?;
    if !context.quiet {
        eprintln!("taking events on http://{}/v1/events/batch (Ctrl-C ends it)", server.address());
    }
    server.run(super::serve::stop_signal()).await?;
    stop.cancel();
    rejects.await?;
    Ok(ExitCode::SUCCESS)
}

/// Brings rejected events to the table `rejects`, now and then and once more when `stop` is told.
pub(super) fn store_rejects(
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
                tracing::warn!(rows = rejected.len(), reason = %super::chain_of(&fault), "rejected events are counted only");
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
