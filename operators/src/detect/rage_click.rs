//! Rage click: several clicks on one target in a moment.
//!
//!     ts      0    300    900   1400          4000
//!     click   x     x      x     x             x
//!             └─────┴──────┘                            qualifies: 900 − 0 ≤ 1000
//!                   └──────┴─────┘                      qualifies: 1400 − 300 > 1000? no: 1100
//!             └── incident ──┘
//!
//! Rule: `docs/rules.md`, section 5. Clicks elsewhere in between do not break it.

use super::incidents::Incident;
use super::scan::TargetClick;
use super::{Events, IncidentKind, Incidents, Scan};
use crate::rules::RageClick;

/// Finds the rage clicks of a scanned session.
pub(super) fn detect(rule: &RageClick, events: &Events<'_>, scan: &mut Scan, found: &mut Incidents) {
    let reach = rule.clicks.max(2) - 1;
    if scan.clicks.len() <= reach {
        return;
    }
    let mut chains = std::mem::take(&mut scan.chains);
    chains.clear();
    chains.extend(scan.clicks.iter().filter_map(|&row| Some((events.target(row)?, row))));
    chains.sort_unstable();
    for clicks in chains.chunk_by(|a, b| a.0 == b.0).filter(|clicks| clicks.len() > reach) {
        of_target(rule.window_ms, reach, events, clicks, found);
    }
    scan.chains = chains;
}

fn of_target(window_ms: i64, reach: usize, events: &Events<'_>, clicks: &[TargetClick], found: &mut Incidents) {
    let at = |click: usize| events.ts[clicks[click].1];
    let qualifies = |click: &usize| at(*click) - at(*click - reach) <= window_ms;
    let mut run: Option<(usize, usize)> = None;
    for click in (reach..clicks.len()).filter(qualifies) {
        run = match run {
            Some((first, last)) if click - last <= reach => Some((first, click)),
            ended => {
                report(reach, events, clicks, ended, found);
                Some((click, click))
            }
        };
    }
    report(reach, events, clicks, run, found);
}

/// Reports the incident whose first and last qualifying clicks are these.
fn report(
    reach: usize,
    events: &Events<'_>,
    clicks: &[TargetClick],
    run: Option<(usize, usize)>,
    found: &mut Incidents,
) {
    let Some((first, last)) = run else { return };
    let named: Vec<usize> = clicks[first - reach..=last].iter().map(|&(_, row)| row).collect();
    found.push(Incident {
        kind: IncidentKind::RageClick,
        first: named[0],
        on_element: true,
        started_at: events.ts[named[0]],
        ended_at: events.ts[clicks[last].1],
        detail: format_args!("{{\"clicks\":{}}}", named.len()),
        evidence: &named,
    });
}
