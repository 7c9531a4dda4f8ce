//! Parquet files of one table, a folder for each date.
//!
//!     rows sorted by date ─▶ date=2026-10-01/part-….parquet, date=2026-10-02/part-….parquet, …
//!
//! A file ends with its date, or one row group after the one that takes it beyond [`FILE_BYTES`]. It depends on the rows
//! alone, not on batches or threads. Its types are those at rest, which every reader knows.
//!
//! | file | what it holds |
//! |---|---|
//! | `file.rs` | one file: its row groups in order |
//! | `row_group.rs` | a row group, each column in a task of its own |
//! | `symbols.rs`, `code_pages.rs` | a symbol column, encoded by its codes |

mod code_pages;
mod file;
mod row_group;
mod symbols;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Field, Schema, SchemaRef};
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use netcrab_schema::{Table, Type};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr, WriterVersion};
use parquet::schema::types::ColumnPath;

use self::file::FileWriter;
use self::row_group::PAGE_ROWS;
use crate::error::Error;
use crate::file_fault::file_fault;
use crate::staged::{RunId, StagedFile, StagedTable};
use crate::stats;

/// Size at which a file is closed and the next one begun, about: 128 MiB.
const FILE_BYTES: usize = 128 << 20;

/// Writes the files of one table.
pub(crate) struct TableWriter<'a> {
    table: &'static Table,
    run: &'a RunId,
    store: Arc<dyn ObjectStore>,
    /// The address of the table, for errors.
    place: String,
    schema: SchemaRef,
    properties: WriterPropertiesPtr,
    file_bytes: usize,
    open: Option<OpenFile>,
    /// The file before, which is compressed and closed while the next one is written.
    closing: Option<SpawnedTask<Result<StagedFile, ParquetError>>>,
    files: usize,
    staged: StagedTable,
}

struct OpenFile {
    path: String,
    date: Option<i32>,
    writer: FileWriter,
}

impl<'a> TableWriter<'a> {
    /// A writer of files into the root of `store`, which lies at `place`.
    pub(crate) fn new(table: &'static Table, run: &'a RunId, store: Arc<dyn ObjectStore>, place: String) -> Self {
        Self {
            table,
            run,
            store,
            place,
            schema: file_schema(table),
            properties: Arc::new(properties(table)),
            file_bytes: FILE_BYTES,
            open: None,
            closing: None,
            files: 0,
            staged: StagedTable::default(),
        }
    }

    /// Writes all rows and closes the last file.
    pub(crate) async fn write(
        mut self,
        mut rows: SendableRecordBatchStream,
    ) -> Result<StagedTable, (StagedTable, Error)> {
        let written = self.write_all(&mut rows).await;
        // Also on an error, so that the caller knows every file that it has to remove.
        let closed = self.closed().await;
        let written = written.and(closed);
        let staged = std::mem::take(&mut self.staged);
        match written {
            Ok(()) => Ok(staged),
            Err(error) => Err((staged, error)),
        }
    }

    async fn write_all(&mut self, rows: &mut SendableRecordBatchStream) -> Result<(), Error> {
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let columns = in_file(&batch, &self.schema)?;
            let mut start = 0;
            for (date, length) in runs(self.table, &batch) {
                self.write_run(date, columns.slice(start, length)).await?;
                start += length;
            }
        }
        self.close().await
    }

    async fn write_run(&mut self, date: Option<i32>, mut rows: RecordBatch) -> Result<(), Error> {
        while rows.num_rows() > 0 {
            if self.open.as_ref().is_some_and(|open| open.date != date || open.writer.ended_beyond(self.file_bytes)) {
                self.close().await?;
            }
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.open_file(date)?,
            };
            let written = open.writer.write(&rows).await;
            self.open = Some(open);
            let written = written.map_err(|error| self.fault(error))?;
            rows = rows.slice(written, rows.num_rows() - written);
        }
        Ok(())
    }

    fn open_file(&mut self, date: Option<i32>) -> Result<OpenFile, Error> {
        let name = format!("part-{:05}-{}.snappy.parquet", self.files, self.run.as_str());
        let path = match date {
            Some(date) => format!("date={}/{name}", day(date)),
            None => name,
        };
        let object = BufWriter::new(Arc::clone(&self.store), Path::from(path.as_str()));
        let writer = FileWriter::new(object, Arc::clone(&self.schema), Arc::clone(&self.properties));
        let writer = writer.map_err(|error| self.fault(error))?;
        self.files += 1;
        Ok(OpenFile { path, date, writer })
    }

    /// Starts closing the open file, once the one before it is closed.
    async fn close(&mut self) -> Result<(), Error> {
        let Some(open) = self.open.take() else { return Ok(()) };
        self.closed().await?;
        self.closing = Some(SpawnedTask::spawn(open.finish(self.table)));
        Ok(())
    }

    /// Waits until the file that is being closed is closed.
    async fn closed(&mut self) -> Result<(), Error> {
        let Some(closing) = self.closing.take() else { return Ok(()) };
        let file = closing.join().await.map_err(|panic| self.fault(ParquetError::External(Box::new(panic))))?;
        self.staged.files.push(file.map_err(|error| self.fault(error))?);
        Ok(())
    }

    fn fault(&self, error: ParquetError) -> Error {
        file_fault(self.table, &self.place, Box::new(error))
    }
}

