//! `netcrab process`: turns events from the bus into tables, continuously.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::grouped;
use super::server::bus::{Access, open_bus};
use super::server::processor::{ProcessorCompanion, processor};
use super::server::rules::reload;
use super::server::signals::stop_signal;
use super::server::tables_api::serve_tables;
use crate::Context;

/// Arguments of `netcrab process`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab process --tables ./tables                the built-in log in ./tables/_bus
  netcrab process --tables ./tables --listen 127.0.0.1:7979      and /health, /ready, /metrics, and the API
  netcrab process --tables ./tables --finish       to the end of the bus, closing every session
  NETCRAB_BUS__KIND=kafka netcrab process --tables s3://bucket/tables      keys and endpoint in AWS_… variables

SIGTERM or Ctrl-C stops it after the current epoch; a kill at any moment loses nothing. SIGHUP reloads
[detect] and [score]: the next epoch uses them.")]
pub(crate) struct Arguments {
    /// Folder of the tables, or s3://bucket/prefix.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// Address to answer /health, /ready and /metrics on, and the API for the keys in `api.keys`.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "finish")]
    listen: Option<SocketAddr>,
    /// Close every session and end, as if the stream had ended.
    #[arg(long)]
    finish: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let bus = open_bus(&context.config, &arguments.tables, Access::Read).await?;
    let (rules, processor) = processor(&context.config, &arguments.tables, bus, None).await?;
    if arguments.finish {
        let events = processor.finish().await?;
        if context.json {
            println!("{}", serde_json::json!({ "events": events }));
        } else {
            println!("{} events, and every session is closed", grouped(events));
        }
        return Ok(ExitCode::SUCCESS);
    }
    tokio::spawn(reload(context.config_file.clone(), rules));
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        stopping.cancel();
    });
    let Some(listen) = arguments.listen else {
        processor.run(stop).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let api = netcrab_api::ApiConfig { listen, ..context.config.api.clone() };
    let companion = Arc::new(ProcessorCompanion(Arc::clone(&processor.statuses)));
    let (api_guard, work_guard) = (stop.clone().drop_guard(), stop.clone().drop_guard());
    // When one of the two ends, its guard stops the other.
    let serving = async {
        let _guard = api_guard;
        serve_tables(api, &arguments.tables, None, Some(companion), stop.clone().cancelled_owned()).await
    };
    let working = async {
        let _guard = work_guard;
        tokio::spawn(processor.run(stop.clone())).await?
    };
    let (served, worked) = tokio::join!(serving, working);
    worked?;
    served?;
    Ok(ExitCode::SUCCESS)
}
