//! The closed sessions of late keys, read from fact_sessions.

use arrow::array::AsArray;
use arrow::datatypes::Date32Type;
use netcrab_operators::sessionize::streaming::closes_at;
use netcrab_schema::Table;
use netcrab_schema::session_key::session_or_user_sql;
use netcrab_schema::tables::FACT_SESSIONS;
use netcrab_sinks::StagedFile;

use super::columns::{column, int_column, text_column};
use super::late::{LateKey, late_batch};
use crate::error::Result;
use crate::stream::maintenance_context::{MaintenanceContext, ProductDay};
use crate::stream::table_files::TableFiles;

/// A closed session of a late key.
pub(super) struct ClosedSession {
    pub(super) key: usize,
    pub(super) session_key: String,
    pub(super) owner: (String, String),
    pub(super) date: i32,
    pub(super) session_no: i64,
    pub(super) start_ms: i64,
    /// The watermark at which it closed, ms.
    pub(super) closes_at: i64,
}

impl ClosedSession {
    /// Whether a late event of `key` may belong to this session, or to one before it.
    pub(super) fn may_contain(&self, key: &LateKey) -> bool {
        self.closes_at > key.since_ms
    }

    /// The product and the day of the session.
    pub(super) fn day(&self) -> ProductDay<'_> {
        (&self.owner.0, &self.owner.1, self.date)
    }
}

/// The closed sessions of the keys since the day before `from_date` of each, by key and number.
pub(super) async fn closed_sessions(context: &MaintenanceContext<'_>, keys: &[LateKey]) -> Result<Vec<ClosedSession>> {
    let Some(first) = keys.iter().map(|key| key.from_date - 1).min() else { return Ok(Vec::new()) };
    let parts = since(context.files, &FACT_SESSIONS, first);
    let Some(sessions) = context.rows(&FACT_SESSIONS, &parts).await? else { return Ok(Vec::new()) };
    context.register("sessions", sessions)?;
    context.register_batch("late", late_batch(keys, |_| (0, 0))?)?;
    let query = format!(
        "
        SELECT late.key, s.session_key, s.org_id, s.product_id, s.date, s.session_no,
               CAST(s.start_ts AS BIGINT) AS start_us, CAST(s.end_ts AS BIGINT) AS end_us
        FROM sessions AS s
        JOIN late ON late.org_id = s.org_id AND late.product_id = s.product_id
            AND late.session_or_user = {}
        WHERE s.date >= late.from_date - 1
        ORDER BY late.key, s.session_no",
        session_or_user_sql("s")
    );
    let mut closed = Vec::new();
    for batch in context.session.sql(&query).await?.collect().await? {
        let text = |name: &str| text_column(&batch, name);
        let number = |name: &str| int_column(&batch, name);
        let (session_key, org_id, product_id) = (text("session_key")?, text("org_id")?, text("product_id")?);
        let (key, session_no, start, end) =
            (number("key")?, number("session_no")?, number("start_us")?, number("end_us")?);
        let date = column(&batch, "date")?.as_primitive::<Date32Type>().clone();
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

/// The files of a table since a date.
pub(super) fn since<'a>(files: &'a TableFiles, table: &Table, from: i32) -> Vec<&'a StagedFile> {
    files.of(table).filter(|(date, _)| date.is_some_and(|date| date >= from)).flat_map(|(_, parts)| parts).collect()
}
