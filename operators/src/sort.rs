//! Sorts the rows of a table by numbers, where its order is date, organisation, product, an instant and a text.
//!
//!     batches ─▶ (date · org · product · instant, batch, row) ─▶ sorted ─▶ rows taken in that order
//!
//! Input   one partition of rows, see [`Table::to_store`]
//! Output  the same rows by `order`, in batches of [`BATCH_ROWS`]
//! State   all rows, and 32 bytes for each
//!
//! Rows lie where they came and move once, on their way out; the texts decide only between rows of one
//! instant. DataFusion's sort takes over, and spills, where the memory limit is reached, and where a
//! dictionary is not the batches' common one in byte order, so that its codes say nothing.

use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Int32Array, PrimitiveArray, RecordBatch, StringArray,
};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, SchemaRef, TimestampMillisecondType,
};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, expressions::col};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, RecordOutput};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::{StreamExt, TryStreamExt, stream};
use netcrab_schema::{Table, Type};

use crate::flatten;
use crate::session::wrong_type;
use crate::stage::{self, single_input_plan};
use crate::symbols::{SymbolArray, same_buffers};

/// Rows of a batch that goes out, as DataFusion has them: where a page of a file ends depends on it.
const BATCH_ROWS: usize = 8_192;

/// Bytes of a [`Place`], and of the pair of numbers it is taken out by.
const PLACE_BYTES: usize = size_of::<Place>() + size_of::<(usize, usize)>();

/// Sorts the rows of one table.
#[derive(Debug)]
pub struct SortRowsExec {
    input: Arc<dyn ExecutionPlan>,
    table: &'static Table,
    properties: Arc<datafusion::physical_plan::PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SortRowsExec {
    /// Sorts the rows of `table` that `input` gives in its one partition.
    fn new(input: Arc<dyn ExecutionPlan>, table: &'static Table) -> Self {
        let properties = stage::properties(input.schema(), 1, EmissionType::Final);
        Self { input, table, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.table))
    }
}

/// The order of `table` over rows of `schema`.
fn order(table: &Table, schema: &SchemaRef) -> Result<LexOrdering> {
    let columns = table.partition().iter().chain(table.sort);
    let order = columns.map(|name| Ok(PhysicalSortExpr::new_default(col(name, schema)?)));
    let order = LexOrdering::new(order.collect::<Result<Vec<_>>>()?);
    order.ok_or_else(|| internal_datafusion_err!("table `{}` is sorted by nothing", table.name))
}

/// Sorts the rows of `table` that `input` gives in its one partition, by date and in the order of its files.
pub fn sort_rows(input: Arc<dyn ExecutionPlan>, table: &'static Table) -> Result<Arc<dyn ExecutionPlan>> {
    if by_numbers(table) {
        return Ok(Arc::new(SortRowsExec::new(input, table)));
    }
    Ok(Arc::new(SortExec::new(order(table, &input.schema())?, input)))
}

/// Whether the order of `table` is one of numbers, and a text to decide between equals; and its rows are of
/// sessions, whose batches share their dictionaries.
pub(crate) fn by_numbers(table: &Table) -> bool {
    let [org, product, instant, text] = table.sort else { return false };
    let kind = |name: &str| table.column(name).filter(|column| !column.nullable).map(|column| column.kind);
    let kinds = [org, product, instant, text].map(|name| kind(name));
    let of_sessions = table.column("session_key").is_some();
    of_sessions && table.by_date && kinds == [Type::Symbol, Type::Symbol, Type::Timestamp, Type::Text].map(Some)
}

/// Where a row belongs and where it lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Date, org, product and instant, first to last.
    key: u128,
    batch: u32,
    row: u32,
}

/// The rows so far.
struct Sorting {
    table: &'static Table,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    places: Vec<Place>,
    memory: MemoryReservation,
}

impl Sorting {
    /// Adds a batch, or gives it back where numbers cannot sort it or the memory is used up.
    fn add(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        // Rows that are none have dictionaries of their own.
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let bytes = bytes_of(&batch) + batch.num_rows() * PLACE_BYTES;
        if self.memory.try_grow(bytes).is_err() || !self.place(&batch)? {
            return Ok(Some(batch));
        }
        self.batches.push(batch);
        Ok(None)
    }

    /// Notes where the rows of `batch` belong; `false` where its codes do not tell.
    fn place(&mut self, batch: &RecordBatch) -> Result<bool> {
        let [org, product, instant, text] = self.key_columns(batch)?;
        let date = column(batch, "date")?;
        let (dates, instants) = (date.as_primitive::<Date32Type>(), instant.as_primitive::<TimestampMillisecondType>());
        let first = self.batches.first().map(|first| self.key_columns(first)).transpose()?;
        let owners = [org, product].map(|owner| owner.as_dictionary());
        for (at, owner) in owners.into_iter().enumerate() {
            let known = first.is_some_and(|first| {
                same_buffers(first[at].as_dictionary::<arrow::datatypes::Int32Type>().values(), owner.values())
            });
            if !known && (first.is_some() || !in_order(owner)) {
                return Ok(false);
            }
        }
        if [date, org, product, instant, text].iter().any(|column| column.null_count() > 0) {
            return Ok(false);
        }
        let number = self.batches.len() as u32;
        let [orgs, products] = owners.map(|owner: &SymbolArray| owner.keys().values());
        self.places.extend((0..batch.num_rows()).map(|row| {
            // Signs are turned, so that what is smaller comes first.
            let date = u128::from(dates.value(row).cast_unsigned() ^ 1 << 31);
            let instant = u128::from(instants.value(row).cast_unsigned() ^ 1 << 63);
            let owner = u128::from(orgs[row].cast_unsigned() & 0xffff) << 16
                | u128::from(products[row].cast_unsigned() & 0xffff);
            Place { key: date << 96 | owner << 64 | instant, batch: number, row: row as u32 }
        }));
        Ok(true)
    }

