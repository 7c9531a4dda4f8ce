//! The files are those that Parquet's own writer makes of the same rows, whatever batches and threads there are.

use std::ops::Range;
use std::sync::LazyLock;

use arrow::array::{
    ArrayRef, Date32Array, DictionaryArray, Int32Array, Int64Array, ListArray, ListBuilder, StringArray, StringBuilder,
    TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute;
use arrow::datatypes::DataType;
use bytes::Bytes;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use netcrab_schema::tables::{EVENTS_RAW, FACT_FLOWS};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::file::ROW_GROUP_ROWS;
use super::*;

/// Two row groups.
const ROWS: usize = ROW_GROUP_ROWS + 30_000;

/// Numbers that look random and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 += 1;
        (xxhash_rust::xxh3::xxh3_64(&self.0.to_le_bytes()) % end as u64) as usize
    }
}

type Text = Option<String>;

/// The symbol columns of the test's rows; all but the first may be null.
static SYMBOLS: LazyLock<Vec<(&str, Vec<Text>)>> = LazyLock::new(|| {
    let mut chance = Chance(1 << 32);
    let few = ["", "pricing", "Preise", "häuser", "日本語", "z"];
    let mut column = |name, text: &mut dyn FnMut(&mut Chance, usize) -> Text| {
        (name, (0..ROWS).map(|row| text(&mut chance, row)).collect::<Vec<_>>())
    };
    vec![
        column("required", &mut |chance, _| Some(format!("page {}", chance.below(300)))),
        column("few", &mut |chance, _| Some(few[chance.below(few.len())].to_owned()).filter(|_| chance.below(3) > 0)),
        column("never", &mut |_, _| None),
        column("late", &mut |chance, row| (row > 45_000).then(|| format!("{}", chance.below(9)))),
        column("ascending", &mut |_, row| Some(format!("{:04}", row / 700))),
        column("one", &mut |_, _| Some("same".to_owned())),
        // More than 65536 texts, and yet a dictionary.
        column("short", &mut |chance, _| Some(format!("{}", chance.below(90_000)))),
        // Longer than bounds are, which end within a character.
        column("long", &mut |chance, _| Some(format!("a{}{}", "é".repeat(40), chance.below(50)))),
        // Too many for a dictionary, but not in the second row group.
        column("many", &mut |chance, row| {
            let distinct = if row < ROW_GROUP_ROWS { 100_000 } else { 10 };
            Some(format!("text {:040}", chance.below(distinct))).filter(|_| chance.below(9) > 0)
        }),
    ]
});

/// The same rows as symbols, of which some are null in another way and some dictionaries hold what no row has.
fn dictionary(rows: &[Text], chance: &mut Chance) -> ArrayRef {
    let mut values: Vec<Text> = rows.to_vec();
    values.extend([None, Some("unused".to_owned())]);
    values.sort_by_cached_key(|_| chance.below(usize::MAX));
    if chance.below(2) > 0 {
        values.sort_unstable();
        values.dedup();
    }
    let places: std::collections::HashMap<&Text, i32> = values.iter().zip(0..).collect();
    let key = |text: &Text| Some(places[text]).filter(|_| text.is_some() || chance.below(2) > 0);
    let keys: Int32Array = rows.iter().map(key).collect();
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from_iter(&values))))
}

/// Columns that are no symbols: as they arrive, and at rest.
static OTHERS: LazyLock<Vec<(&str, ArrayRef, ArrayRef)>> = LazyLock::new(|| {
    let mut chance = Chance(1 << 33);
    let times: TimestampMillisecondArray = (0..ROWS as i64).map(|row| Some(row * 7)).collect();
    let micros: TimestampMicrosecondArray = (0..ROWS as i64).map(|row| Some(row * 7000)).collect();
    let counts: Int64Array = (0..ROWS).map(|_| Some(chance.below(1000) as i64).filter(|count| count % 7 > 0)).collect();
    let texts: StringArray = (0..ROWS).map(|row| Some(format!("{:032x}", row * 77)).filter(|_| row % 5 > 0)).collect();
    let large: StringArray = (0..ROWS).map(|row| Some("x".repeat(row % 120))).collect();
    // Nothing in it is null, but it says so in a bitmap.
    let large = StringArray::new(large.offsets().clone(), large.values().clone(), Some(NullBuffer::new_valid(ROWS)));
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, false));
    for row in 0..ROWS {
        lists.append_value((0..row % 4).map(|item| Some(format!("{item}"))));
    }
    let lists: ListArray = lists.finish();
    let same = |name, array: ArrayRef| (name, Arc::clone(&array), array);
    vec![
        ("ts", Arc::new(times.with_timezone("UTC")), Arc::new(micros.with_timezone("UTC"))),
        same("count", Arc::new(counts)),
        same("user_hash", Arc::new(texts)),
        same("large", Arc::new(large)),
        same("list", Arc::new(lists)),
    ]
});

