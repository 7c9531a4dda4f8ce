//! The trait [`Sink`] for tables in ClickHouse.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use netcrab_schema::Table;

use super::client::ClickHouse;
use super::insert::InsertContext;
use crate::change::{Position, TableChange};
use crate::delta::DeltaSink;
use crate::error::Error;
use crate::sink::Sink;
use crate::staged::{Replace, RunId, StagedTable};

/// ClickHouse as a sink. Staged files lie in a folder of Delta tables until they are inserted.
#[derive(Debug, Clone)]
pub struct ClickHouseSink {
    server: ClickHouse,
    staging: DeltaSink,
}

impl ClickHouseSink {
    /// Tables on `server`, where [`ClickHouse::prepare`] was run; nothing else may use the folder of `staging`.
    pub fn new(server: ClickHouse, staging: DeltaSink) -> Self {
        Self { server, staging }
    }
}

/// A name that no other try has, in no process.
fn unique() -> String {
    static TRIES: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{}", now.as_nanos(), std::process::id(), TRIES.fetch_add(1, Ordering::Relaxed))
}

/// The shard of rows that a run wrote.
const NO_SHARD: u32 = u32::MAX;

#[async_trait]
impl Sink for ClickHouseSink {
    async fn stage(
        &self,
        table: &'static Table,
        run: &RunId,
        rows: SendableRecordBatchStream,
    ) -> Result<StagedTable, Error> {
        self.staging.stage(table, run, rows).await
    }

    async fn commit(
        &self,
        table: &'static Table,
        run: &RunId,
        staged: &StagedTable,
        replace: Replace,
    ) -> Result<bool, Error> {
        if self.holds(table, run).await? {
            return Ok(false);
        }
        self.server.delete(table, replace).await?;
        let position = Position { writer: run.as_str().to_owned(), number: 1, marks: Vec::new() };
        // Rows of an interrupted try were just deleted, but the server still knows their inserts by name and would drop
        // the repeats. So each try that replaces rows has names of its own.
        let replaces = replace != Replace::Nothing;
        let named = if replaces { format!("{}/{}", run.as_str(), unique()) } else { run.as_str().to_owned() };
        let named = Position { writer: named, ..position.clone() };
        let context = InsertContext { table, shard: NO_SHARD, position: &named };
        for file in &staged.files {
            self.server.insert(&context, file, false, &self.staging).await?;
        }
        self.server.note(table, &position).await?;
        Ok(true)
    }

    async fn sync(&self, table: &'static Table, staged: &StagedTable) -> Result<(), Error> {
        self.staging.sync(table, staged).await
    }

    async fn apply(&self, table: &'static Table, position: &Position, change: &TableChange) -> Result<bool, Error> {
        if self.position(table, &position.writer).await?.is_some_and(|number| number >= position.number) {
            return Ok(false);
        }
        self.server.write(table, NO_SHARD, position, change, &self.staging).await?;
        self.server.note(table, position).await?;
        Ok(true)
    }

    async fn position(&self, table: &'static Table, writer: &str) -> Result<Option<i64>, Error> {
        self.server.position(table, writer).await
    }

    async fn discard(&self, table: &'static Table, staged: &StagedTable) -> Result<(), Error> {
        self.staging.discard(table, staged).await
    }

    async fn has_rows(&self, table: &'static Table) -> Result<bool, Error> {
        self.server.has_rows(table).await
    }
}
