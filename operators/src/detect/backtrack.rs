//! Backtrack: a visitor leaves a screen at once for the screen before it.
//!
//!     visits   A ──▶ B ──▶ A        an incident when the stay on B is short
//!
//! Rule: `docs/rules.md`, section 5. A → B → A → B is two backtracks.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::check;

    fn check(history: &str, expected: &str) {
        check::check(|events, scan, found| detect(&Backtrack::default(), events, scan, found), history, expected);
    }

    #[test]
    fn a_stay_of_20000_ms_is_short_and_one_of_20001_ms_is_not() {
        check(
            "at_ms  type        screen
                 0  navigation  home
              1000  navigation  list
             21000  navigation  home",
            r#"1000..21000 home [e0 e1 e2] {"via_screen":"list","stay_ms":20000}"#,
        );
        check(
            "at_ms  type        screen
                 0  navigation  home
              1000  navigation  list
             21001  navigation  home",
            "",
        );
    }

    #[test]
    fn a_b_a_b_is_two() {
        check(
            "at_ms  type        screen
                 0  navigation  home
               100  navigation  list
               200  navigation  home
               300  navigation  list",
            r#"100..200 home [e0 e1 e2] {"via_screen":"list","stay_ms":100}
               200..300 list [e1 e2 e3] {"via_screen":"home","stay_ms":100}"#,
        );
    }

    #[test]
    fn a_way_back_over_two_screens_is_none() {
        check(
            "at_ms  type        screen
                 0  navigation  home
               100  navigation  list
               200  navigation  cart
               300  navigation  home",
            "",
        );
    }

    #[test]
    fn a_screen_reached_again_from_itself_is_one_visit() {
        check(
            "at_ms  type        screen
                 0  navigation  home
               100  navigation  home
               200  navigation  list
               300  navigation  home",
            r#"200..300 home [e0 e2 e3] {"via_screen":"list","stay_ms":100}"#,
        );
    }
}
