//! The stages of the flow, over Arrow batches.
//!
//!     events ─▶ sessionize ─▶ detect ─▶ aggregate ─▶ sessions, incidents, tasks
//!                                                └─▶ roll up ─▶ hotspots, flows, dimensions
//!
//! What travels between the stages is a *session batch* ([`session`]): one row for each closed
//! session, with its events, incidents and facts as nested columns. Every stage adds columns and
//! is a pure function of a session; only `sessionize` looks across batches.
//!
//! Kernels are plain functions over slices. Each stage wraps its kernels in a thin operator (an `ExecutionPlan`), so
//! that `EXPLAIN ANALYZE` shows the stage with rows, time and memory.
//!
//! Invariant: nothing here reads a clock, draws a random number, or opens a file or a sink other than spill files.

pub mod aggregate;
pub mod chain;
pub mod detect;
pub mod flatten;
pub mod roll_up;
pub mod rules;
pub mod session;
pub mod sessionize;
pub mod share;
pub mod sort;
mod stage;
pub mod symbols;
pub mod table_order;
