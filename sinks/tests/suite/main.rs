//! One contract for every sink.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod clickhouse;
mod contract;
mod delta;
#[path = "../../../bus/tests/suite/kept.rs"]
mod kept;
mod proxy;
mod s3;
mod server;
mod tidy;
