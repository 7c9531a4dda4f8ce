//! Parquet files of one table, a folder for each date.
//!
//!     rows sorted by date ─▶ date=2026-10-01/part-….parquet, date=2026-10-02/part-….parquet, …
//!
//! A file is closed at [`FILE_BYTES`]. Its types are those at rest, which every reader knows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute;
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimestampMillisecondType};
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use netcrab_schema::{Table, Type};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::async_writer::AsyncArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::error::Error;
use crate::file_fault::file_fault;
use crate::staged::{RunId, StagedFile, StagedTable};
use crate::stats;

/// Size at which a file is closed and the next one begun, about: 128 MiB.
const FILE_BYTES: usize = 128 << 20;

/// Most rows of a row group.
const ROW_GROUP_ROWS: usize = 131_072;

/// Writes the files of one table.
pub(crate) struct TableWriter<'a> {
    table: &'static Table,
    run: &'a RunId,
    store: Arc<dyn ObjectStore>,
    /// The address of the table, for errors.
    place: String,
    schema: SchemaRef,
    open: Option<OpenFile>,
    /// The file before, which is compressed and closed while the next one is written.
    closing: Option<SpawnedTask<Result<StagedFile, ParquetError>>>,
    files: usize,
    staged: StagedTable,
}

struct OpenFile {
    path: String,
    date: Option<i32>,
    writer: AsyncArrowWriter<BufWriter>,
}

impl<'a> TableWriter<'a> {
    /// A writer of files into the root of `store`, which lies at `place`.
    pub(crate) fn new(table: &'static Table, run: &'a RunId, store: Arc<dyn ObjectStore>, place: String) -> Self {
        let (schema, staged) = (file_schema(table), StagedTable::default());
        Self { table, run, store, place, schema, open: None, closing: None, files: 0, staged }
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
            let mut start = 0;
            for (date, length) in runs(self.table, &batch) {
                self.write_run(date, &batch.slice(start, length)).await?;
                start += length;
            }
        }
        self.close().await
    }

    async fn write_run(&mut self, date: Option<i32>, rows: &RecordBatch) -> Result<(), Error> {
        if self.open.as_ref().is_some_and(|open| open.date != date || open.bytes() > FILE_BYTES) {
            self.close().await?;
        }
        let rows = at_rest(rows, &self.schema)?;
        if self.open.is_none() {
            self.open = Some(self.open_file(date)?);
            self.files += 1;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.writer.write(&rows).await.map_err(|error| self.fault(error))
    }

    fn open_file(&self, date: Option<i32>) -> Result<OpenFile, Error> {
        let name = format!("part-{:05}-{}.snappy.parquet", self.files, self.run.as_str());
        let path = match date {
            Some(date) => format!("date={}/{name}", day(date)),
            None => name,
        };
        let options = ArrowWriterOptions::new().with_properties(properties(self.table)).with_skip_arrow_metadata(true);
        let object = BufWriter::new(Arc::clone(&self.store), Path::from(path.as_str()));
        let writer = AsyncArrowWriter::try_new_with_options(object, Arc::clone(&self.schema), options);
        Ok(OpenFile { path, date, writer: writer.map_err(|error| self.fault(error))? })
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
    async fn finish(mut self, table: &'static Table) -> Result<StagedFile, ParquetError> {
        let metadata = self.writer.finish().await?;
        Ok(StagedFile {
            rows: u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0),
            bytes: self.writer.bytes_written() as u64,
            stats: stats::stats(table, &metadata),
            path: self.path,
            date: self.date,
            moved: false,
        })
    }

    fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
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

/// The rows in the types of `schema`: milliseconds become microseconds; the date is dropped, as the path says it.
fn at_rest(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, datafusion::error::DataFusionError> {
    let column = |field: &Arc<Field>| -> Result<ArrayRef, datafusion::error::DataFusionError> {
        let column = rows.column_by_name(field.name());
        let column = column.ok_or_else(|| datafusion::common::exec_datafusion_err!("no column `{}`", field.name()))?;
        if matches!(column.data_type(), DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, _)) {
            let micros: TimestampMicrosecondArray =
                column.as_primitive::<TimestampMillisecondType>().unary(|millis| millis.saturating_mul(1000));
            return Ok(Arc::new(micros.with_timezone("UTC")));
        }
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        Ok(compute::cast(column, field.data_type())?)
    };
    let columns = schema.fields().iter().map(column).collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Compression, statistics and bloom filters.
fn properties(table: &Table) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("netcrab".to_owned())
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
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
    if table.column("session_key").is_some() {
        properties = properties.set_column_bloom_filter_enabled(ColumnPath::from("session_key"), true);
    }
    properties.build()
}
