//! Opens the event bus that the settings name.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use netcrab_bus::log::Log;
use netcrab_bus::{Bus, Clock, ResultSink};
use netcrab_pipeline::config::{BusKind, Config};

use crate::commands::clock::now_ms;

/// What a process does with the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Access {
    /// Reads it; another process may write it.
    Read,
    /// Writes it.
    Write,
    /// Reads its bounds only, and takes no lock.
    Look,
}

/// An open bus, and where it sends results beside the tables, if anywhere.
pub(in crate::commands) struct OpenBus {
    pub(in crate::commands) bus: Arc<dyn Bus>,
    pub(in crate::commands) results: Option<Arc<dyn ResultSink>>,
}

/// Opens the bus that the settings name.
pub(in crate::commands) async fn open_bus(config: &Config, tables: &str, access: Access) -> Result<OpenBus> {
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
        return Ok(Arc::new(Log::open_to_read(settings).context("the built-in log cannot be opened")?));
    }
    let log = match Log::open(settings.clone(), clock()) {
        // Another process writes the log; this one reads it.
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

fn clock() -> Clock {
    Arc::new(now_ms)
}
