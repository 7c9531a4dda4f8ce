//! Ingestion: appends the events of a request to the bus, and answers once they are durable.
//!
//!     gate ─▶ sender ─▶ body ────▶ decoder ─▶ ownership ─▶ deduplication ─▶ bus ────▶ answer
//!     key     events/s  bytes      decode     org,         known            durable
//!     401     429       408 413    400 413    product      already          503
//!                       429 503    415        403
//!
//! No request waits in a queue: one that cannot be served now is answered with Retry-After, and its sender, who still
//! has the events, sends them again. A batch is appended as a whole or not at all; only events with a fault of their
//! own are rejected singly.

mod answer;
mod append;
mod body;
mod content;
pub(crate) mod cors;
mod counters;
mod decoder_pool;
mod deduplication;
pub(crate) mod handler;
mod rejects;
mod reservation;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use netcrab_bus::Bus;
use prometheus::Registry;
use tokio::sync::Semaphore;

use crate::config::{AgentKey, ApiConfig, IngestSettings};
use crate::error::Error;
use crate::keys::{AGENTS, KeyRing};
use crate::metrics::Scrape;

pub(crate) use answer::Verdict;
pub use rejects::{Rejected, Rejects};
pub(crate) use sender::Sender;

/// The state of ingestion.
#[derive(Debug)]
pub(crate) struct Ingest {
    settings: IngestSettings,
    senders: KeyRing<Arc<Sender>>,
    bus: Arc<dyn Bus>,
    decoders: decoder_pool::DecoderPool,
    window: Arc<deduplication::DeduplicationWindow>,
    rejects: Arc<Rejects>,
    counters: counters::Counters,
    /// Memory for the bodies of all senders, in permits of [`reservation::PERMIT_BYTES`].
    memory: Arc<Semaphore>,
    memory_permits: usize,
}

impl Ingest {
    /// Checks the settings. `sources` says how events are decoded; the counters are registered in `registry`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a setting out of its bounds, [`Error::Key`] and [`Error::RepeatedKey`] for agent keys.
    pub(crate) fn new(
        config: &ApiConfig,
        sources: netcrab_sources::SourceSettings,
        bus: Arc<dyn Bus>,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let settings = config.ingest.clone();
        settings.check()?;
        let sender = |key: &AgentKey| Arc::new(Sender::new(key, &settings));
        let senders = config.agent_keys.iter().map(|key| (key.key.as_str(), sender(key)));
        let memory_permits = reservation::permits(settings.bytes_max);
        Ok(Self {
            senders: KeyRing::new(AGENTS, senders)?,
            bus,
            decoders: decoder_pool::DecoderPool::new(sources),
            window: Arc::new(deduplication::DeduplicationWindow::new(&settings)),
            rejects: Arc::new(Rejects::new(settings.rejects_max)),
            counters: counters::Counters::new(registry),
            memory: Arc::new(Semaphore::new(memory_permits)),
            memory_permits,
            settings,
        })
    }

    /// The sender with that key.
    pub(crate) fn sender(&self, key: &str) -> Option<&Arc<Sender>> {
        self.senders.find(key)
    }

    /// Rejected events that wait to be stored.
    pub(crate) fn rejects(&self) -> &Arc<Rejects> {
        &self.rejects
    }

    pub(crate) fn settings(&self) -> &IngestSettings {
        &self.settings
    }

    fn append_timeout(&self) -> Duration {
        Duration::from_millis(self.settings.append_timeout_ms)
    }

    /// Adds the metrics of ingestion that are read when Prometheus asks.
    pub(crate) fn scrape(&self, scrape: &Scrape) {
        let gauge = |name: &str, help: &str, number: f64| scrape.gauges(name, help, [], [([""; 0], number)]);
        let body_bytes = (self.memory_permits - self.memory.available_permits()) * reservation::PERMIT_BYTES;
        gauge("netcrab_ingest_body_bytes", "Bytes of bodies in memory.", body_bytes as f64);
        gauge("netcrab_ingest_remembered_ids", "Event ids known, to find repeats.", self.window.len() as f64);
        gauge("netcrab_ingest_rejects_waiting", "Rejected events not yet stored.", self.rejects.len() as f64);
        scrape.counters(
            "netcrab_ingest_rejects_lost_total",
            "Rejected events that are counted only, because more came than were stored.",
            [],
            [([""; 0], self.rejects.lost() as f64)],
        );
    }
}
