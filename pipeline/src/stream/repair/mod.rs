//! Brings late events to sessions that are closed already.
//!
//!     late: (key, day) ─▶ the key's sessions from the day before on ─▶ out of every table
//!                                     │
//!                                     └─ their events, the late ones too ─▶ open again ─▶ closed by W
//!
//! One late event can lengthen a session, join two, or move the numbers of all that follow. So the
//! sessions it may concern are taken back: their rows leave the tables, and their events are opened
//! again as if they had never been closed. The watermark then closes them by the ordinary rules, in the
//! same epoch where they are due.
//!
//!     epoch n   begins: none of the keys' sessions closes from here on
//!               │ beside the epochs: what is taken back, files without it
//!     epoch m   takes it up: the files change, the sessions open again, and what is due closes
//!
//! Epoch m is a fact with its manifest, or it never was: then the repair is made again, from the files
//! of that time.
//!
//! **Sums.** What sessions added to hotspots and flows is taken out by rows with the same numbers below
//! zero; a cell whose counts are all zero is none ([`Table::folded`]). Their events all come back, so
//! the smallest route of a screen stays, unless a session may move to another day, or its events were
//! counted by other rules: those days of a product are summed recomputed from the events that stay.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{Read, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::{SortColumn, lexsort_to_indices, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, Schema, SchemaRef, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{Expr, SessionContext, col, lit};
use futures::StreamExt;
use netcrab_operators::chain;
use netcrab_operators::rules::Rules;
use netcrab_operators::session::DAY_MS;
use netcrab_operators::sessionize::streaming::{OpenSessions, Visit, closes_at};
use netcrab_schema::arrow::{event_in_flight, in_flight_type, to_store_type};
use netcrab_schema::events::EVENT;
use netcrab_schema::tables::{
    DIM_TASK_TYPES, EVENTS_RAW, EVENTS_SESSIONIZED, FACT_FLOWS, FACT_INCIDENTS, FACT_SCREEN_HOTSPOTS, FACT_SESSIONS,
    FACT_TASKS,
};
use netcrab_schema::{Table, Type};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Change, Part, RunId, Sink, below_zero};
use xxhash_rust::xxh3::xxh3_128;

use super::table_files::{self, TableFiles};
use crate::checkpoints::manifest::LateKeys;
use crate::plans::resources::ACTIONS_MAX;
use crate::plans::table_order::in_table_order;

/// Tables with rows of one session each.
const OF_SESSIONS: [&Table; 4] = [&EVENTS_SESSIONIZED, &FACT_SESSIONS, &FACT_INCIDENTS, &FACT_TASKS];

/// Tables that are summed by product and day.
const SUMMED: [&Table; 2] = [&FACT_SCREEN_HOTSPOTS, &FACT_FLOWS];

/// Sessions of one key that are opened again.
#[derive(Debug, Clone)]
pub struct ReopenedSessions {
    /// Which of the late keys it is.
    key: usize,
    /// How many of the key's sessions remain closed.
    pub sessions: u32,
    /// The watermark at which the last of these closed, ms.
    pub closed_until: i64,
    /// The events of the others, and the late ones.
    pub events: RecordBatch,
}

/// What a repair does.
#[derive(Debug, Default)]
pub struct Repair {
    /// Sessions to open again.
    pub reopened: Vec<ReopenedSessions>,
    /// What leaves the tables.
    pub changes: BTreeMap<String, Change>,
}

/// Where a repair looks and writes.
pub struct MaintenanceContext<'a> {
    /// The tables.
    pub sink: &'a DeltaSink,
    /// The shard's files.
    pub files: &'a TableFiles,
    /// Queries over them.
    pub session: SessionContext,
    /// The rules in force.
    pub rules: &'a Arc<Rules>,
    /// The name of what is done there: another try at the same has the same.
    pub run: &'a str,
    /// The shard.
    pub shard: u32,
    /// Whether a sink that keeps rows is to be told which of them leave.
    pub needs_deleted_rows: bool,
}

/// A closed session of a late key.
struct ClosedSession {
    key: usize,
    session_key: String,
    owner: (String, String),
    date: i32,
    session_no: i64,
    start_ms: i64,
    /// The watermark at which it closed, ms.
    closes_at: i64,
}

/// A late key: from when on its sessions are opened again.
#[derive(Debug)]
pub struct LateKey {
    visit: Visit,
    /// The ts of its first late event, ms.
    since_ms: i64,
    /// The first date of sessions that the event may concern.
    from_date: i32,
    /// Events from here on are not closed; none are open where it is absent.
    closed_until: Option<i64>,
}

