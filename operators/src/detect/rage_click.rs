//! Rage click: several clicks on one target in a moment.
//!
//!     ts      0    300    900   1400          4000
//!     click   x     x      x     x             x
//!             └─────┴──────┘                            the third qualifies: 900 − 0 ≤ 1000
//!                   └──────┴─────┘                      the fourth does not: 1400 − 300 = 1100 > 1000
//!             └── incident ──┘
//!
//! Rule: `docs/rules.md`, section 5. Clicks on other targets in between do not break it.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::check;

    fn check(history: &str, expected: &str) {
        check::check(|events, scan, found| detect(&RageClick::default(), events, scan, found), history, expected);
    }

    #[test]
    fn three_clicks_on_one_target_within_1000_ms_are_one() {
        check(
            "at_ms  label
                 0  pay
               999  pay
              1000  pay",
            r#"0..1000 home [e0 e1 e2] {"clicks":3}"#,
        );
    }

    #[test]
    fn the_third_click_at_1001_ms_is_none() {
        check(
            "at_ms  label
                 0  pay
               999  pay
              1001  pay",
            "",
        );
    }

    #[test]
    fn two_clicks_are_none() {
        check("at_ms label\n 0 pay\n 1 pay", "");
    }

    #[test]
    fn clicks_on_another_label_screen_or_type_neither_count_nor_break_it() {
        check(
            "at_ms  screen  element  label
                 0  home    btn      pay
               100  home    btn      -
               200  list    btn      pay
               300  home    btn      buy
               400  home    btn      pay
               500  home    btn      pay",
            r#"0..500 home [e0 e4 e5] {"clicks":3}"#,
        );
    }

    #[test]
    fn clicks_without_a_target_are_none() {
        check("at_ms\n 0\n 1\n 2", "");
    }

    #[test]
    fn qualifying_clicks_two_apart_are_one_incident_and_three_apart_are_two() {
        // The clicks at 1000 and 2000 qualify (0 → 1000, 1000 → 2000); the one at 1001 does not (0 → 1001).
        check(
            "at_ms  label
                 0  pay
                 0  pay
              1000  pay
              1001  pay
              2000  pay",
            r#"0..2000 home [e0 e1 e2 e3 e4] {"clicks":5}"#,
        );
        check(
            "at_ms  label
                 0  pay
                 0  pay
                 0  pay
              5000  pay
              5000  pay
              5000  pay",
            r#"0..0 home [e0 e1 e2] {"clicks":3}
               5000..5000 home [e3 e4 e5] {"clicks":3}"#,
        );
    }
}
