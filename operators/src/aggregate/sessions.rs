//! The facts of a session: the columns of fact_sessions.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, RecordBatch, StringViewBuilder,
    TimestampMillisecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use hashbrown::HashMap;
use netcrab_schema::arrow::LIST_ITEM;

use super::score::{self, ScoreInputs};
use crate::detect::actions::TaskPhase;
use crate::detect::{Events, IncidentKind, Scan};
use crate::rules::Score;
use crate::session::{SessionBatch, column, symbols, tuples};
use crate::sessionize::layout::CLIENT;
use crate::symbols;

/// The row_version of a closed session written by a batch run.
const CLOSED: i64 = 1;

/// The facts of one session.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the fact_sessions column of that name")]
pub struct Facts {
    pub counts: ScoreInputs,
    pub start_ts: i64,
    pub end_ts: i64,
    pub event_count: i64,
    pub error_clicks: i64,
    pub context_switches: i64,
    pub tasks_completed: i64,
    pub tasks_failed: i64,
    pub frustration_score: f64,
    pub efficiency_score: f64,
    /// Code of the screen, −1 without visits.
    pub entry_screen: i32,
    /// Code of the screen, −1 without visits.
    pub exit_screen: i32,
}

/// The facts of a scanned session, given its incidents by kind and how many distinct screens it has.
pub fn facts(weights: &Score, events: &Events<'_>, scan: &Scan, incidents: [i64; 5], unique_screens: i64) -> Facts {
    let of_kind = |kind: IncidentKind| incidents[kind as usize];
    let of_phase = |phase| scan.tasks.iter().filter(|task| events.of(task.row).task_phase == phase).count() as i64;
    let (start_ts, end_ts) = (events.ts[scan.rows.start], events.ts[scan.rows.end - 1]);
    let counts = ScoreInputs {
        rage_clicks: of_kind(IncidentKind::RageClick),
        backtracks: of_kind(IncidentKind::Backtrack),
        error_events: scan.errors.len() as i64,
        abandoned_tasks: of_kind(IncidentKind::AbandonedTask),
        dead_clicks: of_kind(IncidentKind::DeadClick),
        duration_ms: end_ts - start_ts,
        click_count: scan.clicks.len() as i64,
        tasks_started: of_phase(TaskPhase::Start),
        screen_visits: scan.visits.len() as i64,
        unique_screens,
    };
    Facts {
        start_ts,
        end_ts,
        event_count: scan.rows.len() as i64,
        error_clicks: of_kind(IncidentKind::ErrorClick),
        context_switches: scan.focus_changes as i64,
        tasks_completed: of_phase(TaskPhase::Completed),
        tasks_failed: of_phase(TaskPhase::Failed),
        frustration_score: score::frustration(weights, &counts),
        efficiency_score: score::efficiency(weights, &counts),
        entry_screen: scan.visits.first().map_or(-1, |visit| visit.screen),
        exit_screen: scan.visits.last().map_or(-1, |visit| visit.screen),
        counts,
    }
}

