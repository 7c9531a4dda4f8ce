//! What has been taken in and what has not, for `/metrics`.
//!
//! Bounded: organisations are those of the keys, reasons and outcomes are ours.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netcrab_sources::reject::{Fault, Reason};

use crate::metrics::{Histogram, Page};

/// Upper bounds of the buckets of batch sizes.
const EVENTS: &[f64] = &[1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// Upper bounds of the buckets of times, in seconds.
const SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0];

/// Counters of ingestion.
#[derive(Debug)]
pub(super) struct Counters {
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    orgs: BTreeMap<Arc<str>, Org>,
    sent_bytes: u64,
    decoded_bytes: u64,
    batch_events: Histogram,
    parse_seconds: Histogram,
    append_seconds: Histogram,
}

#[derive(Debug, Default)]
struct Org {
    accepted: u64,
    repeated: u64,
    rejected: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub(super) fn new() -> Self {
        let counted = Counted {
            orgs: BTreeMap::new(),
            sent_bytes: 0,
            decoded_bytes: 0,
            batch_events: Histogram::new(EVENTS),
            parse_seconds: Histogram::new(SECONDS),
            append_seconds: Histogram::new(SECONDS),
        };
        Self { counted: Mutex::new(counted) }
    }

    /// A body was decoded.
    pub(super) fn decoded(&self, sent_bytes: usize, bytes: usize, events: usize, took: Duration) {
        let mut counted = self.lock();
        counted.sent_bytes += sent_bytes as u64;
        counted.decoded_bytes += bytes as u64;
        counted.batch_events.observe(events as f64);
        counted.parse_seconds.observe(took.as_secs_f64());
    }

    /// The bus made events durable, or refused to, after so long.
    pub(super) fn appended(&self, took: Duration) {
        self.lock().append_seconds.observe(took.as_secs_f64());
    }

    /// A batch was answered.
    pub(super) fn answered(&self, org_id: &Arc<str>, accepted: usize, repeated: usize, faults: &[(usize, Fault)]) {
        let mut counted = self.lock();
        let org = counted.orgs.entry(org_id.clone()).or_default();
        org.accepted += accepted as u64;
        org.repeated += repeated as u64;
        for (_, fault) in faults {
            *org.rejected.entry(Reason::name(fault.reason)).or_default() += 1;
        }
    }

    /// Writes all of it.
    pub(super) fn write(&self, page: &mut Page) {
        let counted = self.lock();
        let name = "netcrab_ingest_events_total";
        page.head(name, "counter", "Events accepted, and those among them that were known already.");
        for (org_id, org) in &counted.orgs {
            page.line(name, &format!("org_id=\"{org_id}\",outcome=\"accepted\""), org.accepted as f64);
            page.line(name, &format!("org_id=\"{org_id}\",outcome=\"repeated\""), org.repeated as f64);
        }
        let name = "netcrab_ingest_rejected_total";
        page.head(name, "counter", "Events rejected, by reason.");
        for (org_id, org) in &counted.orgs {
            for (reason, count) in &org.rejected {
                page.line(name, &format!("org_id=\"{org_id}\",reason=\"{reason}\""), *count as f64);
            }
        }
        let name = "netcrab_ingest_bytes_total";
        page.head(name, "counter", "Bytes of bodies, as sent and as JSON.");
        page.line(name, "form=\"sent\"", counted.sent_bytes as f64);
        page.line(name, "form=\"json\"", counted.decoded_bytes as f64);
        counted.batch_events.write(page, "netcrab_ingest_batch_events", "Events of a batch.");
        counted.parse_seconds.write(page, "netcrab_ingest_parse_seconds", "Time to decode a body.");
        counted.append_seconds.write(page, "netcrab_ingest_append_seconds", "Time until events were durable.");
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
