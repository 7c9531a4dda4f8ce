//! The operator of `roll up`: session batches in, the sorted rows of one table out.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, RecordOutput};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::{StreamExt, stream};

use super::tables::RollUp;
use super::totals::Totals;
use crate::stage::{self, single_input_plan};
use crate::table_order;

/// Rolls session batches up into one table.
#[derive(Debug)]
pub struct RollUpExec {
    input: Arc<dyn ExecutionPlan>,
    roll_up: &'static RollUp,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl RollUpExec {
    /// Rolls up the session batches of `input`, which has one partition.
    pub fn new(input: Arc<dyn ExecutionPlan>, roll_up: &'static RollUp) -> Self {
        let schema = roll_up.table.to_store();
        let order = table_order::ascending(roll_up.key_columns(), &schema);
        let properties = stage::sorted_properties(schema, order);
        Self { input, roll_up, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.roll_up))
    }
}

impl DisplayAs for RollUpExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RollUpExec: table={}, list={}", self.roll_up.table.name, self.roll_up.list)
    }
}

impl ExecutionPlan for RollUpExec {
    single_input_plan!("RollUpExec");

    fn input_distribution_requirements(&self) -> datafusion::physical_plan::InputDistributionRequirements {
        datafusion::physical_plan::InputDistributionRequirements::new(vec![
            datafusion::physical_plan::Distribution::SinglePartition,
        ])
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let memory =
            MemoryConsumer::new(format!("RollUpExec[{}]", self.roll_up.table.name)).register(context.memory_pool());
        let mut input = self.input.execute(partition, context)?;
        let mut totals = Totals::new(self.roll_up);
        let rolled_up = async move {
            while let Some(batch) = input.next().await {
                let timer = baseline.elapsed_compute().timer();
                totals.add(&batch?)?;
                timer.done();
                memory.try_resize(totals.memory())?;
            }
            let timer = baseline.elapsed_compute().timer();
            let batch = totals.finish()?;
            timer.done();
            Ok(batch.record_output(&baseline))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::once(rolled_up))))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::empty::EmptyExec;
    use netcrab_schema::tables::FACT_SESSIONS;

    use super::*;
    use crate::roll_up::{FLOWS, HOTSPOTS, RELEASES, TASK_TYPES};
    use crate::table_order::is_in_order;

    #[test]
    fn the_order_it_declares_is_that_of_its_table() {
        for roll_up in [&HOTSPOTS, &FLOWS, &TASK_TYPES, &RELEASES] {
            let plan = RollUpExec::new(Arc::new(EmptyExec::new(roll_up.table.to_store())), roll_up);
            assert!(is_in_order(roll_up.table, &plan).unwrap(), "{}", roll_up.table.name);
        }
    }

    #[test]
    fn a_plan_that_declares_no_order_is_in_none() {
        let plan = EmptyExec::new(FACT_SESSIONS.to_store());
        assert!(!is_in_order(&FACT_SESSIONS, &plan).unwrap());
    }
}
