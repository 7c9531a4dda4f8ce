//! The tasks of a session: its rows of fact_tasks.
//!
//!     start ─────────── completion        a task
//!     start ──── start                    a task without completion, and another
//!                        completion       a task without start
//!
//! Rule: `docs/rules.md`, section 7.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, TimestampMillisecondArray};
use arrow::datatypes::{Field, Fields};
use datafusion::common::Result;
use hashbrown::HashSet;
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::tables::FACT_TASKS;

use crate::detect::abandoned_task::Outcome;
use crate::detect::actions::{EventType, TaskPhase};
use crate::detect::{Events, Scan, TaskEvent};
use crate::session::list_column;
use crate::symbols;

/// The columns of a task in the list `tasks` of a session batch.
const COLUMNS: [&str; 10] = [
    "task_no",
    "task_type",
    "started_at",
    "completed_at",
    "duration_ms",
    "clicks",
    "screens",
    "success",
    "abandoned",
    "flow_complexity",
];

/// One task of one session.
#[derive(Debug, Clone)]
struct Task {
    task_no: i64,
    task_type: i32,
    started_at: Option<i64>,
    completed_at: Option<i64>,
    clicks: i64,
    screens: i64,
    success: Option<bool>,
    abandoned: bool,
}

/// The tasks of all sessions of a batch.
#[derive(Default)]
pub struct Tasks {
    tasks: Vec<Task>,
    ends: Vec<usize>,
    screens: HashSet<i32>,
    owned: HashSet<usize>,
}

impl Tasks {
    /// Adds a scanned session. A task that is not completed within `within_ms` is abandoned.
    pub fn push(&mut self, within_ms: i64, events: &Events<'_>, scan: &Scan) {
        self.owned.clear();
        let first = self.tasks.len();
        for &task in &scan.tasks {
            let started = events.of(task.row).task_phase == TaskPhase::Start;
            if !started && self.owned.contains(&task.row) {
                continue;
            }
            let task_no = (self.tasks.len() - first) as i64;
            let task =
                if started { self.begun(within_ms, events, scan, task) } else { self.completed_only(events, task.row) };
            self.tasks.push(Task { task_no, ..task });
        }
        self.ends.push(self.tasks.len());
    }

    fn begun(&mut self, within_ms: i64, events: &Events<'_>, scan: &Scan, start: TaskEvent) -> Task {
        let outcome = Outcome::of(events, within_ms, start);
        let completion = match outcome {
            Outcome::Completed(row) | Outcome::Late(row) => Some(row),
            Outcome::Restarted(_) | Outcome::None => None,
        };
        self.owned.extend(completion);
        let last = completion.unwrap_or_else(|| last_row(within_ms, events, scan, start, outcome));
        let (clicks, screens) = self.span(events, start.row, last);
        Task {
            task_no: 0,
            task_type: events.of(start.row).task_type,
            started_at: Some(events.ts[start.row]),
            completed_at: completion.map(|row| events.ts[row]),
            clicks,
            screens,
            success: completion.map(|row| events.of(row).task_phase == TaskPhase::Completed),
            abandoned: outcome.abandoned().is_some(),
        }
    }

    fn completed_only(&mut self, events: &Events<'_>, row: usize) -> Task {
        let (clicks, screens) = self.span(events, row, row);
        Task {
            task_no: 0,
            task_type: events.of(row).task_type,
            started_at: None,
            completed_at: Some(events.ts[row]),
            clicks,
            screens,
            success: Some(events.of(row).task_phase == TaskPhase::Completed),
            abandoned: false,
        }
    }

    /// Clicks and distinct screens from row `first` to row `last`.
    fn span(&mut self, events: &Events<'_>, first: usize, last: usize) -> (i64, i64) {
        self.screens.clear();
        self.screens.extend((first..=last).map(|row| events.of(row).screen));
        let clicks = (first..=last).filter(|&row| events.of(row).event_type == EventType::Click).count();
        (clicks as i64, self.screens.len() as i64)
    }

    /// The list column `tasks`.
    ///
    /// # Errors
    /// Where an event column is missing, or the columns do not fit the list.
    pub fn into_column(self, events: &Events<'_>) -> Result<ArrayRef> {
        let tasks = &self.tasks;
        let types = events.symbols("task_type")?.values();
        let instant = |of: fn(&Task) -> Option<i64>| -> ArrayRef {
            Arc::new(tasks.iter().map(of).collect::<TimestampMillisecondArray>().with_timezone("UTC"))
        };
        let number =
            |of: fn(&Task) -> Option<i64>| -> ArrayRef { Arc::new(tasks.iter().map(of).collect::<Int64Array>()) };
        let columns: Vec<ArrayRef> = vec![
            number(|task| Some(task.task_no)),
            Arc::new(symbols::column(tasks.iter().map(|task| task.task_type).collect(), types)),
            instant(|task| task.started_at),
            instant(|task| task.completed_at),
            number(|task| Some(task.completed_at? - task.started_at?)),
            number(|task| Some(task.clicks)),
            number(|task| Some(task.screens)),
            Arc::new(tasks.iter().map(|task| task.success).collect::<BooleanArray>()),
            Arc::new(tasks.iter().map(|task| Some(task.abandoned)).collect::<BooleanArray>()),
            Arc::new(tasks.iter().map(|task| Some(complexity(task.screens))).collect::<Int32Array>()),
        ];
        let starts = std::iter::once(&0).chain(&self.ends);
        let lengths = self.ends.iter().zip(starts).map(|(end, start)| end - start);
        list_column(task_fields(), lengths, columns)
    }
}

/// The last row of a task without completion: before the next start of its type, and in time.
fn last_row(within_ms: i64, events: &Events<'_>, scan: &Scan, start: TaskEvent, outcome: Outcome) -> usize {
    let end = if let Outcome::Restarted(next) = outcome { next } else { scan.rows.end };
    let in_time = events.ts[start.row..end].partition_point(|&ts| ts - events.ts[start.row] <= within_ms);
    start.row + in_time - 1
}

/// flow_complexity, 1 to 5, by the screens of a task: ≤ 2, ≤ 4, ≤ 7, ≤ 12, more (`docs/rules.md`, section 7).
fn complexity(screens: i64) -> i32 {
    match screens {
        ..=2 => 1,
        3..=4 => 2,
        5..=7 => 3,
        8..=12 => 4,
        _ => 5,
    }
}

/// The fields of a task.
pub fn task_fields() -> Fields {
    let column = |name: &&str| {
        let column = FACT_TASKS.column(name)?;
        Some(Field::new(column.name, in_flight_type(column.kind), column.nullable))
    };
    COLUMNS.iter().filter_map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::complexity;

    #[test]
    fn complexity_changes_after_2_4_7_and_12_screens() {
        assert_eq!([2, 3, 4, 5, 7, 8, 12, 13].map(complexity), [1, 2, 2, 3, 3, 4, 4, 5]);
    }
}
