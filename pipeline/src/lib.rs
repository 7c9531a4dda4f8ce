//! Puts the stages together and runs them: the library behind the binary `netcrab`.
//!
//! | module | what it does |
//! |---|---|
//! | `run`, `rerun` | files into tables; days recomputed |
//! | `stream` | the bus into tables, epoch by epoch |
//! | `checkpoints` | manifests and state files of the epochs |
//! | `plans` | leaf, order, memory and staging that run, stream and packs share |
//! | `packs` | builds of packs, their files and tables |
//! | `clickhouse` | backfill and verify |
//! | `rejects` | the rejects of earlier runs, kept until their files are run again |
//! | `tables` | the tables as a DataFusion session |
//! | `delta_log` | a Delta table as a source |
//! | `config` | the settings |
//!
//! Invariant: this is the only crate that knows the clock, signals and threads.

pub mod checkpoints;
pub mod clickhouse;
pub mod config;
pub mod delta_log;
pub mod error;
pub mod packs;
pub mod plans;
pub mod progress;
mod rejects;
pub mod rerun;
pub mod run;
pub mod run_summary;
pub mod stream;
pub mod tables;
