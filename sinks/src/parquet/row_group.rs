//! One row group, each of its columns encoded in a task of its own.
//!
//!     rows ─▶ pages of rows ─┬─▶ column task ─▶ chunk
//!                            ├─▶ column task ─▶ chunk   in the order of the columns
//!                            └─▶ column task ─▶ chunk
//!
//! A column gets its values a page at a time, so its bytes do not depend on the batches in which the rows came.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit, TimestampMillisecondType};
use arrow::error::ArrowError;
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use netcrab_schema::Type;
use netcrab_schema::arrow::in_flight_type;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;
use tokio::sync::mpsc;

use super::symbols::{SymbolColumn, SymbolProperties};

/// Most rows of a page. Sorted events come in batches of as many, which then need no copy.
pub(super) const PAGE_ROWS: usize = 16_384;

/// Most pages that wait for the task of a column.
const PAGES_WAITING_MAX: usize = 1;

/// A row group that takes rows.
pub(super) struct RowGroup {
    columns: Vec<Column>,
    /// The rows of the next page, until there are [`PAGE_ROWS`].
    page: Vec<RecordBatch>,
    rows: usize,
}

impl RowGroup {
    /// Begins the tasks of all columns. `writers` are those of the library, one for each field of `schema`.
    pub(super) fn begin(
        schema: &Schema,
        descriptors: &[ColumnDescPtr],
        writers: Vec<ArrowColumnWriter>,
        symbols: &SymbolProperties,
    ) -> Result<Self, ParquetError> {
        if schema.fields().len() != writers.len() {
            return Err(ParquetError::NYI("a column of several leaves".to_owned()));
        }
        let symbol = in_flight_type(Type::Symbol);
        let columns = schema.fields().iter().zip(descriptors).zip(writers);
        let columns = columns.map(|((field, descriptor), writer)| {
            let symbols =
                (*field.data_type() == symbol).then(|| SymbolColumn::new(Arc::clone(descriptor), symbols.clone()));
            Column::begin(ColumnEncoder { field: Arc::clone(field), writer, symbols })
        });
        Ok(Self { columns: columns.collect(), page: Vec::new(), rows: 0 })
    }

    /// How many rows it has.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds rows; waits while the columns have enough to do.
    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        let mut start = 0;
        while start < rows.num_rows() {
            let length = (rows.num_rows() - start).min(PAGE_ROWS - self.rows % PAGE_ROWS);
            self.page.push(rows.slice(start, length));
            self.rows += length;
            start += length;
            if self.rows.is_multiple_of(PAGE_ROWS) {
                self.send_page().await?;
            }
        }
        Ok(())
    }

    /// Ends the row group; its columns are finished meanwhile.
    pub(super) async fn close(mut self) -> Result<ClosingRowGroup, ParquetError> {
        if !self.page.is_empty() {
            self.send_page().await?;
        }
        Ok(ClosingRowGroup { columns: self.columns.into_iter().map(|column| column.task).collect() })
    }

    async fn send_page(&mut self) -> Result<(), ParquetError> {
        let page = std::mem::take(&mut self.page);
        for (place, column) in self.columns.iter_mut().enumerate() {
            column.send(page.iter().map(|rows| Arc::clone(rows.column(place))).collect()).await?;
        }
        Ok(())
    }
}

/// A row group that has all its rows.
pub(super) struct ClosingRowGroup {
    columns: Vec<ColumnTask>,
}

impl ClosingRowGroup {
    /// Waits for the chunks of all columns.
    pub(super) async fn chunks(mut self) -> Result<Vec<ColumnChunk>, ParquetError> {
        let mut chunks = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            chunks.push(joined(column).await?);
        }
        Ok(chunks)
    }
}

type ColumnTask = SpawnedTask<Result<ColumnChunk, ParquetError>>;

async fn joined(task: &mut ColumnTask) -> Result<ColumnChunk, ParquetError> {
    task.await.map_err(|panic| ParquetError::External(Box::new(panic)))?
}

