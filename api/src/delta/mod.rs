//! The tables in Delta, read through DataFusion.
//!
//!     logs ─▶ follower, every `refresh_ms` ─▶ snapshot ─▶ swapped in whole
//!     request ─▶ snapshot ─▶ held in memory: sums over slices     (no filter, or version)
//!                        └─▶ files: a query on threads of its own (filters, lists, sessions)
//!
//! Invariant: a request sees one snapshot and reads no log. Invariant: a Delta table holds one
//! row for each key: a sink that writes a session again replaces its rows, so `row_version` is
//! not resolved here.

mod cache;
mod files;
mod insights;
mod limits;
mod log;
mod query;
mod snapshot;
mod statements;
mod store;

pub use limits::DeltaLimits;
pub use store::DeltaStore;
