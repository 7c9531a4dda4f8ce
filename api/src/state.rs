//! What every request shares.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use netcrab_bus::Bus;
use tokio::sync::Semaphore;

use crate::config::{ApiConfig, ApiLimits};
use crate::error::Error;
use crate::ingest::{Ingest, Rejects};
use crate::keys::{KeyRing, READERS};
use crate::metrics::{Metrics, Scrape};
use crate::problem::{Code, Problem};
use crate::store::InsightStore;

/// Another part of the process, of which `/metrics` and `/ready` tell too.
pub trait Companion: Send + Sync {
    /// Adds its metrics to those that `/metrics` shows.
    fn metrics(&self, scrape: &Scrape);

    /// Why it does not work now; `None` while it does.
    fn fault(&self) -> Option<String>;
}

/// The store, the keys, the limits and the counters; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn InsightStore>,
    ingest: Option<Arc<Ingest>>,
    companion: OnceLock<Arc<dyn Companion>>,
    keys: KeyRing<String>,
    limits: ApiLimits,
    metrics: Metrics,
    places: Arc<Semaphore>,
    now: fn() -> Timestamp,
}

impl AppState {
    /// Checks the configuration. Time is the wall clock's.
    pub fn new(config: &ApiConfig, store: Arc<dyn InsightStore>) -> Result<Self, Error> {
        Self::with_clock(config, store, Timestamp::now)
    }

    /// The same, at a time of the caller's choice.
    pub fn with_clock(config: &ApiConfig, store: Arc<dyn InsightStore>, now: fn() -> Timestamp) -> Result<Self, Error> {
        Self::build(config, store, now, Metrics::new(), None)
    }

    /// A state that also takes events in: `sources` says how they are read, `bus` is where they go.
    pub fn taking_events(
        config: &ApiConfig,
        store: Arc<dyn InsightStore>,
        now: fn() -> Timestamp,
        sources: netcrab_sources::SourceSettings,
        bus: Arc<dyn Bus>,
    ) -> Result<Self, Error> {
        let metrics = Metrics::new();
        let ingest = Ingest::new(config, sources, bus, metrics.registry())?;
        Self::build(config, store, now, metrics, Some(Arc::new(ingest)))
    }

    /// Lets `/metrics` and `/ready` tell of another part of the process; the first one stays.
    pub fn accompany(&self, companion: Arc<dyn Companion>) {
        let _ = self.shared.companion.set(companion);
    }

    pub(crate) fn companion(&self) -> Option<&dyn Companion> {
        self.shared.companion.get().map(AsRef::as_ref)
    }

    fn build(
        config: &ApiConfig,
        store: Arc<dyn InsightStore>,
        now: fn() -> Timestamp,
        metrics: Metrics,
        ingest: Option<Arc<Ingest>>,
    ) -> Result<Self, Error> {
        let keys = config.keys.iter().map(|key| (key.key.as_str(), key.org_id.clone()));
        let shared = Shared {
            store,
            ingest,
            companion: OnceLock::new(),
            keys: KeyRing::new(READERS, keys)?,
            limits: config.limits.clone(),
            metrics,
            places: Arc::new(Semaphore::new(config.limits.requests_max)),
            now,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Rejected events, for whoever stores them; `None` where no events are taken in.
    pub fn rejects(&self) -> Option<Arc<Rejects>> {
        self.shared.ingest.as_ref().map(|ingest| ingest.rejects().clone())
    }

    /// What takes events in.
    pub(crate) fn ingest(&self) -> Result<&Arc<Ingest>, Problem> {
        self.shared.ingest.as_ref().ok_or_else(|| {
            let mend = "send to a server that was started with an event bus";
            Problem::new(Code::NotTaking, "this server takes no events", mend).retry_after(60)
        })
    }

    pub(crate) fn store(&self) -> &dyn InsightStore {
        self.shared.store.as_ref()
    }

    pub(crate) fn keys(&self) -> &KeyRing<String> {
        &self.shared.keys
    }

    pub(crate) fn limits(&self) -> &ApiLimits {
        &self.shared.limits
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Places for requests about an organisation.
    pub(crate) fn places(&self) -> &Semaphore {
        &self.shared.places
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.shared.limits.request_timeout_ms)
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.shared.now)()
    }
}