impl LateKey {
    /// Whether a late event may belong to a session, or to one before it.
    fn concerns(&self, closed: &ClosedSession) -> bool {
        closed.closes_at > self.since_ms
    }
}

/// Most keys that one repair brings their late events.
pub const KEYS_MAX: usize = 10_000;

/// The late events that a repair takes on, and those that go on waiting.
pub fn take_batch(late: &LateKeys) -> (LateKeys, LateKeys) {
    let mut taken = late.clone();
    let waiting = late.keys().nth(KEYS_MAX).map(|first| taken.split_off(first));
    (taken, waiting.unwrap_or_default())
}

/// Adds late events to others.
pub fn merge_late(to: &mut LateKeys, late: &LateKeys) {
    for (visit, &since_ms) in late {
        to.entry(visit.clone()).and_modify(|since| *since = since_ms.min(*since)).or_insert(since_ms);
    }
}

/// Plans a repair of these keys; sessions that closed at or before `rules_since_ms` may know other rules.
pub async fn prepare(context: &MaintenanceContext<'_>, keys: &[LateKey], rules_since_ms: i64) -> Result<Repair> {
    let began = std::time::Instant::now();
    let closed = closed_sessions(context, keys).await?;
    let retracted: Vec<&ClosedSession> = closed.iter().filter(|closed| keys[closed.key].concerns(closed)).collect();
    let reopened = reopened(context, keys, &closed).await?;
    let of_key: BTreeMap<usize, &ReopenedSessions> = reopened.iter().map(|reopened| (reopened.key, reopened)).collect();
    // Days of products that are summed recomputed.
    let mut recomputed: BTreeSet<Day<'_>> = BTreeSet::new();
    for closed in &retracted {
        let Some(reopened) = of_key.get(&closed.key) else {
            let org_id = &keys[closed.key].visit.org_id;
            anyhow::bail!("events_raw has no events of session {} of {org_id}", closed.session_key);
        };
        if closed.closes_at <= rules_since_ms || may_change_day_or_route(closed, reopened, context.rules)? {
            recomputed.insert(closed.day());
        }
    }
    let mut changes = BTreeMap::new();
    if !retracted.is_empty() {
        retract(context, &retracted, &recomputed, &mut changes).await?;
    }
    tracing::info!(
        shard = context.shard,
        keys = keys.len(),
        sessions = retracted.len(),
        events = reopened.iter().map(|reopened| reopened.events.num_rows()).sum::<usize>(),
        days_anew = recomputed.len(),
        files = changes.values().map(|change| change.removed.len()).sum::<usize>(),
        took_ms = began.elapsed().as_millis() as u64,
        "late events can be brought to their sessions"
    );
    Ok(Repair { reopened, changes })
}

/// Whether a screen may lose a route on the day of a session: where that may come to lie on another day, or events
/// that repeat each other disagree.
fn may_change_day_or_route(closed: &ClosedSession, reopened: &ReopenedSessions, rules: &Rules) -> Result<bool> {
    let ts = column(&reopened.events, "ts")?.as_primitive::<TimestampMillisecondType>().values().clone();
    let (Some(&first), Some(&last)) = (ts.first(), ts.last()) else { return Ok(true) };
    if first.div_euclid(DAY_MS) < i64::from(closed.date) || last - first >= rules.sessionize.length_ms {
        return Ok(true);
    }
    let texts = ["event_id", "screen_id", "route"].map(|name| text_column(&reopened.events, name));
    let [event_ids, screens, routes] = texts;
    let (event_ids, screens, routes) = (event_ids?, screens?, routes?);
    let mut places = BTreeMap::new();
    let differs = |row: usize| {
        let place = (screens.value(row), routes.value(row));
        *places.entry(event_ids.value(row)).or_insert(place) != place
    };
    Ok((0..reopened.events.num_rows()).any(differs))
}

/// org_id, product_id and date.
type Day<'a> = (&'a str, &'a str, i32);

impl ClosedSession {
    fn day(&self) -> Day<'_> {
        (&self.owner.0, &self.owner.1, self.date)
    }
}

/// The keys of late events, in order; `state` is what is open.
pub fn late_keys(late: &LateKeys, state: &OpenSessions) -> Vec<LateKey> {
    let key = |(visit, &since_ms): (&Visit, &i64)| LateKey {
        closed_until: state.closed_until(visit),
        visit: visit.clone(),
        since_ms,
        // No session is longer than this.
        from_date: since_ms.saturating_sub(state.settings().length_ms).div_euclid(DAY_MS) as i32,
    };
    late.iter().map(key).collect()
}

