//! `netcrab serve`: the API over the tables and, where somebody may send events, all that makes them.
//!
//!     POST /v1/events/batch ─▶ bus ─▶ processor ─▶ tables ─▶ GET /v1/insights/…
//!                                         └─▶ open sessions ─┘

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use netcrab_api::open_sessions::{OpenSessionsView, StoreWithOpenSessions};
use netcrab_api::{
    AgentKey, ApiConfig, ApiKey, AppState, ClickHouseStore, Companion, DeltaLimits, DeltaStore, InsightStore, Scrape,
    Server, StoreKind,
};
use netcrab_pipeline::config::Config as PipelineConfig;
use netcrab_pipeline::stream::open_sessions::feed;
use netcrab_pipeline::stream::status::ShardStatuses;
use netcrab_pipeline::tables::address;
use tokio_util::sync::CancellationToken;

use super::process::{Access, LiveTables};
use crate::Context;

/// Arguments of `netcrab serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab serve --tables ./tables --key nc_secret=acme
  netcrab serve --tables ./tables --listen 0.0.0.0:8080     keys from [[api.keys]] in netcrab.toml
  netcrab serve --tables ./tables --key nc_secret=acme --agent-key nc_agent_secret=acme     takes events too

Then: curl -H 'Authorization: Bearer nc_secret' 'http://127.0.0.1:7878/v1/insights/overview?orgId=acme&productId=crm'")]
pub(crate) struct Arguments {
    /// Folder of the tables, or s3://bucket/prefix.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// Address to listen on, in place of `api.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// A key and the organisation whose data it reads, besides those in `api.keys`.
    #[arg(long = "key", value_name = "KEY=ORG", value_parser = key)]
    keys: Vec<ApiKey>,
    /// A key and the organisation whose events it sends, besides those in `api.agent_keys`.
    #[arg(long = "agent-key", value_name = "KEY=ORG", value_parser = agent_key)]
    agent_keys: Vec<AgentKey>,
}

/// Reads `nc_secret=acme`.
fn key(text: &str) -> Result<ApiKey, String> {
    let (key, org_id) = key_and_org(text, "expected KEY=ORG, as in nc_secret=acme")?;
    Ok(ApiKey { key, org_id })
}

/// Reads `nc_agent_secret=acme`.
pub(super) fn agent_key(text: &str) -> Result<AgentKey, String> {
    let (key, org_id) = key_and_org(text, "expected KEY=ORG, as in nc_agent_secret=acme")?;
    Ok(AgentKey { key, org_id, products: Vec::new() })
}

