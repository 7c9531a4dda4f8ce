//! What the rules ask of an event, looked up by its action.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use datafusion::common::Result;

use crate::session::{symbols, tuples, wrong_type};
use crate::sessionize::layout::ACTION;
use crate::symbols::{SymbolArray, codes};

/// The event types that the rules tell apart.
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

/// What the rules ask of an event, as far as its action says. Codes are −1 for null.
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
    pub(super) reaction_observed: bool,
}

/// Every action of a dictionary. Batches of one run share a dictionary, so it is read once.
#[derive(Default)]
pub struct Actions {
    read: Option<ArrayRef>,
    pub(super) known: Vec<Action>,
    /// What a scan asks of each action, in one byte, so that all of them stay in the cache.
    pub(super) marks: Vec<u8>,
}

/// The bits of an action's mark.
pub(super) mod mark {
    pub(in crate::detect) const CLICK: u8 = 1;
    pub(in crate::detect) const NAVIGATION: u8 = 2;
    pub(in crate::detect) const FOCUS_CHANGE: u8 = 4;
    pub(in crate::detect) const ERROR: u8 = 8;
    pub(in crate::detect) const TASK: u8 = 16;
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
    /// Reads the dictionary of `events`, unless it is the same as before.
    ///
    /// # Errors
    /// Where a column of the dictionary is missing or has another type.
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
