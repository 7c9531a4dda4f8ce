//! What was accepted and what was not, for `/metrics`.
//!
//! Bounded: organisations are those of the keys; reasons and outcomes are constants.

use std::time::Duration;

use netcrab_sources::reject::Fault;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

use crate::metrics::register;

/// Upper bounds of the buckets of batch sizes, in events.
const BATCH_EVENTS: &[f64] = &[1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// Upper bounds of the buckets of times, in seconds.
const SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0];

/// Counters of ingestion.
#[derive(Debug)]
pub(super) struct Counters {
    events: IntCounterVec,
    rejected: IntCounterVec,
    bytes: IntCounterVec,
    batch_events: Histogram,
    parse_seconds: Histogram,
    append_seconds: Histogram,
}

impl Counters {
    /// Counters at zero, registered in `registry`.
    pub(super) fn new(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            register(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
        };
        let bytes = counters("netcrab_ingest_bytes_total", "Bytes of bodies, as sent and as JSON.", &["form"]);
        // Both forms are shown from the start, at zero.
        bytes.with_label_values(&["sent"]);
        bytes.with_label_values(&["json"]);
        Self {
            events: counters(
                "netcrab_ingest_events_total",
                "Events accepted, and those among them that were known already, or ahead of their receipt.",
                &["org_id", "outcome"],
            ),
            rejected: counters("netcrab_ingest_rejected_total", "Events rejected, by reason.", &["org_id", "reason"]),
            bytes,
            batch_events: histogram("netcrab_ingest_batch_events", "Events of a batch.", BATCH_EVENTS),
            parse_seconds: histogram("netcrab_ingest_parse_seconds", "Time to decode a body.", SECONDS),
            append_seconds: histogram("netcrab_ingest_append_seconds", "Time until events were durable.", SECONDS),
        }
    }

    /// Counts a decoded body: its bytes as sent and as JSON, its events, and how long decoding took.
    pub(super) fn decoded(&self, sent_bytes: usize, json_bytes: usize, events: usize, took: Duration) {
        self.bytes.with_label_values(&["sent"]).inc_by(sent_bytes as u64);
        self.bytes.with_label_values(&["json"]).inc_by(json_bytes as u64);
        self.batch_events.observe(events as f64);
        self.parse_seconds.observe(took.as_secs_f64());
    }

    /// Counts an append, whether the bus made the events durable or refused them.
    pub(super) fn appended(&self, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
    }

    /// Counts the valid events of a batch that had the time of receipt set, because their own was ahead of it.
    pub(super) fn ahead(&self, org_id: &str, events: usize) {
        self.events.with_label_values(&[org_id, "ahead"]).inc_by(events as u64);
    }

    /// Counts the events of a batch that is answered.
    pub(super) fn answered(&self, org_id: &str, accepted: usize, repeated: usize, faults: &[(usize, Fault)]) {
        self.events.with_label_values(&[org_id, "accepted"]).inc_by(accepted as u64);
        self.events.with_label_values(&[org_id, "repeated"]).inc_by(repeated as u64);
        for (_, fault) in faults {
            self.rejected.with_label_values(&[org_id, fault.reason.name()]).inc();
        }
    }
}