fn key_and_org(text: &str, expected: &str) -> Result<(String, String), String> {
    let (key, org_id) = text.split_once('=').ok_or(expected)?;
    Ok((key.to_owned(), org_id.to_owned()))
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let mut api = context.config.api.clone();
    api.listen = arguments.listen.unwrap_or(api.listen);
    api.keys.extend(arguments.keys);
    api.agent_keys.extend(arguments.agent_keys);
    if api.keys.is_empty() {
        eprintln!("no keys: every question about data is 401; add --key nc_secret=ORG or [[api.keys]] in netcrab.toml");
    }
    let told =
        (!context.quiet).then(|| format!("serving {} on http://{}/ (Ctrl-C ends it)", arguments.tables, api.listen));
    // Waited for once requests are taken.
    let stop = async {
        told.iter().for_each(|told| eprintln!("{told}"));
        stop_signal().await;
    };
    if api.agent_keys.is_empty() {
        let store = clickhouse_store(&api, &context.config).await?;
        serve_tables(api, &arguments.tables, store, None, stop).await?;
    } else {
        let config = PipelineConfig { api, ..context.config.clone() };
        serve_stream(&config, context.config_file.clone(), &arguments.tables, stop).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes events in, brings them to the tables, and serves both, until `shutdown`.
async fn serve_stream(
    config: &PipelineConfig,
    file: Option<PathBuf>,
    tables: &str,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let open_bus = super::process::open_bus(config, tables, Access::Write).await?;
    let bus = Arc::clone(&open_bus.bus);
    let limits = DeltaLimits { refresh_ms: config.stream.epoch_ms.clamp(100, 2000), ..DeltaLimits::default() };
    let store = Arc::new(DeltaStore::open_url(&address(tables)?, limits).await?);
    let clickhouse = clickhouse_store(&config.api, config).await?;
    let live = Arc::new(OpenSessionsView::new(config.stream.live_sessions_max));
    let live_tables = LiveTables { live: Arc::clone(&live), tables: Arc::clone(&store) };
    let (rules, processor) = super::process::processor(config, tables, open_bus, Some(live_tables)).await?;
    let store = Arc::new(StoreWithOpenSessions::new(clickhouse.unwrap_or(store), live));
    let state = AppState::taking_events(&config.api, store, jiff::Timestamp::now, config.sources.clone(), bus)?;
    tokio::spawn(super::process::reload(file, rules));
    let stop = CancellationToken::new();
    let rejects = super::ingest::store_rejects(&state, processor.context.sink.clone(), &processor.context.task, &stop);
    state.accompany(Arc::new(ProcessorCompanion(Arc::clone(&processor.statuses))));
    let server = Server::bind(&config.api, state).await?;
    // The way in closes first, so that what was acknowledged is on the bus; the epoch under way is then finished.
    let mut working = tokio::spawn(Arc::clone(&processor).run(stop.clone()));
    let mut ended = None;
    let served = server.run(async {
        tokio::select! {
            () = shutdown => {}
            worked = &mut working => ended = Some(worked),
        }
    });
    served.await?;
    stop.cancel();
    match ended {
        Some(worked) => worked??,
        None => working.await??,
    }
    Ok(rejects.await?)
}

/// The store in ClickHouse, where the API is to answer from it.
pub(super) async fn clickhouse_store(
    api: &ApiConfig,
    config: &PipelineConfig,
) -> Result<Option<Arc<dyn InsightStore>>> {
    if api.store != StoreKind::Clickhouse {
        return Ok(None);
    }
    let server = super::process::prepared(config).await.context("`api.store` is \"clickhouse\"")?;
    Ok(Some(Arc::new(ClickHouseStore::open(server).await)))
}

/// What the processor says of itself.
pub(super) struct ProcessorCompanion(pub(super) ShardStatuses);

impl Companion for ProcessorCompanion {
    fn metrics(&self, scrape: &Scrape) {
        netcrab_pipeline::stream::status::metrics(&self.0, scrape)
    }

    fn fault(&self) -> Option<String> {
        let statuses = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        statuses.iter().find_map(|(shard, status)| Some(format!("shard {shard}: {}", status.fault.as_ref()?)))
    }
}

/// Serves until Ctrl-C or SIGTERM, then lets open requests finish.
pub(super) async fn serve(api: ApiConfig, tables: &str) -> Result<()> {
    serve_tables(api, tables, None, None, stop_signal()).await
}

/// Serves the tables, and what `netcrab process` has open beside them, until `shutdown`.
pub(super) async fn serve_tables(
    api: ApiConfig,
    tables: &str,
    clickhouse: Option<Arc<dyn InsightStore>>,
    companion: Option<Arc<dyn Companion>>,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let sink = super::sink(tables)?;
    let folder = super::folder(&sink).await?;
    let store = Arc::new(DeltaStore::open_url(sink.root(), DeltaLimits::default()).await?);
    let live = Arc::new(OpenSessionsView::new(usize::MAX));
    let following = tokio::spawn(feed::follow(folder, Arc::clone(&live), Arc::clone(&store)));
    let state = AppState::new(&api, Arc::new(StoreWithOpenSessions::new(clickhouse.unwrap_or(store), live)))?;
    if let Some(companion) = companion {
        state.accompany(companion);
    }
    let served = Server::bind(&api, state).await?.run(shutdown).await;
    following.abort();
    Ok(served?)
}

pub(super) async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        let _ = interrupt.await;
        return;
    };
    tokio::select! {
        _ = interrupt => {}
        _ = terminate.recv() => {}
    }
}
