//! Puts the stages together and runs them: the binary `netcrab`.
//!
//!     config ─▶ source ─▶ run ─▶ tables
//!                  events_exec      sinks
//!
//! Invariant: this is the only crate that knows the clock, signals and threads.

pub mod checkpoints;
pub mod clickhouse;
pub mod config;
pub mod error;
pub mod packs;
pub mod plans;
pub mod progress;
pub mod rerun;
pub mod run;
pub mod stream;
pub mod tables;
