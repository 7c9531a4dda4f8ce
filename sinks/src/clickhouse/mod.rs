//! Tables in ClickHouse.
//!
//!     staged Parquet ─▶ chunks of Arrow ─▶ INSERT, named table/writer/number/part/chunk ─▶ fact_sessions_rows
//!                                                                                   └─▶ netcrab_positions
//!
//! Rows are only ever added: those that leave are followed by a row with the same key that says so, and sums by
//! their negative (`netcrab_schema::clickhouse`). So a transaction that is done again, wholly or in part, leaves the
//! same rows: an insert whose answer got lost has the same name the second time, and the server drops it.
//! Days of sums that are made anew, and days that expire, are deleted first, by writer and by epoch; what the
//! same transaction has inserted stays.
//!
//! What may pass by itself (no connection, a time-out, an overloaded server) is tried again for ever, with longer
//! and longer pauses and on the next host each time. What needs the operator is an error that names the mend.

mod ask;
mod insert;
mod settings;
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use netcrab_schema::clickhouse::{self as ddl, POSITIONS};
use netcrab_schema::{Engine, Table};

pub use ask::Answer;
pub use settings::Settings;

use crate::delta::DeltaSink;
use crate::{Change, Error, Position, Replace, RunId, Sink, Staged};

/// A ClickHouse server, or several that hold the same tables.
#[derive(Clone)]
pub struct ClickHouse {
    hosts: Arc<[::clickhouse::Client]>,
    settings: Arc<Settings>,
    /// The host that is asked first.
    first: Arc<AtomicUsize>,
}

impl std::fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClickHouse").field("hosts", &self.settings.hosts).finish_non_exhaustive()
    }
}

impl ClickHouse {
    /// The servers that `settings` name; nothing is asked of them yet.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        settings.check()?;
        let hosts = settings.hosts.iter().map(|host| settings.client(host));
        Ok(Self { hosts: hosts.collect(), settings: Arc::new(settings.clone()), first: Arc::default() })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes a change whose parts were staged in the folder of `staged`. Whoever asks for it again asks for the same,
    /// and before `position` is noted ([`Self::note`]) or any later change is made.
    pub async fn write(
        &self,
        table: &'static Table,
        shard: u32,
        position: &Position,
        change: &Change,
        staged: &DeltaSink,
    ) -> Result<(), Error> {
        let rows = ddl::rows_table(table);
        if matches!(table.engine, Engine::Fold(_)) {
            for (org_id, product_id, date) in &change.anew {
                let which = "org_id = {org:String} AND product_id = {product:String} AND date = toDate32({date:Int32}) \
                             AND shard = {shard:UInt32} AND epoch < {epoch:UInt64}";
                let params = [
                    ("org", org_id.clone()),
                    ("product", product_id.clone()),
                    ("date", date.to_string()),
                    ("shard", shard.to_string()),
                    ("epoch", position.number.to_string()),
                ];
                self.execute(&format!("DELETE FROM {rows} WHERE {which}"), &params).await?;
            }
        }
        if let Some(date) = change.expired_before.filter(|_| table.by_date) {
            let params = [("date", date.to_string()), ("shard", shard.to_string())];
            let which = "date < toDate32({date:Int32}) AND shard = {shard:UInt32}";
            self.execute(&format!("DELETE FROM {rows} WHERE {which}"), &params).await?;
        }
        let written = insert::Written { table, shard, position };
        for part in &change.lost {
            self.insert(&written, part, true, staged).await?;
        }
        for part in change.new_parts().chain(&change.again) {
            self.insert(&written, part, false, staged).await?;
        }
        Ok(())
    }

    /// Notes how far a writer has come.
    pub async fn note(&self, table: &'static Table, position: &Position) -> Result<(), Error> {
        let params = [
            ("table", table.name.to_owned()),
            ("writer", position.writer.clone()),
            ("number", position.number.to_string()),
        ];
        let insert = format!("INSERT INTO {POSITIONS} SELECT {{table:String}}, {{writer:String}}, {{number:Int64}}");
        self.execute(&insert, &params).await
    }

    /// The number of the last transaction of `writer` that the table holds.
    pub async fn position(&self, table: &'static Table, writer: &str) -> Result<Option<i64>, Error> {
        let params = [("table", table.name.to_owned()), ("writer", writer.to_owned())];
        let query = format!(
            "SELECT count() AS n, max(number) AS number FROM {POSITIONS} WHERE table = {{table:String}} AND writer = {{writer:String}}"
        );
        let answer = self.rows(&query, &params).await?;
        Ok((answer.number("n")? > 0).then_some(answer.number("number")?))
    }

    /// Whether the table has rows that hold.
    pub async fn has_rows(&self, table: &'static Table) -> Result<bool, Error> {
        let question = format!("SELECT count() AS n FROM (SELECT 1 FROM {} LIMIT 1)", table.name);
        Ok(self.rows(&question, &[]).await?.number("n")? > 0)
    }
}

/// ClickHouse as a sink of its own; what is staged lies in a folder of Delta tables until it is inserted.
#[derive(Debug, Clone)]
pub struct ClickHouseSink {
    server: ClickHouse,
    staging: DeltaSink,
}

impl ClickHouseSink {
    /// Tables on `server`, which were prepared there; `staging` is for nothing else.
    pub fn new(server: ClickHouse, staging: DeltaSink) -> Self {
        Self { server, staging }
    }
}

/// A name that no other try has.
fn unique() -> String {
    static TRIES: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{}", now.as_nanos(), std::process::id(), TRIES.fetch_add(1, Ordering::Relaxed))
}

/// The shard of rows that no shard wrote: those of runs.
const NO_SHARD: u32 = u32::MAX;

#[async_trait]
impl Sink for ClickHouseSink {
    async fn stage(
        &self,
        table: &'static Table,
        run: &RunId,
        rows: SendableRecordBatchStream,
    ) -> Result<Staged, Error> {
        self.staging.stage(table, run, rows).await
    }

    async fn commit(
        &self,
        table: &'static Table,
        run: &RunId,
        staged: &Staged,
        replace: Replace,
    ) -> Result<bool, Error> {
        if self.holds(table, run).await? {
            return Ok(false);
        }
        self.server.delete(table, replace).await?;
        let position = Position { writer: run.as_str().to_owned(), number: 1 };
        // What an interrupted try inserted was just deleted, and the server would take it for inserted by its name.
        let replaces = replace != Replace::Nothing;
        let named = if replaces { format!("{}/{}", run.as_str(), unique()) } else { run.as_str().to_owned() };
        let named = Position { writer: named, ..position.clone() };
        let written = insert::Written { table, shard: NO_SHARD, position: &named };
        for part in &staged.parts {
            self.server.insert(&written, part, false, &self.staging).await?;
        }
        self.server.note(table, &position).await?;
        Ok(true)
    }

    async fn keep(&self, table: &'static Table, staged: &Staged) -> Result<(), Error> {
        self.staging.keep(table, staged).await
    }

    async fn apply(&self, table: &'static Table, position: &Position, change: &Change) -> Result<bool, Error> {
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

    async fn discard(&self, table: &'static Table, staged: &Staged) -> Result<(), Error> {
        self.staging.discard(table, staged).await
    }

    async fn holds(&self, table: &'static Table, run: &RunId) -> Result<bool, Error> {
        Ok(self.server.position(table, run.as_str()).await?.is_some())
    }

    async fn has_rows(&self, table: &'static Table) -> Result<bool, Error> {
        self.server.has_rows(table).await
    }
}
