//! `netcrab ingest`: takes events over HTTP onto the bus; `netcrab process` turns them into tables.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use clap::Args;
use netcrab_api::{AgentKey, AppState, DeltaLimits, DeltaStore, Server};
use netcrab_pipeline::plans::resources::task_context;
use tokio_util::sync::CancellationToken;

use super::server;
use crate::Context;

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
    #[arg(long = "agent-key", value_name = "KEY=ORG", value_parser = super::server::keys::agent_key)]
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
    let bus = server::bus::open_bus(&config, &arguments.tables, server::bus::Access::Write).await?.bus;
    let sink = super::sink(&arguments.tables)?;
    let store = Arc::new(DeltaStore::open_url(sink.root(), DeltaLimits::default()).await?);
    let state = AppState::taking_events(&config.api, store, jiff::Timestamp::now, config.sources.clone(), bus)?;
    let stop = CancellationToken::new();
    let rejects = server::rejects::store_rejects(&state, sink, &task_context(&config)?, &stop);
    let bound = Server::bind(&config.api, state).await?;
    if !context.quiet {
        eprintln!("taking events on http://{}/v1/events/batch (Ctrl-C ends it)", bound.address());
    }
    bound.run(super::server::signals::stop_signal()).await?;
    stop.cancel();
    rejects.await?;
    Ok(ExitCode::SUCCESS)
}
