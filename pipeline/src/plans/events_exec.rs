//! `EventsExec`: the leaf of a run's plans, which reads events from files.
//!
//!     files ─▶ readers, one for each partition, sharing the files ─▶ event batches
//!                                                              └─▶ rejects
//!
//! Readers block, so each runs on a thread of its own and is at most two batches ahead.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties, ReplaceChildrenOptions,
};
use netcrab_schema::arrow::event_in_flight;
use netcrab_sources::{Source, SourceReader};

use crate::progress::Progress;

/// Batches that a reader may decode ahead.
const AHEAD_MAX: usize = 2;

/// Collects the rejects of a run, up to a bound.
#[derive(Debug, Default)]
pub struct Rejects {
    kept: Mutex<Kept>,
    rows_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    batches: Vec<RecordBatch>,
    rows: usize,
    not_kept: usize,
}

impl Rejects {
    /// Stores at most `rows_max` rows; more are counted.
    pub fn new(rows_max: usize) -> Self {
        Self { kept: Mutex::default(), rows_max }
    }

    fn add(&self, rejects: RecordBatch) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.rows_max - kept.rows.min(self.rows_max);
        let rows = rejects.num_rows().min(room);
        kept.not_kept += rejects.num_rows() - rows;
        kept.rows += rows;
        if rows > 0 {
            kept.batches.push(rejects.slice(0, rows));
        }
    }

    /// The stored rows, and how many more there were.
    pub fn take(&self) -> (Vec<RecordBatch>, usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut kept.batches), kept.not_kept)
    }
}

/// What became of the rows of one source, apart from its rejects.
#[derive(Debug, Default)]
pub struct RowCounts {
    events: AtomicU64,
    skipped: AtomicU64,
}

impl RowCounts {
    fn add(&self, events: u64, skipped: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
        self.skipped.fetch_add(skipped, Ordering::Relaxed);
    }

    /// Rows that became events.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Rows that the mapping skipped.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

/// Reads the events of a source.
pub struct EventsExec {
    bytes: u64,
    files: usize,
    readers: Mutex<Vec<Option<SourceReader>>>,
    progress: Arc<Progress>,
    counts: Arc<RowCounts>,
    rejects: Arc<Rejects>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl EventsExec {
    /// Reads `source` in `partitions` partitions; only `columns`, where they are given.
    pub fn new(
        source: Arc<Source>,
        partitions: usize,
        columns: Option<Vec<&'static str>>,
        progress: Arc<Progress>,
        counts: Arc<RowCounts>,
        rejects: Arc<Rejects>,
    ) -> Self {
        let schema = projected(columns.as_deref());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (bytes, files) = (source.bytes(), source.files());
        let readers = source.readers(partitions, columns).into_iter().map(Some).collect();
        Self {
            bytes,
            files,
            readers: Mutex::new(readers),
            progress,
            counts,
            rejects,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

fn projected(columns: Option<&[&'static str]>) -> SchemaRef {
    let all = event_in_flight();
    let Some(columns) = columns else { return all };
    let wanted = all.fields().iter().filter(|field| columns.contains(&field.name().as_str())).cloned();
    Arc::new(Schema::new(wanted.collect::<Vec<_>>()))
}

impl fmt::Debug for EventsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventsExec").field("files", &self.files).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl DisplayAs for EventsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.properties.equivalence_properties().schema().fields().len();
        write!(f, "EventsExec: files={}, bytes={}, columns={columns}", self.files, self.bytes)
    }
}

impl ExecutionPlan for EventsExec {
    fn name(&self) -> &str {
        "EventsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = readers.get_mut(partition).and_then(Option::take);
        let mut reader = reader.ok_or_else(|| internal_datafusion_err!("a source is read once"))?;
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let bytes_read = MetricBuilder::new(&self.metrics).counter("bytes_read", partition);
        let rejected = MetricBuilder::new(&self.metrics).counter("rejected", partition);
        let (progress, counts) = (Arc::clone(&self.progress), Arc::clone(&self.counts));
        let rejects = Arc::clone(&self.rejects);
        let mut stream = RecordBatchReceiverStream::builder(self.schema(), AHEAD_MAX);
        let sender = stream.tx();
        stream.spawn_blocking(move || {
            loop {
                let timer = baseline.elapsed_compute().timer();
                let decoded = reader.next();
                timer.done();
                let Some(decoded) = decoded else { return Ok(()) };
                let decoded = decoded.map_err(|error| DataFusionError::External(Box::new(error)))?;
                let events = decoded.events.num_rows() as u64;
                progress.add(decoded.bytes_read, events);
                counts.add(events, decoded.skipped);
                bytes_read.add(usize::try_from(decoded.bytes_read).unwrap_or(usize::MAX));
                if let Some(batch) = decoded.rejects {
                    rejected.add(batch.num_rows());
                    rejects.add(batch);
                }
                let events = decoded.events.record_output(&baseline);
                if events.num_rows() > 0 && sender.blocking_send(Ok(events)).is_err() {
                    return Ok(());
                }
            }
        });
        Ok(stream.build())
    }
}