/// The closed sessions of the keys from two days before the first late event of each, in order.
async fn closed_sessions(context: &MaintenanceContext<'_>, keys: &[LateKey]) -> Result<Vec<ClosedSession>> {
    let Some(first) = keys.iter().map(|key| key.from_date - 1).min() else { return Ok(Vec::new()) };
    let parts = since(context.files, &FACT_SESSIONS, first);
    let Some(sessions) = context.rows(&FACT_SESSIONS, &parts).await? else { return Ok(Vec::new()) };
    context.register("sessions", sessions)?;
    context.register_batch("late", late_batch(keys, |_| (0, 0))?)?;
    let query = "
        SELECT late.key, s.session_key, s.org_id, s.product_id, s.date, s.session_no,
               CAST(s.start_ts AS BIGINT) AS start_us, CAST(s.end_ts AS BIGINT) AS end_us
        FROM sessions AS s
        JOIN late ON late.org_id = s.org_id AND late.product_id = s.product_id
            AND late.visit = CASE WHEN s.session_id = '' THEN s.user_hash ELSE s.session_id END
        WHERE s.date >= late.from_date - 1
        ORDER BY late.key, s.session_no";
    let mut closed = Vec::new();
    for batch in context.session.sql(query).await?.collect().await? {
        let text = |name: &str| text_column(&batch, name);
        let number = |name: &str| int_column(&batch, name);
        let (session_key, org_id, product_id) = (text("session_key")?, text("org_id")?, text("product_id")?);
        let (key, session_no, start, end) =
            (number("key")?, number("session_no")?, number("start_us")?, number("end_us")?);
        let date = batch.column_by_name("date").context("a session has a date")?.as_primitive::<Date32Type>().clone();
        closed.extend((0..batch.num_rows()).map(|row| ClosedSession {
            key: key.value(row) as usize,
            session_key: session_key.value(row).to_owned(),
            owner: (org_id.value(row).to_owned(), product_id.value(row).to_owned()),
            date: date.value(row),
            session_no: session_no.value(row),
            start_ms: start.value(row).div_euclid(1000),
            closes_at: closes_at(
                &context.rules.sessionize,
                start.value(row).div_euclid(1000),
                end.value(row).div_euclid(1000),
            ),
        }));
    }
    Ok(closed)
}

/// For each key what remains closed, and the events that are opened again.
async fn reopened(
    context: &MaintenanceContext<'_>,
    keys: &[LateKey],
    closed: &[ClosedSession],
) -> Result<Vec<ReopenedSessions>> {
    let mut remains = Vec::with_capacity(keys.len());
    let mut ranges = Vec::with_capacity(keys.len());
    for (number, key) in keys.iter().enumerate() {
        let of_key = || closed.iter().filter(|closed| closed.key == number);
        let first = of_key().find(|closed| key.concerns(closed));
        let before = of_key().rfind(|closed| !key.concerns(closed));
        let sessions = match (first, before) {
            (Some(first), _) => first.session_no,
            (None, Some(before)) => before.session_no + 1,
            (None, None) => 0,
        };
        let closed_until = before.map_or(i64::MIN, |before| before.closes_at);
        remains.push((u32::try_from(sessions).unwrap_or(u32::MAX), closed_until));
        let from_ms = first.map_or(key.since_ms, |first| first.start_ms.min(key.since_ms));
        ranges.push((
            from_ms.saturating_mul(1000),
            key.closed_until.map_or(i64::MAX, |until| until.saturating_mul(1000)),
        ));
    }
    let Some(from_us) = ranges.iter().map(|range| range.0).min() else { return Ok(Vec::new()) };
    let until_us = ranges.iter().map(|range| range.1).max().unwrap_or(i64::MAX);
    let parts = since(context.files, &EVENTS_RAW, i32::try_from(from_us.div_euclid(1000 * DAY_MS))?);
    let Some(events) = context.rows(&EVENTS_RAW, &parts).await? else { return Ok(Vec::new()) };
    context.register("events", events)?;
    context.register_batch("late", late_batch(keys, |number| ranges[number])?)?;
    let columns: Vec<String> = EVENT.iter().map(|column| format!("e.{}", column.name)).collect();
    let query = format!(
        "SELECT {}, late.key FROM events AS e
         JOIN late ON late.org_id = e.org_id AND late.product_id = e.product_id
             AND late.visit = CASE WHEN e.session_id = '' THEN e.user_hash ELSE e.session_id END
         WHERE CAST(e.ts AS BIGINT) >= late.from_us AND CAST(e.ts AS BIGINT) < late.until_us
             AND e.ts >= {} AND e.ts <= {}",
        columns.join(", "),
        instant(from_us),
        instant(until_us)
    );
    let mut of_keys: BTreeMap<i64, Vec<RecordBatch>> = BTreeMap::new();
    for batch in context.session.sql(&query).await?.collect().await? {
        let key = int_column(&batch, "key")?;
        let batch = take_record_batch(&batch, &sort_to_indices(&key, None, None)?)?;
        let (key, mut start) = (int_column(&batch, "key")?, 0);
        for run in key.values().chunk_by(|a, b| a == b) {
            of_keys.entry(run[0]).or_default().push(batch.slice(start, run.len()));
            start += run.len();
        }
    }
    let (mut reopened, mut group, mut rows) = (Vec::with_capacity(of_keys.len()), Vec::new(), 0);
    for (key, batches) in of_keys {
        let schema = batches[0].schema();
        group.push((key as usize, in_order(&arrow::compute::concat_batches(&schema, &batches)?)?));
        rows += group.last().map_or(0, |(_, events)| events.num_rows());
        if rows >= WRITTEN_ROWS {
            share_dictionaries(&std::mem::take(&mut group), &remains, &mut reopened)?;
            rows = 0;
        }
    }
    share_dictionaries(&group, &remains, &mut reopened)?;
    Ok(reopened)
}

