//! The streaming operator: one epoch as a bounded plan.
//!
//!     input 0, then input 1 … ─▶ push ─▶ (end of input) ─▶ close ─▶ output 0

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Fields, SchemaRef};
use datafusion::common::{Result, exec_datafusion_err, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, Gauge, RecordOutput};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{StreamExt, stream};

use super::{Closing, OpenSessions};
use crate::rules::Sessionize;
use crate::session;
use crate::stage::{self, single_input_plan};

/// Adds the events of an epoch to the open sessions, then emits the sessions that its watermark closes.
///
/// Execute it once: a second execution would add the events again.
pub struct StreamingSessionizeExec {
    input: Arc<dyn ExecutionPlan>,
    state: Arc<Mutex<OpenSessions>>,
    settings: Sessionize,
    watermark: i64,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl StreamingSessionizeExec {
    /// Adds the events of `input` to `state`, and closes the sessions that `watermark` (milliseconds since 1970) closes.
    /// Each session keeps the fields `events` of its events.
    ///
    /// # Errors
    /// Where `input` has other columns than the events of `state`.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        state: Arc<Mutex<OpenSessions>>,
        watermark: i64,
        events: Fields,
    ) -> Result<Self> {
        let (fits, settings) = {
            let state = lock(&state);
            (state.fields() == input.schema().fields(), state.settings().clone())
        };
        if !fits {
            return Err(exec_datafusion_err!(
                "the events have other columns than those of the open sessions; start without state"
            ));
        }
        let schema = session::schema(events);
        Ok(Self {
            properties: stage::properties(schema, 1, EmissionType::Final),
            metrics: ExecutionPlanMetricsSet::new(),
            input,
            state,
            settings,
            watermark,
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let events = session::event_fields(&self.schema())?.clone();
        Self::new(input, Arc::clone(&self.state), self.watermark, events)
    }
}

/// Locks the state. A panic elsewhere leaves it as it is; the epoch of that panic is not committed.
fn lock(state: &Mutex<OpenSessions>) -> MutexGuard<'_, OpenSessions> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The metrics of an epoch, in `EXPLAIN ANALYZE`.
struct Metrics {
    baseline: BaselineMetrics,
    events: Count,
    late_events: Count,
    repeated_events: Count,
    closed_sessions: Count,
    open_sessions: Gauge,
    state_bytes: Gauge,
}

impl Metrics {
    fn new(metrics: &ExecutionPlanMetricsSet) -> Self {
        let counter = |name| stage::counter(metrics, name, 0);
        Self {
            baseline: BaselineMetrics::new(metrics, 0),
            events: counter("events"),
            late_events: counter("late_events"),
            repeated_events: counter("repeated_events"),
            closed_sessions: counter("closed_sessions"),
            open_sessions: stage::gauge(metrics, "open_sessions", 0),
            state_bytes: stage::gauge(metrics, "state_bytes", 0),
        }
    }
}

/// An epoch in progress.
struct Epoch {
    inputs: VecDeque<SendableRecordBatchStream>,
    state: Arc<Mutex<OpenSessions>>,
    watermark: i64,
    schema: SchemaRef,
    memory: MemoryReservation,
    metrics: Metrics,
    closing: Option<Closing>,
}

impl Epoch {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(input) = self.inputs.front_mut() {
            match input.next().await {
                Some(batch) => self.push(&batch?)?,
                None => drop(self.inputs.pop_front()),
            }
        }
        self.next_closed()
    }

    fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let _timer = self.metrics.baseline.elapsed_compute().timer();
        let mut state = lock(&self.state);
        let late = state.push(batch)?;
        self.metrics.events.add(batch.num_rows());
        self.metrics.late_events.add(late);
        self.memory.try_resize(state.memory())
    }

    fn next_closed(&mut self) -> Result<Option<RecordBatch>> {
        let _timer = self.metrics.baseline.elapsed_compute().timer();
        let mut state = lock(&self.state);
        let mut closing = match self.closing.take() {
            Some(closing) => closing,
            None => state.close(self.watermark)?,
        };
        let batch = state.next_closed(&mut closing, &self.schema)?;
        self.memory.resize(state.memory() + closing.memory());
        let Some(batch) = batch else {
            self.metrics.repeated_events.add(closing.repeats);
            self.metrics.open_sessions.set(state.counts().sessions);
            self.metrics.state_bytes.set(state.memory());
            return Ok(None);
        };
        self.closing = Some(closing);
        self.metrics.closed_sessions.add(batch.num_rows());
        Ok(Some(batch.record_output(&self.metrics.baseline)))
    }
}

impl fmt::Debug for StreamingSessionizeExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamingSessionizeExec").field("watermark", &self.watermark).finish_non_exhaustive()
    }
}

impl DisplayAs for StreamingSessionizeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sessionize { gap_ms, length_ms } = self.settings;
        write!(f, "StreamingSessionizeExec: gap_ms={gap_ms}, length_ms={length_ms}, watermark={}", self.watermark)
    }
}

impl ExecutionPlan for StreamingSessionizeExec {
    single_input_plan!("StreamingSessionizeExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("StreamingSessionizeExec has one output; there is no output {partition}");
        }
        // Inputs are read one after another, so the state always sees keys in the same order.
        let inputs = self.input.output_partitioning().partition_count();
        let inputs = (0..inputs).map(|input| self.input.execute(input, Arc::clone(&context)));
        let epoch = Epoch {
            inputs: inputs.collect::<Result<_>>()?,
            state: Arc::clone(&self.state),
            watermark: self.watermark,
            schema: self.schema(),
            memory: MemoryConsumer::new("StreamingSessionizeExec.open").register(context.memory_pool()),
            metrics: Metrics::new(&self.metrics),
            closing: None,
        };
        let batches =
            stream::try_unfold(epoch, |mut epoch| async move { Ok(epoch.next().await?.map(|batch| (batch, epoch))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
