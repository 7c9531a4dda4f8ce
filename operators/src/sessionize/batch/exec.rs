//! The operator for bounded input in any order.
//!
//!     input 0 ─▶ hash partitioning ─┐                 ┌─▶ order ─▶ fold ─▶ output 0
//!     input 1 ─▶ hash partitioning ─┴─▶ partitions ───┴─▶ order ─▶ fold ─▶ output 1
//!
//! Input   events of `netcrab_schema::arrow::event_in_flight`, or a projection of it
//! Output  session batches; which output a session comes out of is not defined
//! State   all events, packed; beyond the memory limit they spill
//!
//! DataFusion's own sort would compare texts row by row through the whole input. Partitioning by hash first keeps each
//! sort within the processor's cache and needs no merge: see `docs/decisions/0003-sessionize-by-hash-partitioning.md`.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Fields, SchemaRef};
use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, RecordOutput, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt, stream};

use super::hash_partitioner::HashPartitioner;
use super::partition::InSlabs;
use super::spill::Spill;
use crate::rules::Sessionize;
use crate::session;
use crate::sessionize::dictionaries::{CodeRemapping, Dictionaries};
use crate::sessionize::fold::{self, Cut};
use crate::sessionize::layout::Layout;
use crate::sessionize::order::{self, Order};
use crate::sessionize::packer::Packer;
use crate::sessionize::rows::Rows;
use crate::stage::{self, single_input_plan};

/// How much the batch operator takes on at once.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Partitions to divide the events into; rounded up to a power of two, at least 16.
    pub partitions: usize,
    /// Bytes of events held in memory, all tasks together; beyond it they spill.
    pub memory_max: usize,
    /// Most tuples in a dictionary of actions or clients, see [`crate::sessionize::action_dictionary`].
    pub actions_max: usize,
}

/// Sessionizes bounded input in any order.
#[derive(Debug)]
pub struct BatchSessionizeExec {
    input: Arc<dyn ExecutionPlan>,
    settings: Sessionize,
    sizes: Sizes,
    layout: Arc<Layout>,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    partitioned: Arc<OnceLock<PartitionOnce>>,
}

/// The partitioning that all outputs wait for; the first output that is polled drives it.
type PartitionOnce = Shared<BoxFuture<'static, Result<Arc<PartitionedEvents>, Arc<DataFusionError>>>>;

/// All events, in partitions.
struct PartitionedEvents {
    tasks: Vec<Task>,
    dictionaries: Arc<Dictionaries>,
    next: AtomicUsize,
    partitions: usize,
}

/// What one input task partitioned.
struct Task {
    /// Each partition, until an output takes it.
    filled: Vec<Mutex<Option<InSlabs>>>,
    remapping: CodeRemapping,
    spilled: Option<Arc<dyn SpillFile>>,
    memory: MemoryReservation,
}

impl fmt::Debug for PartitionedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionedEvents").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