/// The events of some keys as they travel between stages: slices of one batch, whose dictionaries they share. Those of
/// each key for itself would take a hundred times the memory of its events.
fn share_dictionaries(
    keys: &[(usize, RecordBatch)],
    remains: &[(u32, i64)],
    reopened: &mut Vec<ReopenedSessions>,
) -> Result<()> {
    let Some((_, first)) = keys.first() else { return Ok(()) };
    let events = events_of(&arrow::compute::concat_batches(&first.schema(), keys.iter().map(|(_, events)| events))?)?;
    let mut start = 0;
    for (key, of_key) in keys {
        let (sessions, closed_until) = remains[*key];
        let events = events.slice(start, of_key.num_rows());
        start += of_key.num_rows();
        reopened.push(ReopenedSessions { key: *key, sessions, closed_until, events });
    }
    Ok(())
}

/// Events by ts, event_id and received_at: the same order whatever files they come from.
fn in_order(events: &RecordBatch) -> Result<RecordBatch> {
    let by = ["ts", "event_id", "received_at"].map(|name| {
        let values = arrow::compute::cast(column(events, name)?, &comparable(column(events, name)?.data_type()))?;
        anyhow::Ok(SortColumn { values, options: None })
    });
    let by = by.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(take_record_batch(events, &lexsort_to_indices(&by, None)?)?)
}

/// A type that is sorted by value: a dictionary's texts.
fn comparable(kind: &DataType) -> DataType {
    match kind {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    }
}

/// The event columns of a batch, as they travel between stages.
fn events_of(batch: &RecordBatch) -> Result<RecordBatch> {
    let column = |column: &netcrab_schema::Column| -> Result<ArrayRef> {
        let stored = batch.column_by_name(column.name).with_context(|| format!("no column `{}`", column.name))?;
        Ok(arrow::compute::cast(stored, &in_flight_type(column.kind))?)
    };
    Ok(RecordBatch::try_new(event_in_flight(), EVENT.iter().map(column).collect::<Result<_>>()?)?)
}

/// The rows of these sessions.
fn rows_of(rows: DataFrame, sessions: &[&str]) -> Result<DataFrame> {
    Ok(rows.filter(of_sessions(sessions, false))?)
}

/// The rows of all other sessions.
fn rows_not_of(rows: DataFrame, sessions: &[&str]) -> Result<DataFrame> {
    Ok(rows.filter(of_sessions(sessions, true))?)
}

/// A filter that a scan runs, so that no join holds rows.
fn of_sessions(sessions: &[&str], negated: bool) -> Expr {
    col("session_key").in_list(sessions.iter().map(|session| lit(*session)).collect(), negated)
}

/// Parts whose rows were in the table before.
pub fn rewritten(mut parts: Vec<Part>) -> Vec<Part> {
    parts.iter_mut().for_each(|part| part.moved = true);
    parts
}

