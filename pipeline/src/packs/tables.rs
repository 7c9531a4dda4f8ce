//! Released versions as tables, `mp_ux_friction_daily` and its like.
//!
//!     stored release ─▶ rows, all columns of the kind ─▶ Delta beside the files, and ClickHouse where it is configured
//!
//! Each version is one transaction, identified by its pack and number. A version that a table holds is not written again.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use netcrab_packs::rows::rows;
use netcrab_packs::{Definition, ReleasePlan};
use netcrab_schema::{RELEASED_TABLES, Table};
use netcrab_sinks::clickhouse::{ClickHouse, ClickHouseSink};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Replace, RunId, Sink};
use xxhash_rust::xxh3::xxh3_128;

use super::error::Error;
use super::stored::StoredRelease;
use crate::config::Config;
use crate::plans::resources::task_context;
use crate::plans::table_order::in_table_order;

/// Writes a version to the table of its kind in Delta, and in ClickHouse where `clickhouse` is given, unless it is there.
///
/// # Errors
///
/// [`Error::Sink`] and [`Error::Tables`] when a table cannot be read or written.
pub async fn write(
    config: &Config,
    released: &DeltaSink,
    clickhouse: Option<&ClickHouse>,
    version: &str,
    stored: &StoredRelease,
) -> Result<(), Error> {
    let name = stored.definition.kind.table();
    let table = RELEASED_TABLES.iter().copied().find(|table| table.name == name);
    let table = table.ok_or_else(|| Error::Missing(format!("table `{name}`")))?;
    let batch = batch(table, version, stored)?;
    if batch.num_rows() == 0 {
        return Ok(());
    }
    let run = RunId::new(xxh3_128(format!("{}\u{1f}{version}", stored.definition.pack_id).as_bytes()));
    append(config, released, table, &run, &batch).await?;
    if let Some(server) = clickhouse {
        append(config, &ClickHouseSink::new(server.clone(), released.clone()), table, &run, &batch).await?;
    }
    Ok(())
}

async fn append(
    config: &Config,
    sink: &dyn Sink,
    table: &'static Table,
    run: &RunId,
    batch: &RecordBatch,
) -> Result<(), Error> {
    if sink.holds(table, run).await? {
        return Ok(());
    }
    let rows = sorted_rows(config, table, batch)?;
    let staged = sink.stage(table, run, rows).await?;
    sink.commit(table, run, &staged, Replace::Nothing).await?;
    Ok(())
}

/// The rows in the order of the table.
fn sorted_rows(
    config: &Config,
    table: &'static Table,
    batch: &RecordBatch,
) -> Result<SendableRecordBatchStream, Error> {
    let failed = |error: DataFusionError| Error::from(crate::error::Error::from(error));
    let source = MemorySourceConfig::try_new_exec(&[vec![batch.clone()]], batch.schema(), None).map_err(failed)?;
    let source: Arc<dyn ExecutionPlan> = source;
    let plan = in_table_order(table, source)?;
    plan.execute(0, task_context(config)?).map_err(failed)
}

/// The rows of a version in the types of its table.
fn batch(table: &Table, version: &str, stored: &StoredRelease) -> Result<RecordBatch, Error> {
    // Buyers get the fields that the definition names; the table has all columns of the kind.
    let all_fields = Definition { fields: Vec::new(), ..stored.definition.clone() };
    let plan = ReleasePlan::of(&all_fields)?;
    let rows = rows(&all_fields, &plan, &stored.release, &stored.window_text())?;
    let schema = table.in_flight();
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, Error> {
        let repeated = |text: &str| Arc::new(StringArray::from(vec![text; rows.num_rows()])) as ArrayRef;
        let column = match field.name().as_str() {
            "pack_id" => repeated(&all_fields.pack_id),
            "version" => repeated(version),
            name => Arc::clone(rows.column_by_name(name).ok_or_else(|| Error::Missing(format!("column `{name}`")))?),
        };
        Ok(cast(&column, field.data_type())?)
    });
    Ok(RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_, Error>>()?)?)
}

#[cfg(test)]
mod tests {
    use netcrab_packs::Kind;
    use netcrab_packs::method::columns;

    use super::*;

    #[test]
    fn a_table_has_the_columns_of_its_kind_in_their_order() {
        for kind in Kind::ALL {
            let table = RELEASED_TABLES.iter().find(|table| table.name == kind.table()).unwrap();
            let mut expected = vec!["pack_id".to_owned(), "version".to_owned()];
            for column in columns(kind) {
                expected.push(column.name.to_owned());
                expected.extend(column.content.noisy().then(|| format!("{}_moe95", column.name)));
            }
            assert_eq!(table.columns().map(|column| column.name.to_owned()).collect::<Vec<_>>(), expected);
        }
    }
}
