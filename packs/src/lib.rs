//! What a pack may release: the one crate to audit for privacy.
//!
//!     definition ─▶ release plan: bounds, noise scales, thresholds
//!                       │                                                     ┌─▶ rows, with margins of error
//!     contributions ─▶ bound ─▶ tallies by cell and organisation ─▶ gate ─▶ release
//!                      per unit     scaled to the organisation's share        └─▶ findings
//!
//! Contributions come in as [`Contribution`]s, exact and personal; what goes out is a [`PackRelease`]. Nothing here
//! reads a table, a clock or a file. `docs/packs.md` states the rules.
//!
//! Invariant: only [`gate::open`] turns exact numbers into a release, and only a release becomes rows or findings.

pub mod bound;
pub mod definition;
pub mod estimate;
pub mod findings;
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
pub use plan::ReleasePlan;
pub use release::PackRelease;
