//! Decodes Parquet files of foreign columns with a mapping.
//!
//! It reads the columns that the mapping names as text (instants as ISO 8601) and applies the mapping row by row.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMillisecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::footer::Footer;
use super::guard::guard;
use crate::builder::EventBatchBuilder;
use crate::event_id::EventIds;
use crate::listing::SourceFile;
use crate::mapping::{CompiledMapping, Mapping};
use crate::privacy::Privacy;
use crate::read::mapped::push_mapped;
use crate::read::{ReadBatch, UnitDecoder};
use crate::reject::Rejects;
use crate::validate::whole_milliseconds;
use crate::{Error, SourceSettings};

/// Decodes one row group of a foreign Parquet file.
pub(crate) struct ForeignRowGroupDecoder {
    file: Arc<SourceFile>,
    rows: ParquetRecordBatchReader,
    mapping: Arc<CompiledMapping>,
    /// For each column of the mapping, its index among the columns read.
    places: Vec<Option<usize>>,
    columns: EventBatchBuilder,
    event_ids: Arc<EventIds>,
    rejects: Rejects,
    next_line: u64,
    bytes_per_row: f64,
    over: bool,
}

impl ForeignRowGroupDecoder {
    pub(crate) fn open(
        file: Arc<SourceFile>,
        footer: &Footer,
        group: usize,
        mapping: &Mapping,
        columns: Option<&[&'static str]>,
        settings: Arc<SourceSettings>,
        privacy: Arc<Privacy>,
        event_ids: Arc<EventIds>,
    ) -> Result<Self, Error> {
        let mapping = mapping.compiled();
        let stored = find(&file, footer, &mapping)?;
        let mut read: Vec<usize> = stored.iter().flatten().copied().collect();
        read.sort_unstable();
        read.dedup();
        let places = stored.iter().map(|place| place.and_then(|place| read.binary_search(&place).ok())).collect();
        let rows = footer.rows_of(&file, group, &read, settings.batch_rows)?;
        Ok(Self {
            rows,
            mapping,
            places,
            columns: EventBatchBuilder::new(columns, settings, privacy),
            event_ids,
            rejects: Rejects::new(&file.name),
            next_line: footer.first_line(group),
            bytes_per_row: footer.bytes_per_row(group),
            over: false,
            file,
        })
    }

    fn decode(&mut self) -> Result<Option<ReadBatch>, Error> {
        let rows = &mut self.rows;
        let Some(batch) = guard(&self.file, || Ok(rows.next().transpose()?))? else { return Ok(None) };
        let mut texts: Vec<Option<StringViewArray>> = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let text = place.map(|place| text(batch.column(place))).transpose()?;
            texts.push(text.map(|text| text.as_string_view().clone()));
        }
        let mut skipped = 0;
        for row in 0..batch.num_rows() {
            let value = |texts: &'_ Option<StringViewArray>| {
                texts.as_ref().filter(|texts| texts.is_valid(row)).map(|texts| Cow::Owned(texts.value(row).to_owned()))
            };
            let values: Vec<Option<Cow<'static, str>>> = texts.iter().map(value).collect();
            let line = self.next_line + row as u64;
            match push_mapped(&self.mapping, &values, &mut self.columns, &self.event_ids, line) {
                Ok(true) => {}
                Ok(false) => skipped += 1,
                Err(fault) => self.rejects.push(line, fault),
            }
        }
        self.next_line += batch.num_rows() as u64;
        let bytes_read = (batch.num_rows() as f64 * self.bytes_per_row).round() as u64;
        Ok(Some(ReadBatch { events: self.columns.finish()?, rejects: self.rejects.take(), bytes_read, skipped }))
    }
}

/// A column as text; instants as ISO 8601 in UTC, whatever their time zone.
fn text(array: &ArrayRef) -> Result<ArrayRef, Error> {
    if !matches!(array.data_type(), DataType::Timestamp(_, _)) {
        return Ok(cast(array, &DataType::Utf8View)?);
    }
    let instants = whole_milliseconds(array)?;
    let plain = instants.as_primitive::<TimestampMillisecondType>().clone().with_timezone_opt(None::<Arc<str>>);
    Ok(cast(&plain, &DataType::Utf8View)?)
}

/// The index in the file of each column of the mapping. Fails if a column is missing or cannot become text.
pub(crate) fn find(file: &SourceFile, footer: &Footer, mapping: &CompiledMapping) -> Result<Vec<Option<usize>>, Error> {
    let fields = footer.schema().fields();
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let places = mapping.find(file, &names)?;
    for place in places.iter().flatten() {
        let found = fields[*place].data_type();
        if found.is_nested() || !arrow::compute::can_cast_types(found, &DataType::Utf8View) {
            let (column, found) = (names[*place].to_owned(), found.to_string());
            return Err(Error::ColumnType {
                file: file.name.clone(),
                column,
                found,
                expected: "a text, number, boolean or instant",
            });
        }
    }
    Ok(places)
}

impl UnitDecoder for ForeignRowGroupDecoder {
    fn next(&mut self) -> Option<Result<ReadBatch, Error>> {
        if self.over {
            return None;
        }
        let decoded = self.decode().transpose();
        self.over = !matches!(decoded, Some(Ok(_)));
        decoded
    }
}