/// The columns of fact_sessions, in order, of the sessions of `batch`.
///
/// # Errors
/// Where a column of `batch` is missing.
pub fn columns(
    batch: &RecordBatch,
    sessions: &SessionBatch<'_>,
    events: &Events<'_>,
    task_types: TaskTypes,
    facts: &[Facts],
) -> Result<Vec<ArrayRef>> {
    let (client, clients) = tuples(sessions.events(), CLIENT)?;
    let number = |of: fn(&Facts) -> i64| -> ArrayRef { Arc::new(facts.iter().map(of).collect::<Int64Array>()) };
    let score = |of: fn(&Facts) -> f64| -> ArrayRef { Arc::new(facts.iter().map(of).collect::<Float64Array>()) };
    let instant = |of: fn(&Facts) -> i64| -> ArrayRef {
        let instants: Vec<i64> = facts.iter().map(of).collect();
        Arc::new(TimestampMillisecondArray::from(instants).with_timezone("UTC"))
    };
    let screen = |of: fn(&Facts) -> i32| -> Result<ArrayRef> {
        let codes = facts.iter().map(of).collect();
        Ok(Arc::new(symbols::column(codes, events.symbols("screen_id")?.values())))
    };
    let first_present = |name: &str| -> Result<ArrayRef> {
        let column = symbols(clients.as_struct(), name)?;
        let first = |session: Range<usize>| client[session].iter().find_map(|&client| column.key(client as usize));
        let codes = sessions.borders().map(|session| first(session).map_or(-1, |code| code as i32)).collect();
        Ok(Arc::new(symbols::column(codes, column.values())))
    };
    let stage = |name: &str| column(batch, name).cloned();
    Ok(vec![
        stage("org_id")?,
        stage("product_id")?,
        stage("date")?,
        stage("session_key")?,
        stage("session_id")?,
        stage("session_no")?,
        stage("user_hash")?,
        instant(|facts| facts.start_ts),
        instant(|facts| facts.end_ts),
        number(|facts| facts.counts.duration_ms),
        number(|facts| facts.event_count),
        number(|facts| facts.counts.click_count),
        number(|facts| facts.counts.screen_visits),
        number(|facts| facts.counts.unique_screens),
        number(|facts| facts.counts.rage_clicks),
        number(|facts| facts.counts.dead_clicks),
        number(|facts| facts.error_clicks),
        number(|facts| facts.counts.backtracks),
        number(|facts| facts.context_switches),
        number(|facts| facts.counts.tasks_started),
        number(|facts| facts.tasks_completed),
        number(|facts| facts.tasks_failed),
        number(|facts| facts.counts.abandoned_tasks),
        number(|facts| facts.counts.error_events),
        score(|facts| facts.frustration_score),
        score(|facts| facts.efficiency_score),
        screen(|facts| facts.entry_screen)?,
        screen(|facts| facts.exit_screen)?,
        task_types.into_column()?,
        first_present("device_type")?,
        first_present("os")?,
        first_present("browser")?,
        first_present("version_tag")?,
        first_present("segment")?,
        Arc::new(Int64Array::from(vec![CLOSED; facts.len()])),
    ])
}

/// The distinct task types of each session, sorted: dictionary order is byte order.
#[derive(Default)]
pub struct TaskTypes {
    types: StringViewBuilder,
    lengths: Vec<usize>,
}

impl TaskTypes {
    /// Adds a session, given the task type of each event that has one.
    ///
    /// # Errors
    /// Where the column `task_type` is missing.
    pub fn push(&mut self, events: &Events<'_>, of_session: &mut Vec<i32>) -> Result<()> {
        of_session.sort_unstable();
        of_session.dedup();
        if !of_session.is_empty() {
            let names = events.symbols("task_type")?.values().as_string::<i32>();
            of_session.iter().for_each(|&code| self.types.append_value(names.value(code as usize)));
        }
        self.lengths.push(of_session.len());
        Ok(())
    }

    fn into_column(mut self) -> Result<ArrayRef> {
        let item = Arc::new(Field::new(LIST_ITEM, DataType::Utf8View, false));
        let (types, lengths) = (self.types.finish(), OffsetBuffer::from_lengths(self.lengths));
        Ok(Arc::new(ListArray::try_new(item, lengths, Arc::new(types), None)?))
    }
}

/// How many incidents of each kind each session has.
///
/// # Errors
/// Where the incidents have no column `kind`.
pub fn count_incidents(incidents: &ListArray) -> Result<Vec<[i64; 5]>> {
    let kinds = symbols(incidents.values().as_struct(), "kind")?;
    let names = kinds.values().as_string::<i32>();
    let order: HashMap<&str, usize> = IncidentKind::ALL.iter().map(|kind| (kind.name(), *kind as usize)).collect();
    let kind_of: Vec<Option<usize>> = names.iter().map(|name| order.get(name?).copied()).collect();
    let codes = symbols::codes(kinds);
    let mut counted = Vec::with_capacity(incidents.len());
    for pair in incidents.value_offsets().windows(2) {
        let mut counts = [0; 5];
        for &code in &codes[pair[0] as usize..pair[1] as usize] {
            if let Some(kind) = kind_of[code as usize] {
                counts[kind] += 1;
            }
        }
        counted.push(counts);
    }
    Ok(counted)
}