/// Takes sessions out of every table; days of products in `recomputed` are summed again.
async fn retract(
    context: &MaintenanceContext<'_>,
    retracted: &[&ClosedSession],
    recomputed: &BTreeSet<Day<'_>>,
    changes: &mut BTreeMap<String, Change>,
) -> Result<()> {
    let all: Vec<&str> = retracted.iter().map(|closed| closed.session_key.as_str()).collect();
    let retracted_keys: Arc<HashSet<String>> = Arc::new(all.iter().map(|&key| key.to_owned()).collect());
    let dates: BTreeSet<i32> = retracted.iter().map(|closed| closed.date).collect();
    let mut touched: BTreeMap<&str, Vec<&Part>> = BTreeMap::new();
    for table in OF_SESSIONS {
        let touched = touched.entry(table.name).or_default();
        for part in context.files.on(table, &dates) {
            if !context.contains_any(table, part, &retracted_keys).await? {
                continue;
            }
            let change = changes.entry(table.name.to_owned()).or_default();
            change.removed.push(part.path.clone());
            // What stays is in order, as it was.
            let stays = context.filter_file(table, part, &retracted_keys, false).await?;
            change.added.extend(rewritten(context.stage_rows(table, stays, &format!("stays of {}", part.path)).await?));
            if context.needs_deleted_rows {
                let lost = context.filter_file(table, part, &retracted_keys, true).await?;
                change.lost.extend(context.stage_rows(table, lost, &format!("lost of {}", part.path)).await?);
            }
            touched.push(part);
        }
    }
    if let Some(tasks) = context.rows(&FACT_TASKS, &touched[FACT_TASKS.name]).await? {
        context.register("tasks", rows_of(tasks, &all)?)?;
        let counted = context.session.sql(UNCOUNTED_TASKS).await?;
        let change = changes.entry(DIM_TASK_TYPES.name.to_owned()).or_default();
        change.added.extend(context.stage(&DIM_TASK_TYPES, counted, "uncounted").await?);
    }
    if let Some(events) = context.rows(&EVENTS_SESSIONIZED, &touched[EVENTS_SESSIONIZED.name]).await? {
        let taken_out = retracted.iter().filter(|closed| !recomputed.contains(&closed.day()));
        let taken_out: Vec<&str> = taken_out.map(|closed| closed.session_key.as_str()).collect();
        for (table, rows) in sums(context, rows_of(events, &taken_out)?).await? {
            let rows = rows.iter().map(|rows| below_zero(table, rows)).collect::<Result<Vec<_>, _>>()?;
            let change = changes.entry(table.name.to_owned()).or_default();
            change.added.extend(context.stage(table, context.session.read_batches(rows)?, "taken out").await?);
        }
    }
    if recomputed.is_empty() {
        return Ok(());
    }
    let dates: BTreeSet<i32> = recomputed.iter().map(|day| day.2).collect();
    for table in SUMMED {
        let parts = context.files.on(table, &dates);
        let Some(rows) = context.rows(table, &parts).await? else { continue };
        let change = changes.entry(table.name.to_owned()).or_default();
        change.removed.extend(parts.iter().map(|part| part.path.clone()));
        change.added.extend(rewritten(
            context
                .stage(table, context.of_days(rows, recomputed.iter().copied(), JoinType::LeftAnti)?, "stays")
                .await?,
        ));
        change.anew.extend(recomputed.iter().map(|day| (day.0.to_owned(), day.1.to_owned(), day.2)));
    }
    let events = context.files.on(&EVENTS_SESSIONIZED, &dates);
    let Some(events) = context.rows(&EVENTS_SESSIONIZED, &events).await? else { return Ok(()) };
    let stay = context.of_days(rows_not_of(events, &all)?, recomputed.iter().copied(), JoinType::LeftSemi)?;
    for (table, rows) in sums(context, stay).await? {
        let change = changes.entry(table.name.to_owned()).or_default();
        change.added.extend(context.stage(table, context.session.read_batches(rows)?, "recomputed").await?);
    }
    Ok(())
}

/// Adds what came into days of sums while these were summed recomputed: a sink that keeps rows takes such days out whole.
pub async fn reinsert_concurrent_rows(
    context: &MaintenanceContext<'_>,
    changes: &mut BTreeMap<String, Change>,
) -> Result<()> {
    for table in SUMMED {
        let Some(change) =
            changes.get_mut(table.name).filter(|change| context.needs_deleted_rows && !change.anew.is_empty())
        else {
            continue;
        };
        let dates: BTreeSet<i32> = change.anew.iter().map(|day| day.2).collect();
        let mut parts = context.files.on(table, &dates);
        parts.retain(|part| !change.removed.contains(&part.path));
        let Some(rows) = context.rows(table, &parts).await? else { continue };
        let days = change.anew.iter().map(|(org_id, product_id, date)| (org_id.as_str(), product_id.as_str(), *date));
        let rows = context.of_days(rows, days, JoinType::LeftSemi)?;
        change.again = context.stage(table, rows, "meanwhile").await?;
    }
    Ok(())
}

