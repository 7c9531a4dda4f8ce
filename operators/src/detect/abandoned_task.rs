//! Abandoned task: a task begun and not completed in time.
//!
//! Rule: `docs/rules.md`, section 5. The next start or completion of the same type decides.

use super::actions::TaskPhase;
use super::incidents::{Incident, json};
use super::{Events, IncidentKind, Incidents, Scan, TaskEvent};
use crate::rules::AbandonedTask;

/// What became of a task that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was completed in time, in this row.
    Completed(usize),
    /// It was completed too late, in this row.
    Late(usize),
    /// It was begun again, in this row.
    Restarted(usize),
    /// None of these.
    None,
}

impl Outcome {
    /// The outcome of the task that `start` begins.
    pub fn of(events: &Events<'_>, within_ms: i64, start: TaskEvent) -> Self {
        match start.next {
            None => Outcome::None,
            Some(next) if events.of(next).task_phase == TaskPhase::Start => Outcome::Restarted(next),
            Some(next) if events.ts[next] - events.ts[start.row] > within_ms => Outcome::Late(next),
            Some(next) => Outcome::Completed(next),
        }
    }

    /// Why the task counts as abandoned; `None` where it does not.
    pub fn abandoned(self) -> Option<&'static str> {
        match self {
            Outcome::Completed(_) => None,
            Outcome::Late(_) => Some("late"),
            Outcome::Restarted(_) => Some("restarted"),
            Outcome::None => Some("none"),
        }
    }
}

/// Finds the abandoned tasks of a scanned session.
pub(super) fn detect(rule: &AbandonedTask, events: &Events<'_>, scan: &Scan, found: &mut Incidents) {
    for &task in scan.tasks.iter().filter(|task| events.of(task.row).task_phase == TaskPhase::Start) {
        let Some(outcome) = Outcome::of(events, rule.within_ms, task).abandoned() else { continue };
        let start = task.row;
        let task_type = events.text("task_type", events.of(start).task_type);
        found.push(Incident {
            kind: IncidentKind::AbandonedTask,
            first: start,
            on_element: false,
            started_at: events.ts[start],
            ended_at: events.ts[start],
            detail: format_args!("{{\"task_type\":{},\"outcome\":\"{outcome}\"}}", json(task_type)),
            evidence: &[start],
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::check;

    fn check(history: &str, expected: &str) {
        check::check(|events, scan, found| detect(&AbandonedTask::default(), events, scan, found), history, expected);
    }

    #[test]
    fn a_completion_after_900000_ms_is_in_time_and_after_900001_ms_is_late() {
        check(
            "at_ms   task
                  0  start:buy
             900000  complete:buy",
            "",
        );
        check(
            "at_ms   task
                  0  start:buy
             900001  complete:buy",
            r#"0..0 home [e0] {"task_type":"buy","outcome":"late"}"#,
        );
    }

    #[test]
    fn a_start_without_a_completion_is_abandoned() {
        check("at_ms task\n 0 start:buy", r#"0..0 home [e0] {"task_type":"buy","outcome":"none"}"#);
    }

    #[test]
    fn a_completion_of_another_type_does_not_count() {
        check(
            "at_ms  task
                 0  start:buy
               100  complete:pay",
            r#"0..0 home [e0] {"task_type":"buy","outcome":"none"}"#,
        );
    }

    #[test]
    fn a_task_begun_again_is_abandoned_once() {
        check(
            "at_ms  task
                 0  start:buy
               100  start:buy
               200  complete:buy",
            r#"0..0 home [e0] {"task_type":"buy","outcome":"restarted"}"#,
        );
    }

    #[test]
    fn a_failed_completion_completes_it() {
        check("at_ms task\n 0 start:buy\n 100 complete:buy:false", "");
    }
}
