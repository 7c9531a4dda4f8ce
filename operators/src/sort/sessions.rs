//! Sorts the events of sessions into the order of events_sessionized: by day, organisation, product and session_key.
//!
//!     session batches 0 ─▶ a record for each session ─▶ sorted runs ─┐
//!     session batches 1 ─▶ a record for each session ─▶ sorted runs ─┴─▶ merge ─▶ rows
//!
//! Input   any partitions of session batches with all event columns
//! Output  one partition of rows of events_sessionized, see [`Table::to_store`](netcrab_schema::Table::to_store)
//! State   all events, about 40 bytes each; beyond the memory limit they spill
//!
//! The events of a session are in order already, so sessions are sorted and not events. A long session is several records.

use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringBuilder};
use arrow::datatypes::{Fields, SchemaRef};
use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, RecordOutput, Time};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use netcrab_schema::tables::EVENTS_SESSIONIZED;

use super::records::{Chunk, Key, Merge, Records, Rekey, Tie};
use super::rows::BATCH_ROWS;
use super::session_record::{ColumnBuilder, EventColumn, TupleColumn};
use crate::session::{self, SessionBatch, TUPLES, event_fields, session_symbols, tuples, wrong_type};
use crate::sessionize::bytes::{Reader, put_signed, put_varint};
use crate::sessionize::fold::hex;
use crate::sessionize::layout::{ACTION, CLIENT};
use crate::stage::{self, single_input_plan};
use crate::symbols;
use crate::table_order::order;

/// Sorts the events of sessions into the order of events_sessionized.
#[derive(Debug)]
pub struct SortSessionsExec {
    input: Arc<dyn ExecutionPlan>,
    events: Fields,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What all session batches share, as the first of them has it.
#[derive(Debug)]
struct Shared {
    /// The dictionaries of tuples.
    tuples: [ArrayRef; 2],
    /// The dictionaries of org_id and product_id.
    owners: [ArrayRef; 2],
}

impl SortSessionsExec {
    /// Sorts the events of all partitions of `input`.
    ///
    /// # Errors
    /// Where `input` does not give session batches.
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let output = EVENTS_SESSIONIZED.to_store();
        let events = event_fields(&input.schema())?.clone();
        let properties = stage::sorted_properties(Arc::clone(&output), Some(order(&EVENTS_SESSIONIZED, &output)?));
        Ok(Self { input, events, properties, metrics: ExecutionPlanMetricsSet::new() })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::new(input)
    }
}

/// Which events of which session: owners are codes, whose order is that of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SessionOrder {
    date: i32,
    owner: [i32; 2],
    session_key: u128,
    /// Of the first event, within its session.
    position: u32,
}

/// Most events of a record.
const RECORD_EVENTS: usize = 8_192;

impl Key for SessionOrder {
    fn put(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.date.to_le_bytes());
        self.owner.iter().for_each(|code| to.extend_from_slice(&code.to_le_bytes()));
        to.extend_from_slice(&self.session_key.to_le_bytes());
        to.extend_from_slice(&self.position.to_le_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut number = || Some(i32::from_le_bytes(reader.take(4)?.try_into().ok()?));
        let (date, owner) = (number()?, [number()?, number()?]);
        let session_key = u128::from_le_bytes(reader.take(16)?.try_into().ok()?);
        Some(Self { date, owner, session_key, position: u32::from_le_bytes(reader.take(4)?.try_into().ok()?) })
    }
}

/// A session's key sorts as it is.
fn as_it_is() -> Rekey<SessionOrder> {
    Box::new(|key, _| key)
}

/// Packs one partition.
struct PackTask {
    input: SendableRecordBatchStream,
    records: Records<SessionOrder>,
    shared: Arc<OnceLock<Shared>>,
    time: Time,
}

impl PackTask {
    async fn run(mut self) -> Result<Self> {
        while let Some(batch) = self.input.next().await {
            let batch = batch?;
            let time = self.time.clone();
            let _timer = time.timer();
            if batch.num_rows() > 0 {
                self.pack(&batch)?;
            }
        }
        Ok(self)
    }

