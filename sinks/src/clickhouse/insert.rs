//! Staged parts, onto the wire.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt8Array, UInt32Array, UInt64Array};
use arrow::compute::concat_batches;
use clickhouse_ext_arrow::ArrowClientExt;
use futures::TryStreamExt;
use netcrab_schema::Table;
use netcrab_schema::clickhouse::{self as ddl, ClickHouseColumn};

use super::ClickHouse;
use crate::delta::DeltaSink;
use crate::{Error, Part, Position, below_zero};

/// By whom and when rows are written.
pub(super) struct Written<'a> {
    pub(super) table: &'static Table,
    pub(super) shard: u32,
    pub(super) position: &'a Position,
}

impl ClickHouse {
    /// Inserts the rows of a part, or what takes them out again where they are `gone`.
    pub(super) async fn insert(
        &self,
        written: &Written<'_>,
        part: &Part,
        gone: bool,
        staged: &DeltaSink,
    ) -> Result<(), Error> {
        let mut rows = staged.read(written.table, part).await?;
        let rows_max = self.settings.insert_rows_max;
        let (mut chunk, mut held, mut number) = (Vec::new(), 0, 0);
        while let Some(batch) = rows.try_next().await? {
            let mut start = 0;
            while start < batch.num_rows() {
                let length = (batch.num_rows() - start).min(rows_max - held);
                chunk.push(batch.slice(start, length));
                (start, held) = (start + length, held + length);
                if held == rows_max {
                    self.insert_chunk(written, part, number, gone, &std::mem::take(&mut chunk)).await?;
                    (held, number) = (0, number + 1);
                }
            }
        }
        if held > 0 {
            self.insert_chunk(written, part, number, gone, &chunk).await?;
        }
        Ok(())
    }

    async fn insert_chunk(
        &self,
        written: &Written<'_>,
        part: &Part,
        number: usize,
        gone: bool,
        chunk: &[RecordBatch],
    ) -> Result<(), Error> {
        let Some(first) = chunk.first() else { return Ok(()) };
        let rows = written.with_extras(&concat_batches(first.schema_ref(), chunk)?, gone)?;
        let Written { table, position, .. } = written;
        let name = format!("{}/{}/{}/{}/{number}", table.name, position.writer, position.number, part.path);
        let into = ddl::rows_table(table);
        let columns: Vec<String> = rows.schema().fields().iter().map(|field| format!("`{}`", field.name())).collect();
        let statement = format!("INSERT INTO {into} ({}) FORMAT ArrowStream", columns.join(", "));
        let rows = &rows;
        self.persist(&statement, |client| {
            // One insert is one block, which is known by its name.
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

impl Written<'_> {
    /// The rows with the columns that only ClickHouse has.
    fn with_extras(&self, rows: &RecordBatch, gone: bool) -> Result<RecordBatch, Error> {
        let epoch = u64::try_from(self.position.number).unwrap_or(0);
        let length = rows.num_rows();
        let rows = if gone { below_zero(self.table, rows)? } else { rows.clone() };
        let columns = self.table.columns().zip(rows.columns());
        let columns = columns.map(|(column, values)| (column.name, Arc::clone(values), column.nullable));
        let extras = ddl::clickhouse_columns(self.table).iter().map(|extra| {
            let values: ArrayRef = match extra {
                ClickHouseColumn::Version => Arc::new(UInt64Array::from_value(2 * epoch + u64::from(!gone), length)),
                ClickHouseColumn::Gone => Arc::new(UInt8Array::from_value(u8::from(gone), length)),
                ClickHouseColumn::Shard => Arc::new(UInt32Array::from_value(self.shard, length)),
                ClickHouseColumn::Epoch => Arc::new(UInt64Array::from_value(epoch, length)),
            };
            (extra.name(), values, false)
        });
        Ok(RecordBatch::try_from_iter_with_nullable(columns.chain(extras))?)
    }
}
