//! One contract for every sink.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod clickhouse;
mod contract;
mod delta;
mod proxy;
mod s3;
mod server;
#[path = "../../../bus/tests/suite/test_server.rs"]
mod test_server;
mod vacuum;
