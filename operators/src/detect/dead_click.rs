//! Dead click: a click that nothing answered.
//!
//! Rule: `docs/rules.md`, section 5. Dead clicks on one target in quick succession are one incident;
//! live clicks in between do not matter.

use super::events::Target;
use super::incidents::Incident;
use super::scan::TargetClick;
use super::{Events, IncidentKind, Incidents, Scan};
use crate::rules::DeadClick;

/// Finds the dead clicks of a scanned session.
pub(super) fn detect(rule: &DeadClick, events: &Events<'_>, scan: &mut Scan, found: &mut Incidents) {
    let mut chains = std::mem::take(&mut scan.chains);
    chains.clear();
    let dead = scan.clicks.iter().filter(|&&row| dead(rule, events, row));
    chains.extend(dead.map(|&row| (events.target(row).unwrap_or(Target::screen(events.of(row).screen)), row)));
    chains.sort_unstable();
    let close = |a: &TargetClick, b: &TargetClick| a.0 == b.0 && events.ts[b.1] - events.ts[a.1] <= rule.chain_ms;
    for clicks in chains.chunk_by(close) {
        let named: Vec<usize> = clicks.iter().map(|&(_, row)| row).collect();
        found.push(Incident {
            kind: IncidentKind::DeadClick,
            first: named[0],
            on_element: true,
            started_at: events.ts[named[0]],
            ended_at: events.ts[named[named.len() - 1]],
            detail: format_args!("{{\"clicks\":{}}}", named.len()),
            evidence: &named,
        });
    }
    scan.chains = chains;
}

fn dead(rule: &DeadClick, events: &Events<'_>, row: usize) -> bool {
    match events.reaction_ms(row) {
        Some(reaction_ms) => reaction_ms > rule.reaction_ms,
        None => events.reaction_observed(row),
    }
}
