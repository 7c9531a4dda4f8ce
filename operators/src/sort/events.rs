//! Sorts events into the order of events_raw: day, organisation, product, ts, event_id.
//!
//!     input 0 ─▶ packed records ─▶ sorted runs ─┐
//!     input 1 ─▶ packed records ─▶ sorted runs ─┴─▶ merge ─▶ unpacked ─▶ rows
//!
//! Input   any partitions of events, `netcrab_schema::arrow::event_in_flight`
//! Output  one partition of rows of events_raw, see [`Table::to_store`](netcrab_schema::Table::to_store)
//! State   all events, packed (`sessionize::packed`), and 32 bytes for each; beyond the memory limit they spill
//!
//! An event is sorted by one number: its day, the rank of its owner and its ts. Texts are compared only between events
//! of one owner and instant.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, RecordOutput, Time};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use hashbrown::HashMap;
use netcrab_schema::events::EVENT;
use netcrab_schema::tables::EVENTS_RAW;

use super::records::{Chunk, Key, Merge, Records, Rekey, Tie};
use crate::session::day_of;
use crate::sessionize::bytes::Reader;
use crate::sessionize::dictionaries::{CodeRemapping, Dictionaries};
use crate::sessionize::layout::{Id, Layout};
use crate::sessionize::packed::event_id_of_record;
use crate::sessionize::packer::Packer;
use crate::sessionize::rows::Rows;
use crate::sessionize::text;
use crate::stage::{self, single_input_plan};
use crate::table_order::order;

/// Sorts events into the order of events_raw.
#[derive(Debug)]
pub struct SortEventsExec {
    input: Arc<dyn ExecutionPlan>,
    actions_max: usize,
    layout: Arc<Layout>,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SortEventsExec {
    /// Sorts the events of all partitions of `input`, with at most `actions_max` tuples in a dictionary of actions or
    /// clients (`crate::sessionize::action_dictionary`).
    ///
    /// # Errors
    /// Where `input` lacks an event column.
    pub fn new(input: Arc<dyn ExecutionPlan>, actions_max: usize) -> Result<Self> {
        let layout = Arc::new(Layout::new(input.schema().fields())?);
        EVENT.iter().try_for_each(|column| layout.place(column.name).map(|_| ()))?;
        let output = EVENTS_RAW.to_store();
        let properties = stage::sorted_properties(Arc::clone(&output), Some(order(&EVENTS_RAW, &output)?));
        Ok(Self { input, actions_max, layout, properties, metrics: ExecutionPlanMetricsSet::new() })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::new(input, self.actions_max)
    }
}

/// Day, owner and ts, from the highest bits down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct EventKey(u128);

impl EventKey {
    fn new(ts: i64, owner: u32) -> Self {
        // The sign bit is flipped, so that unsigned order is signed order.
        let day = u128::from(day_of(ts).cast_unsigned() ^ 1 << 31);
        Self(day << 96 | u128::from(owner) << 64 | u128::from(ts.cast_unsigned() ^ 1 << 63))
    }

    fn owner(self) -> u32 {
        (self.0 >> 64) as u32
    }

    fn with_owner(self, owner: u32) -> Self {
        Self(self.0 & !(u128::from(u32::MAX) << 64) | u128::from(owner) << 64)
    }

    fn day(self) -> i32 {
        ((self.0 >> 96) as u32 ^ 1 << 31).cast_signed()
    }
}

impl Key for EventKey {
    fn put(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0.to_le_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self(u128::from_le_bytes(reader.take(16)?.try_into().ok()?)))
    }
}

/// The owners (codes of org_id and product_id) that a task saw; each has a number.
#[derive(Default)]
struct Owners {
    owners: Vec<[u32; 2]>,
    numbers: HashMap<[u32; 2], u32>,
}

impl Owners {
    fn number(&mut self, owner: [u32; 2]) -> u32 {
        let Self { owners, numbers } = self;
        *numbers.entry(owner).or_insert_with(|| {
            owners.push(owner);
            owners.len() as u32 - 1
        })
    }

    /// For each number, the rank of its owner among those that the task saw.
    fn ranks(&self, layout: &Layout, packer: &Packer) -> Vec<u32> {
        let texts = |number: &u32| {
            let owner = self.owners[*number as usize];
            [0, 1].map(|at| packer.interners[layout.owner[at]].text(owner[at]))
        };
        let mut numbers: Vec<u32> = (0..self.owners.len() as u32).collect();
        numbers.sort_unstable_by(|a, b| texts(a).cmp(&texts(b)));
        let mut ranks = vec![0; numbers.len()];
        numbers.iter().zip(0..).for_each(|(&number, rank)| ranks[number as usize] = rank);
        ranks
    }
}

