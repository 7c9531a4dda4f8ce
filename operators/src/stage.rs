//! What the operators of all stages share: plan properties, metrics, and mapping a kernel over a stream.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, Gauge, MetricBuilder, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{Partitioning, PlanProperties};
use futures::{StreamExt, stream};

/// Properties of a bounded plan with `partitions` outputs in no known order.
pub(crate) fn properties(schema: SchemaRef, partitions: usize, emission: EmissionType) -> Arc<PlanProperties> {
    bounded(EquivalenceProperties::new(schema), partitions, emission)
}

/// Properties of a bounded plan with one output, which comes at the end of the input and in this order.
pub(crate) fn sorted_properties(schema: SchemaRef, order: Option<LexOrdering>) -> Arc<PlanProperties> {
    bounded(EquivalenceProperties::new_with_orderings(schema, order), 1, EmissionType::Final)
}

fn bounded(equivalence: EquivalenceProperties, partitions: usize, emission: EmissionType) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        equivalence,
        Partitioning::UnknownPartitioning(partitions),
        emission,
        Boundedness::Bounded,
    ))
}

/// A counter of events a stage saw, next to the rows (sessions) that DataFusion counts itself.
pub(crate) fn counter(metrics: &ExecutionPlanMetricsSet, name: &'static str, partition: usize) -> Count {
    MetricBuilder::new(metrics).counter(name, partition)
}

/// A gauge for what a stage still holds when it ends.
pub(crate) fn gauge(metrics: &ExecutionPlanMetricsSet, name: &'static str, partition: usize) -> Gauge {
    MetricBuilder::new(metrics).gauge(name, partition)
}

/// What all tasks give, in the order in which they end; the first error or panic ends the others.
pub(crate) async fn joined<T: Send + 'static>(mut tasks: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut all = Vec::with_capacity(tasks.len());
    while let Some(task) = tasks.join_next().await {
        all.push(task.map_err(|panic| DataFusionError::External(Box::new(panic)))??);
    }
    Ok(all)
}

/// Applies a pure kernel to each batch; records the time it takes and the rows it gives.
pub(crate) fn map(
    input: SendableRecordBatchStream,
    schema: SchemaRef,
    baseline: BaselineMetrics,
    mut kernel: impl FnMut(RecordBatch) -> Result<RecordBatch> + Send + 'static,
) -> SendableRecordBatchStream {
    let mapped = input.map(move |batch| {
        let batch = batch?;
        let timer = baseline.elapsed_compute().timer();
        let result = kernel(batch);
        timer.done();
        result.record_output(&baseline)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, mapped))
}

/// Rows of a batch for DataFusion's sort, at most [`SORT_BATCH_ROWS_MAX`].
///
/// The sort has a cost for each batch, so large batches are cheap; but it must be able to reserve a batch twice within
/// its share of the memory pool.
pub(crate) fn sort_batch_rows(context: &TaskContext) -> usize {
    let reserved = context.session_config().options().execution.sort_spill_reservation_bytes;
    (reserved / SORT_ROW_BYTES).clamp(1 << 10, SORT_BATCH_ROWS_MAX)
}

/// Most rows of a batch for DataFusion's sort.
const SORT_BATCH_ROWS_MAX: usize = 1 << 16;

/// Bytes of a wide row.
const SORT_ROW_BYTES: usize = 256;

/// Coalesces small batches into batches of `rows` rows; the last one may be shorter.
pub(crate) fn coalesce(input: SendableRecordBatchStream, rows: usize) -> SendableRecordBatchStream {
    let schema = input.schema();
    let coalescer = BatchCoalescer::new(Arc::clone(&schema), rows);
    let batches = stream::try_unfold((Some(input), coalescer), |(mut input, mut coalescer)| async move {
        loop {
            if let Some(batch) = coalescer.next_completed_batch() {
                return Ok(Some((batch, (input, coalescer))));
            }
            let Some(open) = &mut input else { return Ok::<_, DataFusionError>(None) };
            match open.next().await.transpose()? {
                Some(batch) => coalescer.push_batch(batch)?,
                None => {
                    input = None;
                    coalescer.finish_buffered_batch()?;
                }
            }
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// The methods of `ExecutionPlan` that are the same in every operator with one input.
macro_rules! single_input_plan {
    ($name:literal) => {
        fn name(&self) -> &str {
            $name
        }

        fn properties(&self) -> &Arc<datafusion::physical_plan::PlanProperties> {
            &self.properties
        }

        fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
            vec![&self.input]
        }

        fn apply_expressions(
            &self,
            _visit: &mut dyn FnMut(
                &Arc<dyn datafusion::physical_plan::PhysicalExpr>,
            ) -> Result<datafusion::common::tree_node::TreeNodeRecursion>,
        ) -> Result<datafusion::common::tree_node::TreeNodeRecursion> {
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        }

        fn metrics(&self) -> Option<datafusion::physical_plan::metrics::MetricsSet> {
            Some(self.metrics.clone_inner())
        }

        fn replace_children(
            self: Arc<Self>,
            mut children: Vec<Arc<dyn ExecutionPlan>>,
            _options: datafusion::physical_plan::ReplaceChildrenOptions,
        ) -> Result<Arc<dyn ExecutionPlan>> {
            let input = children
                .pop()
                .ok_or_else(|| datafusion::common::internal_datafusion_err!("{} needs an input", $name))?;
            Ok(Arc::new(self.with_input(input)?))
        }

        fn with_new_children(
            self: Arc<Self>,
            mut children: Vec<Arc<dyn ExecutionPlan>>,
        ) -> Result<Arc<dyn ExecutionPlan>> {
            let input = children
                .pop()
                .ok_or_else(|| datafusion::common::internal_datafusion_err!("{} needs an input", $name))?;
            Ok(Arc::new(self.with_input(input)?))
        }
    };
}
pub(crate) use single_input_plan;
