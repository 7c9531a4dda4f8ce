//! The program as its users meet it.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod bad_input;
mod bucket;
mod clickhouse;
mod command_line;
mod completions;
mod config;
#[path = "../../../sources/tests/suite/example_files.rs"]
mod example_files;
mod identity;
mod incremental;
#[cfg(feature = "kafka")]
mod kafka;
mod kills;
mod no_event;
#[path = "../../../sinks/tests/suite/proxy.rs"]
mod proxy;
mod real_data;
mod rejects;
mod rerun;
#[path = "../../../sinks/tests/suite/s3.rs"]
mod s3;
mod serve;
#[path = "../../../sinks/tests/suite/server.rs"]
mod server;
mod sql;
mod stream;
mod stream_repair;
mod table_sources;
#[path = "../../../bus/tests/suite/test_server.rs"]
mod test_server;

use test_server::skipped;
