//! Leaves out events that events_raw contains already: those of a file that grew, was renamed or exported again.
//!
//!     events ─▶ rows that no stored row of their day equals, but for a larger `seq`
//!
//! Of rows that repeat an event the smallest `seq` counts, so a row with a smaller one is written: what a run derives and
//! what the next one derives from events_raw are the same. A day's hashes are read when its first event comes. State: 32
//! bytes for each stored row of the days so far, within a bound. Events of days beyond it pass; the chain of stages counts an event once, however often it is stored.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use netcrab_operators::session::day_of;
use netcrab_schema::tables::EVENTS_RAW;
use netcrab_sinks::StagedFile;
use netcrab_sinks::delta::DeltaSink;
use netcrab_sources::row_hashes;
use tokio::sync::Mutex;

use super::event_columns::in_flight_events;

/// The hash of a row, and its `seq`; an absent one is last.
type StoredRow = (u128, i64);

/// The rows of events_raw, by day.
#[derive(Debug)]
pub(crate) struct StoredRows {
    sink: DeltaSink,
    files: HashMap<i32, Vec<StagedFile>>,
    days: Mutex<Days>,
    repeated: AtomicU64,
}

#[derive(Debug)]
struct Days {
    /// For each day that was read, its rows, sorted; `None` where they do not fit.
    rows: HashMap<i32, Option<Arc<[StoredRow]>>>,
    /// How many more rows fit.
    room: u64,
}

impl StoredRows {
    /// The rows that events_raw has now; at most `memory_bytes` of hashes are held.
    ///
    /// # Errors
    /// Where the log of events_raw cannot be read.
    pub(crate) async fn of(sink: &DeltaSink, memory_bytes: u64) -> std::result::Result<Self, netcrab_sinks::Error> {
        let mut files: HashMap<i32, Vec<StagedFile>> = HashMap::new();
        for file in sink.files(&EVENTS_RAW, "").await? {
            files.entry(file.date.unwrap_or_default()).or_default().push(file);
        }
        let room = memory_bytes / size_of::<StoredRow>() as u64;
        Ok(Self {
            sink: sink.clone(),
            files,
            days: Mutex::new(Days { rows: HashMap::new(), room }),
            repeated: AtomicU64::new(0),
        })
    }

    /// How many rows were left out because they are stored.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// The rows of a day.
    async fn day(&self, day: i32) -> Result<Option<Arc<[StoredRow]>>> {
        let Some(files) = self.files.get(&day) else { return Ok(None) };
        let mut days = self.days.lock().await;
        if let Some(known) = days.rows.get(&day) {
            return Ok(known.clone());
        }
        let rows = files.iter().map(|file| file.rows).sum();
        let stored = match days.room.checked_sub(rows) {
            None => None,
            Some(room) => {
                days.room = room;
                Some(self.read(files).await?)
            }
        };
        days.rows.insert(day, stored.clone());
        Ok(stored)
    }

    async fn read(&self, files: &[StagedFile]) -> Result<Arc<[StoredRow]>> {
        let external = |error: netcrab_sinks::Error| DataFusionError::External(Box::new(error));
        let mut stored = Vec::new();
        for file in files {
            let mut rows = self.sink.read(&EVENTS_RAW, file).await.map_err(external)?;
            while let Some(batch) = rows.try_next().await.map_err(external)? {
                stored.extend(stored_rows(&in_flight_events(&batch)?)?);
            }
        }
        stored.sort_unstable();
        Ok(stored.into())
    }

    /// The rows of `batch` that are not stored.
    async fn without_stored(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let ts = batch.column_by_name("ts").and_then(|ts| ts.as_primitive_opt::<TimestampMillisecondType>());
        let ts = ts.ok_or_else(|| internal_datafusion_err!("events have a ts"))?;
        let days: Vec<i32> = ts.values().iter().map(|&ts| day_of(ts)).collect();
        let mut stored: HashMap<i32, Arc<[StoredRow]>> = HashMap::new();
        for day in days.iter().copied().collect::<HashSet<_>>() {
            if let Some(rows) = self.day(day).await? {
                stored.insert(day, rows);
            }
        }
        if stored.is_empty() {
            return Ok(batch);
        }
        let is_new = |(row, day): (StoredRow, &i32)| {
            let of_day = stored.get(day).map_or(&[][..], |rows| &rows[..]);
            let first = of_day.partition_point(|stored| stored.0 < row.0);
            of_day.get(first).is_none_or(|stored| *stored > row)
        };
        let rows = stored_rows(&batch)?.into_iter().zip(&days);
        let new: BooleanArray = rows.map(|row| Some(is_new(row))).collect();
        if new.false_count() == 0 {
            return Ok(batch);
        }
        self.repeated.fetch_add(new.false_count() as u64, Ordering::Relaxed);
        Ok(filter_record_batch(&batch, &new)?)
    }
}

fn stored_rows(events: &RecordBatch) -> Result<Vec<StoredRow>> {
    let seq = events.column_by_name("seq").and_then(|seq| seq.as_primitive_opt::<Int64Type>());
    let seq = seq.ok_or_else(|| internal_datafusion_err!("events have a seq"))?;
    Ok(row_hashes(events).into_iter().zip(seq.iter().map(|seq| seq.unwrap_or(i64::MAX))).collect())
}

/// Leaves out events that events_raw contains already.
#[derive(Debug)]
pub(crate) struct UnstoredExec {
    input: Arc<dyn ExecutionPlan>,
    stored: Arc<StoredRows>,
}

impl UnstoredExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, stored: Arc<StoredRows>) -> Self {
        Self { input, stored }
    }
}

impl DisplayAs for UnstoredExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnstoredExec: days={}", self.stored.files.len())
    }
}

impl ExecutionPlan for UnstoredExec {
    fn name(&self) -> &str {
        "UnstoredExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
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
        let input = children.pop().ok_or_else(|| internal_datafusion_err!("one input"))?;
        Ok(Arc::new(Self::new(input, Arc::clone(&self.stored))))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (input, stored) = (self.input.execute(partition, context)?, Arc::clone(&self.stored));
        let batches = input.then(move |batch| {
            let stored = Arc::clone(&stored);
            async move { stored.without_stored(batch?).await }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
