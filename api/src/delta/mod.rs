//! The store over Delta tables, read through DataFusion.
//!
//!     logs ─▶ follower, every `refresh_ms` ─▶ snapshot ─▶ swapped in whole
//!     request ─▶ snapshot ─▶ cache in memory: sums over slices       (no filter, or version only)
//!                        └─▶ files: a query on threads of its own    (filters, lists, sessions)
//!
//! Invariant: a request sees one snapshot and reads no log. Invariant: a Delta table has one row for each key. A sink
//! that writes a session again replaces its rows, so this store does not resolve `row_version`.

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
