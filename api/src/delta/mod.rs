//! The tables in Delta, read through DataFusion.
//!
//!     logs ─▶ follower, every `refresh_ms` ─▶ snapshot ─▶ swapped in whole
//!     request ─▶ snapshot ─▶ held in memory: sums over slices     (no filter, or version)
//!                        └─▶ files: a query on threads of its own (filters, lists, sessions)
//!
//! Invariant: a request sees one snapshot and reads no log. Invariant: a Delta table holds one
//! row for each key: a sink that writes a session again replaces its rows, so `row_version` is
//! not resolved here.

mod files;
pub(crate) mod held;
mod log;
mod queries;
pub(crate) mod rows;
mod snapshot;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::scalar::ScalarValue;
use netcrab_schema::Table;
use netcrab_schema::tables::{
    DIM_RELEASES, EVENTS_SESSIONIZED, FACT_FLOWS, FACT_INCIDENTS, FACT_SCREEN_HOTSPOTS, FACT_SESSIONS,
};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use url::Url;

use self::log::LogFollower;
use self::queries::{Params, Queries, Sql};
use self::snapshot::Snapshot;
use crate::config::Error;
use crate::period::{Day, Period};
use crate::store::{
    Incident, IncidentFilter, IncidentPlace, InsightStore, MoveSums, Product, Release, Scope, ScreenSums, Session,
    SessionDay, SessionName, SessionPlace, StoreError, TableStatus, TimelineEvent,
};

/// The tables that questions are answered from.
static READ: &[&Table] =
    &[&EVENTS_SESSIONIZED, &FACT_SESSIONS, &FACT_INCIDENTS, &FACT_SCREEN_HOTSPOTS, &FACT_FLOWS, &DIM_RELEASES];

/// How much the store may use; table `[api.delta]` of `netcrab.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeltaLimits {
    /// How often the logs are looked at for a new version, in milliseconds. Default: 2000.
    pub refresh_ms: u64,
    /// Bytes of hotspots, flows and session counts held in memory. Default: 512 MiB. Beyond it the oldest days of
    /// hotspots and flows are read from files, slower; session counts are always held.
    pub held_bytes_max: usize,
    /// Threads that run queries. Default: one less than the machine has, at least one.
    pub query_threads: usize,
    /// Queries that run at once. Default: 4.
    pub queries_max: usize,
    /// Queries that wait for their turn; one more is refused as busy. Default: 64.
    pub queries_waiting_max: usize,
    /// Memory of all queries, in bytes. Default: 512 MiB. Beyond it they spill to disk or are refused.
    pub query_memory_bytes_max: usize,
    /// Disk that queries may spill to, in bytes, in the system's folder for temporary files. Default: 4 GiB.
    pub query_spill_bytes_max: u64,
    /// Rows that a query may hand back; more is refused. Default: 1_000_000.
    pub query_rows_max: usize,
    /// Parquet footers and page indexes kept, in bytes. Default: 128 MiB.
    pub metadata_cache_bytes_max: usize,
}

impl Default for DeltaLimits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            refresh_ms: 2000,
            held_bytes_max: 512 << 20,
            query_threads: threads.saturating_sub(1).max(1),
            queries_max: 4,
            queries_waiting_max: 64,
            query_memory_bytes_max: 512 << 20,
            query_spill_bytes_max: 4 << 30,
            query_rows_max: 1_000_000,
            metadata_cache_bytes_max: 128 << 20,
        }
    }
}

/// The tables in `DIR/<table>`.
pub struct DeltaStore {
    inner: Arc<Inner>,
    refresher: AbortHandle,
}

struct Inner {
    queries: Queries,
    limits: DeltaLimits,
    followers: Mutex<Vec<LogFollower>>,
    current: RwLock<Arc<Current>>,
}

struct Current {
    snapshot: Arc<Snapshot>,
    tables: Vec<TableStatus>,
}

impl DeltaStore {
    /// Opens the tables in a local folder, which need not be there yet, and follows them from then on.
    pub async fn open(tables_dir: &Path, limits: DeltaLimits) -> Result<Self, Error> {
        let location = || Error::Location { location: tables_dir.display().to_string() };
        let absolute = std::path::absolute(tables_dir).map_err(|_| location())?;
        let url = Url::from_directory_path(absolute).map_err(|()| location())?;
        Self::open_url(&url, limits).await
    }

