//! The stages put together: one plan for each table, over one pass of the events.
//!
//!     source ─▶ BatchSessionizeExec ─▶ DetectExec ─▶ AggregateExec ─▶ SharedExec ─┬─▶ SortSessionsExec  events_sessionized
//!                                                                                 ├─▶ FlattenExec       fact_sessions …
//!                                                                                 └─▶ RollUpExec        hotspots …

use std::sync::Arc;

use arrow::datatypes::Fields;
use datafusion::common::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use netcrab_schema::{Table, tables};

use crate::aggregate::AggregateExec;
use crate::detect::DetectExec;
use crate::flatten::FlattenExec;
use crate::roll_up::{self, RollUp, RollUpExec};
use crate::rules::Rules;
use crate::session::{fields_of_events, fields_of_facts};
use crate::sessionize::batch::{BatchSessionizeExec, Sizes};
use crate::share::share;
use crate::sort::SortSessionsExec;

/// A table and the plan that gives its rows.
pub type TablePlan = (&'static Table, Arc<dyn ExecutionPlan>);

/// The tables that are derived from events, in the order of the flow.
pub const DERIVED: [&Table; 8] = [
    &tables::EVENTS_SESSIONIZED,
    &tables::FACT_SESSIONS,
    &tables::FACT_INCIDENTS,
    &tables::FACT_TASKS,
    &tables::FACT_SCREEN_HOTSPOTS,
    &tables::FACT_FLOWS,
    &tables::DIM_TASK_TYPES,
    &tables::DIM_RELEASES,
];

/// Plans for `wanted` tables over the events of `source`.
///
/// The plans share one pass: execute all of them once, all partitions concurrently.
///
/// # Errors
/// Where `source` lacks an event column that `sessionize` needs.
pub fn plans(
    source: Arc<dyn ExecutionPlan>,
    rules: &Arc<Rules>,
    sizes: Sizes,
    wanted: &[&'static Table],
) -> Result<Vec<TablePlan>> {
    let sessions = BatchSessionizeExec::new(source, rules.sessionize.clone(), sizes, event_fields(wanted))?;
    plans_over(Arc::new(sessions), rules, wanted)
}

/// Plans for `wanted` tables over `sessions`: the batch or the streaming operator of `sessionize`, whose events have
/// the [`event_fields`].
///
/// The plans share one pass: execute all of them once, all partitions concurrently.
///
/// # Errors
/// Where `sessions` does not give session batches.
pub fn plans_over(
    sessions: Arc<dyn ExecutionPlan>,
    rules: &Arc<Rules>,
    wanted: &[&'static Table],
) -> Result<Vec<TablePlan>> {
    let detected = Arc::new(DetectExec::new(sessions, Arc::new(rules.detect.clone())));
    let facts: Arc<dyn ExecutionPlan> = Arc::new(AggregateExec::new(detected, Arc::clone(rules), keeps_events(wanted)));
    let readers = share(&facts, wanted.len());
    wanted.iter().zip(readers).map(|(&table, reader)| Ok((table, table_plan(table, reader)?))).collect()
}

/// The event fields that a session batch must carry for `wanted` tables.
pub fn event_fields(wanted: &[&Table]) -> Fields {
    if keeps_events(wanted) { fields_of_events() } else { fields_of_facts() }
}

fn keeps_events(wanted: &[&Table]) -> bool {
    wanted.iter().any(|table| table.name == tables::EVENTS_SESSIONIZED.name)
}

fn table_plan(table: &'static Table, sessions: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if table.name == tables::EVENTS_SESSIONIZED.name {
        return Ok(Arc::new(SortSessionsExec::new(sessions)?));
    }
    Ok(match (roll_up_of(table), list_of(table)) {
        (Some(roll_up), _) => Arc::new(RollUpExec::new(Arc::new(CoalescePartitionsExec::new(sessions)), roll_up)),
        (None, list) => Arc::new(FlattenExec::new(sessions, table, list)),
    })
}

fn roll_up_of(table: &Table) -> Option<&'static RollUp> {
    let roll_ups = [&roll_up::HOTSPOTS, &roll_up::FLOWS, &roll_up::TASK_TYPES, &roll_up::RELEASES];
    roll_ups.into_iter().find(|roll_up| roll_up.table.name == table.name)
}

fn list_of(table: &Table) -> Option<&'static str> {
    match table.name {
        "fact_incidents" => Some("incidents"),
        "fact_tasks" => Some("tasks"),
        _ => None,
    }
}
