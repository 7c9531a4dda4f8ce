//! What `serve`, `ingest` and `process` are made of: each takes the pieces that it runs in its process.
//!
//!     serve    = bus + processor + API
//!     ingest   = bus + the API's ingestion
//!     process  = bus + processor, and the API where it is to listen

pub(super) mod bus;
pub(super) mod clickhouse;
pub(super) mod keys;
pub(super) mod processor;
pub(super) mod rejects;
pub(super) mod rules;
pub(super) mod signals;
pub(super) mod tables_api;
