//! Puts the stages together and runs them: the binary `netcrab`.
//!
//!     config ─▶ source ─▶ run ─▶ tables
//!                  events_exec      sinks
//!
//! Invariant: this is the only crate that knows the clock, signals and threads.

pub mod config;
pub mod copy;
pub mod events_exec;
pub mod packs;
pub mod progress;
pub mod rerun;
pub mod run;
pub mod stream;
pub mod tables;
