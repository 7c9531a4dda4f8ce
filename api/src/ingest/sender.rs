//! A sender: what an agent key may write, and how much.
//!
//!     events/s   a token bucket that fills at `events_per_s_max` and holds one second's worth
//!     bytes      bodies in memory, at most `key_bytes_max`
//!
//! A batch is admitted while the bucket is not empty, and then all its events are taken from the bucket, which may go
//! below zero. The number of events is known only once the batch is decoded; to refuse it then would cost as much as
//! to accept it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::reservation::permits;
use crate::config::{AgentKey, IngestSettings};

/// The holder of an agent key.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The organisation it writes for.
    pub(crate) org_id: Arc<str>,
    products: Vec<String>,
    bucket: Mutex<Bucket>,
    /// Memory for the bodies of this sender, in permits.
    pub(super) memory: Arc<Semaphore>,
}

#[derive(Debug)]
struct Bucket {
    per_s: f64,
    /// Events that may be sent now; below zero after a batch that was larger than that.
    events: f64,
    at_ms: i64,
}

impl Sender {
    pub(super) fn new(key: &AgentKey, settings: &IngestSettings) -> Self {
        let per_s = f64::from(settings.events_per_s_max);
        Self {
            org_id: key.org_id.as_str().into(),
            products: key.products.clone(),
            bucket: Mutex::new(Bucket { per_s, events: per_s, at_ms: i64::MIN }),
            memory: Arc::new(Semaphore::new(permits(settings.key_bytes_max))),
        }
    }

    /// Whether the sender may write events of that product.
    pub(super) fn writes(&self, product_id: &str) -> bool {
        self.products.is_empty() || self.products.iter().any(|product| product == product_id)
    }

    /// Admits a batch.
    ///
    /// # Errors
    ///
    /// After how many seconds a batch will be admitted.
    pub(super) fn admit(&self, now_ms: i64) -> Result<(), u32> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.fill(now_ms);
        if bucket.events > 0.0 {
            return Ok(());
        }
        Err(((1.0 - bucket.events) / bucket.per_s).ceil() as u32)
    }

    /// Takes the events of an admitted batch from the bucket.
    pub(super) fn spend(&self, events: usize, now_ms: i64) {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.fill(now_ms);
        bucket.events -= events as f64;
    }
}

impl Bucket {
    fn fill(&mut self, now_ms: i64) {
        let passed_ms = now_ms.saturating_sub(self.at_ms).clamp(0, 3_600_000);
        self.events = (self.events + self.per_s * passed_ms as f64 / 1000.0).min(self.per_s);
        self.at_ms = self.at_ms.max(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(products: &[&str], events_per_s_max: u32) -> Sender {
        let products = products.iter().map(|product| (*product).to_owned()).collect();
        let key = AgentKey { key: "nc_agent_a".into(), org_id: "acme".into(), products };
        Sender::new(&key, &IngestSettings { events_per_s_max, ..IngestSettings::default() })
    }

    #[test]
    fn a_sender_without_products_writes_all_of_them() {
        assert!(sender(&[], 1).writes("crm"));
        assert!(sender(&["crm"], 1).writes("crm"));
        assert!(!sender(&["crm"], 1).writes("erp"));
    }

    #[test]
    fn what_was_sent_too_much_is_waited_for() {
        let sender = sender(&[], 100);
        assert_eq!(sender.admit(0), Ok(()));
        sender.spend(350, 0);
        assert_eq!(sender.admit(0), Err(3), "250 events too many, at 100 a second");
        assert_eq!(sender.admit(2_500), Err(1));
        assert_eq!(sender.admit(2_510), Ok(()));
        assert_eq!(sender.admit(1_000_000), Ok(()));
        sender.spend(100, 1_000_000);
        assert_eq!(sender.admit(1_000_000), Err(1), "a pause does not save up more than a second's worth");
    }

    #[test]
    fn a_clock_that_goes_back_neither_gives_nor_takes() {
        let sender = sender(&[], 100);
        sender.spend(200, 10_000);
        assert_eq!(sender.admit(5_000), Err(2));
        assert_eq!(sender.admit(11_010), Ok(()));
    }
}
