//! Delta tables of Parquet files, on a disk or in a bucket.
//!
//!     DIR/fact_sessions/_delta_log/00000000000000000003.json
//!     DIR/fact_sessions/date=2026-10-01/part-00000-….parquet
//!
//! A table changes in one transaction for each run, or for each epoch of a shard, with the run or the shard as its
//! application transaction. So a table knows which runs and epochs it has.
//!
//! | file | what it holds |
//! |---|---|
//! | `tables.rs` | [`DeltaSink`]: the tables of one folder, opened and created |
//! | `read.rs` | the files of a table, and the rows of a file |
//! | `commit.rs` | the two transactions: of a run, and of an epoch |
//! | `sink.rs` | the trait, on top of these |
//! | `vacuum.rs` | removing files that no version references any more |

mod commit;
mod fsync;
mod read;
mod schema;
mod sink;
mod tables;
mod vacuum;

pub use read::Rows;
pub use tables::DeltaSink;
pub use vacuum::Vacuumed;
