//! What may leave as a pack, and only how: the one place to audit.
//!
//!     definition (YAML) ─▶ Plan: noise scales and thresholds, out of public numbers alone
//!                            │
//!     contributions ─▶ bound ─▶ tallies by cell and organisation ─▶ gate ─▶ released cells ─▶ files
//!                      per unit      capped per organisation         │
//!                                                                    └▶ what was spent, what was left out
//!
//! Nothing here reads a table, a clock or a file: rows come in as [`Contribution`]s, and what leaves is a
//! [`Release`]. The rules are docs/packs.md.

pub mod bound;
pub mod definition;
pub mod estimate;
pub mod gate;
pub mod method;
pub mod noise;
mod packed;
pub mod plan;
pub mod release;
pub mod rows;
pub mod tallies;
pub mod tally;
mod yaml;

pub use bound::Contribution;
pub use definition::{Definition, Kind};
pub use gate::open;
pub use plan::Plan;
pub use release::Release;
