//! Reads Parquet files whose columns are event columns, a row group at a time.
//!
//!     file     org_id · route · ts(us) · …        any order; names as in tables or on the wire
//!     read as  Dictionary · Dictionary · ts …     symbols keep the dictionary of their column chunk
//!     batch    in-flight schema                   never across row groups
//!
//! Columns are taken as they are stored: utf8, large utf8, views, dictionaries, and JSON or enum
//! annotated bytes for texts; timestamps of any unit and whole numbers (ms) for instants; any number
//! for numbers. Damage is an error, never a panic: the decoder runs behind `catch_unwind`.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::events::{EVENT, wire_name};
use netcrab_schema::{Column, Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::types::{SchemaDescriptor, Type as ParquetType};

use crate::blob::{Blob, SharedBlob};
use crate::check::{Check, project};
use crate::error::nearest_clause;
use crate::event_id::EventIds;
use crate::listing::File;
use crate::privacy::Privacy;
use crate::read::{Decode, ReadBatch};
use crate::reject::Rejects;
use crate::{Error, SourceSettings};

/// The footer of a file, understood.
#[derive(Debug)]
pub(crate) struct Footer {
    metadata: ArrowReaderMetadata,
    /// Where each event column stands in the file, in table order.
    places: Vec<Option<usize>>,
    /// The number of the first row of each row group, from 1.
    first_lines: Vec<u64>,
}

impl Footer {
    /// Reads the footer of `file` as one of foreign columns.
    pub(crate) fn foreign(file: &File) -> Result<Self, Error> {
        let parquet = load(file)?;
        let metadata = guard(file, || ArrowReaderMetadata::try_new(parquet.clone(), ArrowReaderOptions::new()))?;
        Ok(Self { metadata, places: Vec::new(), first_lines: first_lines(&parquet) })
    }

    /// Reads the footer of `file` and finds the event columns in it.
    pub(crate) fn events(file: &File, privacy: &Privacy) -> Result<Self, Error> {
        let parquet = load(file)?;
        let stored = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let found = guard(file, || ArrowReaderMetadata::try_new(parquet.clone(), stored))?;
        let places = places(file, found.schema(), privacy)?;
        let texts = texts(&places);
        let parquet = match relabel(parquet.file_metadata().schema_descr(), &texts) {
            None => parquet,
            Some(schema) => guard(file, || reload(file, schema))?,
        };
        let bare = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let found = guard(file, || ArrowReaderMetadata::try_new(parquet.clone(), bare))?;
        let embedded = guard(file, || ArrowReaderMetadata::try_new(parquet.clone(), ArrowReaderOptions::new())).ok();
        let seconds = |place: usize| {
            let field = embedded.as_ref().and_then(|embedded| embedded.schema().fields().get(place));
            field.is_some_and(|field| matches!(field.data_type(), DataType::Timestamp(TimeUnit::Second, _)))
        };
        let wanted = wanted(file, found.schema(), &places, &seconds)?;
        let options = ArrowReaderOptions::new().with_schema(wanted);
        let metadata = guard(file, || ArrowReaderMetadata::try_new(parquet.clone(), options))?;
        Ok(Self { metadata, places, first_lines: first_lines(&parquet) })
    }

    /// The columns of the file.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.metadata.metadata().row_groups().iter().map(|group| group.num_rows().max(0) as u64).sum()
    }

    /// Bytes of each row group as stored.
    pub(crate) fn group_bytes(&self) -> Vec<u64> {
        self.metadata.metadata().row_groups().iter().map(|group| group.compressed_size().max(0) as u64).collect()
    }

    /// Bytes of a row as stored, on average.
    pub(crate) fn bytes_per_row(&self, group: usize) -> f64 {
        let group = self.metadata.metadata().row_group(group);
        group.compressed_size().max(0) as f64 / group.num_rows().max(1) as f64
    }

    pub(crate) fn first_line(&self, group: usize) -> u64 {
        self.first_lines[group]
    }

    /// A reader of these columns (by place in the file) of one row group.
    pub(crate) fn rows_of(
        &self,
        file: &File,
        group: usize,
        columns: &[usize],
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader, Error> {
        let mut blob = Blob::open(file).map_err(|source| Error::read(&file.name, source))?;
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), columns.iter().copied());
        let ranges = self.ranges(group, &mask);
        blob.fetch(&ranges).map_err(|source| Error::read(&file.name, source))?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(SharedBlob(Arc::new(blob)), self.metadata.clone());
        guard(file, || builder.with_row_groups(vec![group]).with_projection(mask).with_batch_size(batch_rows).build())
    }

    fn ranges(&self, group: usize, mask: &ProjectionMask) -> Vec<Range<u64>> {
        let columns = self.metadata.metadata().row_group(group).columns().iter().enumerate();
        let ranges = columns.filter(|(leaf, _)| mask.leaf_included(*leaf)).filter_map(|(_, column)| {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let (start, length) = (u64::try_from(start).ok()?, u64::try_from(column.compressed_size()).ok()?);
            Some(start..start.checked_add(length)?)
        });
        ranges.collect()
    }
}

