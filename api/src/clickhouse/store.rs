//! Runs statements on the server, and polls the status of its tables.

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use arrow::array::RecordBatch;
use netcrab_schema::Table;
use netcrab_schema::clickhouse::rows_table;
use netcrab_schema::tables::{
    DIM_RELEASES, EVENTS_SESSIONIZED, FACT_FLOWS, FACT_INCIDENTS, FACT_SCREEN_HOTSPOTS, FACT_SESSIONS,
};
use netcrab_sinks::clickhouse::ClickHouse;
use tokio::task::AbortHandle;

use super::statements::{Params, Sql};
use crate::store::{Columns, StoreError, TableState, TableStatus};

/// The tables that are read.
static READ: [&Table; 6] =
    [&EVENTS_SESSIONIZED, &FACT_SESSIONS, &FACT_INCIDENTS, &FACT_SCREEN_HOTSPOTS, &FACT_FLOWS, &DIM_RELEASES];

/// How often the status of the tables is polled.
const POLL_EVERY: Duration = Duration::from_secs(5);

/// The store over tables in ClickHouse.
pub struct ClickHouseStore {
    inner: Arc<Inner>,
    polling: AbortHandle,
}

struct Inner {
    server: ClickHouse,
    tables: RwLock<Vec<TableStatus>>,
}

impl ClickHouseStore {
    /// A store over the tables on `server`, which need not exist yet.
    pub async fn open(server: ClickHouse) -> Self {
        let inner = Arc::new(Inner { server, tables: RwLock::new(Vec::new()) });
        inner.poll().await;
        let polling = tokio::spawn(poll(Arc::downgrade(&inner))).abort_handle();
        Self { inner, polling }
    }

    /// Runs a statement. Gives the batches that have rows.
    ///
    /// # Errors
    ///
    /// [`StoreError::Query`] where no host answers, or one refuses the statement.
    pub(super) async fn ask(&self, sql: Sql, params: &Params) -> Result<Vec<RecordBatch>, StoreError> {
        let answer = self.inner.server.rows_now(sql.text, params).await;
        let answer = answer.map_err(|error| StoreError::Query { query: sql.name, source: Box::new(error) })?;
        Ok(answer.batches.into_iter().filter(|batch| batch.num_rows() > 0).collect())
    }

    pub(super) fn statuses(&self) -> Vec<TableStatus> {
        self.inner.tables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ClickHouseStore {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

async fn poll(store: Weak<Inner>) {
    while let Some(inner) = store.upgrade() {
        inner.poll().await;
        drop(inner);
        tokio::time::sleep(POLL_EVERY).await;
    }
}

impl Inner {
    /// Reads the status of the tables.
    async fn poll(&self) {
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
                cached_bytes: 0,
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