    /// The columns that decide within a date.
    fn key_columns<'b>(&self, batch: &'b RecordBatch) -> Result<[&'b ArrayRef; 4]> {
        let name = |at: usize| self.table.sort.get(at).copied().unwrap_or_default();
        Ok([column(batch, name(0))?, column(batch, name(1))?, column(batch, name(2))?, column(batch, name(3))?])
    }

    /// All rows in order, a batch at a time.
    fn finish(mut self) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send> {
        let texts = self.batches.iter().map(|batch| Ok(self.key_columns(batch)?[3].as_string::<i32>()));
        let texts: Vec<&StringArray> = texts.collect::<Result<_>>()?;
        let text = |place: &Place| texts[place.batch as usize].value(place.row as usize);
        let mut places = std::mem::take(&mut self.places);
        places.sort_unstable_by(|a, b| match a.key.cmp(&b.key) {
            Ordering::Equal => text(a).cmp(text(b)).then((a.batch, a.row).cmp(&(b.batch, b.row))),
            decided => decided,
        });
        let chunks = places.len().div_ceil(BATCH_ROWS);
        let (schema, memory) = (self.schema, self.memory);
        let column = |at: usize| self.batches.iter().map(|batch| Arc::clone(batch.column(at))).collect();
        let takers: Vec<Take> = (0..schema.fields().len()).map(|at| taker(column(at))).collect();
        Ok((0..chunks).map(move |chunk| {
            // The rows are held until the last of them is out.
            let _ = &memory;
            let end = places.len().min((chunk + 1) * BATCH_ROWS);
            let rows: Vec<(usize, usize)> = places[chunk * BATCH_ROWS..end]
                .iter()
                .map(|place| (place.batch as usize, place.row as usize))
                .collect();
            let columns = takers.iter().map(|take| take(&rows));
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_>>()?)?)
        }))
    }
}

/// Bytes that a batch holds for itself: what dictionaries it has are everybody's.
fn bytes_of(batch: &RecordBatch) -> usize {
    let own = |column: &ArrayRef| match column.data_type() {
        DataType::Dictionary(..) => column.len() * size_of::<i32>(),
        _ => column.get_array_memory_size(),
    };
    batch.columns().iter().map(own).sum()
}

/// Whether the codes of a dictionary are few, and in the order of their texts.
fn in_order(symbols: &SymbolArray) -> bool {
    let texts = symbols.values().as_string::<i32>();
    let strictly = |at: usize| texts.value(at - 1) < texts.value(at);
    texts.len() <= 1 << 16 && texts.null_count() == 0 && (1..texts.len()).all(strictly)
}

/// Takes the values of one column out of all batches, for rows that are each a batch and a row of it.
type Take = Box<dyn Fn(&[(usize, usize)]) -> Result<ArrayRef> + Send>;

/// What takes from `columns`, which are one column of each batch. It is made once: there may be a thousand batches.
fn taker(columns: Vec<ArrayRef>) -> Take {
    let of_numbers = [
        numbers::<Int64Type>,
        numbers::<Float64Type>,
        numbers::<TimestampMillisecondType>,
        numbers::<Int32Type>,
        numbers::<Float32Type>,
        numbers::<Date32Type>,
    ];
    let plain = of_numbers.iter().find_map(|numbers| numbers(&columns));
    plain.or_else(|| symbols(&columns)).unwrap_or_else(|| {
        Box::new(move |rows| {
            let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
            Ok(interleave(&columns, rows)?)
        })
    })
}

/// Takes from columns of numbers.
fn numbers<T: ArrowPrimitiveType>(columns: &[ArrayRef]) -> Option<Take> {
    let kind = columns.first()?.data_type().clone();
    let columns: Vec<PrimitiveArray<T>> =
        columns.iter().map(|column| column.as_primitive_opt().cloned()).collect::<Option<_>>()?;
    let nulls = Nulls::of(columns.iter().map(|column| column.nulls()));
    let values: Vec<ScalarBuffer<T::Native>> = columns.iter().map(|column| column.values().clone()).collect();
    Some(Box::new(move |rows| {
        let taken = rows.iter().map(|&(batch, row)| values[batch][row]).collect();
        Ok(Arc::new(PrimitiveArray::<T>::try_new(taken, nulls.take(rows))?.with_data_type(kind.clone())))
    }))
}

