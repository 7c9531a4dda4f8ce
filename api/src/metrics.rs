//! The text of `/metrics`, in Prometheus' format.
//!
//!     counted as it happens (requests, ingestion)    Registry ─┐
//!     read when Prometheus asks (tables, pipeline)   Scrape ───┴─▶ gather ─▶ text
//!
//! Bounded: a route is one of the page of routes or `unmatched`, a status one of ours.

use std::time::Duration;

use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};

use crate::store::{TableState, TableStatus};

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The metrics that are counted as it happens.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
}

impl Metrics {
    /// A registry of its own, with the counters of requests at zero.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let requests = Opts::new("netcrab_api_requests_total", "Requests answered.");
        let seconds = HistogramOpts::new("netcrab_api_request_duration_seconds", "Time from request to answer.");
        let seconds = seconds.buckets(BUCKETS_S.to_vec());
        Self {
            requests: register(&registry, IntCounterVec::new(requests, &["route", "status"])),
            request_seconds: register(&registry, HistogramVec::new(seconds, &["route"])),
            registry,
        }
    }

    /// Where other counters of this process are registered.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts one answer.
    pub(crate) fn observe(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.with_label_values(&[route, status.to_string().as_str()]).inc();
        self.request_seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// Everything counted so far and everything in `scrape`, as text.
    pub(crate) fn text(&self, scrape: &Scrape) -> String {
        let families = [self.registry.gather(), scrape.registry.gather()].concat();
        TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics could not be written");
            String::new()
        })
    }
}

/// Registers a collector. Its name, help and labels are constants of this crate, so it cannot fail.
pub(crate) fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect("constants that Prometheus allows");
    registry.register(Box::new(collector.clone())).expect("a name of its own");
    collector
}

/// The metrics that are read when Prometheus asks. One is made for each scrape.
#[derive(Debug, Default)]
pub struct Scrape {
    registry: Registry,
}

impl Scrape {
    /// Adds a family of gauges. Each of `series` is the values of `labels`, in their order, and the number.
    pub fn gauges<const N: usize, V: AsRef<str> + std::fmt::Debug>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        series: impl IntoIterator<Item = ([V; N], f64)>,
    ) {
        if let Some(family) = self.family(name, GaugeVec::new(Opts::new(name, help), &labels)) {
            series.into_iter().for_each(|(values, number)| family.with_label_values(&values).set(number));
        }
    }

    /// Adds a family of counters, as [`Self::gauges`] does. A number is what was counted since the process began.
    pub fn counters<const N: usize, V: AsRef<str> + std::fmt::Debug>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        series: impl IntoIterator<Item = ([V; N], f64)>,
    ) {
        if let Some(family) = self.family(name, CounterVec::new(Opts::new(name, help), &labels)) {
            series.into_iter().for_each(|(values, number)| family.with_label_values(&values).inc_by(number));
        }
    }

    /// A family that is registered. One that Prometheus does not allow is logged and missing; the others are shown.
    fn family<C: Collector + Clone + 'static>(&self, name: &str, family: prometheus::Result<C>) -> Option<C> {
        let registered = family.and_then(|family| self.registry.register(Box::new(family.clone())).map(|()| family));
        registered.inspect_err(|error| tracing::error!(name, %error, "metric is not shown")).ok()
    }

    /// Adds how the tables stand.
    pub(crate) fn tables(&self, tables: &[TableStatus], now: Timestamp) {
        for (name, help, value) in TABLE_GAUGES {
            let series = tables.iter().filter_map(|table| Some(([table.table], value(table, now)?)));
            self.gauges(name, help, ["table"], series);
        }
    }
}

type TableGauge = (&'static str, &'static str, fn(&TableStatus, Timestamp) -> Option<f64>);

static TABLE_GAUGES: &[TableGauge] = &[
    ("netcrab_table_readable", "1 where the newest version is read.", |table, _| {
        Some(f64::from(u8::from(table.state == TableState::Present)))
    }),
    ("netcrab_table_version", "Delta version that is read.", |table, _| table.version.map(|version| version as f64)),
    ("netcrab_table_age_seconds", "Time since that version was committed.", |table, now| {
        table.committed_at_ms.map(|at| (now.as_millisecond() - at) as f64 / 1000.0)
    }),
    ("netcrab_table_files", "Data files of that version.", |table, _| Some(table.files as f64)),
    ("netcrab_table_rows", "Rows of that version.", |table, _| table.rows.map(|rows| rows as f64)),
    ("netcrab_table_held_bytes", "Bytes held in memory.", |table, _| Some(table.cached_bytes as f64)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_counts_what_took_no_longer_than_its_bound() {
        let metrics = Metrics::new();
        for millis in [1, 2, 50, 40_000] {
            metrics.observe("/health", 200, Duration::from_millis(millis));
        }
        let page = metrics.text(&Scrape::default());
        let line =
            |bound: &str| format!("netcrab_api_request_duration_seconds_bucket{{route=\"/health\",le=\"{bound}\"}}");
        for (bound, count) in [("0.001", 1), ("0.0025", 2), ("0.05", 3), ("30", 3), ("+Inf", 4)] {
            assert!(page.contains(&format!("{} {count}\n", line(bound))), "{bound}\n{page}");
        }
        assert!(page.contains("netcrab_api_requests_total{route=\"/health\",status=\"200\"} 4\n"));
    }

    #[test]
    fn what_is_read_at_the_scrape_stands_beside_what_was_counted() {
        let scrape = Scrape::default();
        scrape.counters("netcrab_stream_events_total", "Events.", ["shard"], [(["0"], 3.0), (["1"], 0.5)]);
        scrape.gauges("netcrab_stream_lag", "Lag.", [], [([] as [&str; 0], 7.0)]);
        scrape.gauges("netcrab_stream_lag", "Twice.", [], [([] as [&str; 0], 8.0)]);
        scrape.gauges("no name", "Not allowed.", [], [([] as [&str; 0], 9.0)]);
        let expect = "# HELP netcrab_stream_events_total Events.\n# TYPE netcrab_stream_events_total counter\n\
                      netcrab_stream_events_total{shard=\"0\"} 3\nnetcrab_stream_events_total{shard=\"1\"} 0.5\n\
                      # HELP netcrab_stream_lag Lag.\n# TYPE netcrab_stream_lag gauge\nnetcrab_stream_lag 7\n";
        assert_eq!(Metrics::new().text(&scrape), expect);
    }
}