/// Runs a step of the decoder; damage may make it panic.
pub(crate) fn guard<T>(file: &File, step: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, Error> {
    let damaged = |cause: String| Error::DamagedParquet { file: file.name.clone(), cause };
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(parquet::errors::ParquetError::External(source))) => match source.downcast::<std::io::Error>() {
            Ok(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => Err(Error::read(&file.name, *source)),
            Ok(source) => Err(damaged(source.to_string())),
            Err(source) => Err(damaged(source.to_string())),
        },
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("a page contradicts its header".to_owned())),
    }
}

fn load(file: &File) -> Result<Arc<ParquetMetaData>, Error> {
    let blob = Blob::open(file).map_err(|source| Error::read(&file.name, source))?;
    let metadata = guard(file, || ParquetMetaDataReader::new().parse_and_finish(&SharedBlob(Arc::new(blob))))?;
    let plausible = metadata.row_groups().iter().all(|group| {
        (0..=i64::from(i32::MAX)).contains(&group.num_rows())
            && group
                .columns()
                .iter()
                .all(|column| column.compressed_size() <= i64::try_from(file.bytes).unwrap_or(i64::MAX))
    });
    if !plausible {
        let cause = "its footer claims more than the file can hold".to_owned();
        return Err(Error::DamagedParquet { file: file.name.clone(), cause });
    }
    Ok(Arc::new(metadata))
}

fn reload(file: &File, schema: SchemaDescriptor) -> parquet::errors::Result<Arc<ParquetMetaData>> {
    let blob = SharedBlob(Arc::new(Blob::open(file)?));
    let options = ArrowReaderOptions::new().with_parquet_schema(Arc::new(schema));
    let metadata = ParquetMetaDataReader::new().with_metadata_options(Some(options.metadata_options().clone()));
    Ok(Arc::new(metadata.parse_and_finish(&blob)?))
}

fn first_lines(parquet: &ParquetMetaData) -> Vec<u64> {
    let mut line = 1;
    let groups = parquet.row_groups().iter().map(|group| {
        let first = line;
        line += group.num_rows().max(0) as u64;
        first
    });
    groups.collect()
}

/// Where each event column stands; every other column is an error.
fn places(file: &File, schema: &Schema, privacy: &Privacy) -> Result<Vec<Option<usize>>, Error> {
    let mut places = vec![None; EVENT.len()];
    for (place, field) in schema.fields().iter().enumerate() {
        let column =
            EVENT.iter().position(|column| column.name == field.name() || wire_name(column.name) == *field.name());
        let name = field.name().clone();
        let Some(column) = column else { return Err(unknown_column(file, &name, privacy)) };
        if places[column].replace(place).is_some() {
            return Err(Error::RepeatedColumn { file: file.name.clone(), column: name });
        }
    }
    for (column, place) in EVENT.iter().zip(&places) {
        require(file, column, place.is_some())?;
    }
    Ok(places)
}

