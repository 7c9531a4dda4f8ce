//! `netcrab serve`: the API over the tables; with agent keys also ingestion and the processor.
//!
//!     POST /v1/events/batch ─▶ bus ─▶ processor ─▶ tables ─▶ GET /v1/insights/…
//!                                         └─▶ open sessions ─┘

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use netcrab_api::open_sessions::{OpenSessionsView, StoreWithOpenSessions};
use netcrab_api::{AgentKey, ApiKey, AppState, DeltaLimits, DeltaStore, Server};
use netcrab_pipeline::config::Config;
use netcrab_pipeline::tables::address;
use tokio_util::sync::CancellationToken;

use super::server::bus::{Access, open_bus};
use super::server::clickhouse::clickhouse_store;
use super::server::keys::{agent_key, key};
use super::server::processor::{LiveTables, ProcessorCompanion, processor};
use super::server::rejects::store_rejects;
use super::server::rules::reload;
use super::server::signals::stop_signal;
use super::server::tables_api::serve_tables;
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

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let mut api = context.config.api.clone();
    api.listen = arguments.listen.unwrap_or(api.listen);
    api.keys.extend(arguments.keys);
    api.agent_keys.extend(arguments.agent_keys);
    if api.keys.is_empty() {
        eprintln!("no keys: every question about data is 401; add --key nc_secret=ORG or [[api.keys]] in netcrab.toml");
    }
    let message =
        (!context.quiet).then(|| format!("serving {} on http://{}/ (Ctrl-C ends it)", arguments.tables, api.listen));
    // The server polls this once it accepts requests, so the message is true when it is printed.
    let stop = async {
        message.iter().for_each(|message| eprintln!("{message}"));
        stop_signal().await;
    };
    if api.agent_keys.is_empty() {
        let store = clickhouse_store(&api, &context.config).await?;
        serve_tables(api, &arguments.tables, store, None, stop).await?;
    } else {
        let config = Config { api, ..context.config.clone() };
        serve_stream(&config, context.config_file.clone(), &arguments.tables, stop).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ingests events, processes them into tables, and serves both, until `shutdown`.
async fn serve_stream(
    config: &Config,
    file: Option<PathBuf>,
    tables: &str,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let open_bus = open_bus(config, tables, Access::Write).await?;
    let bus = Arc::clone(&open_bus.bus);
    let limits = DeltaLimits { refresh_ms: config.stream.epoch_ms.clamp(100, 2000), ..DeltaLimits::default() };
    let store = Arc::new(DeltaStore::open_url(&address(tables)?, limits).await?);
    let clickhouse = clickhouse_store(&config.api, config).await?;
    let live = Arc::new(OpenSessionsView::new(config.stream.live_sessions_max));
    let live_tables = LiveTables { live: Arc::clone(&live), tables: Arc::clone(&store) };
    let (rules, processor) = processor(config, tables, open_bus, Some(live_tables)).await?;
    let store = Arc::new(StoreWithOpenSessions::new(clickhouse.unwrap_or(store), live));
    let state = AppState::taking_events(&config.api, store, jiff::Timestamp::now, config.sources.clone(), bus)?;
    tokio::spawn(reload(file, rules));
    let stop = CancellationToken::new();
    let rejects = store_rejects(&state, processor.context.sink.clone(), &processor.context.task, &stop);
    state.accompany(Arc::new(ProcessorCompanion(Arc::clone(&processor.statuses))));
    let server = Server::bind(&config.api, state).await?;
    // Ingestion stops first, so that every acknowledged event is on the bus; then the current epoch ends.
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