/// Takes from columns of symbols that share their dictionary.
fn symbols(columns: &[ArrayRef]) -> Option<Take> {
    let columns: Vec<&SymbolArray> = columns.iter().map(|column| column.as_dictionary_opt()).collect::<Option<_>>()?;
    let values = Arc::clone(columns.first()?.values());
    if !columns.iter().all(|column| Arc::ptr_eq(column.values(), &values)) {
        return None;
    }
    let nulls = Nulls::of(columns.iter().map(|column| column.nulls()));
    let keys: Vec<ScalarBuffer<i32>> = columns.iter().map(|column| column.keys().values().clone()).collect();
    Some(Box::new(move |rows| {
        let taken = rows.iter().map(|&(batch, row)| keys[batch][row]).collect();
        let keys = Int32Array::try_new(taken, nulls.take(rows))?;
        Ok(Arc::new(SymbolArray::try_new(keys, Arc::clone(&values))?))
    }))
}

/// Which rows of each batch are null; empty where none is.
struct Nulls(Vec<Option<NullBuffer>>);

impl Nulls {
    fn of<'a>(batches: impl Iterator<Item = Option<&'a NullBuffer>>) -> Self {
        let nulls: Vec<Option<NullBuffer>> =
            batches.map(|nulls| nulls.filter(|nulls| nulls.null_count() > 0).cloned()).collect();
        Self(if nulls.iter().any(Option::is_some) { nulls } else { Vec::new() })
    }

    fn take(&self, rows: &[(usize, usize)]) -> Option<NullBuffer> {
        if self.0.is_empty() {
            return None;
        }
        let valid = |&(batch, row): &(usize, usize)| self.0[batch].as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let nulls = NullBuffer::from_iter(rows.iter().map(valid));
        Some(nulls).filter(|nulls| nulls.null_count() > 0)
    }
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| wrong_type(name))
}

/// A stream that is executed once.
struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        rows.unwrap_or_else(|| {
            let again = stream::once(async { Err(internal_datafusion_err!("rows are sorted once")) });
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), again))
        })
    }
}

/// Lets DataFusion sort `rows`.
fn hand_on(
    table: &Table,
    rows: SendableRecordBatchStream,
    context: Arc<TaskContext>,
) -> Result<(Arc<SortExec>, SendableRecordBatchStream)> {
    let schema = rows.schema();
    let rows = Mutex::new(Some(stage::coalesce(rows, flatten::BATCH_ROWS)));
    let once: Arc<dyn PartitionStream> = Arc::new(Once { schema: Arc::clone(&schema), rows });
    let order = order(table, &schema)?;
    let source = StreamingTableExec::try_new(schema, vec![once], None, [], false, None)?;
    let sort = Arc::new(SortExec::new(order, Arc::new(source)));
    let sorted = sort.execute(0, context)?;
    Ok((sort, sorted))
}

impl DisplayAs for SortRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SortRowsExec: table={}, by=[date, {}]", self.table.name, self.table.sort.join(", "))
    }
}

impl ExecutionPlan for SortRowsExec {
    single_input_plan!("SortRowsExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let handed_on = stage::counter(&self.metrics, "handed_on", partition);
        let spilled_bytes = stage::counter(&self.metrics, "spilled_bytes", partition);
        let memory = MemoryConsumer::new(format!("SortRowsExec[{}]", self.table.name)).with_can_spill(true);
        let mut sorting = Sorting {
            table: self.table,
            schema: self.schema(),
            batches: Vec::new(),
            places: Vec::new(),
            memory: memory.register(context.memory_pool()),
        };
        let (table, schema) = (self.table, self.schema());
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let sorted = async move {
            while let Some(batch) = input.next().await.transpose()? {
                let timer = baseline.elapsed_compute().timer();
                let refused = sorting.add(batch)?;
                timer.done();
                let Some(batch) = refused else { continue };
                let Sorting { batches, memory, .. } = sorting;
                drop(memory);
                let rest = stream::iter(batches.into_iter().chain([batch]).map(Ok)).chain(input);
                let rest = RecordBatchStreamAdapter::new(schema, rest);
                let (sort, sorted) = hand_on(table, Box::pin(rest), context)?;
                let counted = sorted.inspect_ok(move |batch| {
                    handed_on.add(batch.num_rows());
                    baseline.record_output(batch.num_rows());
                });
                let ended = stream::once(async move {
                    let spilled = sort.metrics().and_then(|metrics| metrics.spilled_bytes()).unwrap_or(0);
                    spilled_bytes.add(spilled);
                    None
                });
                return Ok(counted.map(Some).chain(ended).filter_map(std::future::ready).boxed());
            }
            let timer = baseline.elapsed_compute().timer();
            let mut batches = sorting.finish()?;
            timer.done();
            let next = move || {
                let timer = baseline.elapsed_compute().timer();
                let batch = batches.next();
                timer.done();
                batch.map(|batch| batch.record_output(&baseline))
            };
            Ok::<_, datafusion::common::DataFusionError>(stream::iter(std::iter::from_fn(next)).boxed())
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::once(sorted).try_flatten())))
    }
}
