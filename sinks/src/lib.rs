//! Where batches come to rest.
//!
//!     rows of a table, sorted ─▶ stage ─▶ files nobody sees ─▶ commit ─▶ the table's next version
//!
//! A run stages every table first and commits them at the end, so that an interrupted run leaves
//! the tables as they were. Committing is idempotent by run: a table that already holds a run's
//! rows is left alone.
//!
//! A stream stages in the same way and then applies: each of its transactions has a number, and a
//! table that has come as far already is left alone, so that a transaction may be applied again.
//!
//! [`memory`] is the reference; one contract suite (`tests/suite`) holds for every sink.

pub mod clickhouse;
pub mod delta;
pub mod memory;
mod parquet;
pub mod s3;
mod stats;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::error::ArrowError;
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use netcrab_schema::{Column, Fold, Table, Type};
use serde::{Deserialize, Serialize};

/// Names a run: the same input under the same rules is the same run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunId(String);

impl RunId {
    /// The run with this fingerprint.
    pub fn new(fingerprint: u128) -> Self {
        Self(format!("{fingerprint:032x}"))
    }

    /// The epoch of a shard with this fingerprint. The files of each shard are told by their names.
    pub fn of_shard(shard: u32, fingerprint: u128) -> Self {
        Self(format!("s{shard:04}-{fingerprint:032x}"))
    }

    /// What its files are named after.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which rows of a table a commit replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// None: the rows are added.
    Nothing,
    /// All of them.
    All,
    /// Those of these dates, in days since 1970, both included.
    Dates(i32, i32),
}

impl Replace {
    /// Whether rows of `date` are replaced.
    pub fn covers(self, date: i32) -> bool {
        match self {
            Replace::Nothing => false,
            Replace::All => true,
            Replace::Dates(from, to) => (from..=to).contains(&date),
        }
    }
}

/// Rows staged for one table.
#[derive(Debug, Clone, Default)]
pub struct Staged {
    /// Files, or batches of the memory sink.
    pub parts: Vec<Part>,
}

/// A staged part: rows of one date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Path within the table, as the log will name it.
    pub path: String,
    /// The date of its rows, in days since 1970; none where the table is not split by date.
    pub date: Option<i32>,
    /// How many rows.
    pub rows: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Per-file statistics of the Delta protocol, as JSON.
    pub stats: String,
    /// Whether its rows were in the table before, in other parts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
}

impl Staged {
    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// Which transaction of which writer changes a table; a writer numbers its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Who writes: the shard of a pipeline.
    pub writer: String,
    /// The number of the transaction, higher than that of any before.
    pub number: i64,
}

/// What one transaction of a stream changes in a table, said twice.
///
/// A sink that keeps parts takes `added` for `removed`. One that keeps rows and knows no parts writes the rows of
/// those added parts that are not [`Part::moved`], and takes out what the other fields say; to it compaction is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Staged parts that become the table's.
    pub added: Vec<Part>,
    /// Paths of parts that the table no longer has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Staged parts, of no table, with the rows that leave; only where a sink that keeps rows is told of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Part>,
    /// Days of products, by org_id and product_id, of which the writer's rows before this transaction leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anew: Vec<(String, String, i32)>,
    /// Staged parts, of no table, with rows of those days that the table keeps; only where `lost` is told too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<Part>,
    /// The writer's rows of earlier dates leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_before: Option<i32>,
}

impl Change {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// Adds what another change of the same transaction does.
    pub fn add(&mut self, other: Change) {
        self.added.extend(other.added);
        self.removed.extend(other.removed);
        self.lost.extend(other.lost);
        self.anew.extend(other.anew);
        self.again.extend(other.again);
        self.expired_before = self.expired_before.max(other.expired_before);
    }

    /// Every part that was staged for it, those of no table too: they must last until it is made.
    pub fn staged(&self) -> impl Iterator<Item = &Part> {
        self.added.iter().chain(&self.lost).chain(&self.again)
    }

