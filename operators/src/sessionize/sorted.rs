//! The shell for bounded input in any order.
//!
//!     input 0 ─▶ scatter ─┐                 ┌─▶ order ─▶ fold ─▶ output 0
//!     input 1 ─▶ scatter ─┴─▶ partitions ───┴─▶ order ─▶ fold ─▶ output 1
//!
//! Input   events of `netcrab_schema::arrow::event_in_flight`, or a projection of it
//! Output  session batches; which output a session comes out of is not defined
//! State   all events, packed; beyond the memory limit they spill
//!
//! DataFusion's own sort would compare texts row by row through the whole input. Scattering by
//! hash first keeps each sort within the cache and needs no merge: see
//! `docs/decisions/0003-sessionize-by-scatter.md`.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, RecordOutput, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, SpillManager};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use super::fold::{self, Cut};
use super::order::{self, Order};
use super::packed::{Layout, Packing, Rows};
use super::scatter::{Filled, Scatter};
use crate::session;
use crate::settings::Sessionize;
use crate::stage::{self, single_input_plan};
use crate::symbols::{self, Interner};

/// Most events in one session batch, unless one session alone has more.
const BATCH_EVENTS: usize = 8192;

/// How much the shell takes on at once.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Partitions events are scattered into; rounded up to a power of two, at least 16.
    pub partitions: usize,
    /// Bytes of events held in memory, all tasks together; beyond it they spill.
    pub memory_max: usize,
}

/// Sessionizes bounded input in any order.
#[derive(Debug)]
pub struct SessionizeExec {
    input: Arc<dyn ExecutionPlan>,
    settings: Sessionize,
    sizes: Sizes,
    layout: Arc<Layout>,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    scattered: Arc<OnceLock<ScatterOnce>>,
}

/// The scattering that all outputs wait for; the first one polled drives it.
type ScatterOnce = Shared<BoxFuture<'static, Result<Arc<Scattered>, Arc<DataFusionError>>>>;

/// All events, in partitions.
#[derive(Debug)]
struct Scattered {
    tasks: Vec<Task>,
    dictionaries: Vec<ArrayRef>,
    next: AtomicUsize,
    partitions: usize,
}

/// What one input task scattered.
struct Task {
    filled: Vec<Filled>,
    tables: Vec<Vec<u32>>,
    spills: SpillManager,
    _memory: MemoryReservation,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("partitions", &self.filled.len()).finish_non_exhaustive()
    }
}

