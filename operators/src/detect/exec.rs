//! The operator of `detect`: adds the column `incidents` to session batches.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties};

use super::{Actions, Events, IncidentDictionaries, Incidents, Scan, detect, incident_fields};
use crate::rules::Detect;
use crate::session::{SessionBatch, list_column, list_field};
use crate::stage::{self, single_input_plan};

/// Detects incidents in session batches.
#[derive(Debug)]
pub struct DetectExec {
    input: Arc<dyn ExecutionPlan>,
    rules: Arc<Detect>,
    names: Arc<IncidentDictionaries>,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DetectExec {
    /// Detects with these rules in the sessions of `input`.
    pub fn new(input: Arc<dyn ExecutionPlan>, rules: Arc<Detect>) -> Self {
        let schema = with_incidents(&input.schema());
        let partitions = input.output_partitioning().partition_count();
        let properties = stage::properties(schema, partitions, EmissionType::Incremental);
        let names = Arc::new(IncidentDictionaries::new(&rules));
        Self { input, rules, names, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, Arc::clone(&self.rules)))
    }
}

/// `schema` with the column `incidents`.
fn with_incidents(schema: &SchemaRef) -> SchemaRef {
    let added = list_field("incidents", incident_fields());
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([added]).collect::<Vec<_>>()))
}

/// Adds the incidents of each session; `actions` are kept from batch to batch, `scan` is scratch space.
fn add_incidents(
    rules: &Detect,
    names: &IncidentDictionaries,
    schema: &SchemaRef,
    batch: &RecordBatch,
    actions: &mut Actions,
    scan: &mut Scan,
) -> Result<RecordBatch> {
    let sessions = SessionBatch::new(batch)?;
    actions.read(sessions.events())?;
    let events = Events::new(sessions.events(), actions)?;
    let mut found = Incidents::default();
    for rows in sessions.borders() {
        scan.read(&events, rows);
        detect(rules, &events, scan, &mut found);
        found.end_session();
    }
    let lengths: Vec<usize> = found.lengths().collect();
    let columns = found.into_columns(rules, names, sessions.session_key()?, &events)?;
    let incidents = list_column(incident_fields(), lengths.into_iter(), columns)?;
    let columns = batch.columns().iter().cloned().chain([incidents]);
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect())?)
}

impl DisplayAs for DetectExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DetectExec: rules={}/{}", self.rules.rule_id, self.rules.rule_version)
    }
}

impl ExecutionPlan for DetectExec {
    single_input_plan!("DetectExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let incidents = stage::counter(&self.metrics, "incidents", partition);
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let (rules, names, schema) = (Arc::clone(&self.rules), Arc::clone(&self.names), self.schema());
        let (mut actions, mut scan) = (Actions::default(), Scan::default());
        let input = self.input.execute(partition, context)?;
        Ok(stage::map(input, self.schema(), baseline, move |batch| {
            let batch = add_incidents(&rules, &names, &schema, &batch, &mut actions, &mut scan)?;
            incidents.add(crate::session::list(&batch, "incidents")?.values().len());
            Ok(batch)
        }))
    }
}
