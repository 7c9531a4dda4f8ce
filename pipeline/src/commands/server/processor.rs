//! The processor of a process: its shards, its feed of open sessions, and what the API tells of it.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use netcrab_api::open_sessions::OpenSessionsView;
use netcrab_api::{Companion, DeltaStore, Scrape};
use netcrab_operators::rules::Rules;
use netcrab_pipeline::config::Config;
use netcrab_pipeline::plans::resources::task_context;
use netcrab_pipeline::stream::context::StreamContext;
use netcrab_pipeline::stream::open_sessions::feed::{FileFeed, OpenSessionFeed};
use netcrab_pipeline::stream::processor::{Processor, TablesReader};
use netcrab_pipeline::stream::status::ShardStatuses;
use tokio::sync::watch;

use super::bus::OpenBus;
use super::clickhouse::clickhouse;
use crate::commands::clock::now_ms;

/// The view of open sessions, and the tables that it adds to.
pub(in crate::commands) struct LiveTables {
    pub(in crate::commands) live: Arc<OpenSessionsView>,
    pub(in crate::commands) tables: Arc<DeltaStore>,
}

/// A processor of the shards of `bus`, and the sender of its rules.
pub(in crate::commands) async fn processor(
    config: &Config,
    tables: &str,
    OpenBus { bus, results }: OpenBus,
    live_tables: Option<LiveTables>,
) -> Result<(watch::Sender<Arc<Rules>>, Arc<Processor>)> {
    let sink = crate::commands::sink(tables)?;
    let folder = crate::commands::folder(&sink).await?;
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

struct Refresh(Arc<DeltaStore>);

#[async_trait]
impl TablesReader for Refresh {
    async fn refresh(&self) {
        if let Err(fault) = self.0.refresh().await {
            tracing::warn!(reason = %fault, "the tables could not be refreshed");
        }
    }
}

/// Tells the API the metrics and the fault of the processor.
pub(in crate::commands) struct ProcessorCompanion(pub(in crate::commands) ShardStatuses);

impl Companion for ProcessorCompanion {
    fn metrics(&self, scrape: &Scrape) {
        netcrab_pipeline::stream::status::metrics(&self.0, scrape)
    }

    fn fault(&self) -> Option<String> {
        let statuses = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        statuses.iter().find_map(|(shard, status)| Some(format!("shard {shard}: {}", status.fault.as_ref()?)))
    }

    fn degraded(&self) -> Option<String> {
        let statuses = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let lost = statuses.iter().filter(|(_, status)| status.lost > 0);
        let lost: Vec<String> = lost.map(|(shard, status)| format!("{} of shard {shard}", status.lost)).collect();
        let lost = Some(lost.join(", ")).filter(|lost| !lost.is_empty())?;
        Some(format!("events were lost on the bus ({lost}); the table rejects has their offsets, the log the files"))
    }
}
