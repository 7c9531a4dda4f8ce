//! The tables in ClickHouse.
//!
//!     request ─▶ a `.sql` file, its values bound by the server ─▶ Arrow ─▶ the rows that the Delta store reads
//!
//! Values of a request are bound (`{org:String}`), never written into a statement. What a filter adds is a condition
//! out of the list below, in place of a mark in the file. ClickHouse computes sums and orders rows; means, ranks and
//! trends are computed where they are for every store.

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use netcrab_schema::Table;
use netcrab_schema::clickhouse::rows_table;
use netcrab_schema::tables::{
    DIM_RELEASES, EVENTS_SESSIONIZED, FACT_FLOWS, FACT_INCIDENTS, FACT_SCREEN_HOTSPOTS, FACT_SESSIONS,
};
use netcrab_sinks::clickhouse::ClickHouse;
use tokio::task::AbortHandle;

use crate::delta::held::by_day;
use crate::delta::rows::{self, Rows};
use crate::period::Day;
use crate::store::{
    Filter, Incident, IncidentFilter, IncidentPlace, InsightStore, MoveSums, Product, Release, Scope, ScreenSums,
    Session, SessionDay, SessionName, SessionPlace, StoreError, TableState, TableStatus, TimelineEvent,
};

/// The tables that questions are answered from.
static READ: [&Table; 6] =
    [&EVENTS_SESSIONIZED, &FACT_SESSIONS, &FACT_INCIDENTS, &FACT_SCREEN_HOTSPOTS, &FACT_FLOWS, &DIM_RELEASES];

/// How often the tables are looked at, to say how they stand.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Answers from ClickHouse.
pub struct ClickHouseStore {
    inner: Arc<Inner>,
    looking: AbortHandle,
}

struct Inner {
    server: ClickHouse,
    tables: RwLock<Vec<TableStatus>>,
}

impl ClickHouseStore {
    /// Answers from the tables on `server`, which need not be there yet.
    pub async fn open(server: ClickHouse) -> Self {
        let inner = Arc::new(Inner { server, tables: RwLock::new(Vec::new()) });
        inner.look().await;
        let looking = tokio::spawn(look(Arc::downgrade(&inner))).abort_handle();
        Self { inner, looking }
    }

    async fn ask(&self, sql: Sql, params: &Params) -> Result<Vec<RecordBatch>, StoreError> {
        self.ask_with(sql, sql.text, params).await
    }

    async fn ask_with(&self, sql: Sql, text: &str, params: &Params) -> Result<Vec<RecordBatch>, StoreError> {
        let answer = self.inner.server.rows_now(text, params).await;
        let answer = answer.map_err(|error| StoreError::Query { query: sql.name, source: Box::new(error) })?;
        Ok(answer.batches.into_iter().filter(|batch| batch.num_rows() > 0).collect())
    }
}