    /// Opens the tables under any URL that deltalake has a store for.
    pub async fn open_url(tables_url: &Url, limits: DeltaLimits) -> Result<Self, Error> {
        let followers = READ.iter().map(|table| LogFollower::new(table, tables_url)).collect::<Result<Vec<_>, _>>();
        let followers = followers.map_err(|_| Error::Location { location: tables_url.to_string() })?;
        let queries = Queries::new(&limits)?;
        let empty = Current { snapshot: Arc::new(Snapshot::empty(&queries, READ)?), tables: Vec::new() };
        let current = RwLock::new(Arc::new(empty));
        let inner = Arc::new(Inner { queries, limits, followers: Mutex::new(followers), current });
        inner.refresh().await?;
        let refresher = tokio::spawn(follow(Arc::downgrade(&inner))).abort_handle();
        Ok(Self { inner, refresher })
    }

    /// Looks at the logs now instead of at the next turn.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.inner.refresh().await
    }
}

impl Drop for DeltaStore {
    fn drop(&mut self) {
        self.refresher.abort();
    }
}

async fn follow(store: Weak<Inner>) {
    while let Some(inner) = store.upgrade() {
        let pause = Duration::from_millis(inner.limits.refresh_ms.max(10));
        if let Err(error) = inner.refresh().await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "new table versions could not be loaded; the last ones stay in use");
        }
        drop(inner);
        tokio::time::sleep(pause).await;
    }
}

impl Inner {
    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.current().snapshot.clone()
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let mut followers = self.followers.lock().await;
        let mut changed = Vec::new();
        for follower in followers.iter_mut() {
            changed.extend(follower.look().await);
        }
        let before = self.snapshot();
        let snapshot = if changed.is_empty() {
            before
        } else {
            match before.next(changed, &self.queries, &self.limits).await {
                Ok(next) => Arc::new(next),
                Err(error) => {
                    // The followers have moved on; look again from the beginning at the next turn.
                    followers.iter_mut().for_each(LogFollower::forget);
                    return Err(error);
                }
            }
        };
        let states = followers.iter().map(|follower| follower.state);
        let tables = snapshot.tables.iter().zip(states).map(|(files, state)| TableStatus {
            table: files.table.name,
            state,
            version: files.version,
            committed_at_ms: files.committed_at_ms,
            files: files.files.len(),
            rows: files.files.iter().map(|file| file.rows).sum(),
            held_bytes: snapshot.held_bytes(files.table),
        });
        let current = Arc::new(Current { tables: tables.collect(), snapshot: snapshot.clone() });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    async fn ask(&self, snapshot: &Snapshot, sql: Sql, params: Params) -> Result<Vec<RecordBatch>, StoreError> {
        self.queries.ask(&snapshot.context, sql, params).await
    }
}

#[async_trait]
impl InsightStore for DeltaStore {
    async fn products(&self, org_id: &str) -> Result<Vec<Product>, StoreError> {
        Ok(self.inner.snapshot().products.get(org_id).cloned().unwrap_or_default())
    }

    async fn session_days(&self, scope: &Scope) -> Result<Vec<SessionDay>, StoreError> {
        let snapshot = self.inner.snapshot();
        let mut days = Vec::new();
        let by_version_only = crate::store::Filter { version: None, ..scope.filter.clone() }.is_empty();
        if by_version_only {
            for (day, rows) in snapshot.session_days.slices(&scope.org_id, &scope.product_id, scope.period) {
                rows::session_days(day, &rows, &mut days)?;
            }
            days.retain(|day| scope.filter.version.is_none() || day.version == scope.filter.version);
            return Ok(days);
        }
        for (day, batch) in held::by_day(&self.inner.ask(&snapshot, SESSION_DAYS, of(scope)).await?)? {
            rows::session_days(day, &batch, &mut days)?;
        }
        Ok(days)
    }

    async fn screens(&self, scope: &Scope) -> Result<Vec<ScreenSums>, StoreError> {
        let snapshot = self.inner.snapshot();
        if !scope.filter.is_empty() {
            return rows::sum_screens(&self.inner.ask(&snapshot, SCREENS_OF_SESSIONS, of(scope)).await?);
        }
        let held = snapshot.screens.slices(&scope.org_id, &scope.product_id, scope.period);
        let older = match snapshot.screens.not_held(scope.period) {
            Some(period) => self.inner.ask(&snapshot, SCREENS_OF_DAYS, of(&scope.during(period))).await?,
            None => Vec::new(),
        };
        rows::sum_screens(held.iter().map(|(_, rows)| rows).chain(&older))
    }

