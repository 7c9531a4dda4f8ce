//! The detectors in the order of [`super::IncidentKind`].

use super::events::Events;
use super::incidents::Incidents;
use super::scan::Scan;
use super::{abandoned_task, backtrack, dead_click, error_click, rage_click};
use crate::rules::Detect;

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