struct Column {
    pages: mpsc::Sender<Vec<ArrayRef>>,
    task: ColumnTask,
}

impl Column {
    fn begin(mut encoder: ColumnEncoder) -> Self {
        let (pages, mut waiting) = mpsc::channel::<Vec<ArrayRef>>(PAGES_WAITING_MAX);
        let task = SpawnedTask::spawn(async move {
            while let Some(page) = waiting.recv().await {
                encoder.write(&page)?;
            }
            encoder.close()
        });
        Self { pages, task }
    }

    async fn send(&mut self, page: Vec<ArrayRef>) -> Result<(), ParquetError> {
        if self.pages.send(page).await.is_ok() {
            return Ok(());
        }
        // The task has ended before its pages, and knows why.
        joined(&mut self.task).await?;
        Err(ParquetError::General("a column ended before its rows".to_owned()))
    }
}

/// Encodes one column of a row group.
struct ColumnEncoder {
    field: FieldRef,
    writer: ArrowColumnWriter,
    /// Set for a column of symbols. `writer` gets them only where they have too many texts for a dictionary.
    symbols: Option<SymbolColumn>,
}

impl ColumnEncoder {
    fn write(&mut self, page: &[ArrayRef]) -> Result<(), ParquetError> {
        let page = page.iter().map(|array| at_rest(array, &self.field)).collect::<Result<Vec<_>, _>>()?;
        match &mut self.symbols {
            Some(symbols) => {
                page.iter().for_each(|array| symbols.write(array));
                Ok(())
            }
            None => {
                let arrays: Vec<&dyn Array> = page.iter().map(AsRef::as_ref).collect();
                self.write_plain(&compute::concat(&arrays)?)
            }
        }
    }

    fn write_plain(&mut self, array: &ArrayRef) -> Result<(), ParquetError> {
        compute_leaves(&self.field, array)?.iter().try_for_each(|leaf| self.writer.write(leaf))
    }

    fn close(mut self) -> Result<ColumnChunk, ParquetError> {
        match self.symbols.take() {
            Some(symbols) if symbols.fit_dictionary() => {
                symbols.encode(PAGE_ROWS).map(|(bytes, closed)| ColumnChunk::Symbols(bytes, Box::new(closed)))
            }
            Some(symbols) => {
                symbols.pages(PAGE_ROWS).try_for_each(|page| self.write_plain(&page?))?;
                self.writer.close().map(|chunk| ColumnChunk::Plain(Box::new(chunk)))
            }
            None => self.writer.close().map(|chunk| ColumnChunk::Plain(Box::new(chunk))),
        }
    }
}

/// A column of a row group, encoded.
pub(super) enum ColumnChunk {
    /// By the library.
    Plain(Box<ArrowColumnChunk>),
    /// By codes.
    Symbols(Bytes, Box<ColumnCloseResult>),
}

impl ColumnChunk {
    /// Appends it to the row group of a file.
    pub(super) fn append_to(self, group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ParquetError> {
        match self {
            ColumnChunk::Plain(chunk) => chunk.append_to_row_group(group),
            ColumnChunk::Symbols(bytes, closed) => group.append_column(&bytes, *closed),
        }
    }
}

/// A column in the type of `field`: milliseconds become microseconds.
fn at_rest(column: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    if !field.is_nullable() && column.logical_null_count() > 0 {
        return Err(ArrowError::InvalidArgumentError(format!("column `{}` must not be null", field.name())));
    }
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    if matches!(column.data_type(), DataType::Timestamp(TimeUnit::Millisecond, _)) {
        let micros: TimestampMicrosecondArray =
            column.as_primitive::<TimestampMillisecondType>().unary(|millis| millis.saturating_mul(1000));
        return Ok(Arc::new(micros.with_timezone("UTC")));
    }
    compute::cast(column, field.data_type())
}
