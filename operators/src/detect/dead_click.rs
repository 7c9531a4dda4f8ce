//! Dead click: a click without a reaction of the page.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::check;

    fn check(history: &str, expected: &str) {
        check::check(|events, scan, found| detect(&DeadClick::default(), events, scan, found), history, expected);
    }

    #[test]
    fn a_reaction_after_2500_ms_is_in_time_and_a_later_one_is_not() {
        check(
            "at_ms  label  reaction_ms
                 0  pay    2500
             10000  buy    2500.5",
            r#"10000..10000 home [e1] {"clicks":1}"#,
        );
    }

    #[test]
    fn no_reaction_is_dead_only_where_the_sdk_watched() {
        check(
            "at_ms  label  reaction_ms
                 0  pay    none
             10000  buy    -",
            r#"0..0 home [e0] {"clicks":1}"#,
        );
    }

    #[test]
    fn dead_clicks_2500_ms_apart_are_one_incident_and_2501_ms_apart_are_two() {
        check(
            "at_ms  label  reaction_ms
                 0  pay    none
              2500  pay    none
              5001  pay    none",
            r#"0..2500 home [e0 e1] {"clicks":2}
               5001..5001 home [e2] {"clicks":1}"#,
        );
    }

    #[test]
    fn live_clicks_in_between_do_not_matter() {
        check(
            "at_ms  label  reaction_ms
                 0  pay    none
              1000  pay    10
              2500  pay    none",
            r#"0..2500 home [e0 e2] {"clicks":2}"#,
        );
    }

    #[test]
    fn a_click_without_a_target_is_one_on_its_screen() {
        check(
            "at_ms  screen  label  reaction_ms
                 0  home    -      none
                 1  home    home   none
                 2  list    -      none
                 3  home    -      none",
            r#"0..3 home [e0 e3] {"clicks":2}
               1..1 home [e1] {"clicks":1}
               2..2 list [e2] {"clicks":1}"#,
        );
    }
}
