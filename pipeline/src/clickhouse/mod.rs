//! The rows of the Delta tables in ClickHouse: copied there, and compared.

pub mod backfill;
pub mod verify;
