//! Stores of tables.
//!
//!     rows of a table, sorted ─▶ stage ─▶ files that no table references ─▶ commit ─▶ the table's next version
//!
//! A run stages every table first and commits them at the end, so that an interrupted run leaves the tables as they
//! were. Committing is idempotent by run: a table that already holds a run's rows is left alone.
//!
//! A stream stages in the same way and then applies. Each of its transactions has a number, and a table that already
//! has a transaction is left alone, so a transaction may be applied again.
//!
//! | file | what it holds |
//! |---|---|
//! | `sink.rs` | the trait; [`memory`] is the reference, and one contract suite (`tests/suite`) holds for every sink |
//! | `staged.rs`, `change.rs` | what travels: staged files, and a transaction's change of a table |
//! | `parquet/`, `stats.rs` | rows into Parquet files and their statistics |
//! | `delta/`, `s3.rs` | Delta tables, on a disk or in a bucket |
//! | `clickhouse/` | tables in ClickHouse |

mod change;
pub mod clickhouse;
pub mod delta;
mod error;
mod file_fault;
pub mod memory;
mod parquet;
pub mod s3;
mod sink;
mod staged;
mod stats;

pub use change::{Position, TableChange, mark_of, negated_sums};
pub use error::Error;
pub use sink::Sink;
pub use staged::{Replace, RunId, StagedFile, StagedTable};
