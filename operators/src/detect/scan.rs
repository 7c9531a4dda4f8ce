//! One pass over a session: its clicks, visits, errors and task events.
//!
//! [`Events`] gives plain slices over the events of a batch, whose actions are looked up in [`Actions`];
//! [`Scan`] lists the rows of one session that detectors and facts ask for, and keeps its space from
//! session to session.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, Float32Array, StructArray};
use arrow::datatypes::TimestampMillisecondType;
use datafusion::common::Result;
use hashbrown::HashMap;

use crate::session::{symbols, tuples, wrong_type};
use crate::sessionize::layout::ACTION;
use crate::sessionize::text::{self, Digits};
use crate::symbols::{SymbolArray, codes, text_of};

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

/// What an event is to the rules, as far as its action says. Codes are −1 for null.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each is the event column of that name")]
pub struct Action {
    pub event_type: EventType,
    pub task_phase: TaskPhase,
    pub screen: i32,
    pub route: i32,
    pub element_type: i32,
    pub element_label_h: i32,
    pub error_code: i32,
    pub task_type: i32,
    reaction_observed: bool,
}

/// Every action of a dictionary. Batches of one run share a dictionary, so it is read once.
#[derive(Default)]
pub struct Actions {
    read: Option<ArrayRef>,
    known: Vec<Action>,
    /// What a scan asks of each: a byte, so that all of them stay near.
    marks: Vec<u8>,
}

/// Marks of an action, for [`Scan::read`].
mod mark {
    pub(super) const CLICK: u8 = 1;
    pub(super) const NAVIGATION: u8 = 2;
    pub(super) const FOCUS_CHANGE: u8 = 4;
    pub(super) const ERROR: u8 = 8;
    pub(super) const TASK: u8 = 16;
}

impl Action {
    fn marks(&self) -> u8 {
        let event_type = match self.event_type {
            EventType::Click => mark::CLICK,
            EventType::Navigation => mark::NAVIGATION,
            EventType::FocusChange => mark::FOCUS_CHANGE,
            EventType::Other => 0,
        };
        let and = |says: bool, mark: u8| if says { mark } else { 0 };
        event_type | and(self.error_code >= 0, mark::ERROR) | and(self.task_type >= 0, mark::TASK)
    }
}

impl Actions {
    /// Reads the dictionary of `events` where it is another one than before.
    pub fn read(&mut self, events: &StructArray) -> Result<()> {
        let (_, dictionary) = tuples(events, ACTION)?;
        if self.read.as_ref().is_some_and(|read| Arc::ptr_eq(read, dictionary)) {
            return Ok(());
        }
        let tuples = dictionary.as_struct();
        let coded = |name: &str| symbols(tuples, name).map(codes);
        let flags = |name: &str| {
            tuples.column_by_name(name).and_then(|column| column.as_boolean_opt()).ok_or_else(|| wrong_type(name))
        };
        let event_type = by_value(symbols(tuples, "event_type")?, EventType::Other, |name| match name {
            "click" => EventType::Click,
            "navigation" => EventType::Navigation,
            "focus_change" => EventType::FocusChange,
            _ => EventType::Other,
        });
        let (screen, route) = (coded("screen_id")?, coded("route")?);
        let (element_type, element_label_h) = (coded("element_type")?, coded("element_label_h")?);
        let (error_code, task_type) = (coded("error_code")?, coded("task_type")?);
        let (task_phase, observed) = (task_phases(tuples, &task_type)?, flags("reaction_observed")?);
        let action = |at: usize| Action {
            event_type: event_type[at],
            task_phase: task_phase[at],
            screen: screen[at],
            route: route[at],
            element_type: element_type[at],
            element_label_h: element_label_h[at],
            error_code: error_code[at],
            task_type: task_type[at],
            reaction_observed: observed.is_valid(at) && observed.value(at),
        };
        self.known = (0..tuples.len()).map(action).collect();
        self.marks = self.known.iter().map(Action::marks).collect();
        self.read = Some(Arc::clone(dictionary));
        Ok(())
    }
}

