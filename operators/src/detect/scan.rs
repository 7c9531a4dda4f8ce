//! One pass over a session: its clicks, visits, errors and task events.
//!
//! [`Events`] gives plain slices over the events of a batch; [`Scan`] lists the rows of one session
//! that detectors and facts ask for. Both keep their space from session to session.

use std::borrow::Cow;
use std::ops::Range;

use arrow::array::{Array, AsArray, BooleanArray, Float32Array, StringViewArray, StructArray};
use arrow::datatypes::TimestampMillisecondType;
use datafusion::common::Result;
use hashbrown::HashMap;

use crate::session::{symbols, wrong_type};
use crate::symbols::{SymbolArray, codes};

/// What a row is to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// A click.
    Click,
    /// Arrival on a screen.
    Navigation,
    /// The visitor looked elsewhere.
    FocusChange,
    /// Anything else.
    Other,
}

/// Whether a row begins or ends a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskPhase {
    /// Neither.
    None,
    /// A start.
    Start,
    /// A completion that did not fail.
    Completed,
    /// A completion with task_success false.
    Failed,
}

/// Plain slices over the events of a session batch. Codes are −1 for null.
#[expect(missing_docs, reason = "each is the event column of that name")]
pub struct Events<'a> {
    pub ts: &'a [i64],
    pub event_type: Vec<EventType>,
    pub screen: Cow<'a, [i32]>,
    pub route: Cow<'a, [i32]>,
    pub element_type: Cow<'a, [i32]>,
    pub element_label_h: Cow<'a, [i32]>,
    pub error_code: Cow<'a, [i32]>,
    pub task_type: Cow<'a, [i32]>,
    pub task_phase: Vec<TaskPhase>,
    pub event_id: &'a StringViewArray,
    pub screens: &'a SymbolArray,
    pub task_types: &'a SymbolArray,
    pub error_codes: &'a SymbolArray,
    reaction_ms: &'a Float32Array,
    reaction_observed: &'a BooleanArray,
}

impl<'a> Events<'a> {
    /// Slices over the `events` of a session batch.
    pub fn new(events: &'a StructArray) -> Result<Self> {
        let column = |name: &str| events.column_by_name(name).ok_or_else(|| wrong_type(name));
        let coded = |name: &str| symbols(events, name).map(codes);
        let ts = column("ts")?.as_primitive_opt::<TimestampMillisecondType>().ok_or_else(|| wrong_type("ts"))?;
        Ok(Self {
            ts: ts.values(),
            event_type: by_value(symbols(events, "event_type")?, EventType::Other, |name| match name {
                "click" => EventType::Click,
                "navigation" => EventType::Navigation,
                "focus_change" => EventType::FocusChange,
                _ => EventType::Other,
            }),
            screen: coded("screen_id")?,
            route: coded("route")?,
            element_type: coded("element_type")?,
            element_label_h: coded("element_label_h")?,
            error_code: coded("error_code")?,
            task_type: coded("task_type")?,
            task_phase: task_phases(events)?,
            event_id: column("event_id")?.as_string_view_opt().ok_or_else(|| wrong_type("event_id"))?,
            screens: symbols(events, "screen_id")?,
            task_types: symbols(events, "task_type")?,
            error_codes: symbols(events, "error_code")?,
            reaction_ms: column("reaction_ms")?.as_primitive_opt().ok_or_else(|| wrong_type("reaction_ms"))?,
            reaction_observed: column("reaction_observed")?
                .as_boolean_opt()
                .ok_or_else(|| wrong_type("reaction_observed"))?,
        })
    }

    /// Milliseconds until the page reacted to the click in `row`; `None` where it was not seen to.
    pub fn reaction_ms(&self, row: usize) -> Option<f32> {
        self.reaction_ms.is_valid(row).then(|| self.reaction_ms.value(row))
    }

    /// Whether the SDK watched for a reaction to the click in `row`.
    pub fn reaction_observed(&self, row: usize) -> bool {
        self.reaction_observed.is_valid(row) && self.reaction_observed.value(row)
    }

    /// The target of the click in `row`, where it has one.
    pub fn target(&self, row: usize) -> Option<Target> {
        let screen = self.screen[row];
        match (self.element_label_h[row], self.element_type[row]) {
            (-1, -1) => None,
            (-1, kind) => Some(Target { screen, element: kind, by: By::Type }),
            (label, _) => Some(Target { screen, element: label, by: By::Label }),
        }
    }
}

/// What a click falls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    screen: i32,
    element: i32,
    by: By,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Label,
    Type,
    Screen,
}

impl Target {
    /// The screen itself, for a click that has no other target.
    pub fn screen(screen: i32) -> Self {
        Self { screen, element: -1, by: By::Screen }
    }
}

fn by_value<T: Copy>(column: &SymbolArray, absent: T, of: impl Fn(&str) -> T) -> Vec<T> {
    let values = column.values().as_string::<i32>();
    let table: Vec<T> = values.iter().map(|value| value.map_or(absent, &of)).collect();
    codes(column).iter().map(|&code| table.get(code as usize).copied().unwrap_or(absent)).collect()
}

fn task_phases(events: &StructArray) -> Result<Vec<TaskPhase>> {
    let mut phases = by_value(symbols(events, "task_phase")?, TaskPhase::None, |name| match name {
        "start" => TaskPhase::Start,
        "complete" => TaskPhase::Completed,
        _ => TaskPhase::None,
    });
    let success = events.column_by_name("task_success").and_then(|column| column.as_boolean_opt());
    let success = success.ok_or_else(|| wrong_type("task_success"))?;
    let task_type = codes(symbols(events, "task_type")?);
    for (row, phase) in phases.iter_mut().enumerate().filter(|(_, phase)| **phase != TaskPhase::None) {
        if task_type[row] < 0 {
            *phase = TaskPhase::None;
        } else if *phase == TaskPhase::Completed && success.is_valid(row) && !success.value(row) {
            *phase = TaskPhase::Failed;
        }
    }
    Ok(phases)
}

/// One entry of the navigation sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Row of the navigation event that opened it.
    pub row: usize,
    /// Code of its screen.
    pub screen: i32,
}

/// The rows of one session that rules ask for.
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
    /// Events of type focus_change.
    pub focus_changes: usize,
    pub(super) chains: Vec<super::rage_click::Chain>,
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
        self.focus_changes = 0;
        for row in rows.clone() {
            match events.event_type[row] {
                EventType::Click => self.clicks.push(row),
                EventType::FocusChange => self.focus_changes += 1,
                EventType::Navigation => {
                    let screen = events.screen[row];
                    if self.visits.last().is_none_or(|visit| visit.screen != screen) {
                        self.visits.push(Visit { row, screen });
                    }
                }
                EventType::Other => {}
            }
            if events.error_code[row] >= 0 {
                self.errors.push(row);
            }
            if events.task_phase[row] != TaskPhase::None {
                self.tasks.push(TaskEvent { row, next: None });
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
            task.next = self.next_of_type.insert(events.task_type[task.row], task.row);
        }
    }
}
