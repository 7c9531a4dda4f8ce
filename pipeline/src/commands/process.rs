//! `netcrab process`: events from the bus become tables, as they come.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use clap::Args;
use netcrab_api::DeltaStore;
use netcrab_api::open_sessions::OpenSessionsView;
use netcrab_bus::log::Log;
use netcrab_bus::{Bus, Clock, ResultSink};
use netcrab_operators::rules::{Rules, Sessionize};
use netcrab_pipeline::config::{BusKind, Config};
use netcrab_pipeline::plans::resources::task_context;
use netcrab_pipeline::stream::context::StreamContext;
use netcrab_pipeline::stream::open_sessions::feed::{FileFeed, OpenSessionFeed};
use netcrab_pipeline::stream::processor::{Processor, TablesReader};
use netcrab_pipeline::stream::status::ShardStatuses;
use netcrab_sinks::clickhouse::ClickHouse;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::grouped;
use crate::Context;

/// Arguments of `netcrab process`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab process --tables ./tables                the built-in log in ./tables/_bus
  netcrab process --tables ./tables --listen 127.0.0.1:7979      and /health, /ready, /metrics, and the API
  netcrab process --tables ./tables --finish       to the end of the bus, closing every session
  NETCRAB_BUS__KIND=kafka netcrab process --tables s3://bucket/tables      keys and endpoint in AWS_… variables

SIGTERM or Ctrl-C ends it after the epoch under way; a kill at any moment loses nothing. SIGHUP reads
[detect] and [score] anew: the next epoch begins with them.")]
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
        super::serve::stop_signal().await;
        stopping.cancel();
    });
    let Some(listen) = arguments.listen else {
        processor.run(stop).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let api = netcrab_api::ApiConfig { listen, ..context.config.api.clone() };
    let told = Arc::new(super::serve::ProcessorCompanion(Arc::clone(&processor.statuses)));
    let (answers, work) = (stop.clone().drop_guard(), stop.clone().drop_guard());
    // Whichever ends first, the other is told to.
    let serving = async {
        let _guard = answers;
        super::serve::serve_tables(api, &arguments.tables, None, Some(told), stop.clone().cancelled_owned()).await
    };
    let working = async {
        let _guard = work;
        tokio::spawn(processor.run(stop.clone())).await?
    };
    let (served, worked) = tokio::join!(serving, working);
    worked?;
    served?;
    Ok(ExitCode::SUCCESS)
}

/// What a process does with the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads it, beside another process that takes events in or alone.
    Read,
    /// Takes events in.
    Write,
    /// Only looks at it, and holds up nobody.
    Look,
}

/// An open bus, and where it sends results beside the tables, if anywhere.
pub(super) struct OpenBus {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) results: Option<Arc<dyn ResultSink>>,
}

/// The bus that the settings name.
pub(super) async fn open_bus(config: &Config, tables: &str, access: Access) -> Result<OpenBus> {
    match config.bus.kind {
        BusKind::Log => Ok(OpenBus { bus: open_log(config, tables, access)?, results: None }),
        BusKind::Kafka => open_kafka(config).await,
    }
}

fn open_log(config: &Config, tables: &str, access: Access) -> Result<Arc<dyn Bus>> {
    let mut settings = config.bus.log.clone();
    if settings.folder.as_os_str().is_empty() {
        anyhow::ensure!(
            !tables.contains("://"),
            "the built-in log lies on a local disk, and {tables} does not; say where with `bus.log.folder` \
             (NETCRAB_BUS__LOG__FOLDER), or set `bus.kind` = \"kafka\""
        );
        settings.folder = Path::new(tables).join("_bus");
    }
    if access == Access::Look {
        return Ok(Arc::new(Log::open_to_read(settings).context("the built-in log cannot be looked at")?));
    }
    let log = match Log::open(settings.clone(), clock()) {
        // Another process takes events in; this one reads what it wrote.
        Err(netcrab_bus::Error::Locked { .. }) if access == Access::Read => Log::open_to_read(settings),
        opened => opened,
    };
    Ok(Arc::new(log.context("the built-in log cannot be opened")?))
}

