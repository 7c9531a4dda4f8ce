//! Finds moments of friction in a session.
//!
//!     events of a session ─▶ clicks, visits, errors, tasks ─▶ each detector ─▶ incidents
//!
//! A detector is one file: its rule, its bounds, the code, and tests on both sides of each border.
//! The rules themselves stand in `docs/rules.md`, section 5.

pub mod abandoned_task;
mod backtrack;
mod dead_click;
mod error_click;
mod exec;
mod incidents;
mod rage_click;
pub mod scan;

pub use exec::DetectExec;
pub use incidents::{Incidents, Names, incident_fields};
pub use scan::{Actions, Events, Scan, TaskEvent, Visit};

use crate::rules::Detect;

/// The kinds of friction, in the order in which incidents of a session are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Several clicks on one target in a moment.
    RageClick,
    /// A click that nothing answered.
    DeadClick,
    /// A click that an error answered.
    ErrorClick,
    /// A screen left at once for the one before it.
    Backtrack,
    /// A task begun and not completed in time.
    AbandonedTask,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Kind; 5] =
        [Kind::RageClick, Kind::DeadClick, Kind::ErrorClick, Kind::Backtrack, Kind::AbandonedTask];

    /// The name in tables and API.
    pub fn name(self) -> &'static str {
        match self {
            Kind::RageClick => "rage_click",
            Kind::DeadClick => "dead_click",
            Kind::ErrorClick => "error_click",
            Kind::Backtrack => "backtrack",
            Kind::AbandonedTask => "abandoned_task",
        }
    }
}

/// `text` as a JSON string.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Runs every detector over one scanned session.
pub fn detect(settings: &Detect, events: &Events<'_>, scan: &mut Scan, found: &mut Incidents) {
    if !scan.clicks.is_empty() {
        rage_click::detect(&settings.rage_click, events, scan, found);
        dead_click::detect(&settings.dead_click, events, scan, found);
        error_click::detect(&settings.error_click, events, scan, found);
    }
    backtrack::detect(&settings.backtrack, events, scan, found);
    if !scan.tasks.is_empty() {
        abandoned_task::detect(&settings.abandoned_task, events, scan, found);
    }
}
