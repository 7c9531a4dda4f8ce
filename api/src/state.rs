//! What all requests share: the store, the keys, the limits, the counters.

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

/// Another part of the process that `/metrics` and `/ready` report on, such as the pipeline.
pub trait Companion: Send + Sync {
    /// Adds its metrics to those that `/metrics` shows.
    fn metrics(&self, scrape: &Scrape);

    /// Why it does not work at this moment; `None` while it works.
    fn fault(&self) -> Option<String>;

    /// What was lost since the process began, while the rest goes on; `None` where nothing was.
    fn degraded(&self) -> Option<String> {
        None
    }
}

/// What all requests share; cheap to clone.
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
    request_permits: Arc<Semaphore>,
    now: fn() -> Timestamp,
}

impl AppState {
    /// A state that answers questions, with the time of the wall clock.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] and [`Error::RepeatedKey`] for keys that cannot be used.
    pub fn new(config: &ApiConfig, store: Arc<dyn InsightStore>) -> Result<Self, Error> {
        Self::with_clock(config, store, Timestamp::now)
    }

    /// As [`Self::new`], with the time that `now` tells.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn with_clock(config: &ApiConfig, store: Arc<dyn InsightStore>, now: fn() -> Timestamp) -> Result<Self, Error> {
        Self::build(config, store, now, Metrics::new(), None)
    }

    /// A state that also takes events in: `sources` says how they are decoded, `bus` is where they are appended.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], and [`Error::Setting`] for settings of `[api.ingest]` that are out of their bounds.
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

    /// Lets `/metrics` and `/ready` report on another part of the process. Only the first call has an effect.
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
            request_permits: Arc::new(Semaphore::new(config.limits.requests_max)),
            now,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Rejected events, for whoever stores them; `None` where this server takes no events.
    pub fn rejects(&self) -> Option<Arc<Rejects>> {
        self.shared.ingest.as_ref().map(|ingest| ingest.rejects().clone())
    }

    /// What takes events in; a problem where this server takes none.
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

    /// One permit for each request about an organisation that may run at once.
    pub(crate) fn request_permits(&self) -> &Semaphore {
        &self.shared.request_permits
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.shared.limits.request_timeout_ms)
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.shared.now)()
    }
}
