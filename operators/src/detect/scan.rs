//! One pass over a session: its clicks, visits, errors and task events.
//!
//! [`Scan`] lists the rows of one session that detectors and facts need. It reuses its allocations from session to
//! session.

use std::ops::Range;

use hashbrown::HashMap;

use super::actions::{TaskPhase, mark};
use super::events::{Events, Target};

/// A visit to a screen: one entry of the navigation sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Row of the navigation event that opened it.
    pub row: usize,
    /// Code of its screen.
    pub screen: i32,
}

/// A click with its target: sorted, the clicks of one target are neighbours, in order.
pub(super) type TargetClick = (Target, usize);

/// The rows of one session that the rules need.
#[derive(Default)]
pub struct Scan {
    /// All rows of the session.
    pub rows: Range<usize>,
    /// Rows of clicks.
    pub clicks: Vec<usize>,
    /// The navigation sequence.
    pub visits: Vec<Visit>,
    /// Rows with an error code.
    pub errors: Vec<usize>,
    /// Starts and completions of tasks.
    pub tasks: Vec<TaskEvent>,
    /// Codes of the task types of its events, one for each event that has one.
    pub task_types: Vec<i32>,
    /// Events of type focus_change.
    pub focus_changes: usize,
    pub(super) chains: Vec<TargetClick>,
    pub(super) owners: Vec<(usize, usize)>,
    next_of_type: HashMap<i32, usize>,
}

/// A start or completion of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskEvent {
    /// Its row.
    pub row: usize,
    /// Row of the next start or completion of the same type in the session.
    pub next: Option<usize>,
}

impl Scan {
    /// Scans the session whose events are `rows`.
    pub fn read(&mut self, events: &Events<'_>, rows: Range<usize>) {
        self.clicks.clear();
        self.visits.clear();
        self.errors.clear();
        self.tasks.clear();
        self.task_types.clear();
        self.focus_changes = 0;
        for (row, &code) in rows.clone().zip(&events.action[rows.clone()]) {
            let marks = events.marks[code as usize];
            if marks & mark::CLICK != 0 {
                self.clicks.push(row);
            } else if marks & mark::NAVIGATION != 0 {
                let screen = events.of(row).screen;
                if self.visits.last().is_none_or(|visit| visit.screen != screen) {
                    self.visits.push(Visit { row, screen });
                }
            } else if marks & mark::FOCUS_CHANGE != 0 {
                self.focus_changes += 1;
            }
            if marks & mark::ERROR != 0 {
                self.errors.push(row);
            }
            if marks & mark::TASK != 0 {
                let action = events.of(row);
                self.task_types.push(action.task_type);
                if action.task_phase != TaskPhase::None {
                    self.tasks.push(TaskEvent { row, next: None });
                }
            }
        }
        self.rows = rows;
        self.link_tasks(events);
    }

    fn link_tasks(&mut self, events: &Events<'_>) {
        if self.tasks.is_empty() {
            return;
        }
        self.next_of_type.clear();
        for task in self.tasks.iter_mut().rev() {
            task.next = self.next_of_type.insert(events.of(task.row).task_type, task.row);
        }
    }
}