/// Rows that take the tasks of sessions out of the counts of their types. What was seen first and last stays.
const UNCOUNTED_TASKS: &str = "
    SELECT org_id, product_id, task_type,
           min(coalesce(started_at, completed_at)) AS first_seen_at,
           max(coalesce(completed_at, started_at)) AS last_seen_at,
           -count(started_at) AS starts,
           -count(completed_at) AS completions
    FROM tasks
    GROUP BY org_id, product_id, task_type";

/// Hotspots and flows of these events of whole sessions: one row for each key.
async fn sums(context: &MaintenanceContext<'_>, events: DataFrame) -> Result<Vec<(&'static Table, Vec<RecordBatch>)>> {
    let columns = EVENT.iter().map(|column| {
        let stored = col(column.name);
        datafusion::logical_expr::cast(stored, in_flight_type(column.kind)).alias(column.name)
    });
    let events = events.select(columns.collect::<Vec<_>>())?;
    let source = events.create_physical_plan().await?;
    let memory_max = 64 << 20;
    let sizes = netcrab_operators::sessionize::batch::Sizes { partitions: 64, memory_max, actions_max: ACTIONS_MAX };
    let plans = chain::plans(source, context.rules, sizes, &SUMMED)?;
    // The plans share one pass, so they run together.
    let collected = plans.into_iter().map(|(table, plan)| async move {
        let rows = datafusion::physical_plan::collect(plan, context.session.task_ctx()).await?;
        anyhow::Ok((table, rows))
    });
    futures::future::try_join_all(collected).await
}

impl MaintenanceContext<'_> {
    async fn rows(&self, table: &'static Table, parts: &[&Part]) -> Result<Option<DataFrame>> {
        table_files::rows(&self.session, self.sink, table, parts).await
    }

    /// The rows of these days of products, or all others.
    fn of_days<'d>(
        &self,
        rows: DataFrame,
        days: impl Iterator<Item = Day<'d>> + Clone,
        kind: JoinType,
    ) -> Result<DataFrame> {
        let days = RecordBatch::try_from_iter([
            ("day_org_id", Arc::new(StringArray::from_iter_values(days.clone().map(|day| day.0))) as ArrayRef),
            ("day_product_id", Arc::new(StringArray::from_iter_values(days.clone().map(|day| day.1)))),
            ("day_date", Arc::new(days.map(|day| Some(day.2)).collect::<Date32Array>())),
        ])?;
        let (ours, theirs) = (["org_id", "product_id", "date"], ["day_org_id", "day_product_id", "day_date"]);
        Ok(rows.join(self.session.read_batch(days)?, kind, &ours, &theirs, None)?)
    }

    fn register(&self, name: &str, rows: DataFrame) -> Result<()> {
        self.session.deregister_table(name)?;
        self.session.register_table(name, rows.into_view())?;
        Ok(())
    }

    fn register_batch(&self, name: &str, batch: RecordBatch) -> Result<()> {
        self.session.deregister_table(name)?;
        self.session.register_batch(name, batch)?;
        Ok(())
    }

    /// Stages rows of `table`; `what` tells them from others that the epoch stages.
    pub(super) async fn stage(&self, table: &'static Table, rows: DataFrame, what: &str) -> Result<Vec<Part>> {
        let plan = table_files::typed(rows, table, to_store_type)?.create_physical_plan().await?;
        self.stage_plan(table, plan, what).await
    }

    async fn stage_plan(&self, table: &'static Table, plan: Arc<dyn ExecutionPlan>, what: &str) -> Result<Vec<Part>> {
        let rows = in_table_order(table, plan)?.execute(0, self.session.task_ctx())?;
        self.stage_rows(table, rows, what).await
    }

    /// Stages rows that come in the order of the table.
    async fn stage_rows(
        &self,
        table: &'static Table,
        rows: SendableRecordBatchStream,
        what: &str,
    ) -> Result<Vec<Part>> {
        let name = format!("{} {what} {}", self.run, table.name);
        let run = RunId::of_shard(self.shard, xxh3_128(name.as_bytes()));
        Ok(self.sink.stage(table, &run, rows).await?.parts)
    }

    /// The rows of a file that are of `sessions`, or all others, in the order of the file.
    ///
    /// The sessions are thousands: as a filter of a query they would be planned recomputed for each file.
    async fn filter_file(
        &self,
        table: &'static Table,
        part: &Part,
        sessions: &Arc<HashSet<String>>,
        of_them: bool,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.rows(table, &[part]).await?.context("a file has rows")?;
        let rows = table_files::typed(rows, table, to_store_type)?.execute_stream().await?;
        let (schema, sessions) = (rows.schema(), Arc::clone(sessions));
        let picked = rows.map(move |batch| {
            let batch = batch?;
            let mask = mask(&batch, &sessions, of_them)?;
            Ok(arrow::compute::filter_record_batch(&batch, &mask)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, picked)))
    }

    /// Whether a file has rows of these sessions.
    async fn contains_any(&self, table: &'static Table, part: &Part, sessions: &HashSet<String>) -> Result<bool> {
        let Some(rows) = self.rows(table, &[part]).await? else { return Ok(false) };
        let mut keys = rows.select_columns(&["session_key"])?.execute_stream().await?;
        while let Some(batch) = keys.next().await {
            if mask(&batch?, sessions, true)?.has_true() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Which rows are of `sessions`, or of others.
fn mask(batch: &RecordBatch, sessions: &HashSet<String>, of_them: bool) -> Result<BooleanArray, ArrowError> {
    let keys =
        batch.column_by_name("session_key").ok_or_else(|| ArrowError::SchemaError("no session_key".to_owned()))?;
    let keys = arrow::compute::cast(keys, &DataType::Utf8)?;
    let keys = keys.as_string::<i32>();
    Ok(keys.iter().map(|key| Some(key.is_some_and(|key| sessions.contains(key)) == of_them)).collect())
}

/// The files of a table from a date on.
fn since<'a>(files: &'a TableFiles, table: &Table, from: i32) -> Vec<&'a Part> {
    files.of(table).filter(|(date, _)| date.is_some_and(|date| date >= from)).flat_map(|(_, parts)| parts).collect()
}