impl Drop for ClickHouseStore {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

async fn look(store: Weak<Inner>) {
    while let Some(inner) = store.upgrade() {
        inner.look().await;
        drop(inner);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Inner {
    /// Takes note of how the tables stand.
    async fn look(&self) {
        let question = "SELECT table, toInt64(count()) AS parts, toInt64(sum(rows)) AS rows FROM system.parts \
                        WHERE database = currentDatabase() AND active GROUP BY table";
        let there = "SELECT name FROM system.tables WHERE database = currentDatabase()";
        let seen = async {
            let there = self.server.rows_now(there, &[]).await?.texts("name")?;
            counted(self.server.rows_now(question, &[]).await?.batches, there)
        };
        let seen: Result<_, netcrab_sinks::Error> = seen.await;
        let tables = READ.map(|table| {
            let status = TableStatus {
                table: table.name,
                state: TableState::Unreadable,
                version: None,
                committed_at_ms: None,
                files: 0,
                rows: None,
                held_bytes: 0,
            };
            match &seen {
                Err(_) => status,
                Ok((there, _)) if !there.iter().any(|name| name == table.name) => {
                    TableStatus { state: TableState::Missing, ..status }
                }
                Ok((_, counted)) => {
                    let found = counted.iter().find(|(name, ..)| *name == rows_table(table));
                    let (parts, rows) = found.map_or((0, 0), |(_, parts, rows)| (*parts, *rows));
                    TableStatus {
                        state: TableState::Present,
                        files: usize::try_from(parts).unwrap_or(0),
                        rows: u64::try_from(rows).ok(),
                        ..status
                    }
                }
            }
        });
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = tables.to_vec();
    }
}

type Counted = (Vec<String>, Vec<(String, i64, i64)>);

fn counted(batches: Vec<RecordBatch>, there: Vec<String>) -> Result<Counted, netcrab_sinks::Error> {
    let mut counted = Vec::new();
    for batch in &batches {
        let wrong = |_| arrow::error::ArrowError::SchemaError("system.parts has other columns".to_owned());
        let (names, parts) = (batch.texts("table").map_err(wrong)?, batch.numbers("parts").map_err(wrong)?);
        let rows = batch.numbers("rows").map_err(wrong)?;
        counted
            .extend((0..batch.num_rows()).map(|row| (names.value(row).to_owned(), parts.value(row), rows.value(row))));
    }
    Ok((there, counted))
}

/// A `.sql` file.
#[derive(Debug, Clone, Copy)]
struct Sql {
    name: &'static str,
    text: &'static str,
}

impl Sql {
    /// The statement with conditions in place of its marks; without any where there are none.
    fn with(self, marks: &[(&str, &[&str])]) -> String {
        marks.iter().fold(self.text.to_owned(), |text, (mark, conditions)| {
            let conditions: String = conditions.iter().map(|condition| format!("\n  AND {condition}")).collect();
            text.replace(&format!("/* {mark} */"), &conditions)
        })
    }
}

/// Values, bound by name.
type Params = Vec<(&'static str, String)>;

fn day(day: Day) -> String {
    day.to_string()
}

fn of(scope: &Scope) -> Params {
    let mut params = vec![
        ("org", scope.org_id.clone()),
        ("product", scope.product_id.clone()),
        ("from", day(scope.period.from)),
        ("to", day(scope.period.to)),
    ];
    let Filter { segment, version, device, task_type } = &scope.filter;
    let wanted = [("segment", segment), ("version", version), ("device", device), ("task_type", task_type)];
    params.extend(wanted.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    params
}

/// The conditions of a filter.
fn values(filter: &Filter) -> Vec<&'static str> {
    let Filter { segment, version, device, task_type } = filter;
    let wanted = [
        (segment, "segment = {segment:String}"),
        (version, "version_tag = {version:String}"),
        (device, "device_type = {device:String}"),
        (task_type, "has(task_types, {task_type:String})"),
    ];
    wanted.into_iter().filter(|(value, _)| value.is_some()).map(|(_, condition)| condition).collect()
}

fn of_session(org_id: &str, session: &Session) -> Params {
    vec![
        ("org", org_id.to_owned()),
        ("product", session.product_id.clone()),
        ("session", session.session_key.clone()),
        ("from", day(session.date)),
        ("to", day(session.date)),
    ]
}

const AND_VALUES: &str = "and of these values";

#[async_trait]
impl InsightStore for ClickHouseStore {
    async fn products(&self, org_id: &str) -> Result<Vec<Product>, StoreError> {
        let mut products = Vec::new();
        for batch in self.ask(PRODUCTS, &vec![("org", org_id.to_owned())]).await? {
            let (names, sessions) = (batch.texts("product_id")?, batch.numbers("sessions")?);
            let (first, last) = (rows::dates(&batch, "first_day")?, rows::dates(&batch, "last_day")?);
            products.extend((0..batch.num_rows()).map(|row| Product {
                product_id: names.value(row).to_owned(),
                first_day: Day(first.value(row)),
                last_day: Day(last.value(row)),
                sessions: sessions.value(row),
            }));
        }
        Ok(products)
    }

    async fn session_days(&self, scope: &Scope) -> Result<Vec<SessionDay>, StoreError> {
        let text = SESSION_DAYS.with(&[(AND_VALUES, &values(&scope.filter))]);
        let mut days = Vec::new();
        for (day, batch) in by_day(&self.ask_with(SESSION_DAYS, &text, &of(scope)).await?)? {
            rows::session_days(day, &batch, &mut days)?;
        }
        Ok(days)
    }

    async fn screens(&self, scope: &Scope) -> Result<Vec<ScreenSums>, StoreError> {
        if scope.filter.is_empty() {
            return rows::sum_screens(&self.ask(SCREENS_OF_DAYS, &of(scope)).await?);
        }
        let text = SCREENS_OF_SESSIONS.with(&[(AND_VALUES, &values(&scope.filter))]);
        rows::sum_screens(&self.ask_with(SCREENS_OF_SESSIONS, &text, &of(scope)).await?)
    }

    async fn moves(&self, scope: &Scope) -> Result<Vec<MoveSums>, StoreError> {
        if scope.filter.is_empty() {
            return rows::sum_moves(&self.ask(MOVES_OF_DAYS, &of(scope)).await?);
        }
        let text = MOVES_OF_SESSIONS.with(&[(AND_VALUES, &values(&scope.filter))]);
        rows::sum_moves(&self.ask_with(MOVES_OF_SESSIONS, &text, &of(scope)).await?)
    }

    async fn releases(&self, org_id: &str, product_id: &str) -> Result<Vec<Release>, StoreError> {
        let params = vec![("org", org_id.to_owned()), ("product", product_id.to_owned())];
        let mut releases = Vec::new();
        for batch in self.ask(RELEASES, &params).await? {
            releases.extend(rows::releases(&batch)?.into_iter().map(|(_, _, release)| release));
        }
        Ok(releases)
    }

    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<&SessionPlace>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let mut params = of(scope);
        params.push(("limit", limit.to_string()));
        let mut place: &[&str] = &[];
        if let Some(after) = after {
            params.push(("after_us", after.start_us.to_string()));
            params.push(("after_key", after.session_key.clone()));
            place = &["(toUnixTimestamp64Micro(start_ts) < {after_us:Int64} \
                       OR (toUnixTimestamp64Micro(start_ts) = {after_us:Int64} AND session_key > {after_key:String}))"];
        }
        let text = SESSIONS.with(&[(AND_VALUES, &values(&scope.filter)), ("and after", place)]);
        flat(&self.ask_with(SESSIONS, &text, &params).await?, rows::sessions)
    }

    async fn incidents(
        &self,
        scope: &Scope,
        only: &IncidentFilter,
        after: Option<&IncidentPlace>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let mut params = of(scope);
        params.push(("limit", limit.to_string()));
        let mut which: Vec<&str> = Vec::new();
        let of_sessions = OF_SESSIONS.with(&[(AND_VALUES, &values(&scope.filter))]);
        if !scope.filter.is_empty() {
            which.push(&of_sessions);
        }
        if let Some(kind) = &only.kind {
            params.push(("kind", kind.clone()));
            which.push("kind = {kind:String}");
        }
        if let Some(screen_id) = &only.screen_id {
            params.push(("screen", screen_id.clone()));
            which.push("screen_id = {screen:String}");
        }
        let mut place: &[&str] = &[];
        if let Some(after) = after {
            params.push(("after_date", day(after.day)));
            params.push(("after_us", after.started_us.to_string()));
            params.push(("after_key", after.incident_id.clone()));
            place = &["(date < {after_date:Date32} OR (date = {after_date:Date32} \
                       AND (toUnixTimestamp64Micro(started_at) < {after_us:Int64} \
                       OR (toUnixTimestamp64Micro(started_at) = {after_us:Int64} AND incident_id > {after_key:String}))))"];
        }
        let text = INCIDENTS.with(&[("and of these sessions", &which), ("and after", place)]);
        flat(&self.ask_with(INCIDENTS, &text, &params).await?, rows::incidents)
    }

    async fn session(&self, name: &SessionName) -> Result<Option<Session>, StoreError> {
        let mut params = vec![("org", name.org_id.clone()), ("session", name.session_key.clone())];
        let mut there = Vec::new();
        if let Some(product_id) = &name.product_id {
            params.push(("product", product_id.clone()));
            there.push("product_id = {product:String}");
        }
        if let Some(period) = name.period {
            params.extend([("from", day(period.from)), ("to", day(period.to))]);
            there.push("date BETWEEN {from:Date32} AND {to:Date32}");
        }
        let text = SESSION.with(&[("and there", &there)]);
        Ok(flat(&self.ask_with(SESSION, &text, &params).await?, rows::sessions)?.pop())
    }

    async fn timeline(
        &self,
        org_id: &str,
        session: &Session,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>, StoreError> {
        let mut params = of_session(org_id, session);
        params.extend([("after", after.unwrap_or(-1).to_string()), ("limit", limit.to_string())]);
        flat(&self.ask(TIMELINE, &params).await?, rows::timeline)
    }

    async fn session_incidents(&self, org_id: &str, session: &Session) -> Result<Vec<Incident>, StoreError> {
        flat(&self.ask(SESSION_INCIDENTS, &of_session(org_id, session)).await?, rows::incidents)
    }

    fn tables(&self) -> Vec<TableStatus> {
        self.inner.tables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn flat<T>(
    batches: &[RecordBatch],
    rows: fn(&RecordBatch) -> Result<Vec<T>, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = batches.iter().map(rows).collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().flatten().collect())
}

macro_rules! sql {
    ($name:literal) => {
        Sql { name: $name, text: include_str!(concat!("sql/", $name, ".sql")) }
    };
}

const PRODUCTS: Sql = sql!("products");
const SESSION_DAYS: Sql = sql!("session_days");
const SCREENS_OF_DAYS: Sql = sql!("screens_of_days");
const SCREENS_OF_SESSIONS: Sql = sql!("screens_of_sessions");
const MOVES_OF_DAYS: Sql = sql!("moves_of_days");
const MOVES_OF_SESSIONS: Sql = sql!("moves_of_sessions");
const RELEASES: Sql = sql!("releases");
const SESSIONS: Sql = sql!("sessions");
const SESSION: Sql = sql!("session");
const TIMELINE: Sql = sql!("timeline");
const SESSION_INCIDENTS: Sql = sql!("session_incidents");
const INCIDENTS: Sql = sql!("incidents");
/// A condition: of the chosen sessions.
const OF_SESSIONS: Sql = Sql {
    name: "of_sessions",
    text: "session_key IN (SELECT session_key FROM fact_sessions WHERE org_id = {org:String} AND product_id = {product:String} \
           AND date BETWEEN {from:Date32} AND {to:Date32} /* and of these values */)",
};