/// The error for a column that no event has.
pub(crate) fn unknown_column(file: &File, column: &str, privacy: &Privacy) -> Error {
    let (file, column) = (file.name.clone(), column.to_owned());
    if privacy.denies_key(&column) {
        return Error::DeniedColumn { file, column };
    }
    let nearest = nearest_clause(&column, EVENT.iter().map(|column| column.name));
    Error::UnknownColumn { file, column, nearest }
}

/// Whether a required column is there; three of them have a value when they are not.
pub(crate) fn require(file: &File, column: &Column, there: bool) -> Result<(), Error> {
    let made = matches!(column.name, "session_id" | "event_id" | "reaction_observed");
    if there || column.nullable || made {
        return Ok(());
    }
    Err(Error::MissingColumn { file: file.name.clone(), column: column.name.to_owned() })
}

/// The places of text and symbol columns.
fn texts(places: &[Option<usize>]) -> Vec<usize> {
    let columns = EVENT
        .iter()
        .zip(places)
        .filter(|(column, _)| matches!(column.kind, Type::Text | Type::Repeated | Type::Symbol));
    columns.filter_map(|(_, place)| *place).collect()
}

/// The schema with bytes that hold text (JSON, enum, or unannotated) labelled as UTF-8, so that the
/// decoder checks them and keeps their dictionaries; `None` where nothing needs it.
fn relabel(schema: &SchemaDescriptor, texts: &[usize]) -> Option<SchemaDescriptor> {
    let root = schema.root_schema();
    let mut changed = false;
    let mut fields = Vec::new();
    for (place, field) in root.get_fields().iter().enumerate() {
        let bytes = field.is_primitive() && field.get_physical_type() == PhysicalType::BYTE_ARRAY;
        let info = field.get_basic_info();
        let decimal = info.converted_type() == ConvertedType::DECIMAL;
        if !texts.contains(&place) || !bytes || decimal || info.converted_type() == ConvertedType::UTF8 {
            fields.push(field.clone());
            continue;
        }
        let label = ParquetType::primitive_type_builder(info.name(), PhysicalType::BYTE_ARRAY)
            .with_repetition(info.repetition())
            .with_converted_type(ConvertedType::UTF8)
            .with_logical_type(Some(LogicalType::String))
            .build();
        fields.push(Arc::new(label.ok()?));
        changed = true;
    }
    let root = ParquetType::group_type_builder(root.name()).with_fields(fields).build().ok()?;
    changed.then(|| SchemaDescriptor::new(Arc::new(root)))
}

/// The schema to read with: symbols as dictionaries, texts as views, the rest as stored.
/// Parquet knows no seconds: they are plain numbers, and only the Arrow schema that is kept beside them says so.
fn wanted(
    file: &File,
    found: &Schema,
    places: &[Option<usize>],
    seconds: &dyn Fn(usize) -> bool,
) -> Result<SchemaRef, Error> {
    let mut fields: Vec<Field> = found.fields().iter().map(|field| field.as_ref().clone()).collect();
    for (column, place) in EVENT.iter().zip(places) {
        let Some(place) = *place else { continue };
        let field = &found.fields()[place];
        let wanted = wanted_type(column.kind, field.data_type()).ok_or_else(|| Error::ColumnType {
            file: file.name.clone(),
            column: field.name().clone(),
            found: field.data_type().to_string(),
            expected: expectation(column.kind),
        })?;
        let wanted = match wanted {
            DataType::Int64 if column.kind == Type::Timestamp && seconds(place) => {
                DataType::Timestamp(TimeUnit::Second, None)
            }
            wanted => wanted,
        };
        fields[place] = fields[place].clone().with_data_type(wanted);
    }
    Ok(Arc::new(Schema::new(Fields::from(fields))))
}

fn wanted_type(kind: Type, stored: &DataType) -> Option<DataType> {
    use DataType as D;
    let number = stored.is_integer() || stored.is_floating();
    Some(match (kind, stored) {
        (_, D::Null) => D::Null,
        (Type::Symbol | Type::Repeated | Type::Text, D::Utf8 | D::LargeUtf8 | D::Utf8View) => in_flight_type(kind),
        (Type::Timestamp, D::Timestamp(TimeUnit::Nanosecond, None)) => D::Timestamp(TimeUnit::Nanosecond, None),
        (Type::Timestamp, D::Timestamp(_, _) | D::Int64 | D::UInt64) => stored.clone(),
        (Type::Float32, _) if number => stored.clone(),
        (Type::Bool, D::Boolean) => D::Boolean,
        _ => return None,
    })
}