impl OpenFile {
    async fn finish(self, table: &'static Table) -> Result<StagedFile, ParquetError> {
        let (metadata, bytes) = self.writer.finish().await?;
        Ok(StagedFile {
            rows: u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0),
            bytes: bytes as u64,
            stats: stats::stats(table, &metadata),
            path: self.path,
            date: self.date,
            moved: false,
        })
    }
}

/// The dates of the rows in order, each with how many rows follow one another with it.
fn runs(table: &Table, batch: &RecordBatch) -> Vec<(Option<i32>, usize)> {
    let dates = batch.column_by_name("date").and_then(|dates| dates.as_primitive_opt::<Date32Type>());
    match dates.filter(|_| table.by_date) {
        None => vec![(None, batch.num_rows())],
        Some(dates) => dates.values().chunk_by(|a, b| a == b).map(|run| (Some(run[0]), run.len())).collect(),
    }
}

/// `2026-10-01`.
fn day(date: i32) -> String {
    let day = arrow::temporal_conversions::date32_to_datetime(date);
    day.map_or_else(|| date.to_string(), |day| day.format("%Y-%m-%d").to_string())
}

/// The columns of a file: those of the table without the partition's, in the types that the writer takes.
fn file_schema(table: &Table) -> SchemaRef {
    let in_file = |name: &&str| !table.partition().contains(name);
    let field = |column: &netcrab_schema::Column| {
        let kind = match column.kind {
            Type::Symbol => netcrab_schema::arrow::in_flight_type(column.kind),
            kind => netcrab_schema::arrow::at_rest_type(kind),
        };
        Field::new(column.name, kind, column.nullable)
    };
    let columns = table.columns().filter(|column| in_file(&column.name));
    Arc::new(Schema::new(columns.map(field).collect::<Vec<_>>()))
}

/// The columns of a file; the date is dropped, as the path says it.
fn in_file(rows: &RecordBatch, schema: &Schema) -> Result<RecordBatch, DataFusionError> {
    let places = schema.fields().iter().map(|field| rows.schema_ref().index_of(field.name()));
    Ok(rows.project(&places.collect::<Result<Vec<_>, _>>()?)?)
}

/// Compression, statistics and bloom filters.
fn properties(table: &Table) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("netcrab".to_owned())
        .set_data_page_row_count_limit(PAGE_ROWS)
        // By default pages end elsewhere in a column that has a validity bitmap, although nothing in it is null.
        .set_write_batch_size(PAGE_ROWS)
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Page);
    for column in table.columns().filter(|column| matches!(column.kind, Type::Text | Type::Repeated | Type::TextList)) {
        // Ids and hashes repeat too seldom for a dictionary to save anything.
        let place = match column.kind {
            Type::TextList => ColumnPath::from(vec![column.name.to_owned(), "list".to_owned(), "element".to_owned()]),
            _ => ColumnPath::from(column.name),
        };
        properties = properties
            .set_column_dictionary_enabled(place.clone(), column.name == "user_hash")
            .set_column_compression(place.clone(), Compression::ZSTD(ZstdLevel::default()))
            .set_column_statistics_enabled(place, EnabledStatistics::Chunk);
    }
    for column in table.columns().filter(|column| column.kind == Type::Timestamp || column.name == "seq") {
        // Nearly every value is another one.
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column.name), false);
    }
    if table.column("session_key").is_some() {
        properties = properties.set_column_bloom_filter_enabled(ColumnPath::from("session_key"), true);
    }
    properties.build()
}
