//! The files of a table, and the rows of a file.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, new_null_array};
use arrow::error::ArrowError;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use netcrab_schema::Table;
use netcrab_schema::arrow::at_rest_type;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use super::schema::parse_day;
use super::tables::DeltaSink;
use crate::error::Error;
use crate::file_fault::file_fault;
use crate::staged::StagedFile;

/// Rows of a file.
pub type Rows = BoxStream<'static, Result<RecordBatch, Error>>;

impl DeltaSink {
    /// The files of the table whose path contains `name`, without their statistics.
    ///
    /// # Errors
    /// Where the table's log cannot be read.
    pub async fn files(&self, table: &'static Table, name: &str) -> Result<Vec<StagedFile>, Error> {
        let Some(opened) = self.open(table).await? else { return Ok(Vec::new()) };
        let fault = |fault| self.fault(table, fault);
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        let log_store = opened.log_store();
        let mut files = snapshot.file_views(log_store.as_ref(), None);
        let mut found = Vec::new();
        while let Some(file) = files.try_next().await.map_err(fault)? {
            let path = file.path().into_owned();
            if !path.contains(name) {
                continue;
            }
            let date = file.partition_values_map().get("date").cloned().flatten();
            found.push(StagedFile {
                date: date.as_deref().and_then(parse_day),
                rows: file.num_records().and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0),
                bytes: u64::try_from(file.size()).unwrap_or(0),
                stats: String::new(),
                moved: false,
                path,
            });
        }
        Ok(found)
    }

    /// The rows of a staged file, in the types of the file: the table's columns in their order, the date included.
    ///
    /// # Errors
    /// Where the file cannot be read; the stream fails where a part of it cannot be decoded.
    pub async fn read(&self, table: &'static Table, staged: &StagedFile) -> Result<Rows, Error> {
        let store = self.store(table).await?;
        let place = self.location(table).to_string();
        let fault = move |error: ParquetError| file_fault(table, &place, Box::new(error));
        let path = Path::from(staged.path.as_str());
        let file = store.get(&path).await.map_err(|error| self.store_fault(table, error))?;
        // A file is closed at 128 MiB, so it fits in memory while its batches are decoded one by one.
        let file = file.bytes().await.map_err(|error| self.store_fault(table, error))?;
        // Dictionaries of the arrow schema would come back as views of whole pages.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(&fault)?;
        let (date, rows) = (staged.date, builder.build().map_err(&fault)?);
        let rows = rows.map(move |batch| Ok(with_date(table, &batch?, date)?));
        Ok(futures::stream::iter(rows).boxed())
    }
}

/// The columns of `table` from a file. The date is in the path of the file, not in its columns.
fn with_date(table: &'static Table, batch: &RecordBatch, date: Option<i32>) -> Result<RecordBatch, ArrowError> {
    let columns = table.columns().map(|column| -> Result<(&str, ArrayRef, bool), ArrowError> {
        let found = match date.filter(|_| table.by_date && column.name == "date") {
            Some(date) => Arc::new(Date32Array::from_value(date, batch.num_rows())) as ArrayRef,
            None => match batch.column_by_name(column.name) {
                Some(found) => Arc::clone(found),
                // An earlier release wrote the file, which did not know the column.
                None if column.nullable => new_null_array(&at_rest_type(column.kind), batch.num_rows()),
                None => {
                    let fault = format!("a file of `{}` has no `{}`", table.name, column.name);
                    return Err(ArrowError::SchemaError(fault));
                }
            },
        };
        Ok((column.name, found, column.nullable))
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>, _>>()?)
}
