//! The footer of a Parquet file: schema, row groups, and the ranges to fetch.

use std::ops::Range;
use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::schema::types::SchemaDescriptor;

use super::guard::guard;
use super::leaves::{Leaf, exact_int96, leaves};
use super::read_schema::{kind_name, places, relabel, texts, wanted};
use crate::Error;
use crate::blob::{Blob, SharedBlob};
use crate::event_columns::column_index;
use crate::listing::SourceFile;
use crate::privacy::Privacy;

/// The parsed footer of a file.
#[derive(Debug)]
pub(crate) struct Footer {
    metadata: ArrowReaderMetadata,
    /// Each event column that the file has, in table order.
    pub(super) places: Vec<Option<Leaf>>,
    /// Of a file of foreign columns, what a mapping may name.
    pub(super) leaves: Vec<Leaf>,
    /// Whether each row of the file is left in its table; `None` where all are.
    kept: Option<BooleanBuffer>,
    /// The number of the first row of each row group, from 1.
    first_lines: Vec<u64>,
}

/// One row group of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowGroup<'a> {
    pub(crate) footer: &'a Arc<Footer>,
    pub(crate) number: usize,
}

impl Footer {
    /// Reads the footer of a file of foreign columns.
    pub(crate) fn foreign(file: &SourceFile) -> Result<Self, Error> {
        let parquet = load(file)?;
        // The embedded Arrow schema is advice. Where it does not fit, the columns are read as Parquet describes them.
        let found = ArrowReaderMetadata::try_new(parquet.clone(), ArrowReaderOptions::new());
        let bare = || ArrowReaderMetadata::try_new(parquet.clone(), bare());
        let found = guard(file, || found.or_else(|_| bare()))?;
        let descriptor = parquet.file_metadata().schema_descr();
        let wanted = exact_int96(found.schema(), descriptor);
        let metadata = guard(file, || {
            ArrowReaderMetadata::try_new(parquet.clone(), ArrowReaderOptions::new().with_schema(wanted))
        })?;
        let leaves = leaves(&file.known, metadata.schema(), descriptor);
        Ok(Self {
            metadata,
            places: Vec::new(),
            leaves,
            kept: kept(file, &parquet)?,
            first_lines: first_lines(&parquet),
        })
    }

    /// Reads the footer of a file of event columns.
    pub(crate) fn events(file: &SourceFile, privacy: &Privacy) -> Result<Self, Error> {
        let parquet = load(file)?;
        let found = guard(file, || ArrowReaderMetadata::try_new(parquet.clone(), bare()))?;
        let places = places(file, found.schema(), parquet.file_metadata().schema_descr(), privacy)?;
        let texts = texts(&places);
        let parquet = match relabel(parquet.file_metadata().schema_descr(), &texts) {
            None => parquet,
            Some(schema) => guard(file, || reload(file, schema))?,
        };
        let found = guard(file, || ArrowReaderMetadata::try_new(parquet.clone(), bare()))?;
        let found = exact_int96(found.schema(), parquet.file_metadata().schema_descr());
        let embedded = guard(file, || ArrowReaderMetadata::try_new(parquet.clone(), ArrowReaderOptions::new())).ok();
        let seconds = |place: usize| {
            let field = embedded.as_ref().and_then(|embedded| embedded.schema().fields().get(place));
            field.is_some_and(|field| matches!(field.data_type(), DataType::Timestamp(TimeUnit::Second, _)))
        };
        for leaf in places.iter().flatten() {
            let field = embedded.as_ref().and_then(|embedded| embedded.schema().fields().get(leaf.root()));
            if let Some(kind @ DataType::Duration(_)) = field.map(|field| field.data_type()) {
                let (file, column, found) = (file.name.clone(), leaf.name.clone(), kind_name(kind));
                return Err(Error::ColumnType { file, column, found, expected: "no duration" });
            }
        }
        let wanted = wanted(file, &found, &places, &seconds)?;
        let options = ArrowReaderOptions::new().with_schema(wanted);
        let metadata = guard(file, || ArrowReaderMetadata::try_new(parquet.clone(), options))?;
        let (first_lines, kept) = (first_lines(&parquet), kept(file, &parquet)?);
        Ok(Self { metadata, places, leaves: Vec::new(), kept, first_lines })
    }

    /// Whether rows may have no event id; `mapped` is the column that a mapping names as such, if there is a mapping.
    pub(crate) fn lacks_event_ids(&self, mapped: Option<Option<&str>>) -> bool {
        let place = match mapped {
            None => self.places.get(column_index("event_id")).and_then(Option::as_ref),
            Some(name) => name.and_then(|name| self.leaves.iter().find(|leaf| leaf.name == name)),
        };
        place.is_none_or(|leaf| !leaf.is_column() || !self.is_complete(leaf.root()))
    }

    /// Whether column number `place` is known to have a value in every row.
    fn is_complete(&self, place: usize) -> bool {
        let schema = self.metadata.parquet_schema();
        let mut leaves = (0..schema.num_columns()).filter(|leaf| schema.get_column_root_idx(*leaf) == place);
        let nulls =
            |group: &RowGroupMetaData, leaf| group.column(leaf).statistics().and_then(|found| found.null_count_opt());
        leaves.all(|leaf| {
            let required = schema.column(leaf).max_def_level() == 0;
            required || self.metadata.metadata().row_groups().iter().all(|group| nulls(group, leaf) == Some(0))
        })
    }

    /// How many row groups the file has.
    pub(crate) fn groups(&self) -> usize {
        self.first_lines.len()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.metadata.metadata().row_groups().iter().map(|group| group.num_rows().max(0) as u64).sum()
    }

    /// The size of each row group as stored, in bytes.
    pub(crate) fn group_bytes(&self) -> Vec<u64> {
        self.metadata.metadata().row_groups().iter().map(|group| group.compressed_size().max(0) as u64).collect()
    }

    /// The average size of a row as stored, in bytes.
    pub(crate) fn bytes_per_row(&self, group: usize) -> f64 {
        let group = self.metadata.metadata().row_group(group);
        group.compressed_size().max(0) as f64 / group.num_rows().max(1) as f64
    }

    pub(crate) fn first_line(&self, group: usize) -> u64 {
        self.first_lines[group]
    }

    /// Whether each of these rows is left in the table of the file; `None` where all are.
    pub(super) fn kept(&self, first_line: u64, rows: usize) -> Option<BooleanBuffer> {
        let kept = self.kept.as_ref()?.slice(first_line as usize - 1, rows);
        (kept.count_set_bits() < rows).then_some(kept)
    }

    /// A reader of one row group, for columns by their index in the file.
    pub(crate) fn rows_of(
        &self,
        file: &SourceFile,
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

fn bare() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}

/// Which rows of the file its table has, checked against the number of its rows.
fn kept(file: &SourceFile, parquet: &ParquetMetaData) -> Result<Option<BooleanBuffer>, Error> {
    let rows: usize = parquet.row_groups().iter().map(|group| group.num_rows().max(0) as usize).sum();
    match file.known.kept() {
        Some(kept) if kept.len() != rows => {
            let cause = format!("its table counts {} rows in it, and it has {rows}", kept.len());
            Err(Error::DamagedParquet { file: file.name.clone(), cause })
        }
        kept => Ok(kept.cloned()),
    }
}

fn load(file: &SourceFile) -> Result<Arc<ParquetMetaData>, Error> {
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

fn reload(file: &SourceFile, schema: SchemaDescriptor) -> parquet::errors::Result<Arc<ParquetMetaData>> {
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