/// The rows at rest, with symbols as texts.
fn plain_rows() -> RecordBatch {
    let plain = |texts| Arc::new(StringArray::from_iter(texts)) as ArrayRef;
    let symbols = SYMBOLS.iter().map(|(name, texts)| (*name, plain(texts), *name != "required"));
    let others = OTHERS.iter().map(|(name, _, array)| (*name, Arc::clone(array), true));
    RecordBatch::try_from_iter_with_nullable(symbols.chain(others)).unwrap()
}

/// The rows as they arrive, in batches of at most `rows_max`.
fn batches(rows_max: usize, seed: u64) -> Vec<RecordBatch> {
    let mut chance = Chance(seed);
    let batch = |range: Range<usize>, chance: &mut Chance| {
        let symbols = SYMBOLS.iter().map(|(name, texts)| (*name, dictionary(&texts[range.clone()], chance), true));
        let symbols: Vec<_> = symbols.collect();
        let others = OTHERS.iter().map(|(name, array, _)| (*name, array.slice(range.start, range.len()), true));
        RecordBatch::try_from_iter_with_nullable(symbols.into_iter().chain(others)).unwrap()
    };
    let mut batches = Vec::new();
    let mut start = 0;
    while start < ROWS {
        let end = ROWS.min(start + 1 + chance.below(rows_max));
        let whole = batch(start..end, &mut chance);
        // The same dictionaries in two batches.
        let half = whole.num_rows() / 2;
        batches.extend([whole.slice(0, half), whole.slice(half, whole.num_rows() - half)]);
        start = end;
    }
    batches
}

/// The schema of a file with the columns of `rows`, of which the first ones are symbols.
fn schema_of_file() -> SchemaRef {
    let symbol = netcrab_schema::arrow::in_flight_type(Type::Symbol);
    let symbols = SYMBOLS.iter().map(|(name, _)| Field::new(*name, symbol.clone(), *name != "required"));
    let others = OTHERS.iter().map(|(name, _, array)| Field::new(*name, array.data_type().clone(), true));
    Arc::new(Schema::new(symbols.chain(others).collect::<Vec<_>>()))
}

async fn written(batches: &[RecordBatch], schema: SchemaRef) -> Result<Bytes, ParquetError> {
    let (store, path) = (Arc::new(InMemory::new()), Path::from("file"));
    let object = BufWriter::new(Arc::clone(&store) as _, path.clone());
    let mut writer = FileWriter::new(object, schema, Arc::new(properties(&EVENTS_RAW)))?;
    for batch in batches {
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let written = writer.write(&rest).await?;
            rest = rest.slice(written, rest.num_rows() - written);
        }
    }
    let (_, bytes) = writer.finish().await?;
    let file = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(file.len(), bytes);
    Ok(file)
}

/// What Parquet's own writer makes of `rows`, given page by page.
fn by_library(rows: &RecordBatch) -> Bytes {
    let properties = properties(&EVENTS_RAW).into_builder().set_max_row_group_row_count(Some(ROW_GROUP_ROWS)).build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), rows.schema(), options).unwrap();
    for start in (0..ROWS).step_by(ROW_GROUP_ROWS) {
        let group = rows.slice(start, ROW_GROUP_ROWS.min(ROWS - start));
        for start in (0..group.num_rows()).step_by(PAGE_ROWS) {
            writer.write(&group.slice(start, PAGE_ROWS.min(group.num_rows() - start))).unwrap();
        }
    }
    writer.into_inner().unwrap().into()
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap()
}

#[test]
fn a_file_is_byte_for_byte_that_of_the_library() {
    let rows = plain_rows();
    let expected = by_library(&rows);
    for (threads, rows_max) in [(1, 9_000), (4, 70_000)] {
        let batches = batches(rows_max, rows_max as u64);
        let file = runtime(threads).block_on(written(&batches, schema_of_file())).unwrap();
        assert!(file == expected, "{threads} threads, batches of at most {rows_max} rows");
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(expected).unwrap().with_batch_size(ROWS).build().unwrap();
    let read: Vec<_> = reader.map(Result::unwrap).collect();
    let read = compute::concat_batches(&read[0].schema(), &read).unwrap();
    assert!(read.columns() == rows.columns());
}

#[test]
fn the_bounds_of_pages_find_all_rows_of_a_symbol() {
    let file = runtime(2).block_on(written(&batches(20_000, 1), schema_of_file())).unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    for (column, (name, texts)) in SYMBOLS.iter().enumerate() {
        let Some(wanted) = texts[ROWS - 9].as_deref().or(texts[ROWS - 8].as_deref()) else { continue };
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options.clone()).unwrap();
        let selection = pages_with(builder.metadata(), column, wanted);
        let mask = parquet::arrow::ProjectionMask::leaves(builder.parquet_schema(), [column]);
        let found = builder.with_row_selection(selection).with_projection(mask).build().unwrap();
        let found = found.map(|batch| {
            let texts = batch.unwrap().column(0).as_string::<i32>().clone();
            texts.iter().filter(|text| *text == Some(wanted)).count()
        });
        let expected = texts.iter().filter(|text| text.as_deref() == Some(wanted)).count();
        assert_eq!(found.sum::<usize>(), expected, "`{wanted}` in `{name}`");
        assert!(expected > 0);
    }
}

