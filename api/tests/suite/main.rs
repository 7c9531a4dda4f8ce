//! The API over small Delta tables, requested through its router as by a client.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod access;
mod clickhouse;
mod contract;
mod filters;
mod ingest;
mod insights;
mod operations;
mod paging;
mod problems;
#[path = "../../../sinks/tests/suite/server.rs"]
mod server;
mod speed;
#[path = "../../../bus/tests/suite/test_server.rs"]
mod test_server;
mod world;
