//! The events that a repair opens again: those of the retracted sessions, and the late ones.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, lexsort_to_indices, sort_to_indices, take_record_batch};
use arrow::datatypes::DataType;
use netcrab_operators::session::DAY_MS;
use netcrab_schema::events::EVENT;
use netcrab_schema::session_key::session_or_user_sql;
use netcrab_schema::tables::EVENTS_RAW;

use super::closed::{ClosedSession, since};
use super::columns::{column, int_column};
use super::late::{LateKey, late_batch};
use super::reopened_file::{ReopenedSessions, WRITTEN_ROWS};
use crate::error::{Error, Result};
use crate::plans::event_columns::in_flight_events;
use crate::stream::maintenance_context::MaintenanceContext;

/// For each key what remains closed, and the events to open again.
pub(super) async fn reopened(
    context: &MaintenanceContext<'_>,
    keys: &[LateKey],
    closed: &[ClosedSession],
) -> Result<Vec<ReopenedSessions>> {
    let mut remains = Vec::with_capacity(keys.len());
    let mut ranges = Vec::with_capacity(keys.len());
    for (number, key) in keys.iter().enumerate() {
        let of_key = || closed.iter().filter(|closed| closed.key == number);
        let first = of_key().find(|closed| closed.may_contain(key));
        let before = of_key().rfind(|closed| !closed.may_contain(key));
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
    let parts = since(context.files, &EVENTS_RAW, i32::try_from(from_us.div_euclid(1000 * DAY_MS)).unwrap_or(i32::MIN));
    let Some(events) = context.rows(&EVENTS_RAW, &parts).await? else { return Ok(Vec::new()) };
    context.register("events", events)?;
    context.register_batch("late", late_batch(keys, |number| ranges[number])?)?;
    let columns: Vec<String> = EVENT.iter().map(|column| format!("e.{}", column.name)).collect();
    let query = format!(
        "SELECT {}, late.key FROM events AS e
         JOIN late ON late.org_id = e.org_id AND late.product_id = e.product_id
             AND late.session_or_user = {}
         WHERE CAST(e.ts AS BIGINT) >= late.from_us AND CAST(e.ts AS BIGINT) < late.until_us
             AND e.ts >= {} AND e.ts <= {}",
        columns.join(", "),
        session_or_user_sql("e"),
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

/// The events of some keys as slices of one batch, which share its dictionaries. Dictionaries of each key would take a
/// hundred times the memory of its events.
fn share_dictionaries(
    keys: &[(usize, RecordBatch)],
    remains: &[(u32, i64)],
    reopened: &mut Vec<ReopenedSessions>,
) -> Result<()> {
    let Some((_, first)) = keys.first() else { return Ok(()) };
    let events =
        in_flight_events(&arrow::compute::concat_batches(&first.schema(), keys.iter().map(|(_, events)| events))?)?;
    let mut start = 0;
    for (key, of_key) in keys {
        let (sessions, closed_until) = remains[*key];
        let events = events.slice(start, of_key.num_rows());
        start += of_key.num_rows();
        reopened.push(ReopenedSessions { key: *key, sessions, closed_until, events });
    }
    Ok(())
}

/// Sorts events by ts, event_id and received_at: the same order whatever files they come from.
fn in_order(events: &RecordBatch) -> Result<RecordBatch> {
    let by = ["ts", "event_id", "received_at"].map(|name| {
        let values = arrow::compute::cast(column(events, name)?, &comparable(column(events, name)?.data_type()))?;
        Ok::<_, Error>(SortColumn { values, options: None })
    });
    let by = by.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(take_record_batch(events, &lexsort_to_indices(&by, None)?)?)
}

/// The value type of a dictionary, which sorts by value; other types as they are.
fn comparable(kind: &DataType) -> DataType {
    match kind {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    }
}

/// A timestamp in µs as a SQL expression.
fn instant(us: i64) -> String {
    format!("arrow_cast(CAST({us} AS BIGINT), 'Timestamp(Microsecond, Some(\"UTC\"))')")
}