impl SessionizeExec {
    /// Sessionizes the events of `input`.
    pub fn new(input: Arc<dyn ExecutionPlan>, settings: Sessionize, sizes: Sizes) -> Result<Self> {
        let layout = Layout::new(input.schema().fields())?;
        let schema = session::schema(layout.fields.clone());
        let outputs = input.output_partitioning().partition_count();
        Ok(Self {
            settings,
            sizes: Sizes { partitions: sizes.partitions.next_power_of_two().max(16), ..sizes },
            layout: Arc::new(layout),
            properties: stage::properties(schema, outputs, EmissionType::Final),
            metrics: ExecutionPlanMetricsSet::new(),
            scattered: Arc::default(),
            input,
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::new(input, self.settings.clone(), self.sizes)
    }

    /// Starts to read all inputs, each in a task of its own.
    fn scatter(&self, context: &Arc<TaskContext>) -> Result<ScatterOnce> {
        let mut tasks = JoinSet::new();
        let memory_max = self.sizes.memory_max / self.input.output_partitioning().partition_count().max(1);
        for partition in 0..self.input.output_partitioning().partition_count() {
            let input = self.input.execute(partition, Arc::clone(context))?;
            let spills = SpillManager::new(
                context.runtime_env(),
                SpillMetrics::new(&self.metrics, partition),
                self.layout.chunk_schema(),
            );
            let memory = MemoryConsumer::new(format!("SessionizeExec[{partition}]")).register(context.memory_pool());
            let scatter = Scatter::new(Arc::clone(&self.layout), self.sizes.partitions);
            let time = BaselineMetrics::new(&self.metrics, partition).elapsed_compute().clone();
            let events = stage::counter(&self.metrics, "events", partition);
            tasks.spawn(scatter_input(input, scatter, spills, memory, memory_max, time, events));
        }
        let (layout, partitions) = (Arc::clone(&self.layout), self.sizes.partitions);
        let all = async move {
            let mut finished = Vec::new();
            while let Some(task) = tasks.join_next().await {
                finished.push(task.map_err(|panic| DataFusionError::External(Box::new(panic)))??);
            }
            Ok::<_, DataFusionError>(Arc::new(unify(&layout, partitions, finished)))
        };
        Ok(all.map(|all| all.map_err(Arc::new)).boxed().shared())
    }
}

/// Gives all tasks one dictionary for each symbol column.
fn unify(layout: &Layout, partitions: usize, finished: Vec<Finished>) -> Scattered {
    let mut dictionaries: Vec<ArrayRef> = Vec::new();
    let mut tables: Vec<Vec<Vec<u32>>> = finished.iter().map(|_| Vec::new()).collect();
    for (place, packing) in layout.packings.iter().enumerate() {
        let interners: Vec<&Interner> = finished.iter().map(|task| &task.interners[place]).collect();
        let (dictionary, translations) = match packing {
            Packing::Symbol => symbols::unify(&interners),
            _ => (Arc::new(StringArray::new_null(0)) as ArrayRef, vec![Vec::new(); interners.len()]),
        };
        dictionaries.push(dictionary);
        tables.iter_mut().zip(translations).for_each(|(tables, table)| tables.push(table));
    }
    let tasks = finished.into_iter().zip(tables).map(|(task, tables)| Task {
        filled: task.filled,
        tables,
        spills: task.spills,
        _memory: task.memory,
    });
    Scattered { tasks: tasks.collect(), dictionaries, next: AtomicUsize::new(0), partitions }
}

struct Finished {
    filled: Vec<Filled>,
    interners: Vec<Interner>,
    spills: SpillManager,
    memory: MemoryReservation,
}

async fn scatter_input(
    mut input: SendableRecordBatchStream,
    mut scatter: Scatter,
    spills: SpillManager,
    memory: MemoryReservation,
    memory_max: usize,
    time: datafusion::physical_plan::metrics::Time,
    events: datafusion::physical_plan::metrics::Count,
) -> Result<Finished> {
    while let Some(batch) = input.next().await {
        let batch = batch?;
        let _timer = time.timer();
        events.add(batch.num_rows());
        scatter.push(&batch)?;
        if scatter.memory() > memory_max || memory.try_resize(scatter.memory()).is_err() {
            scatter.spill(&spills)?;
            memory.resize(scatter.memory());
        }
    }
    let (filled, interners) = scatter.finish()?;
    Ok(Finished { filled, interners, spills, memory })
}

impl Scattered {
    /// The next partition that nobody took, as rows of one dictionary.
    async fn next_rows(&self, layout: &Layout) -> Result<Option<Rows>> {
        let partition = self.next.fetch_add(1, Ordering::Relaxed);
        if partition >= self.partitions {
            return Ok(None);
        }
        let mut from_disk: Vec<(RecordBatch, usize)> = Vec::new();
        for (task_no, task) in self.tasks.iter().enumerate() {
            for file in &task.filled[partition].spilled {
                let stream = task.spills.read_spill_as_stream_unbuffered(Arc::clone(file), None)?;
                let chunks: Vec<RecordBatch> = stream.try_collect().await?;
                from_disk.extend(chunks.into_iter().map(|chunk| (chunk, task_no)));
            }
        }
        let mut chunks: Vec<(&RecordBatch, &[Vec<u32>])> =
            from_disk.iter().map(|(chunk, task)| (chunk, self.tasks[*task].tables.as_slice())).collect();
        for task in &self.tasks {
            chunks.extend(task.filled[partition].chunks.iter().map(|chunk| (chunk, task.tables.as_slice())));
        }
        if chunks.is_empty() {
            return Ok(Some(Rows { key_hash: Vec::new().into(), columns: Vec::new() }));
        }
        Rows::new(layout, &chunks).map(Some)
    }
}

/// Turns partitions into session batches, one after another.
struct Output {
    layout: Arc<Layout>,
    schema: SchemaRef,
    settings: Sessionize,
    baseline: BaselineMetrics,
    repeats: datafusion::physical_plan::metrics::Count,
    scattered: ScatterOnce,
    folding: Option<Folding>,
    memory: MemoryReservation,
}

/// A partition on its way out.
struct Folding {
    rows: Rows,
    order: Order,
    cuts: Vec<Cut>,
    done: usize,
}

impl Output {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let scattered = self.scattered.clone().await.map_err(DataFusionError::Shared)?;
        loop {
            if let Some(batch) = self.next_of_partition(&scattered.dictionaries)? {
                return Ok(Some(batch));
            }
            self.folding = None;
            self.memory.free();
            let Some(rows) = scattered.next_rows(&self.layout).await? else { return Ok(None) };
            if !rows.is_empty() {
                self.memory.resize(rows.len() * row_bytes(&self.layout));
                let _timer = self.baseline.elapsed_compute().timer();
                let order = order::order(&self.layout, &rows);
                self.repeats.add(order.repeats);
                let cuts = fold::cut(&self.settings, rows.instant(self.layout.place.ts), &order);
                self.folding = Some(Folding { rows, order, cuts, done: 0 });
            }
        }
    }

    fn next_of_partition(&mut self, dictionaries: &[ArrayRef]) -> Result<Option<RecordBatch>> {
        let Some(folding) = &mut self.folding else { return Ok(None) };
        let rest = &folding.cuts[folding.done..];
        let Some(first) = rest.first() else { return Ok(None) };
        let fits = |cut: &&Cut| (cut.end - first.start) as usize <= BATCH_EVENTS;
        let cuts = &rest[..rest.iter().take_while(fits).count().max(1)];
        folding.done += cuts.len();
        let timer = self.baseline.elapsed_compute().timer();
        let batch =
            fold::session_batch(&self.layout, &self.schema, &folding.rows, &folding.order, cuts, dictionaries)?;
        timer.done();
        Ok(Some(batch.record_output(&self.baseline)))
    }
}

/// Memory for one event while its partition is sorted: its columns, its hashes, and its place.
fn row_bytes(layout: &Layout) -> usize {
    layout.fields.len() * 8 + 32
}

impl DisplayAs for SessionizeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sessionize { gap_ms, length_ms } = self.settings;
        write!(f, "SessionizeExec: shell=sorted, gap_ms={gap_ms}, length_ms={length_ms}, partitions={}", self.sizes.partitions)
    }
}

impl ExecutionPlan for SessionizeExec {
    single_input_plan!("SessionizeExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let scattered = match self.scattered.get() {
            Some(started) => started.clone(),
            None => {
                let started = self.scatter(&context)?;
                self.scattered.get_or_init(|| started).clone()
            }
        };
        let memory = MemoryConsumer::new(format!("SessionizeExec.fold[{partition}]")).register(context.memory_pool());
        let output = Output {
            layout: Arc::clone(&self.layout),
            schema: self.schema(),
            settings: self.settings.clone(),
            baseline: BaselineMetrics::new(&self.metrics, partition),
            repeats: stage::counter(&self.metrics, "repeated_events", partition),
            scattered,
            folding: None,
            memory,
        };
        let batches = stream::try_unfold(output, |mut output| async move {
            Ok(output.next().await?.map(|batch| (batch, output)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