fn expectation(kind: Type) -> &'static str {
    match kind {
        Type::Symbol | Type::Repeated | Type::Text => "a text (UTF-8)",
        Type::Timestamp => "a timestamp, or whole milliseconds since 1970",
        Type::Float32 => "a number",
        _ => "a boolean",
    }
}

/// One row group being read.
pub(crate) struct RowGroup {
    file: Arc<File>,
    rows: ParquetRecordBatchReader,
    check: Check,
    event_ids: EventIds,
    rejects: Rejects,
    /// For each column of the batch, its place among those read.
    places: Vec<Option<usize>>,
    /// The columns that were asked for, among those of the batch; `None` where all were.
    kept: Option<Vec<usize>>,
    next_line: u64,
    bytes_per_row: f64,
    over: bool,
}

impl RowGroup {
    /// Opens row group `group` for the event columns named.
    pub(crate) fn open(
        file: Arc<File>,
        footer: &Footer,
        group: usize,
        columns: Option<&[&'static str]>,
        settings: Arc<SourceSettings>,
        privacy: Arc<Privacy>,
    ) -> Result<Self, Error> {
        // An id is made from the instant, so it must be read even where nobody asked for it.
        let needed = columns.map(|names| match names.contains(&"event_id") {
            true => [names, &["ts"]].concat(),
            false => names.to_vec(),
        });
        let asked = project(columns);
        let columns = project(needed.as_deref());
        let kept = columns.iter().enumerate().filter(|(_, column)| asked.iter().any(|asked| asked.name == column.name));
        let kept: Vec<usize> = kept.map(|(at, _)| at).collect();
        let stored = |column: &&'static Column| {
            EVENT.iter().position(|event| event.name == column.name).and_then(|at| footer.places[at])
        };
        let stored: Vec<Option<usize>> = columns.iter().map(stored).collect();
        let mut read: Vec<usize> = stored.iter().flatten().copied().collect();
        read.sort_unstable();
        let places = stored.iter().map(|place| place.and_then(|place| read.binary_search(&place).ok())).collect();
        let rows = footer.rows_of(&file, group, &read, settings.batch_rows)?;
        Ok(Self {
            rows,
            check: Check::new(&columns, settings, privacy),
            event_ids: EventIds::of(&file),
            rejects: Rejects::new(&file.name),
            places,
            kept: (kept.len() < columns.len()).then_some(kept),
            next_line: footer.first_line(group),
            bytes_per_row: footer.bytes_per_row(group),
            over: false,
            file,
        })
    }

    fn decode(&mut self) -> Result<Option<ReadBatch>, Error> {
        let rows = &mut self.rows;
        let Some(batch) = guard(&self.file, || Ok(rows.next().transpose()?))? else { return Ok(None) };
        let (length, first_line) = (batch.num_rows(), self.next_line);
        let arrays: Vec<Option<ArrayRef>> =
            self.places.iter().map(|place| place.map(|place| batch.column(place).clone())).collect();
        self.next_line += length as u64;
        let events = self.check.run(arrays, length, first_line, &self.event_ids, &mut self.rejects)?;
        self.event_ids.check()?;
        let events = match &self.kept {
            Some(kept) => events.project(kept)?,
            None => events,
        };
        let bytes_read = (length as f64 * self.bytes_per_row).round() as u64;
        Ok(Some(ReadBatch { events, rejects: self.rejects.take(), bytes_read, skipped: 0 }))
    }
}

impl Decode for RowGroup {
    fn next(&mut self) -> Option<Result<ReadBatch, Error>> {
        if self.over {
            return None;
        }
        let decoded = self.decode().transpose();
        self.over = !matches!(decoded, Some(Ok(_)));
        decoded
    }
}
