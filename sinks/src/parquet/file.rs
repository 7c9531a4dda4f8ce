//! One Parquet file: row groups of [`ROW_GROUP_ROWS`] rows, one after the other.
//!
//!     rows ─▶ open row group ─▶ closing row group ─▶ bytes in order ─▶ object store
//!
//! While a row group takes rows, the columns of the one before it are finished. No more than these two are in memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use object_store::buffered::BufWriter;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use tokio::io::AsyncWriteExt;

use super::row_group::{ClosingRowGroup, RowGroup};
use super::symbols::SymbolProperties;

/// Most rows of a row group.
pub(super) const ROW_GROUP_ROWS: usize = 131_072;

/// Writes one file.
pub(super) struct FileWriter {
    schema: SchemaRef,
    symbols: SymbolProperties,
    factory: ArrowRowGroupWriterFactory,
    /// Puts the file together; its bytes move on to `object` after each row group.
    file: SerializedFileWriter<Vec<u8>>,
    object: BufWriter,
    open: Option<RowGroup>,
    closing: Option<ClosingRowGroup>,
}

impl FileWriter {
    /// A writer of rows with the columns of `schema` into `object`.
    pub(super) fn new(
        object: BufWriter,
        schema: SchemaRef,
        properties: WriterPropertiesPtr,
    ) -> Result<Self, ParquetError> {
        let symbols = SymbolProperties::new(&properties);
        let root = ArrowSchemaConverter::new().convert(&schema)?.root_schema_ptr();
        let file = SerializedFileWriter::new(Vec::new(), root, properties)?;
        let factory = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema));
        Ok(Self { schema, symbols, factory, file, object, open: None, closing: None })
    }

    /// Whether a row group has just ended and those before it are larger than `bytes` together.
    ///
    /// The last row group does not count: when it is encoded depends on the threads, and files must not.
    pub(super) fn ended_beyond(&self, bytes: usize) -> bool {
        self.open.is_none() && self.file.bytes_written() > bytes
    }

    /// Writes rows up to the end of the row group; returns how many.
    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<usize, ParquetError> {
        let mut group = match self.open.take() {
            Some(group) => group,
            None => self.begin_row_group()?,
        };
        let written = rows.num_rows().min(ROW_GROUP_ROWS - group.rows());
        group.write(&rows.slice(0, written)).await?;
        if group.rows() == ROW_GROUP_ROWS {
            self.close_row_group(group).await?;
        } else {
            self.open = Some(group);
        }
        Ok(written)
    }

    /// Writes what is left and the footer; returns the footer and the size of the file in bytes.
    pub(super) async fn finish(mut self) -> Result<(ParquetMetaData, usize), ParquetError> {
        if let Some(group) = self.open.take() {
            self.close_row_group(group).await?;
        }
        self.append_closing().await?;
        let metadata = self.file.finish()?;
        self.hand_over().await?;
        self.object.shutdown().await?;
        Ok((metadata, self.file.bytes_written()))
    }

    fn begin_row_group(&self) -> Result<RowGroup, ParquetError> {
        let writers = self.factory.create_column_writers(self.file.flushed_row_groups().len())?;
        RowGroup::begin(&self.schema, self.file.schema_descr().columns(), writers, &self.symbols)
    }

    async fn close_row_group(&mut self, group: RowGroup) -> Result<(), ParquetError> {
        let closing = group.close().await?;
        self.append_closing().await?;
        self.closing = Some(closing);
        Ok(())
    }

    /// Waits for the columns of the row group that is being closed and appends them to the file.
    async fn append_closing(&mut self) -> Result<(), ParquetError> {
        let Some(closing) = self.closing.take() else { return Ok(()) };
        let chunks = closing.chunks().await?;
        let mut group = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to(&mut group)?;
        }
        group.close()?;
        self.hand_over().await
    }

    async fn hand_over(&mut self) -> Result<(), ParquetError> {
        self.file.flush()?;
        let bytes = std::mem::take(self.file.inner_mut());
        Ok(self.object.put(bytes.into()).await?)
    }
}
