//! Error click: a click that an error followed.
//!
//! Rule: `docs/rules.md`, section 5. An error belongs to the nearest click before it on its screen, where that click is
//! close enough. A click that is an error itself does not belong to itself.

use hashbrown::HashMap;

use super::incidents::{Incident, json};
use super::{Events, IncidentKind, Incidents, Scan};
use crate::rules::ErrorClick;

/// Finds the error clicks of a scanned session.
pub(super) fn detect(rule: &ErrorClick, events: &Events<'_>, scan: &mut Scan, found: &mut Incidents) {
    if scan.errors.is_empty() {
        return;
    }
    let mut owners = std::mem::take(&mut scan.owners);
    owners.clear();
    let mut last_click: HashMap<i32, usize> = HashMap::new();
    let mut clicks = scan.clicks.iter().copied().peekable();
    for &error in &scan.errors {
        while let Some(click) = clicks.next_if(|&click| click < error) {
            last_click.insert(events.of(click).screen, click);
        }
        let click = last_click.get(&events.of(error).screen).copied();
        owners.extend(
            click.filter(|&click| events.ts[error] - events.ts[click] <= rule.window_ms).map(|click| (click, error)),
        );
    }
    owners.sort_unstable();
    for errors in owners.chunk_by(|a, b| a.0 == b.0) {
        report(events, errors, found);
    }
    scan.owners = owners;
}

/// Reports one click and the errors that belong to it.
fn report(events: &Events<'_>, errors: &[(usize, usize)], found: &mut Incidents) {
    let (click, first_error) = errors[0];
    let named: Vec<usize> = std::iter::once(click).chain(errors.iter().map(|&(_, error)| error)).collect();
    let code = events.text("error_code", events.of(first_error).error_code);
    found.push(Incident {
        kind: IncidentKind::ErrorClick,
        first: click,
        on_element: true,
        started_at: events.ts[click],
        ended_at: events.ts[named[named.len() - 1]],
        detail: format_args!(
            "{{\"errors\":{},\"error_code\":{},\"delay_ms\":{}}}",
            errors.len(),
            json(code),
            events.ts[first_error] - events.ts[click]
        ),
        evidence: &named,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::check;

    fn check(history: &str, expected: &str) {
        check::check(|events, scan, found| detect(&ErrorClick::default(), events, scan, found), history, expected);
    }

    #[test]
    fn an_error_1000_ms_after_a_click_is_its_and_1001_ms_after_is_not() {
        check(
            "at_ms  type    error
                 0  click   -
              1000  custom  E1",
            r#"0..1000 home [e0 e1] {"errors":1,"error_code":"E1","delay_ms":1000}"#,
        );
        check(
            "at_ms  type    error
                 0  click   -
              1001  custom  E1",
            "",
        );
    }

    #[test]
    fn an_error_belongs_to_the_nearest_click_on_its_screen() {
        check(
            "at_ms  type    screen  error
                 0  click   home    -
               100  click   home    -
               200  click   list    -
               300  custom  home    E1",
            r#"100..300 home [e1 e3] {"errors":1,"error_code":"E1","delay_ms":200}"#,
        );
    }

    #[test]
    fn a_click_that_is_an_error_belongs_to_the_click_before_it() {
        check("at_ms type error\n 0 click E1", "");
        check(
            "at_ms  type   error
                 0  click  -
               100  click  E1",
            r#"0..100 home [e0 e1] {"errors":1,"error_code":"E1","delay_ms":100}"#,
        );
    }

    #[test]
    fn the_errors_of_one_click_are_one_incident() {
        check(
            "at_ms  type    error
                 0  click   -
               400  custom  E1
               500  custom  E2",
            r#"0..500 home [e0 e1 e2] {"errors":2,"error_code":"E1","delay_ms":400}"#,
        );
    }

    #[test]
    fn an_error_before_any_click_is_nobodys() {
        check("at_ms type error\n 0 custom E1\n 1 click -", "");
    }
}
