//! What every request shares.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::config::{Config, Error, Limits};
use crate::keys::KeyRing;
use crate::metrics::Metrics;
use crate::store::InsightStore;

/// The store, the keys, the limits and the counters; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn InsightStore>,
    keys: KeyRing,
    limits: Limits,
    metrics: Metrics,
    places: Arc<Semaphore>,
    now: fn() -> Timestamp,
}

impl AppState {
    /// Checks the configuration. Time is the wall clock's.
    pub fn new(config: &Config, store: Arc<dyn InsightStore>) -> Result<Self, Error> {
        Self::with_clock(config, store, Timestamp::now)
    }

    /// The same, at a time of the caller's choice.
    pub fn with_clock(config: &Config, store: Arc<dyn InsightStore>, now: fn() -> Timestamp) -> Result<Self, Error> {
        let shared = Shared {
            store,
            keys: KeyRing::new(&config.keys)?,
            limits: config.limits.clone(),
            metrics: Metrics::default(),
            places: Arc::new(Semaphore::new(config.limits.requests_max)),
            now,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(crate) fn store(&self) -> &dyn InsightStore {
        self.shared.store.as_ref()
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.shared.keys
    }

    pub(crate) fn limits(&self) -> &Limits {
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
