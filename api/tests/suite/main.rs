//! The API over small Delta tables, requested through its router as by a client.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod access;
mod clickhouse;
mod contract;
mod filters;
mod ingest;
mod insights;
#[path = "../../../bus/tests/suite/kept.rs"]
mod kept;
mod operations;
mod paging;
mod problems;
#[path = "../../../sinks/tests/suite/server.rs"]
mod server;
mod speed;
mod world;
