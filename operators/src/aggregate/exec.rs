//! The operator of `aggregate`: turns session batches into facts.
//!
//!     {…, events, incidents} ─▶ {fact_sessions columns, events, incidents, tasks, screens, moves, releases}

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties};
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::tables::FACT_SESSIONS;

use super::moves::{Moves, move_fields};
use super::releases::{release_fields, releases};
use super::screens::{Screens, filed, screen_fields};
use super::sessions::{self, TaskTypes, count_incidents};
use super::tasks::{Tasks, task_fields};
use crate::detect::{Actions, Events, Scan};
use crate::rules::Rules;
use crate::session::{SessionBatch, list, list_field};
use crate::stage::{self, single_input_plan};

/// Aggregates each session into its facts.
#[derive(Debug)]
pub struct AggregateExec {
    input: Arc<dyn ExecutionPlan>,
    rules: Arc<Rules>,
    keep_events: bool,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl AggregateExec {
    /// Aggregates the sessions of `input`; with `keep_events`, the output has their events too.
    pub fn new(input: Arc<dyn ExecutionPlan>, rules: Arc<Rules>, keep_events: bool) -> Self {
        let schema = output_schema(&input.schema(), keep_events);
        let partitions = input.output_partitioning().partition_count();
        let properties = stage::properties(schema, partitions, EmissionType::Incremental);
        Self { input, rules, keep_events, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, Arc::clone(&self.rules), self.keep_events))
    }
}

fn output_schema(input: &SchemaRef, keep_events: bool) -> SchemaRef {
    let facts = FACT_SESSIONS.columns();
    let facts = facts.map(|column| Arc::new(Field::new(column.name, in_flight_type(column.kind), column.nullable)));
    let kept =
        input.fields().iter().filter(|field| field.name() == "incidents" || (keep_events && field.name() == "events"));
    let lists = [
        list_field("tasks", task_fields()),
        list_field("screens", screen_fields()),
        list_field("moves", move_fields()),
        list_field("releases", release_fields()),
    ];
    Arc::new(Schema::new(facts.chain(kept.cloned()).chain(lists).collect::<Vec<FieldRef>>()))
}

/// The facts of each session of `batch`. `actions` is a cache from batch to batch; `scan` and `screens` are scratch space.
pub(crate) fn facts(
    rules: &Rules,
    schema: &SchemaRef,
    batch: &RecordBatch,
    actions: &mut Actions,
    (scan, screens): (&mut Scan, &mut Screens),
) -> Result<RecordBatch> {
    let sessions = SessionBatch::new(batch)?;
    actions.read(sessions.events())?;
    let events = Events::new(sessions.events(), actions)?;
    let incidents = list(batch, "incidents")?;
    let counted = count_incidents(incidents)?;
    let filed = filed(incidents)?;
    screens.begin(events.symbols("screen_id")?.values().len());
    let (mut moves, mut tasks, mut task_types) = (Moves::default(), Tasks::default(), TaskTypes::default());
    let mut facts = Vec::with_capacity(sessions.len());
    for (session, rows) in sessions.borders().enumerate() {
        scan.read(&events, rows);
        let unique_screens = screens.push(&events, scan, filed.of(session));
        moves.push(scan);
        task_types.push(&events, &mut scan.task_types)?;
        tasks.push(rules.detect.abandoned_task.within_ms, &events, scan);
        facts.push(sessions::facts(&rules.score, &events, scan, counted[session], unique_screens));
    }
    let mut columns = sessions::columns(batch, &sessions, &events, task_types, &facts)?;
    let kept = ["events", "incidents"].into_iter().filter(|name| schema.column_with_name(name).is_some());
    let mut kept: Vec<_> =
        kept.filter_map(|name| schema.column_with_name(name).zip(batch.column_by_name(name))).collect();
    kept.sort_by_key(|((place, _), _)| *place);
    columns.extend(kept.into_iter().map(|(_, column)| Arc::clone(column)));
    columns.push(tasks.into_column(&events)?);
    columns.push(screens.column(&events, &facts)?);
    columns.push(moves.into_column(&events, &facts)?);
    columns.push(releases(&sessions, &events)?);
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

impl DisplayAs for AggregateExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AggregateExec: facts=[sessions, tasks, screens, moves, releases], keep_events={}", self.keep_events)
    }
}

impl ExecutionPlan for AggregateExec {
    single_input_plan!("AggregateExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let (rules, schema) = (Arc::clone(&self.rules), self.schema());
        let (mut actions, mut scan, mut screens) = (Actions::default(), Scan::default(), Screens::default());
        let input = self.input.execute(partition, context)?;
        Ok(stage::map(input, self.schema(), baseline, move |batch| {
            facts(&rules, &schema, &batch, &mut actions, (&mut scan, &mut screens))
        }))
    }
}
