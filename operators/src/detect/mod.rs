//! Finds moments of friction in a session.
//!
//!     events of a session ─▶ clicks, visits, errors, tasks ─▶ each detector ─▶ incidents
//!
//! Each detector is one file: its rule, its bounds, the code, and tests on both sides of each border.
//! The rules themselves stand in `docs/rules.md`, section 5.

pub mod abandoned_task;
pub mod actions;
mod backtrack;
#[cfg(test)]
mod check;
mod dead_click;
mod detectors;
mod error_click;
mod events;
mod exec;
mod incident_kind;
mod incidents;
mod rage_click;
pub mod scan;

pub use actions::Actions;
pub use detectors::detect;
pub use events::Events;
pub use exec::DetectExec;
pub use incident_kind::IncidentKind;
pub use incidents::{IncidentDictionaries, Incidents, incident_fields};
pub use scan::{Scan, TaskEvent, Visit};