    async fn moves(&self, scope: &Scope) -> Result<Vec<MoveSums>, StoreError> {
        let snapshot = self.inner.snapshot();
        if !scope.filter.is_empty() {
            return rows::sum_moves(&self.inner.ask(&snapshot, MOVES_OF_SESSIONS, of(scope)).await?);
        }
        let held = snapshot.moves.slices(&scope.org_id, &scope.product_id, scope.period);
        let older = match snapshot.moves.not_held(scope.period) {
            Some(period) => self.inner.ask(&snapshot, MOVES_OF_DAYS, of(&scope.during(period))).await?,
            None => Vec::new(),
        };
        rows::sum_moves(held.iter().map(|(_, rows)| rows).chain(&older))
    }

    async fn releases(&self, org_id: &str, product_id: &str) -> Result<Vec<Release>, StoreError> {
        let product = (org_id.to_owned(), product_id.to_owned());
        Ok(self.inner.snapshot().releases.get(&product).cloned().unwrap_or_default())
    }

    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<&SessionPlace>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let snapshot = self.inner.snapshot();
        let mut sessions = Vec::new();
        let newest = after.map_or(scope.period.to, |place| day_of(place.start_us));
        for period in newest_first(Period { to: scope.period.to.min(newest), ..scope.period }) {
            let mut params = of(&scope.during(period));
            params.extend([
                ("after_ts", instant(after.map(|place| place.start_us))),
                ("after_key", text(after.map(|place| place.session_key.as_str()))),
                ("limit", number(limit - sessions.len())),
            ]);
            for batch in self.inner.ask(&snapshot, SESSIONS, params).await? {
                sessions.extend(rows::sessions(&batch)?);
            }
            if sessions.len() >= limit {
                break;
            }
        }
        Ok(sessions)
    }

    async fn incidents(
        &self,
        scope: &Scope,
        only: &IncidentFilter,
        after: Option<&IncidentPlace>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let snapshot = self.inner.snapshot();
        let sql = if scope.filter.is_empty() { INCIDENTS } else { INCIDENTS_OF_SESSIONS };
        let mut incidents = Vec::new();
        let newest = after.map_or(scope.period.to, |place| place.day);
        for period in newest_first(Period { to: scope.period.to.min(newest), ..scope.period }) {
            let mut params = of(&scope.during(period));
            params.extend([
                ("kind", text(only.kind.as_deref())),
                ("screen", text(only.screen_id.as_deref())),
                ("after_date", ScalarValue::Date32(after.map(|place| place.day.0))),
                ("after_ts", instant(after.map(|place| place.started_us))),
                ("after_key", text(after.map(|place| place.incident_id.as_str()))),
                ("limit", number(limit - incidents.len())),
            ]);
            for batch in self.inner.ask(&snapshot, sql, params).await? {
                incidents.extend(rows::incidents(&batch)?);
            }
            if incidents.len() >= limit {
                break;
            }
        }
        Ok(incidents)
    }

    async fn session(&self, name: &SessionName) -> Result<Option<Session>, StoreError> {
        let snapshot = self.inner.snapshot();
        let Some(products) = snapshot.products.get(&name.org_id) else { return Ok(None) };
        let asked =
            products.iter().filter(|product| name.product_id.as_ref().is_none_or(|id| *id == product.product_id));
        let days = asked.map(|product| (product.first_day, product.last_day));
        let known = days.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).map(|(from, to)| Period { from, to });
        let Some(period) = name.period.or(known) else { return Ok(None) };
        for period in newest_first(period) {
            let params = vec![
                ("org", text(Some(&name.org_id))),
                ("product", text(name.product_id.as_deref())),
                ("session", text(Some(&name.session_key))),
                ("from", ScalarValue::Date32(Some(period.from.0))),
                ("to", ScalarValue::Date32(Some(period.to.0))),
            ];
            for batch in self.inner.ask(&snapshot, SESSION, params).await? {
                if let Some(session) = rows::sessions(&batch)?.pop() {
                    return Ok(Some(session));
                }
            }
        }
        Ok(None)
    }

    async fn timeline(
        &self,
        org_id: &str,
        session: &Session,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>, StoreError> {
        let snapshot = self.inner.snapshot();
        let mut params = of_session(org_id, session);
        params.extend([("after", ScalarValue::Int64(Some(after.unwrap_or(-1)))), ("limit", number(limit))]);
        let batches = self.inner.ask(&snapshot, TIMELINE, params).await?;
        flat(&batches, rows::timeline)
    }

    async fn session_incidents(&self, org_id: &str, session: &Session) -> Result<Vec<Incident>, StoreError> {
        let snapshot = self.inner.snapshot();
        let batches = self.inner.ask(&snapshot, SESSION_INCIDENTS, of_session(org_id, session)).await?;
        flat(&batches, rows::incidents)
    }

    fn tables(&self) -> Vec<TableStatus> {
        self.inner.current().tables.clone()
    }
}

