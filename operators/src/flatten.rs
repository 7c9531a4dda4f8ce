//! The rows of one table out of session batches.
//!
//!     {session_key, …, incidents: [i1 i2]}  ─▶  {session_key, …i1}, {session_key, …i2}
//!
//! A column of the table comes from the list or, where the list has none, from the session, whose value is repeated
//! for each row. Texts come out as plain strings, the form in which they are sorted and stored.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, UInt32Array};
use arrow::compute;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties};
use netcrab_schema::Table;

use crate::session;
use crate::stage::{self, single_input_plan};
use crate::table_order::by_numbers;

/// Flattens session batches into rows of a table.
#[derive(Debug)]
pub struct FlattenExec {
    input: Arc<dyn ExecutionPlan>,
    table: &'static Table,
    list: Option<&'static str>,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FlattenExec {
    /// Rows of `table` from the list column `list`, or one row for each session where there is none.
    pub fn new(input: Arc<dyn ExecutionPlan>, table: &'static Table, list: Option<&'static str>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = stage::properties(table.to_store(), partitions, EmissionType::Incremental);
        Self { input, table, list, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.table, self.list))
    }
}

/// The rows of one table, see [`FlattenExec::new`].
///
/// # Errors
/// Where `batch` lacks a column of the table.
pub fn flatten(table: &Table, schema: &SchemaRef, list: Option<&str>, batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = match list {
        None => table.columns().map(|column| session::column(batch, column.name).cloned()).collect::<Result<_>>()?,
        Some(list) => of_list(table, session::list(batch, list)?, batch)?,
    };
    let stored =
        columns.iter().zip(schema.fields()).map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => Ok(compute::cast(column, field.data_type())?),
        });
    Ok(RecordBatch::try_new(Arc::clone(schema), stored.collect::<Result<_>>()?)?)
}

fn of_list(table: &Table, list: &ListArray, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let rows = list.values().as_struct();
    let mut session_of_row = Vec::with_capacity(rows.len());
    for (session, pair) in list.value_offsets().windows(2).enumerate() {
        session_of_row.extend(std::iter::repeat_n(session as u32, (pair[1] - pair[0]) as usize));
    }
    let session_of_row = UInt32Array::from(session_of_row);
    let column = |name: &str| -> Result<ArrayRef> {
        if let Some(column) = rows.column_by_name(name) {
            return Ok(Arc::clone(column));
        }
        Ok(compute::take(session::column(batch, name)?, &session_of_row, None)?)
    };
    table.columns().map(|wanted| column(wanted.name)).collect()
}

impl DisplayAs for FlattenExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlattenExec: table={}, list={}", self.table.name, self.list.unwrap_or("none"))
    }
}

impl ExecutionPlan for FlattenExec {
    single_input_plan!("FlattenExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let (table, list, schema) = (self.table, self.list, self.schema());
        let sort_batch_rows = stage::sort_batch_rows(&context);
        let input = self.input.execute(partition, context)?;
        let rows = stage::map(input, self.schema(), baseline, move |batch| flatten(table, &schema, list, &batch));
        Ok(if by_numbers(table) { rows } else { stage::coalesce(rows, sort_batch_rows) })
    }
}