    fn pack(&mut self, batch: &RecordBatch) -> Result<()> {
        let sessions = SessionBatch::new(batch)?;
        let owners = [session_symbols(batch, "org_id")?, session_symbols(batch, "product_id")?];
        let tuples = [tuples(sessions.events(), CLIENT)?.1, tuples(sessions.events(), ACTION)?.1];
        let shared = self.shared.get_or_init(|| Shared {
            tuples: tuples.map(Arc::clone),
            owners: owners.map(|owner| Arc::clone(owner.values())),
        });
        if !owners.iter().zip(&shared.owners).all(|(owner, shared)| symbols::same_buffers(owner.values(), shared)) {
            return Err(internal_datafusion_err!("session batches do not share their dictionaries"));
        }
        let columns = EventColumn::all(sessions.events(), &shared.tuples)?;
        let (keys, numbers, dates) = (sessions.session_key()?, sessions.session_no()?, sessions.date()?);
        let mut record = Vec::new();
        for (session, events) in sessions.borders().enumerate() {
            let session_key = u128::from_str_radix(keys.value(session), 16).map_err(|_| wrong_type("session_key"))?;
            let owner = owners.map(|owner| owner.keys().value(session));
            for start in events.clone().step_by(RECORD_EVENTS) {
                let of_record = start..events.end.min(start + RECORD_EVENTS);
                record.clear();
                put_signed(numbers[session], &mut record);
                put_varint(of_record.len() as u64, &mut record);
                columns.iter().for_each(|column| column.put(of_record.clone(), &mut record));
                let position = (start - events.start) as u32;
                self.records.push(SessionOrder { date: dates[session], owner, session_key, position }, &record)?;
            }
        }
        self.records.spill_beyond_memory(0, as_it_is)
    }
}

/// Rows in order, a batch at a time.
struct Sorted {
    schema: SchemaRef,
    events: Fields,
    /// The columns of the shared dictionaries of tuples.
    tuples: [Vec<TupleColumn>; 2],
    owners: [ArrayRef; 2],
    merge: Merge<SessionOrder>,
    chunk: Chunk<SessionOrder>,
    baseline: BaselineMetrics,
}

impl Sorted {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let compute = self.baseline.elapsed_compute().clone();
        let _timer = compute.timer();
        // The number of events is not known before a record is read; one takes about 40 bytes.
        self.merge.next_chunk(&mut self.chunk, |chunk, _| chunk.bytes.len() < BATCH_ROWS * 40)?;
        if self.chunk.records.is_empty() {
            return Ok(None);
        }
        let damaged = || exec_datafusion_err!("spilled sessions are damaged; check the disk of `run.spill_dir`");
        let rows = self.read().ok_or_else(damaged)?;
        Ok(Some(rows.batch(self)?.record_output(&self.baseline)))
    }

    /// Reads the records of the chunk; `None` where they are damaged.
    fn read(&self) -> Option<Rows> {
        let builder = |field: &arrow::datatypes::FieldRef| {
            let group = TUPLES.iter().position(|name| *name == field.name());
            ColumnBuilder::new(field, group.map_or(&[][..], |group| &self.tuples[group]))
        };
        let mut rows = Rows { columns: self.events.iter().map(builder).collect(), sessions: Vec::new() };
        let mut reader = Reader::new(&self.chunk.bytes);
        for &(key, _, end) in &self.chunk.records {
            let (session_no, events) = (reader.signed()?, usize::try_from(reader.varint()?).ok()?);
            rows.columns.iter_mut().try_for_each(|column| column.read(events, &mut reader))?;
            rows.sessions.push((key, session_no, events));
            (reader.at == end).then_some(())?;
        }
        Some(rows)
    }
}

/// The rows of a batch.
struct Rows {
    columns: Vec<ColumnBuilder>,
    /// Each session with its number and how many events it has.
    sessions: Vec<(SessionOrder, i64, usize)>,
}