/// Plain slices over the events of a session batch.
pub struct Events<'a> {
    /// When each happened.
    pub ts: &'a [i64],
    action: &'a [i32],
    actions: &'a [Action],
    marks: &'a [u8],
    /// What actions are made of, column by column.
    symbols: &'a StructArray,
    event_id: &'a BinaryViewArray,
    reaction_ms: &'a Float32Array,
}

impl<'a> Events<'a> {
    /// Slices over the `events` of a session batch, whose dictionary `actions` has read.
    pub fn new(events: &'a StructArray, actions: &'a Actions) -> Result<Self> {
        let column = |name: &str| events.column_by_name(name).ok_or_else(|| wrong_type(name));
        let ts = column("ts")?.as_primitive_opt::<TimestampMillisecondType>().ok_or_else(|| wrong_type("ts"))?;
        let (action, dictionary) = tuples(events, ACTION)?;
        Ok(Self {
            ts: ts.values(),
            action,
            actions: &actions.known,
            marks: &actions.marks,
            symbols: dictionary.as_struct(),
            event_id: column("event_id")?.as_binary_view_opt().ok_or_else(|| wrong_type("event_id"))?,
            reaction_ms: column("reaction_ms")?.as_primitive_opt().ok_or_else(|| wrong_type("reaction_ms"))?,
        })
    }

    /// What the event in `row` is.
    #[inline]
    pub fn of(&self, row: usize) -> &'a Action {
        &self.actions[self.action[row] as usize]
    }

    /// The symbol column `name` of all actions: its dictionary is that of the codes of [`Action`].
    pub fn symbols(&self, name: &str) -> Result<&'a SymbolArray> {
        symbols(self.symbols, name)
    }

    /// The text that a code of the column `name` stands for; empty for −1.
    pub fn text(&self, name: &str, code: i32) -> &'a str {
        symbols(self.symbols, name).map_or("", |column| text_of(column, code))
    }

    /// The event_id in `row`.
    pub fn event_id<'t>(&'t self, row: usize, digits: &'t mut Digits) -> &'t str {
        text::unpack(self.event_id.value(row), digits)
    }

    /// The event_ids in `rows`, packed.
    pub fn packed_ids(&self, rows: &[u32]) -> impl Iterator<Item = Option<&'a [u8]>> + Clone {
        rows.iter().map(|&row| Some(self.event_id.value(row as usize)))
    }

    /// Milliseconds until the page reacted to the click in `row`; `None` where it was not seen to.
    pub fn reaction_ms(&self, row: usize) -> Option<f32> {
        self.reaction_ms.is_valid(row).then(|| self.reaction_ms.value(row))
    }

    /// Whether the SDK watched for a reaction to the click in `row`.
    pub fn reaction_observed(&self, row: usize) -> bool {
        self.of(row).reaction_observed
    }

    /// The target of the click in `row`, where it has one.
    pub fn target(&self, row: usize) -> Option<Target> {
        let Action { screen, element_type, element_label_h, .. } = *self.of(row);
        match (element_label_h, element_type) {
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

fn task_phases(tuples: &StructArray, task_type: &[i32]) -> Result<Vec<TaskPhase>> {
    let mut phases = by_value(symbols(tuples, "task_phase")?, TaskPhase::None, |name| match name {
        "start" => TaskPhase::Start,
        "complete" => TaskPhase::Completed,
        _ => TaskPhase::None,
    });
    let success = tuples.column_by_name("task_success").and_then(|column| column.as_boolean_opt());
    let success = success.ok_or_else(|| wrong_type("task_success"))?;
    for (at, phase) in phases.iter_mut().enumerate().filter(|(_, phase)| **phase != TaskPhase::None) {
        if task_type[at] < 0 {
            *phase = TaskPhase::None;
        } else if *phase == TaskPhase::Completed && success.is_valid(at) && !success.value(at) {
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
    /// Codes of the task types its events name, each time they do.
    pub task_types: Vec<i32>,
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