#[cfg(feature = "kafka")]
async fn open_kafka(config: &Config) -> Result<OpenBus> {
    let opened = netcrab_bus::kafka::Kafka::open(config.bus.kafka.clone(), clock(), config.sources.clone()).await;
    let kafka = Arc::new(opened.context("Kafka cannot be used as the event bus")?);
    Ok(OpenBus { bus: Arc::clone(&kafka) as Arc<dyn Bus>, results: Some(kafka) })
}

#[cfg(not(feature = "kafka"))]
async fn open_kafka(_: &Config) -> Result<OpenBus> {
    anyhow::bail!("this build has no Kafka; build it with `cargo build --release --features netcrab-pipeline/kafka`")
}

/// What works on the shards of `bus`, and where new rules are given to it.
pub(super) async fn processor(
    config: &Config,
    tables: &str,
    OpenBus { bus, results }: OpenBus,
    live_tables: Option<LiveTables>,
) -> Result<(watch::Sender<Arc<Rules>>, Arc<Processor>)> {
    let sink = super::sink(tables)?;
    let folder = super::folder(&sink).await?;
    let (feed, tables_reader): (Arc<dyn OpenSessionFeed>, _) = match live_tables {
        Some(LiveTables { live, tables }) => (live, Some(Arc::new(Refresh(tables)) as Arc<dyn TablesReader>)),
        None => (Arc::new(FileFeed::new(folder)), None),
    };
    let context = StreamContext {
        bus,
        results,
        sink,
        clickhouse: clickhouse(config).await?,
        settings: config.stream.clone(),
        task: task_context(config)?,
        feed: Some(feed),
    };
    let (sender, rules) = watch::channel(Arc::new(config.rules()));
    let statuses = ShardStatuses::default();
    Ok((sender, Arc::new(Processor { context: Arc::new(context), rules, statuses, tables_reader, clock: now_ms })))
}

/// ClickHouse with its tables prepared, where it is configured.
pub(super) async fn clickhouse(config: &Config) -> Result<Option<ClickHouse>> {
    if config.clickhouse.hosts.is_empty() { Ok(None) } else { Ok(Some(prepared(config).await?)) }
}

/// ClickHouse with its tables prepared; an error says what to set where it is not configured.
pub(super) async fn prepared(config: &Config) -> Result<ClickHouse> {
    let server = ClickHouse::new(&config.clickhouse)?;
    server.prepare().await?;
    Ok(server)
}

/// Where open sessions are shown, and the tables beside which they are.
pub(super) struct LiveTables {
    pub(super) live: Arc<OpenSessionsView>,
    pub(super) tables: Arc<DeltaStore>,
}

struct Refresh(Arc<DeltaStore>);

#[async_trait]
impl TablesReader for Refresh {
    async fn refresh(&self) {
        if let Err(fault) = self.0.refresh().await {
            tracing::warn!(reason = %fault, "the tables could not be looked at");
        }
    }
}

/// Reads the rules anew at each SIGHUP; the next epoch of each shard begins with them.
pub(super) async fn reload(file: Option<PathBuf>, rules: watch::Sender<Arc<Rules>>) {
    let Ok(mut hangups) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        match reloaded(file.as_deref(), &rules.borrow().sessionize) {
            Ok(new) => {
                tracing::info!(rule_id = %new.detect.rule_id, rule_version = %new.detect.rule_version, "rules read anew");
                rules.send_replace(Arc::new(new));
            }
            Err(fault) => {
                tracing::error!(reason = %super::chain_of(&fault), "rules not read; those in force stay");
            }
        }
    }
}

fn reloaded(file: Option<&Path>, in_force: &Sessionize) -> Result<Rules> {
    let new = Config::load(file)?.rules();
    anyhow::ensure!(
        new.sessionize == *in_force,
        "sessionize.gap_ms and length_ms hold for sessions that are open; to change them, drain with `netcrab process --finish` and start again"
    );
    Ok(new)
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn clock() -> Clock {
    Arc::new(now_ms)
}
