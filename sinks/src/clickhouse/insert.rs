//! Inserts the rows of staged files.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt8Array, UInt32Array, UInt64Array};
use arrow::compute::concat_batches;
use clickhouse_ext_arrow::ArrowClientExt;
use futures::TryStreamExt;
use netcrab_schema::Table;
use netcrab_schema::clickhouse::{self as ddl, ClickHouseColumn};

use super::client::ClickHouse;
use crate::change::{Position, negated_sums};
use crate::delta::DeltaSink;
use crate::error::Error;
use crate::staged::StagedFile;

/// Which transaction of which shard inserts rows, and into which table.
pub(super) struct InsertContext<'a> {
    pub(super) table: &'static Table,
    pub(super) shard: u32,
    pub(super) position: &'a Position,
}

impl ClickHouse {
    /// Inserts the rows of a file, or, with `deletes`, rows that delete them.
    pub(super) async fn insert(
        &self,
        context: &InsertContext<'_>,
        file: &StagedFile,
        deletes: bool,
        staged: &DeltaSink,
    ) -> Result<(), Error> {
        let mut rows = staged.read(context.table, file).await?;
        let rows_max = self.settings.insert_rows_max;
        let (mut chunk, mut chunk_rows, mut number) = (Vec::new(), 0, 0);
        while let Some(batch) = rows.try_next().await? {
            let mut start = 0;
            while start < batch.num_rows() {
                let length = (batch.num_rows() - start).min(rows_max - chunk_rows);
                chunk.push(batch.slice(start, length));
                (start, chunk_rows) = (start + length, chunk_rows + length);
                if chunk_rows == rows_max {
                    self.insert_chunk(context, file, number, deletes, &std::mem::take(&mut chunk)).await?;
                    (chunk_rows, number) = (0, number + 1);
                }
            }
        }
        if chunk_rows > 0 {
            self.insert_chunk(context, file, number, deletes, &chunk).await?;
        }
        Ok(())
    }

    async fn insert_chunk(
        &self,
        context: &InsertContext<'_>,
        file: &StagedFile,
        number: usize,
        deletes: bool,
        chunk: &[RecordBatch],
    ) -> Result<(), Error> {
        let Some(first) = chunk.first() else { return Ok(()) };
        let rows = context.with_extras(&concat_batches(first.schema_ref(), chunk)?, deletes)?;
        let InsertContext { table, position, .. } = context;
        let name = format!("{}/{}/{}/{}/{number}", table.name, position.writer, position.number, file.path);
        let into = ddl::rows_table(table);
        let columns: Vec<String> = rows.schema().fields().iter().map(|field| format!("`{}`", field.name())).collect();
        let statement = format!("INSERT INTO {into} ({}) FORMAT ArrowStream", columns.join(", "));
        let rows = &rows;
        self.with_retries(&statement, |client| {
            // One insert is one block. The server drops a second block of the same name.
            let client = client
                .with_setting("insert_deduplicate", "1")
                .with_setting("insert_deduplication_token", name.as_str())
                .with_setting("async_insert", "0")
                .with_setting("max_insert_block_size", "100000000")
                .with_setting("min_insert_block_size_rows", "100000000")
                .with_setting("min_insert_block_size_bytes", "10000000000");
            let statement = &statement;
            async move {
                let mut insert = client.insert_arrow_with(statement);
                insert.write(rows).await?;
                insert.end().await
            }
        })
        .await
    }
}

impl InsertContext<'_> {
    /// The rows, with the columns that only ClickHouse has.
    fn with_extras(&self, rows: &RecordBatch, deletes: bool) -> Result<RecordBatch, Error> {
        let epoch = u64::try_from(self.position.number).unwrap_or(0);
        let length = rows.num_rows();
        let rows = if deletes { negated_sums(self.table, rows)? } else { rows.clone() };
        let columns = self.table.columns().zip(rows.columns());
        let columns = columns.map(|(column, values)| (column.name, Arc::clone(values), column.nullable));
        let extras = ddl::clickhouse_columns(self.table).iter().map(|extra| {
            let values: ArrayRef = match extra {
                ClickHouseColumn::Version => Arc::new(UInt64Array::from_value(2 * epoch + u64::from(!deletes), length)),
                ClickHouseColumn::Gone => Arc::new(UInt8Array::from_value(u8::from(deletes), length)),
                ClickHouseColumn::Shard => Arc::new(UInt32Array::from_value(self.shard, length)),
                ClickHouseColumn::Epoch => Arc::new(UInt64Array::from_value(epoch, length)),
            };
            (extra.name(), values, false)
        });
        Ok(RecordBatch::try_from_iter_with_nullable(columns.chain(extras))?)
    }
}