/// The late keys as rows to join, each with a range of instants, µs.
fn late_batch(keys: &[LateKey], range: impl Fn(usize) -> (i64, i64)) -> Result<RecordBatch> {
    let text = |of: fn(&Visit) -> &String| {
        Arc::new(StringArray::from_iter_values(keys.iter().map(|key| of(&key.visit)))) as ArrayRef
    };
    let number = |of: &dyn Fn(usize) -> i64| Arc::new((0..keys.len()).map(of).collect::<Int64Array>()) as ArrayRef;
    Ok(RecordBatch::try_from_iter([
        ("key", number(&|key| key as i64)),
        ("org_id", text(|visit| &visit.org_id)),
        ("product_id", text(|visit| &visit.product_id)),
        ("visit", text(|visit| &visit.visit)),
        ("from_date", Arc::new(keys.iter().map(|key| Some(key.from_date)).collect::<Date32Array>())),
        ("from_us", number(&|key| range(key).0)),
        ("until_us", number(&|key| range(key).1)),
    ])?)
}

/// An instant as queries say it, µs.
fn instant(us: i64) -> String {
    format!("arrow_cast(CAST({us} AS BIGINT), 'Timestamp(Microsecond, Some(\"UTC\"))')")
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).with_context(|| format!("no column `{name}`"))
}

