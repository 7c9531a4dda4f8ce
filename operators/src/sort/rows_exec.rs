//! Sorts the rows of a table by one number each, where its order is date, organisation, product, an instant and a text.
//!
//!     batches ─▶ (date · org · product · instant, batch, row) ─▶ sorted ─▶ rows taken in that order
//!
//! Input   one partition of rows, see [`Table::to_store`]
//! Output  the same rows by `order`, in batches of 8192
//! State   all rows, and 32 bytes for each
//!
//! Rows stay in their batches and move once, on output. The texts are compared only between rows of one instant.
//! DataFusion's sort takes over, and can spill, where the memory limit is reached. It also takes over where the batches
//! do not share one dictionary in byte order, since then the codes do not tell the order.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, RecordOutput};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::{StreamExt, TryStreamExt, stream};
use netcrab_schema::Table;

use super::fallback::sort_with_datafusion;
use super::rows::Sorting;
use crate::stage::{self, single_input_plan};
use crate::table_order::order;

/// Sorts the rows of one table.
#[derive(Debug)]
pub struct SortRowsExec {
    input: Arc<dyn ExecutionPlan>,
    table: &'static Table,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SortRowsExec {
    /// Sorts the rows of `table` that the one partition of `input` gives.
    ///
    /// # Errors
    /// Where `input` lacks a column of the order of `table`.
    pub fn new(input: Arc<dyn ExecutionPlan>, table: &'static Table) -> Result<Self> {
        let properties = stage::sorted_properties(input.schema(), Some(order(table, &input.schema())?));
        Ok(Self { input, table, properties, metrics: ExecutionPlanMetricsSet::new() })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::new(input, self.table)
    }
}

impl DisplayAs for SortRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SortRowsExec: table={}, by=[date, {}]", self.table.name, self.table.sort.join(", "))
    }
}

impl ExecutionPlan for SortRowsExec {
    single_input_plan!("SortRowsExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let handed_on = stage::counter(&self.metrics, "handed_on", partition);
        let spilled_bytes = stage::counter(&self.metrics, "spilled_bytes", partition);
        let memory = MemoryConsumer::new(format!("SortRowsExec[{}]", self.table.name)).with_can_spill(true);
        let mut sorting = Sorting {
            table: self.table,
            schema: self.schema(),
            batches: Vec::new(),
            places: Vec::new(),
            memory: memory.register(context.memory_pool()),
        };
        let (table, schema) = (self.table, self.schema());
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let sorted = async move {
            while let Some(batch) = input.next().await.transpose()? {
                let timer = baseline.elapsed_compute().timer();
                let refused = sorting.add(batch)?;
                timer.done();
                let Some(batch) = refused else { continue };
                let Sorting { batches, memory, .. } = sorting;
                drop(memory);
                let rest = stream::iter(batches.into_iter().chain([batch]).map(Ok)).chain(input);
                let rest = RecordBatchStreamAdapter::new(schema, rest);
                let (sort, sorted) = sort_with_datafusion(table, Box::pin(rest), context)?;
                let counted = sorted.inspect_ok(move |batch| {
                    handed_on.add(batch.num_rows());
                    baseline.record_output(batch.num_rows());
                });
                let ended = stream::once(async move {
                    let spilled = sort.metrics().and_then(|metrics| metrics.spilled_bytes()).unwrap_or(0);
                    spilled_bytes.add(spilled);
                    None
                });
                return Ok(counted.map(Some).chain(ended).filter_map(std::future::ready).boxed());
            }
            let timer = baseline.elapsed_compute().timer();
            let mut batches = sorting.finish()?;
            timer.done();
            let next = move || {
                let timer = baseline.elapsed_compute().timer();
                let batch = batches.next();
                timer.done();
                batch.map(|batch| batch.record_output(&baseline))
            };
            Ok::<_, datafusion::common::DataFusionError>(stream::iter(std::iter::from_fn(next)).boxed())
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::once(sorted).try_flatten())))
    }
}
