//! Tables in ClickHouse.
//!
//!     staged Parquet ─▶ chunks of Arrow ─▶ INSERT, named table/writer/number/file/chunk ─▶ fact_sessions_rows
//!                                                                                   └─▶ netcrab_positions
//!
//! Rows are only ever added. A row that is deleted is followed by a row with the same key that says so, and a sum by its
//! negative (`netcrab_schema::clickhouse`). So a transaction that is repeated, wholly or in part, leaves the same rows:
//! an insert whose answer got lost has the same name the second time, and the server drops it. The rows of recomputed
//! days and of expired days are deleted first, by writer and by epoch; rows of the same transaction stay.
//!
//! A request that fails for a passing reason (no connection, a time-out, an overloaded server) is retried for ever, on
//! the next host each time and with longer and longer pauses. A failure that needs the operator is an error that says
//! what to do.

mod answer;
mod client;
mod insert;
mod retry;
mod settings;
mod sink;
mod tables;
mod write;

pub use answer::Answer;
pub use client::ClickHouse;
pub use settings::ClickHouseSettings;
pub use sink::ClickHouseSink;