fn text_column(batch: &RecordBatch, name: &str) -> Result<StringArray> {
    Ok(arrow::compute::cast(column(batch, name)?, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn int_column(batch: &RecordBatch, name: &str) -> Result<Int64Array> {
    Ok(arrow::compute::cast(column(batch, name)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Rows of a batch that is written, about.
const WRITTEN_ROWS: usize = 8192;

/// Writes sessions to be opened again, for whoever repeats the epoch.
pub fn write_reopened(reopened: &[ReopenedSessions], to: &mut dyn Write) -> std::io::Result<()> {
    let schema = reopened_schema();
    let written = || -> Result<(), ArrowError> {
        let mut writer = StreamWriter::try_new(to, &schema)?;
        let mut rows = 0;
        let together = reopened.chunk_by(|one, _| {
            rows = if rows >= WRITTEN_ROWS { 0 } else { rows + one.events.num_rows() };
            rows < WRITTEN_ROWS && rows > 0
        });
        for keys in together {
            writer.write(&written_batch(&schema, keys)?)?;
        }
        writer.finish()
    };
    written().map_err(std::io::Error::other)
}

/// The events of some keys in one batch, which holds no text that is not theirs.
fn written_batch(schema: &SchemaRef, keys: &[ReopenedSessions]) -> Result<RecordBatch, ArrowError> {
    let events = arrow::compute::concat_batches(&event_in_flight(), keys.iter().map(|key| &key.events))?;
    let number = |of: fn(&ReopenedSessions) -> i64| -> ArrayRef {
        let of_rows = keys.iter().flat_map(|key| std::iter::repeat_n(of(key), key.events.num_rows()));
        Arc::new(of_rows.collect::<Int64Array>())
    };
    let own = |column: &ArrayRef| -> ArrayRef {
        match column.as_string_view_opt() {
            Some(texts) => Arc::new(texts.gc()),
            None => Arc::clone(column),
        }
    };
    let numbers = [number(|key| key.key as i64), number(|key| i64::from(key.sessions)), number(|key| key.closed_until)];
    RecordBatch::try_new(Arc::clone(schema), events.columns().iter().map(own).chain(numbers).collect())
}

/// Reads what [`write_reopened`] wrote.
pub fn read_reopened(from: impl Read) -> Result<Vec<ReopenedSessions>> {
    let mut reopened = Vec::new();
    for batch in StreamReader::try_new(from, None)? {
        let batch = batch?;
        let (key, sessions, closed_until) =
            (int_column(&batch, "key")?, int_column(&batch, "sessions")?, int_column(&batch, "closed_until")?);
        let events = RecordBatch::try_new(event_in_flight(), batch.columns()[..EVENT.len()].to_vec())?;
        let mut start = 0;
        for run in key.values().chunk_by(|a, b| a == b) {
            reopened.push(ReopenedSessions {
                key: usize::try_from(run[0])?,
                sessions: u32::try_from(sessions.value(start))?,
                closed_until: closed_until.value(start),
                events: events.slice(start, run.len()),
            });
            start += run.len();
        }
    }
    Ok(reopened)
}

fn reopened_schema() -> SchemaRef {
    let numbers =
        ["key", "sessions", "closed_until"].map(|name| Arc::new(Field::new(name, in_flight_type(Type::Int64), false)));
    Arc::new(Schema::new(event_in_flight().fields().iter().cloned().chain(numbers).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use netcrab_sources::generate::{GenerateSettings, Traffic};

    use super::*;

    #[test]
    fn what_is_opened_again_is_written_in_proportion_to_its_events_and_read_back() {
        let settings = GenerateSettings { events: 4000, batch_rows: 4000, ..GenerateSettings::default() };
        let events = Traffic::new(settings).unwrap().next().unwrap().unwrap();
        let reopened: Vec<ReopenedSessions> = (0..2000)
            .map(|key| ReopenedSessions {
                key,
                sessions: key as u32,
                closed_until: -(key as i64),
                events: events_of(&events.slice(key * 2, 2)).unwrap(),
            })
            .collect();
        let mut bytes = Vec::new();
        write_reopened(&reopened, &mut bytes).unwrap();
        assert!(bytes.len() < 4000 * 1000, "{} bytes for 4000 events", bytes.len());
        let back = read_reopened(bytes.as_slice()).unwrap();
        assert_eq!(back.len(), 2000);
        for (ours, theirs) in reopened.iter().zip(&back) {
            assert_eq!(
                (ours.key, ours.sessions, ours.closed_until),
                (theirs.key, theirs.sessions, theirs.closed_until)
            );
            let printed = |events: &RecordBatch| {
                arrow::util::pretty::pretty_format_batches(std::slice::from_ref(events)).unwrap().to_string()
            };
            assert_eq!(printed(&ours.events), printed(&theirs.events));
        }
    }

    #[test]
    fn a_repair_takes_on_so_many_keys_and_the_rest_waits() {
        let visit = |number: usize| Visit { org_id: "o".into(), product_id: "p".into(), visit: format!("{number:06}") };
        let late: LateKeys = (0..=KEYS_MAX).map(|number| (visit(number), 5)).collect();
        let (taken, waiting) = take_batch(&late);
        assert_eq!((taken.len(), waiting.clone()), (KEYS_MAX, LateKeys::from([(visit(KEYS_MAX), 5)])));
        assert_eq!(take_batch(&waiting), (waiting.clone(), LateKeys::new()));
        let mut both = taken;
        merge_late(&mut both, &LateKeys::from([(visit(0), 4), (visit(1), 6), (visit(KEYS_MAX), 7)]));
        assert_eq!((both[&visit(0)], both[&visit(1)], both[&visit(KEYS_MAX)]), (4, 5, 7));
    }
}