impl BatchSessionizeExec {
    /// Sessionizes the events of `input`; each session keeps the fields `events` of its events.
    ///
    /// # Errors
    /// Where `input` lacks an event column that `sessionize` needs, or a column has another type.
    pub fn new(input: Arc<dyn ExecutionPlan>, settings: Sessionize, sizes: Sizes, events: Fields) -> Result<Self> {
        let layout = Layout::new(input.schema().fields())?;
        let schema = session::schema(events);
        let outputs = input.output_partitioning().partition_count();
        Ok(Self {
            settings,
            sizes: Sizes { partitions: sizes.partitions.next_power_of_two().max(16), ..sizes },
            layout: Arc::new(layout),
            properties: stage::properties(schema, outputs, EmissionType::Final),
            metrics: ExecutionPlanMetricsSet::new(),
            partitioned: Arc::default(),
            input,
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let events = session::event_fields(&self.schema())?.clone();
        Self::new(input, self.settings.clone(), self.sizes, events)
    }

    /// Starts to read all inputs, each in a task of its own.
    fn start(&self, context: &Arc<TaskContext>) -> Result<PartitionOnce> {
        let mut tasks = JoinSet::new();
        let inputs = self.input.output_partitioning().partition_count();
        for partition in 0..inputs {
            let task = PartitionTask {
                input: self.input.execute(partition, Arc::clone(context))?,
                partitioner: HashPartitioner::new(
                    Arc::clone(&self.layout),
                    self.sizes.partitions,
                    self.sizes.actions_max,
                ),
                spill: Spill::new(
                    Arc::clone(&context.runtime_env().disk_manager),
                    SpillMetrics::new(&self.metrics, partition),
                ),
                memory: MemoryConsumer::new(format!("BatchSessionizeExec[{partition}]"))
                    .register(context.memory_pool()),
                memory_max: self.sizes.memory_max / inputs.max(1),
                time: BaselineMetrics::new(&self.metrics, partition).elapsed_compute().clone(),
                events: stage::counter(&self.metrics, "events", partition),
            };
            tasks.spawn(task.run());
        }
        let (layout, partitions) = (Arc::clone(&self.layout), self.sizes.partitions);
        let all = async move {
            let finished = stage::joined(tasks).await?;
            Ok::<_, DataFusionError>(Arc::new(merge(&layout, partitions, finished)?))
        };
        Ok(all.map(|all| all.map_err(Arc::new)).boxed().shared())
    }
}

/// Merges the dictionaries of all tasks.
fn merge(layout: &Layout, partitions: usize, finished: Vec<Finished>) -> Result<PartitionedEvents> {
    let mut packers = Vec::with_capacity(finished.len());
    let mut filled = Vec::with_capacity(finished.len());
    for task in finished {
        packers.push(task.packer);
        filled.push((task.filled, task.spilled, task.memory));
    }
    let (dictionaries, remappings) = Dictionaries::new(layout, &packers);
    let tasks = filled.into_iter().zip(remappings).map(|((filled, spilled, memory), remapping)| Task {
        filled: filled.into_iter().map(|filled| Mutex::new(Some(filled))).collect(),
        remapping,
        spilled,
        memory,
    });
    Ok(PartitionedEvents {
        tasks: tasks.collect(),
        dictionaries: Arc::new(dictionaries),
        next: AtomicUsize::new(0),
        partitions,
    })
}

/// Partitions one input.
struct PartitionTask {
    input: SendableRecordBatchStream,
    partitioner: HashPartitioner,
    spill: Spill,
    memory: MemoryReservation,
    memory_max: usize,
    time: datafusion::physical_plan::metrics::Time,
    events: datafusion::physical_plan::metrics::Count,
}

struct Finished {
    filled: Vec<InSlabs>,
    packer: Packer,
    spilled: Option<Arc<dyn SpillFile>>,
    memory: MemoryReservation,
}

impl PartitionTask {
    async fn run(mut self) -> Result<Finished> {
        while let Some(batch) = self.input.next().await {
            let batch = batch?;
            let _timer = self.time.timer();
            self.events.add(batch.num_rows());
            self.partitioner.partition(&batch)?;
            let bytes = self.partitioner.memory();
            if bytes > self.memory_max || self.memory.try_resize(bytes).is_err() {
                self.partitioner.spill(&mut self.spill)?;
                self.memory.resize(self.partitioner.memory());
            }
        }
        let (filled, packer) = self.partitioner.finish();
        Ok(Finished { filled, packer, spilled: self.spill.finish()?, memory: self.memory })
    }
}

impl PartitionedEvents {
    /// Reads the next partition that no output took into `rows`; `false` where none is left.
    fn next_rows(&self, layout: &Layout, rows: &mut Rows) -> Result<bool> {
        let partition = self.next.fetch_add(1, Ordering::Relaxed);
        if partition >= self.partitions {
            return Ok(false);
        }
        rows.clear();
        for task in &self.tasks {
            let filled = task.filled[partition].lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some((filled, slabs)) = filled else { continue };
            let held = filled.memory();
            let spilled = task.spilled.as_ref().and_then(|file| file.path());
            filled.read(&slabs, spilled, layout, &task.remapping, rows)?;
            task.memory.shrink(held.min(task.memory.size()));
        }
        Ok(true)
    }
}

/// One output: turns partitions into session batches, one after another.
struct Output {
    layout: Arc<Layout>,
    schema: SchemaRef,
    settings: Sessionize,
    baseline: BaselineMetrics,
    repeats: datafusion::physical_plan::metrics::Count,
    partitioned: PartitionOnce,
    folding: Option<Folding>,
    memory: MemoryReservation,
}

/// A partition being folded into session batches.
struct Folding {
    rows: Rows,
    order: Order,
    cuts: Vec<Cut>,
    done: usize,
}

impl Output {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let partitioned = self.partitioned.clone().await.map_err(DataFusionError::Shared)?;
        let compute = self.baseline.elapsed_compute().clone();
        let _timer = compute.timer();
        loop {
            if let Some(batch) = self.next_of_partition()? {
                return Ok(Some(batch));
            }
            let folding = self.folding.take();
            let mut rows = folding
                .map_or_else(|| Rows::new(&self.layout, Arc::clone(&partitioned.dictionaries)), |last| last.rows);
            if !partitioned.next_rows(&self.layout, &mut rows)? {
                self.memory.free();
                return Ok(None);
            }
            self.memory.resize(rows.memory());
            let order = order::order(&self.layout, &rows);
            self.repeats.add(order.repeats);
            let cuts = fold::cut(&self.settings, &rows.ts, &order);
            self.folding = Some(Folding { rows, order, cuts, done: 0 });
        }
    }

    fn next_of_partition(&mut self) -> Result<Option<RecordBatch>> {
        let Some(folding) = &mut self.folding else { return Ok(None) };
        let cuts = fold::one_batch(&folding.cuts[folding.done..]);
        if cuts.is_empty() {
            return Ok(None);
        }
        folding.done += cuts.len();
        let batch = fold::session_batch(&self.layout, &self.schema, &folding.rows, &folding.order, cuts)?;
        Ok(Some(batch.record_output(&self.baseline)))
    }
}

impl DisplayAs for BatchSessionizeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sessionize { gap_ms, length_ms } = self.settings;
        write!(f, "BatchSessionizeExec: gap_ms={gap_ms}, length_ms={length_ms}, partitions={}", self.sizes.partitions)
    }
}

impl ExecutionPlan for BatchSessionizeExec {
    single_input_plan!("BatchSessionizeExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let partitioned = match self.partitioned.get() {
            Some(started) => started.clone(),
            None => {
                let started = self.start(&context)?;
                self.partitioned.get_or_init(|| started).clone()
            }
        };
        let memory =
            MemoryConsumer::new(format!("BatchSessionizeExec.fold[{partition}]")).register(context.memory_pool());
        let output = Output {
            layout: Arc::clone(&self.layout),
            schema: self.schema(),
            settings: self.settings.clone(),
            baseline: BaselineMetrics::new(&self.metrics, partition),
            repeats: stage::counter(&self.metrics, "repeated_events", partition),
            partitioned,
            folding: None,
            memory,
        };
        let batches =
            stream::try_unfold(
                output,
                |mut output| async move { Ok(output.next().await?.map(|batch| (batch, output))) },
            );
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