/// Packs one partition.
struct PackTask {
    input: SendableRecordBatchStream,
    layout: Arc<Layout>,
    packer: Packer,
    owners: Owners,
    records: Records<EventKey>,
    time: Time,
}

impl PackTask {
    async fn run(mut self) -> Result<Self> {
        while let Some(batch) = self.input.next().await {
            let batch = batch?;
            let time = self.time.clone();
            let _timer = time.timer();
            self.pack(&batch)?;
        }
        Ok(self)
    }

    fn pack(&mut self, batch: &RecordBatch) -> Result<()> {
        let Self { layout, packer, owners, records, .. } = self;
        let batch = packer.encode(layout, batch)?;
        let mut record = Vec::new();
        let mut last = None;
        for row in 0..batch.len() {
            record.clear();
            packer.append_record(layout, &batch, row, &mut record);
            let owner = batch.batch_visitor(row).owner;
            let number = match last {
                Some((known, number)) if known == owner => number,
                _ => owners.number(owner),
            };
            last = Some((owner, number));
            records.push(EventKey::new(batch.ts(row), number), &record)?;
        }
        records.spill_beyond_memory(packer.memory(), || by_rank(owners.ranks(layout, packer)))
    }
}

/// Replaces the number of an owner by its rank.
fn by_rank(ranks: Vec<u32>) -> Rekey<EventKey> {
    Box::new(move |key, _| key.with_owner(ranks.get(key.owner() as usize).copied().unwrap_or(u32::MAX)))
}

/// Reads the owner of a record, whose key has a rank of its run, and gives it its final rank.
fn by_rank_of_record(numbers: HashMap<[u32; 2], u32>, ranks: Vec<u32>) -> Rekey<EventKey> {
    Box::new(move |key, record| {
        let mut reader = Reader::new(record);
        let mut code = || reader.varint().map(|code| code as u32);
        let number = code().zip(code()).and_then(|(org, product)| numbers.get(&[org, product]));
        key.with_owner(number.and_then(|&number| ranks.get(number as usize)).copied().unwrap_or(u32::MAX))
    })
}

/// By event_id. The order of repeats, which other columns decide, is found where their symbols are known.
fn tie(layout: &Arc<Layout>) -> Tie {
    let layout = Arc::clone(layout);
    Arc::new(move |a, b| match (event_id_of_record(&layout, a), event_id_of_record(&layout, b)) {
        (Some(a), Some(b)) => text::compare(a, b),
        _ => Ordering::Equal,
    })
}

/// Rows of a batch, a page of a file: one batch of each day is shorter.
const BATCH_ROWS: usize = 16_384;

/// Most bytes of a batch of packed events, unless one event alone has more.
const BATCH_BYTES: usize = 16 << 20;

/// Most repeats of an event whose order is decided; those of an event that is repeated more often stand as they come.
const REPEATS_MAX: usize = 1 << 16;

/// Whether a chunk takes one more record, with the key `next`: until the day ends or it is full, and then all events of
/// one instant.
fn takes(chunk: &Chunk<EventKey>, next: EventKey) -> bool {
    let (rows, Some((last, ..))) = (chunk.records.len(), chunk.records.last()) else { return true };
    let full = rows >= BATCH_ROWS || chunk.bytes.len() >= BATCH_BYTES;
    last.day() == next.day() && (!full || (*last == next && rows < BATCH_ROWS + REPEATS_MAX))
}

/// Rows in order, a batch at a time.
struct Sorted {
    layout: Arc<Layout>,
    schema: SchemaRef,
    remappings: Vec<CodeRemapping>,
    merge: Merge<EventKey>,
    chunk: Chunk<EventKey>,
    rows: Rows,
    baseline: BaselineMetrics,
}

