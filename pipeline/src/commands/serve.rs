//! `netcrab serve`: the API over the tables.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use netcrab_api::{ApiKey, Config, DeltaLimits, DeltaStore};

use crate::Context;

/// Arguments of `netcrab serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab serve --tables ./tables --key nc_secret=acme
  netcrab serve --tables ./tables --listen 0.0.0.0:8080     keys from [[api.keys]] in netcrab.toml

Then: curl -H 'Authorization: Bearer nc_secret' 'http://127.0.0.1:7878/v1/insights/overview?orgId=acme&productId=crm'")]
pub(crate) struct Arguments {
    /// Folder of the tables.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// Address to listen on, in place of `api.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// A key and the organisation whose data it reads, besides those in `api.keys`.
    #[arg(long = "key", value_name = "KEY=ORG", value_parser = key)]
    keys: Vec<ApiKey>,
}

/// Reads `nc_secret=acme`.
fn key(text: &str) -> Result<ApiKey, String> {
    let (key, org_id) = text.split_once('=').ok_or("expected KEY=ORG, as in nc_secret=acme")?;
    Ok(ApiKey { key: key.to_owned(), org_id: org_id.to_owned() })
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let mut api = context.config.api.clone();
    api.listen = arguments.listen.unwrap_or(api.listen);
    api.keys.extend(arguments.keys);
    if api.keys.is_empty() {
        eprintln!("no keys: every question about data is 401; add --key nc_secret=ORG or [[api.keys]] in netcrab.toml");
    }
    let listen = api.listen;
    if !context.quiet {
        eprintln!("serving {} on http://{listen}/ (Ctrl-C ends it)", arguments.tables);
    }
    serve(api, &arguments.tables).await?;
    Ok(ExitCode::SUCCESS)
}

/// Serves until Ctrl-C or SIGTERM, then lets open requests finish.
pub(super) async fn serve(api: Config, tables: &str) -> Result<()> {
    let store = DeltaStore::open(Path::new(tables), DeltaLimits::default()).await?;
    Ok(netcrab_api::serve(api, Arc::new(store), stop_signal()).await?)
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
