//! Sums up what sessions contribute: hotspots, flows and dimensions.
//!
//!     {…, screens: [checkout 1 visit]}
//!     {…, screens: [checkout 2 visits]}  ─▶  checkout  3 visits
//!
//! Input   session batches out of `aggregate`
//! Output  the rows of one table, one for each key, sorted by date and key
//! State   one row for each key, in memory and counted against the memory pool
//!
//! Sums are whole numbers (scores in units of 2⁻⁴⁰), so their order does not matter.

mod exec;
pub mod tables;
pub mod totals;

pub use exec::RollUpExec;
pub use tables::{FLOWS, HOTSPOTS, RELEASES, RollUp, TASK_TYPES};
pub use totals::Totals;
