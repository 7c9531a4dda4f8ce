//! `netcrab process`: events from the bus become tables, as they come.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use clap::Args;
use netcrab_api::DeltaStore;
use netcrab_api::live::Live;
use netcrab_bus::log::Log;
use netcrab_bus::{Bus, Clock};
use netcrab_operators::settings::Settings as Rules;
use netcrab_pipeline::config::Config;
use netcrab_pipeline::run::task_context;
use netcrab_pipeline::stream::processor::{Processor, Seen, Statuses};
use netcrab_pipeline::stream::shard::Shared;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::grouped;
use crate::Context;

/// Arguments of `netcrab process`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab process --tables ./tables                the built-in log in ./tables/_bus
  netcrab process --tables ./tables --finish       to the end of the bus, closing every session

SIGTERM or Ctrl-C ends it after the epoch under way; a kill at any moment loses nothing.")]
pub(crate) struct Arguments {
    /// Folder of the tables.
    #[arg(long, value_name = "DIR")]
    tables: PathBuf,
    /// Close every session and end, as if the stream had ended.
    #[arg(long)]
    finish: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let bus = open_bus(&context.config, &arguments.tables)?;
    let (_rules, processor) = processor(&context.config, &arguments.tables, bus, None)?;
    if arguments.finish {
        let events = processor.finish().await?;
        if context.json {
            println!("{}", serde_json::json!({ "events": events }));
        } else {
            println!("{} events, and every session is closed", grouped(events));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        super::serve::stop_signal().await;
        stopping.cancel();
    });
    processor.run(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// The bus that the settings name.
pub(super) fn open_bus(config: &Config, tables: &Path) -> Result<Arc<dyn Bus>> {
    let mut settings = config.bus.log.clone();
    if settings.folder.as_os_str().is_empty() {
        settings.folder = tables.join("_bus");
    }
    let log = match Log::open(settings.clone(), clock()) {
        // Another process takes events in; this one reads what it wrote.
        Err(netcrab_bus::Error::Locked { .. }) => Log::open_to_read(settings),
        opened => opened,
    };
    Ok(Arc::new(log.context("the built-in log cannot be opened")?))
}

/// What works on the shards of `bus`, and where new rules are given to it.
pub(super) fn processor(
    config: &Config,
    tables: &Path,
    bus: Arc<dyn Bus>,
    shown: Option<Shown>,
) -> Result<(watch::Sender<Arc<Rules>>, Arc<Processor>)> {
    let folder = std::path::absolute(tables).with_context(|| format!("`{}` is no folder", tables.display()))?;
    let address = folder.to_str().context("the folder of the tables must have a name in Unicode")?;
    let (live, closed_seen) = match shown {
        Some(Shown { live, tables }) => (Some(live), Some(Arc::new(Refresh(tables)) as Arc<dyn Seen>)),
        None => (None, None),
    };
    let shared = Shared {
        bus,
        sink: super::sink(address)?,
        settings: config.stream.clone(),
        context: task_context(config)?,
        folder,
        live,
    };
    let (sender, rules) = watch::channel(Arc::new(config.rules()));
    let statuses = Statuses::default();
    Ok((sender, Arc::new(Processor { shared: Arc::new(shared), rules, statuses, closed_seen, clock: now_ms })))
}

/// Where open sessions are shown, and the tables beside which they are.
pub(super) struct Shown {
    pub(super) live: Arc<Live>,
    pub(super) tables: Arc<DeltaStore>,
}

struct Refresh(Arc<DeltaStore>);

#[async_trait]
impl Seen for Refresh {
    async fn see(&self) {
        if let Err(fault) = self.0.refresh().await {
            tracing::warn!(reason = %fault, "the tables could not be looked at");
        }
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn clock() -> Clock {
    Arc::new(now_ms)
}
