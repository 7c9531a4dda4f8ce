//! Turns a session with its incidents into facts.
//!
//!     session batch ─▶ fact_sessions columns, tasks, screens, moves
//!
//! Everything here is a pure function of one session: the rules are `docs/rules.md`, sections 6 to
//! 9. What adds up over sessions (hotspots, flows, dimensions) happens in [`crate::roll_up`].

mod exec;
pub mod moves;
pub mod releases;
pub mod score;
pub mod screens;
pub mod sessions;
pub mod tasks;

pub use exec::AggregateExec;
