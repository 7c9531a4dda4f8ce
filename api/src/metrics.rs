//! Counters of requests and the state of tables, as Prometheus text.
//!
//! Bounded: a route is one of the page of routes or `unmatched`, a status one of ours.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::store::{TableState, TableStatus};

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What has been answered so far.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    routes: Mutex<BTreeMap<&'static str, Route>>,
}

#[derive(Debug)]
struct Route {
    by_status: BTreeMap<u16, u64>,
    seconds: Histogram,
}

impl Default for Route {
    fn default() -> Self {
        Self { by_status: BTreeMap::new(), seconds: Histogram::new(&BUCKETS_S) }
    }
}

/// How often a value fell into each bucket.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [f64],
    /// Each bucket alone; the last is for values above every bound.
    buckets: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// Buckets of these upper bounds, and one for what lies above.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, buckets: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts one value.
    pub(crate) fn observe(&mut self, value: f64) {
        self.buckets[self.bounds.partition_point(|bound| *bound < value)] += 1;
        self.sum += value;
    }

    /// Writes it under a name of its own.
    pub(crate) fn write(&self, page: &mut Page, name: &str, help: &str) {
        page.head(name, "histogram", help);
        self.lines(page, name, "");
    }

    fn lines(&self, page: &mut Page, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        let bounds = self.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, bucket) in bounds.zip(&self.buckets) {
            count += bucket;
            page.line(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), count as f64);
        }
        page.line(&format!("{name}_sum"), labels, self.sum);
        page.line(&format!("{name}_count"), labels, count as f64);
    }
}

impl Metrics {
    /// Counts one answer.
    pub(crate) fn observe(&self, route: &'static str, status: u16, took: Duration) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(route).or_default();
        *route.by_status.entry(status).or_default() += 1;
        route.seconds.observe(took.as_secs_f64());
    }

    /// Everything as Prometheus text, with the tables as they stand; `more` adds what others count.
    pub(crate) fn page(&self, tables: &[TableStatus], now: Timestamp, more: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::default();
        self.requests(&mut page);
        for (name, help, value) in TABLE_GAUGES {
            page.head(name, "gauge", help);
            for table in tables {
                if let Some(value) = value(table, now) {
                    page.line(name, &format!("table=\"{}\"", table.table), value);
                }
            }
        }
        more(&mut page);
        page.0
    }

    fn requests(&self, page: &mut Page) {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        page.head("netcrab_api_requests_total", "counter", "Requests answered.");
        for (path, route) in routes.iter() {
            for (status, count) in &route.by_status {
                let labels = format!("route=\"{path}\",status=\"{status}\"");
                page.line("netcrab_api_requests_total", &labels, *count as f64);
            }
        }
        page.head("netcrab_api_request_duration_seconds", "histogram", "Time from request to answer.");
        for (path, route) in routes.iter() {
            let labels = format!("route=\"{path}\"");
            route.seconds.lines(page, "netcrab_api_request_duration_seconds", &labels);
        }
    }
}

type Gauge = (&'static str, &'static str, fn(&TableStatus, Timestamp) -> Option<f64>);

static TABLE_GAUGES: &[Gauge] = &[
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

/// Prometheus text being written.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    /// Begins a family of lines.
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a String takes every write");
    }

    /// Adds a line; `labels` as they stand between the braces.
    pub(crate) fn line(&mut self, name: &str, labels: &str, value: f64) {
        match labels.is_empty() {
            true => writeln!(self.0, "{name} {value}"),
            false => writeln!(self.0, "{name}{{{labels}}} {value}"),
        }
        .expect("a String takes every write");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_counts_what_took_no_longer_than_its_bound() {
        let metrics = Metrics::default();
        for millis in [1, 2, 50, 40_000] {
            metrics.observe("/health", 200, Duration::from_millis(millis));
        }
        let page = metrics.page(&[], Timestamp::UNIX_EPOCH, |_| {});
        let line =
            |bound: &str| format!("netcrab_api_request_duration_seconds_bucket{{route=\"/health\",le=\"{bound}\"}}");
        for (bound, count) in [("0.001", 1), ("0.0025", 2), ("0.05", 3), ("30", 3), ("+Inf", 4)] {
            assert!(page.contains(&format!("{} {count}\n", line(bound))), "{bound}\n{page}");
        }
        assert!(page.contains("netcrab_api_requests_total{route=\"/health\",status=\"200\"} 4\n"));
    }
}
