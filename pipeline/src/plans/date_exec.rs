//! Adds the column `date` to events: the day of `ts`.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr, PlanProperties,
};
use futures::StreamExt;
use netcrab_operators::session::DAY_MS;
use netcrab_schema::tables::EVENTS_RAW;

/// Adds the column `date`, the day of `ts`.
#[derive(Debug)]
pub(crate) struct DatedExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl DatedExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(EVENTS_RAW.in_flight()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { input, properties: Arc::new(properties) }
    }
}

/// The events of `batch` with the day of each.
fn dated(batch: &RecordBatch) -> Result<RecordBatch> {
    let ts = batch.column_by_name("ts").and_then(|ts| ts.as_primitive_opt::<TimestampMillisecondType>());
    let ts = ts.ok_or_else(|| internal_datafusion_err!("events have a ts"))?;
    let dates: Date32Array = ts.unary(|ts| ts.div_euclid(DAY_MS) as i32);
    let columns = batch.columns().iter().cloned().chain([Arc::new(dates) as ArrayRef]);
    Ok(RecordBatch::try_new(EVENTS_RAW.in_flight(), columns.collect())?)
}

impl DisplayAs for DatedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatedExec: date of ts")
    }
}

impl ExecutionPlan for DatedExec {
    fn name(&self) -> &str {
        "DatedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop();
        Ok(Arc::new(Self::new(input.ok_or_else(|| internal_datafusion_err!("one input"))?)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let batches = input.map(|batch| dated(&batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
