//! Decodes Parquet files of foreign columns with a mapping.
//!
//! It reads the columns that the mapping names as text (see [`crate::validate`]), the time as an instant where it is
//! one, and applies the mapping row by row.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringViewArray, TimestampMillisecondArray};
use hashbrown::HashMap;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::footer::{Footer, RowGroup};
use super::guard::guard;
use super::leaves::Leaf;
use super::read_schema::kind_name;
use crate::builder::EventBatchBuilder;
use crate::event_id::EventIds;
use crate::listing::SourceFile;
use crate::mapping::{CompiledMapping, Mapping};
use crate::privacy::Privacy;
use crate::read::mapped::FileMapping;
use crate::read::{ReadBatch, UnitDecoder};
use crate::reject::{Fault, Reason, Rejects};
use crate::validate::{has_text, instants, is_temporal, texts, without_zone};
use crate::{Error, SourceSettings};

/// Decodes one row group of a foreign Parquet file.
pub(crate) struct ForeignRowGroupDecoder {
    file: Arc<SourceFile>,
    rows: ParquetRecordBatchReader,
    mapping: FileMapping,
    footer: Arc<Footer>,
    /// For each column of the mapping, its index among the columns read, and where its values are.
    places: Vec<Option<(usize, Leaf)>>,
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
        RowGroup { footer, number }: RowGroup<'_>,
        mapping: &Mapping,
        columns: Option<&[&'static str]>,
        settings: Arc<SourceSettings>,
        privacy: Arc<Privacy>,
        event_ids: Arc<EventIds>,
    ) -> Result<Self, Error> {
        let mapping = FileMapping::of(&file, mapping)?;
        let stored = find(&file, footer, &mapping.mapping)?;
        let mut read: Vec<usize> = stored.iter().flatten().map(Leaf::root).collect();
        read.sort_unstable();
        read.dedup();
        let place = |leaf: Leaf| Some((read.binary_search(&leaf.root()).ok()?, leaf));
        let places = stored.into_iter().map(|leaf| leaf.and_then(place)).collect();
        let rows = footer.rows_of(&file, number, &read, settings.batch_rows)?;
        Ok(Self {
            rows,
            mapping,
            places,
            footer: footer.clone(),
            columns: EventBatchBuilder::new(columns, settings, privacy),
            event_ids,
            rejects: Rejects::new(&file.name),
            next_line: footer.first_line(number),
            bytes_per_row: footer.bytes_per_row(number),
            over: false,
            file,
        })
    }

    fn decode(&mut self) -> Result<Option<ReadBatch>, Error> {
        let rows = &mut self.rows;
        let Some(batch) = guard(&self.file, || Ok(rows.next().transpose()?))? else { return Ok(None) };
        let columns = self.texts(&batch)?;
        let time = self.times(&batch)?;
        let kept = self.footer.kept(self.next_line, batch.num_rows());
        let mut skipped = 0;
        for row in (0..batch.num_rows()).filter(|row| kept.as_ref().is_none_or(|kept| kept.value(*row))) {
            let line = self.next_line + row as u64;
            let values = columns.iter().map(|column| column.as_ref().map_or(Ok(None), |column| column.text(row)));
            let values = values.collect::<Result<Vec<_>, Fault>>();
            let ts = time.as_ref().filter(|time| time.is_valid(row)).map(|time| time.value(row));
            let mapping = &self.mapping;
            let pushed =
                values.and_then(|values| mapping.push_at(ts, values, &mut self.columns, &self.event_ids, line));
            match pushed {
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

/// A column of the mapping in a batch.
struct ReadColumn {
    name: String,
    texts: StringViewArray,
    /// Rows that have no text, and why.
    faults: HashMap<usize, Reason>,
}

impl ReadColumn {
    fn text(&self, row: usize) -> Result<Option<Cow<'_, str>>, Fault> {
        if let Some(reason) = self.faults.get(&row) {
            return Err(Fault::field(*reason, self.name.clone()));
        }
        Ok(self.texts.is_valid(row).then(|| Cow::Borrowed(self.texts.value(row))))
    }
}

impl ForeignRowGroupDecoder {
    fn texts(&self, batch: &RecordBatch) -> Result<Vec<Option<ReadColumn>>, Error> {
        let read = |place: &Option<(usize, Leaf)>| {
            let Some((root, leaf)) = place else { return Ok(None) };
            let read = texts(&leaf.values(batch, *root)?)?;
            let faults = read.faults.into_iter().collect();
            Ok(Some(ReadColumn { name: leaf.name.clone(), texts: read.values, faults }))
        };
        self.places.iter().map(read).collect()
    }

    /// The times of the rows, where the file has them as instants. Those without a zone are times of the mapping's
    /// offset.
    fn times(&self, batch: &RecordBatch) -> Result<Option<TimestampMillisecondArray>, Error> {
        let place = self.places.get(self.mapping.mapping.time_column()).and_then(Option::as_ref);
        let Some((root, leaf)) = place.filter(|(_, leaf)| is_temporal(&leaf.kind)) else { return Ok(None) };
        let times = instants(&leaf.values(batch, *root)?)?.values;
        let civil = without_zone(&leaf.kind);
        Ok(Some(if civil { times.unary(|ms: i64| self.mapping.mapping.at_offset(ms)) } else { times }))
    }
}

/// Each column of the mapping in the file. Fails if a column is missing or cannot become text.
pub(crate) fn find(file: &SourceFile, footer: &Footer, mapping: &CompiledMapping) -> Result<Vec<Option<Leaf>>, Error> {
    let names: Vec<&str> = footer.leaves.iter().map(|leaf| leaf.name.as_str()).collect();
    let places = mapping.find(file, &names)?;
    let leaves: Vec<Option<Leaf>> =
        places.into_iter().map(|place| place.map(|place| footer.leaves[place].clone())).collect();
    match leaves.iter().flatten().find(|leaf| !has_text(&leaf.kind)) {
        None => Ok(leaves),
        Some(leaf) => Err(Error::ColumnType {
            file: file.name.clone(),
            column: leaf.name.clone(),
            found: kind_name(&leaf.kind),
            expected: "a text, number, boolean or instant, a list of one, or a field of a struct (`context.plan`)",
        }),
    }
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
