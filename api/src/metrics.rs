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

#[derive(Debug, Default)]
struct Route {
    by_status: BTreeMap<u16, u64>,
    /// Answers in each bucket alone; the last is for those slower than every bound.
    buckets: [u64; BUCKETS_S.len() + 1],
    seconds: f64,
}

impl Metrics {
    /// Counts one answer.
    pub(crate) fn observe(&self, route: &'static str, status: u16, took: Duration) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(route).or_default();
        let seconds = took.as_secs_f64();
        *route.by_status.entry(status).or_default() += 1;
        route.buckets[BUCKETS_S.partition_point(|bound| *bound < seconds)] += 1;
        route.seconds += seconds;
    }

    /// Everything as Prometheus text, with the tables as they stand.
    pub(crate) fn page(&self, tables: &[TableStatus], now: Timestamp) -> String {
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
            let mut count = 0;
            for (bound, bucket) in BUCKETS_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]).zip(route.buckets) {
                count += bucket;
                let labels = format!("route=\"{path}\",le=\"{bound}\"");
                page.line("netcrab_api_request_duration_seconds_bucket", &labels, count as f64);
            }
            let labels = format!("route=\"{path}\"");
            page.line("netcrab_api_request_duration_seconds_sum", &labels, route.seconds);
            page.line("netcrab_api_request_duration_seconds_count", &labels, count as f64);
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
    ("netcrab_table_held_bytes", "Bytes held in memory.", |table, _| Some(table.held_bytes as f64)),
];

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a String takes every write");
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        writeln!(self.0, "{name}{{{labels}}} {value}").expect("a String takes every write");
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
        let page = metrics.page(&[], Timestamp::UNIX_EPOCH);
        let line =
            |bound: &str| format!("netcrab_api_request_duration_seconds_bucket{{route=\"/health\",le=\"{bound}\"}}");
        for (bound, count) in [("0.001", 1), ("0.0025", 2), ("0.05", 3), ("30", 3), ("+Inf", 4)] {
            assert!(page.contains(&format!("{} {count}\n", line(bound))), "{bound}\n{page}");
        }
        assert!(page.contains("netcrab_api_requests_total{route=\"/health\",status=\"200\"} 4\n"));
    }
}