/// The rows of the pages whose bounds enclose a text.
fn pages_with(metadata: &parquet::file::metadata::ParquetMetaData, column: usize, wanted: &str) -> RowSelection {
    let mut selected = Vec::new();
    for (group, rows) in metadata.row_groups().iter().enumerate() {
        let index = metadata.column_index().unwrap();
        let ColumnIndexMetaData::BYTE_ARRAY(bounds) = &index[group][column] else { panic!("no index of texts") };
        let pages = &metadata.offset_index().unwrap()[group][column].page_locations;
        let ends = pages.iter().skip(1).map(|page| page.first_row_index).chain([rows.num_rows()]);
        for (page, end) in ends.enumerate() {
            let length = (end - pages[page].first_row_index) as usize;
            let (smallest, largest) = (bounds.min_value(page), bounds.max_value(page));
            let within = smallest.is_some_and(|smallest| smallest <= wanted.as_bytes())
                && largest.is_some_and(|largest| largest >= wanted.as_bytes());
            selected.push(if within { RowSelector::select(length) } else { RowSelector::skip(length) });
        }
    }
    selected.into()
}

#[test]
fn the_error_of_a_column_is_what_the_writer_returns() {
    let mut batches = batches(20_000, 2);
    let columns = batches[1].columns().iter().enumerate();
    let columns =
        columns.map(|(place, array)| if place == 0 { Arc::clone(batches[1].column(2)) } else { array.clone() });
    batches[1] = RecordBatch::try_new(batches[1].schema(), columns.collect()).unwrap();
    for threads in [1, 4] {
        let error = runtime(threads).block_on(written(&batches, schema_of_file())).unwrap_err();
        assert!(error.to_string().contains("column `required` must not be null"), "{error}");
    }
}

/// The files of a table that end at a kilobyte, about.
async fn files(rows_max: usize) -> Vec<(StagedFile, Bytes)> {
    let schema = FACT_FLOWS.to_store();
    let column = |field: &Arc<Field>, range: &Range<usize>| {
        let numbers = Int64Array::from_iter_values(range.clone().map(|row| row as i64 / 900));
        let dates = || Date32Array::from_iter_values(range.clone().map(|row| i32::from(row >= SECOND_DAY)));
        match field.data_type() {
            DataType::Date32 => Arc::new(dates()),
            DataType::Dictionary(..) => {
                let texts = compute::cast(&numbers, &DataType::Utf8).unwrap();
                compute::cast(&texts, field.data_type()).unwrap()
            }
            other => compute::cast(&numbers, other).unwrap(),
        }
    };
    let batch = |range: Range<usize>| {
        let columns = schema.fields().iter().map(|field| column(field, &range)).collect();
        Ok(RecordBatch::try_new(Arc::clone(&schema), columns).unwrap())
    };
    let starts = (0..FLOWS).step_by(rows_max);
    let batches: Vec<_> = starts.map(|start| batch(start..FLOWS.min(start + rows_max))).collect();
    let stream = RecordBatchStreamAdapter::new(Arc::clone(&schema), futures::stream::iter(batches));
    let (store, run) = (Arc::new(InMemory::new()), RunId::new(7));
    let mut writer = TableWriter::new(&FACT_FLOWS, &run, Arc::clone(&store) as _, "memory:".to_owned());
    writer.file_bytes = 1000;
    let staged = writer.write(Box::pin(stream)).await.map_err(|(_, error)| error).unwrap();
    let mut files = Vec::new();
    for file in staged.files {
        let bytes = store.get(&Path::from(file.path.as_str())).await.unwrap().bytes().await.unwrap();
        files.push((file, bytes));
    }
    files
}

/// How many rows [`files`] writes, and the first of them that is of the second day.
const FLOWS: usize = 3 * ROW_GROUP_ROWS + 1_000;
const SECOND_DAY: usize = 2 * ROW_GROUP_ROWS + 70_000;

#[test]
fn files_end_at_the_same_rows_whatever_batches_and_threads_there_are() {
    let expected = runtime(1).block_on(files(8_192));
    let rows: Vec<_> = expected.iter().map(|(file, _)| (file.date, file.rows as usize)).collect();
    // That the first row group is beyond the limit is known once the second has ended.
    let rest = SECOND_DAY - 2 * ROW_GROUP_ROWS;
    assert_eq!(rows, [(Some(0), 2 * ROW_GROUP_ROWS), (Some(0), rest), (Some(1), FLOWS - SECOND_DAY)]);
    for (threads, rows_max) in [(1, 150_000), (4, 997)] {
        assert!(
            runtime(threads).block_on(files(rows_max)) == expected,
            "{threads} threads, batches of {rows_max} rows"
        );
    }
}