impl Rows {
    fn batch(mut self, of: &Sorted) -> Result<RecordBatch> {
        let columns: Vec<Option<ArrayRef>> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let column = |name: &str| -> Result<ArrayRef> {
            if let Some(column) = self.of_session(name, of) {
                return Ok(column);
            }
            let own = of.events.iter().position(|field| field.name() == name);
            let own = own.and_then(|place| columns[place].clone());
            own.or_else(|| self.of_tuple(name, of)).ok_or_else(|| wrong_type(name))
        };
        let columns = of.schema.fields().iter().map(|field| column(field.name())).collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&of.schema), columns)?)
    }

    /// A column whose value is the same for all events of a session, or their number within it.
    fn of_session(&self, name: &str, of: &Sorted) -> Option<ArrayRef> {
        let owners = |at: usize| {
            let codes = self.repeated(|key, _| key.owner[at]).collect();
            Arc::new(symbols::column(codes, &of.owners[at]))
        };
        Some(match name {
            "org_id" => owners(0),
            "product_id" => owners(1),
            "date" => Arc::new(Date32Array::from_iter_values(self.repeated(|key, _| key.date))),
            "session_no" => Arc::new(Int64Array::from_iter_values(self.repeated(|_, session_no| session_no))),
            "position" => {
                let ranges = self.sessions.iter().map(|(key, _, events)| (i64::from(key.position), *events as i64));
                Arc::new(Int64Array::from_iter_values(ranges.flat_map(|(start, events)| start..start + events)))
            }
            "session_key" => {
                let rows = self.sessions.iter().map(|session| session.2).sum();
                let mut keys = StringBuilder::with_capacity(rows, rows * 32);
                for (key, _, events) in &self.sessions {
                    let mut digits = [0; 32];
                    let key = hex(key.session_key, &mut digits);
                    (0..*events).for_each(|_| keys.append_value(key));
                }
                Arc::new(keys.finish())
            }
            _ => return None,
        })
    }

    fn repeated<T: Copy>(&self, value: impl Fn(&SessionOrder, i64) -> T) -> impl Iterator<Item = T> {
        let values = self.sessions.iter().map(move |(key, session_no, events)| (value(key, *session_no), *events));
        values.flat_map(|(value, events)| std::iter::repeat_n(value, events))
    }

    /// A column of the tuples.
    fn of_tuple(&self, name: &str, of: &Sorted) -> Option<ArrayRef> {
        TUPLES.iter().enumerate().find_map(|(group, tuples)| {
            let at = session::tuple_fields(group).iter().position(|field| field.name() == name)?;
            let place = of.events.iter().position(|field| field.name() == tuples)?;
            let ColumnBuilder::Tuples { tuples, inline, .. } = &self.columns[place] else { return None };
            Some(of.tuples[group].get(at)?.take(tuples, inline.get(at)?))
        })
    }
}

impl DisplayAs for SortSessionsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &EVENTS_SESSIONIZED;
        write!(f, "SortSessionsExec: table={}, by=[date, {}]", table.name, table.sort.join(", "))
    }
}

impl ExecutionPlan for SortSessionsExec {
    single_input_plan!("SortSessionsExec");

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let tie: Tie = Arc::new(|_, _| Ordering::Equal);
        let shared = Arc::new(OnceLock::new());
        let mut tasks = JoinSet::new();
        let partitions = self.input.output_partitioning().partition_count();
        for partition in 0..partitions {
            let of_all = [partition, partitions];
            let task = PackTask {
                input: self.input.execute(partition, Arc::clone(&context))?,
                records: Records::new(of_all, Arc::clone(&tie), &context, &self.metrics),
                shared: Arc::clone(&shared),
                time: BaselineMetrics::new(&self.metrics, partition).elapsed_compute().clone(),
            };
            tasks.spawn(async move {
                let PackTask { records, time, .. } = task.run().await?;
                let _timer = time.timer();
                records.runs(partition, &as_it_is(), as_it_is())
            });
        }
        let (schema, events) = (self.schema(), self.events.clone());
        let baseline = BaselineMetrics::new(&self.metrics, 0);
        let rows = async move {
            let runs = stage::joined(tasks).await?.into_iter().flatten().collect();
            // Without sessions nothing is shared, and there are no rows.
            let Some(Shared { tuples, owners }) = shared.get() else { return Ok(stream::empty().boxed()) };
            let columns = |group: usize| TupleColumn::all(&tuples[group]).ok_or_else(|| wrong_type(TUPLES[group]));
            let (tuples, owners) = ([columns(CLIENT)?, columns(ACTION)?], owners.clone());
            let (merge, chunk) = (Merge::new(runs, tie)?, Chunk::default());
            let mut sorted = Sorted { schema, events, tuples, owners, merge, chunk, baseline };
            Ok::<_, DataFusionError>(stream::iter(std::iter::from_fn(move || sorted.next().transpose())).boxed())
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::once(rows).try_flatten())))
    }
}