    /// The parts whose rows the table did not have before.
    pub fn new_parts(&self) -> impl Iterator<Item = &Part> {
        self.added.iter().filter(|part| !part.moved)
    }
}

/// The same rows with every sum below zero, so that they take others out; rows that do not add up stay as they are.
pub fn below_zero(table: &Table, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |(column, values): (&Column, &ArrayRef)| -> ArrayRef {
        if table.fold(column.name) != Some(Fold::Sum) {
            return Arc::clone(values);
        }
        // A zero stays the zero it is.
        match column.kind {
            Type::Float64 => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(|sum| 0.0 - sum)),
            _ => Arc::new(values.as_primitive::<Int64Type>().unary::<_, Int64Type>(|sum| -sum)),
        }
    };
    let columns = table.columns().zip(rows.columns()).map(column).collect();
    RecordBatch::try_new(rows.schema(), columns)
}

/// Something that keeps tables.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Writes `rows`, sorted by date, where readers do not see them yet.
    async fn stage(&self, table: &'static Table, run: &RunId, rows: SendableRecordBatchStream)
    -> Result<Staged, Error>;

    /// Makes staged rows the table's, in place of those that `replace` names, in one transaction.
    /// Returns false, and changes nothing, where the table already holds this run.
    async fn commit(
        &self,
        table: &'static Table,
        run: &RunId,
        staged: &Staged,
        replace: Replace,
    ) -> Result<bool, Error>;

    /// Makes staged parts safe from a power cut, so that a later [`Self::apply`] finds them.
    async fn keep(&self, table: &'static Table, staged: &Staged) -> Result<(), Error>;

    /// Makes a change in one transaction, safe from a power cut when this returns. Returns false, and
    /// changes nothing, where the table has come to `position` already.
    async fn apply(&self, table: &'static Table, position: &Position, change: &Change) -> Result<bool, Error>;

    /// The number of the last transaction of `writer` that the table holds.
    async fn position(&self, table: &'static Table, writer: &str) -> Result<Option<i64>, Error>;

    /// Removes what an interrupted or superfluous stage left behind.
    async fn discard(&self, table: &'static Table, staged: &Staged) -> Result<(), Error>;

    /// Whether the table already holds this run.
    async fn holds(&self, table: &'static Table, run: &RunId) -> Result<bool, Error>;

    /// Whether the table exists and has rows.
    async fn has_rows(&self, table: &'static Table) -> Result<bool, Error>;
}

/// Why rows could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator must act.
    #[error(
        "no space left for `{table}` in {place}; free some space and run the same command again, nothing was changed"
    )]
    Full {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
    },
    /// The operator must act.
    #[error(
        "`{table}` cannot be written in {place}: permission denied; choose another --tables folder or make this one writable"
    )]
    ReadOnly {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
    },
    /// The operator must act.
    #[error("`{table}` in {place} has another schema; move it away, or use the release of netcrab that wrote it")]
    Schema {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
    },
    /// Rows that were read are not those of a table.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// The operator must act.
    #[error("ClickHouse: {reason}; {mend}")]
    ClickHouseRefuses {
        /// What is wrong.
        reason: String,
        /// What to do about it.
        mend: &'static str,
    },
    /// A retry may help.
    #[error("ClickHouse: {doing} failed")]
    ClickHouse {
        /// What was being done.
        doing: String,
        /// What went wrong.
        #[source]
        source: Box<::clickhouse::error::Error>,
    },
    /// Reading the rows to be kept went wrong.
    #[error(transparent)]
    Rows(#[from] datafusion::error::DataFusionError),
    /// The Delta log could not be read or written.
    #[error("the Delta log of `{table}` in {place} could not be used")]
    Delta {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
        /// What went wrong.
        #[source]
        source: Box<deltalake::DeltaTableError>,
    },
    /// The operator must act, or a retry helps.
    #[error("`{table}` in {place} could not be reached; {mend}")]
    Store {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
        /// What to do.
        mend: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be written.
    #[error("a file of `{table}` in {place} could not be written")]
    File {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
