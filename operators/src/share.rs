//! Lets several plans read the batches of one plan.
//!
//!                   ┌─▶ fact_sessions
//!     aggregate ─▶ share ─▶ fact_incidents
//!                   └─▶ hotspots
//!
//! Each reader is a [`SharedExec`]; the plan behind them runs once. A batch waits until every
//! reader has taken it, so the slowest reader sets the pace and memory stays bounded.
//!
//! Invariant: all readers are executed, and all their partitions are polled concurrently. A reader that is dropped no
//! longer blocks the others.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties};
use futures::channel::mpsc::{Receiver, Sender, channel};
use futures::{SinkExt, StreamExt};

use crate::stage::{self, single_input_plan};

/// Most batches that wait for one reader of one partition.
const WAITING_MAX: usize = 2;

type Message = Result<RecordBatch, Arc<DataFusionError>>;

/// One reader of a shared plan.
#[derive(Debug)]
pub struct SharedExec {
    input: Arc<dyn ExecutionPlan>,
    reader: usize,
    shared: Arc<SharedPlan>,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What the readers of one plan share.
#[derive(Debug)]
struct SharedPlan {
    readers: usize,
    partitions: Mutex<Vec<Partition>>,
}

/// One partition of the shared plan.
#[derive(Debug, Default)]
struct Partition {
    waiting: Vec<Option<Receiver<Message>>>,
    task: Option<Arc<SpawnedTask<()>>>,
}

/// `readers` plans that each give all batches of `input`.
pub fn share(input: &Arc<dyn ExecutionPlan>, readers: usize) -> Vec<Arc<dyn ExecutionPlan>> {
    let partitions = input.output_partitioning().partition_count();
    let partitions = Mutex::new((0..partitions).map(|_| Partition::default()).collect());
    let shared = Arc::new(SharedPlan { readers, partitions });
    let reader = |reader| SharedExec::new(Arc::clone(input), reader, Arc::clone(&shared));
    (0..readers).map(|number| Arc::new(reader(number)) as Arc<dyn ExecutionPlan>).collect()
}

impl SharedExec {
    fn new(input: Arc<dyn ExecutionPlan>, reader: usize, shared: Arc<SharedPlan>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = stage::properties(input.schema(), partitions, EmissionType::Incremental);
        Self { input, reader, shared, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.reader, Arc::clone(&self.shared)))
    }
}

/// Sends every batch to every reader that was not dropped.
async fn distribute(mut input: SendableRecordBatchStream, mut readers: Vec<Sender<Message>>) {
    while let Some(batch) = input.next().await {
        let message = batch.map_err(Arc::new);
        let sent = futures::future::join_all(readers.iter_mut().map(|reader| reader.send(message.clone()))).await;
        let mut sent = sent.into_iter();
        readers.retain(|_| sent.next().is_some_and(|sent| sent.is_ok()));
        if readers.is_empty() || message.is_err() {
            return;
        }
    }
}

impl DisplayAs for SharedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedExec: reader={} of {}", self.reader + 1, self.shared.readers)
    }
}

impl ExecutionPlan for SharedExec {
    single_input_plan!("SharedExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut partitions = self.shared.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let of_partition = &mut partitions[partition];
        if of_partition.task.is_none() {
            let input = self.input.execute(partition, context)?;
            let (readers, waiting) =
                (0..self.shared.readers).map(|_| channel(WAITING_MAX)).unzip::<_, _, Vec<_>, Vec<_>>();
            of_partition.waiting = waiting.into_iter().map(Some).collect();
            of_partition.task = Some(Arc::new(SpawnedTask::spawn(distribute(input, readers))));
        }
        let task = of_partition.task.clone();
        let waiting = of_partition.waiting[self.reader].take();
        let waiting = waiting.ok_or_else(|| internal_datafusion_err!("a shared plan runs once"))?;
        let batches = waiting.map(move |message| {
            let _running = &task;
            message.map_err(DataFusionError::Shared)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