impl Sorted {
    /// Sorts what all tasks packed.
    async fn new(
        tasks: Vec<PackTask>,
        layout: Arc<Layout>,
        schema: SchemaRef,
        tie: Tie,
        baseline: BaselineMetrics,
    ) -> Result<Self> {
        let (mut packers, mut packed) = (Vec::new(), Vec::new());
        for task in tasks {
            packers.push(task.packer);
            packed.push((task.owners, task.records, task.time));
        }
        let (dictionaries, remappings) = Dictionaries::new(&layout, &packers);
        drop(packers);
        let owners: Vec<Vec<[u32; 2]>> = packed
            .iter()
            .zip(&remappings)
            .map(|((owners, ..), remapping)| {
                owners.owners.iter().map(|&owner| remapping.owner(&layout, owner)).collect()
            })
            .collect();
        let mut all: Vec<[u32; 2]> = owners.iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        let mut sorts = JoinSet::new();
        for (task, ((of_task, records, time), owners)) in packed.into_iter().zip(owners).enumerate() {
            let rank = |owner: &[u32; 2]| all.binary_search(owner).map_or(u32::MAX, |rank| rank as u32);
            let ranks: Vec<u32> = owners.iter().map(rank).collect();
            sorts.spawn(async move {
                let _timer = time.timer();
                let of_spilled = by_rank_of_record(of_task.numbers, ranks.clone());
                records.runs(task, &by_rank(ranks), of_spilled)
            });
        }
        let runs = stage::joined(sorts).await?.into_iter().flatten().collect();
        let rows = Rows::new(&layout, Arc::new(dictionaries));
        Ok(Self { layout, schema, remappings, merge: Merge::new(runs, tie)?, chunk: Chunk::default(), rows, baseline })
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Self { layout, schema, remappings, merge, chunk, rows, baseline } = self;
        let _timer = baseline.elapsed_compute().timer();
        merge.next_chunk(chunk, takes)?;
        if chunk.records.is_empty() {
            return Ok(None);
        }
        rows.clear();
        let records = chunk.records.iter().map(|&(_, task, end)| (task, end));
        rows.read_records(layout, remappings, &mut chunk.bytes, records)?;
        let ordered = with_repeats_in_order(layout, rows, &chunk.records);
        let selection = rows.select(layout, &ordered);
        let days = || chunk.records.iter().map(|(key, ..)| key.day());
        let column = |name: &str| -> Result<ArrayRef> {
            if name == "date" {
                Ok(Arc::new(Date32Array::from_iter_values(days())))
            } else {
                selection.take_stored(name)
            }
        };
        let columns = schema.fields().iter().map(|field| column(field.name())).collect::<Result<_>>()?;
        Ok(Some(RecordBatch::try_new(Arc::clone(schema), columns)?.record_output(baseline)))
    }
}

/// All rows as they are, but repeats of an event in the order of all their columns.
fn with_repeats_in_order(layout: &Layout, rows: &Rows, records: &[(EventKey, usize, usize)]) -> Vec<u32> {
    let mut ordered: Vec<u32> = (0..rows.len() as u32).collect();
    let repeats = |a: &u32, b: &u32| {
        let (a, b) = (*a as usize, *b as usize);
        records[a].0 == records[b].0 && rows.packed(Id::Event, a) == rows.packed(Id::Event, b)
    };
    for equal in ordered.chunk_by_mut(repeats).filter(|equal| equal.len() > 1) {
        equal.sort_unstable_by(|&a, &b| rows.compare(layout, a as usize, b as usize));
    }
    ordered
}

impl DisplayAs for SortEventsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SortEventsExec: table={}, by=[date, {}]", EVENTS_RAW.name, EVENTS_RAW.sort.join(", "))
    }
}

impl ExecutionPlan for SortEventsExec {
    single_input_plan!("SortEventsExec");

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (layout, schema, tie) = (Arc::clone(&self.layout), self.schema(), tie(&self.layout));
        let mut tasks = JoinSet::new();
        let partitions = self.input.output_partitioning().partition_count();
        for partition in 0..partitions {
            let task = PackTask {
                input: self.input.execute(partition, Arc::clone(&context))?,
                layout: Arc::clone(&layout),
                packer: Packer::new(&layout, self.actions_max),
                owners: Owners::default(),
                records: Records::new([partition, partitions], Arc::clone(&tie), &context, &self.metrics),
                time: BaselineMetrics::new(&self.metrics, partition).elapsed_compute().clone(),
            };
            tasks.spawn(task.run());
        }
        let baseline = BaselineMetrics::new(&self.metrics, 0);
        let rows = async move {
            let mut sorted = Sorted::new(stage::joined(tasks).await?, layout, schema, tie, baseline).await?;
            Ok::<_, DataFusionError>(stream::iter(std::iter::from_fn(move || sorted.next().transpose())))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::once(rows).try_flatten())))
    }
}