fn flat<T>(
    batches: &[RecordBatch],
    rows: fn(&RecordBatch) -> Result<Vec<T>, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = batches.iter().map(rows).collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().flatten().collect())
}

/// A period from its end, in pieces that grow: a page of a busy product reads a few days' files, a
/// rare find reads them all in a few queries.
fn newest_first(period: Period) -> impl Iterator<Item = Period> {
    let mut to = period.to;
    let mut days = 4;
    std::iter::from_fn(move || {
        let piece = (to >= period.from).then(|| Period { from: period.from.max(to.plus(1 - days)), to })?;
        to = piece.from.plus(-1);
        days = days.saturating_mul(4);
        Some(piece)
    })
}

fn of(scope: &Scope) -> Params {
    vec![
        ("org", text(Some(&scope.org_id))),
        ("product", text(Some(&scope.product_id))),
        ("from", ScalarValue::Date32(Some(scope.period.from.0))),
        ("to", ScalarValue::Date32(Some(scope.period.to.0))),
        ("segment", text(scope.filter.segment.as_deref())),
        ("version", text(scope.filter.version.as_deref())),
        ("device", text(scope.filter.device.as_deref())),
        ("task_type", text(scope.filter.task_type.as_deref())),
    ]
}

fn of_session(org_id: &str, session: &Session) -> Params {
    vec![
        ("org", text(Some(org_id))),
        ("product", text(Some(&session.product_id))),
        ("session", text(Some(&session.session_key))),
        ("from", ScalarValue::Date32(Some(session.date.0))),
        ("to", ScalarValue::Date32(Some(session.date.0))),
    ]
}

fn text(text: Option<&str>) -> ScalarValue {
    ScalarValue::Utf8View(text.map(str::to_owned))
}

fn number(number: usize) -> ScalarValue {
    ScalarValue::Int64(i64::try_from(number).ok())
}

fn instant(micros: Option<i64>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(micros, Some("UTC".into()))
}

fn day_of(micros: i64) -> Day {
    Day(i32::try_from(micros.div_euclid(86_400_000_000)).unwrap_or(i32::MAX))
}

const SESSION_DAYS: Sql = Sql { name: "session_days", text: include_str!("sql/session_days.sql") };
const SCREENS_OF_SESSIONS: Sql = Sql { name: "screens_of_sessions", text: include_str!("sql/screens_of_sessions.sql") };
const SCREENS_OF_DAYS: Sql = Sql { name: "screens_of_days", text: include_str!("sql/screens_of_days.sql") };
const MOVES_OF_SESSIONS: Sql = Sql { name: "moves_of_sessions", text: include_str!("sql/moves_of_sessions.sql") };
const MOVES_OF_DAYS: Sql = Sql { name: "moves_of_days", text: include_str!("sql/moves_of_days.sql") };
const SESSIONS: Sql = Sql { name: "sessions", text: include_str!("sql/sessions.sql") };
const SESSION: Sql = Sql { name: "session", text: include_str!("sql/session.sql") };
const TIMELINE: Sql = Sql { name: "timeline", text: include_str!("sql/timeline.sql") };
const SESSION_INCIDENTS: Sql = Sql { name: "session_incidents", text: include_str!("sql/session_incidents.sql") };
const INCIDENTS: Sql = Sql { name: "incidents", text: include_str!("sql/incidents.sql") };
const INCIDENTS_OF_SESSIONS: Sql =
    Sql { name: "incidents_of_sessions", text: include_str!("sql/incidents_of_sessions.sql") };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_period_cover_it_once_newest_first() {
        for days in [1, 3, 4, 5, 20, 366] {
            let period = Period { from: Day(100), to: Day(100 + days - 1) };
            let pieces: Vec<Period> = newest_first(period).collect();
            let covered: Vec<Day> = pieces.iter().rev().flat_map(|piece| piece.iter()).collect();
            assert_eq!(covered, period.iter().collect::<Vec<_>>(), "{days}");
            assert!(pieces.len() <= 5);
        }
    }
}
