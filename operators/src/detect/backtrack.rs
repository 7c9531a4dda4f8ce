//! Backtrack: a screen left at once for the one before it.
//!
//!     visits   A ──▶ B ──▶ A        an incident when the stay on B is short
//!
//! Rule: `docs/rules.md`, section 5. A → B → A → B is two.

use super::incidents::{Incident, json};
use super::{Events, IncidentKind, Incidents, Scan};
use crate::rules::Backtrack;

/// Finds the backtracks of a scanned session.
pub(super) fn detect(rule: &Backtrack, events: &Events<'_>, scan: &Scan, found: &mut Incidents) {
    for visits in scan.visits.windows(3) {
        let [from, via, back] = [visits[0], visits[1], visits[2]];
        let stay_ms = events.ts[back.row] - events.ts[via.row];
        if from.screen != back.screen || stay_ms > rule.stay_ms {
            continue;
        }
        let via_screen = events.text("screen_id", via.screen);
        found.push(Incident {
            kind: IncidentKind::Backtrack,
            first: from.row,
            on_element: false,
            started_at: events.ts[via.row],
            ended_at: events.ts[back.row],
            detail: format_args!("{{\"via_screen\":{},\"stay_ms\":{stay_ms}}}", json(via_screen)),
            evidence: &[from.row, via.row, back.row],
        });
    }
}
