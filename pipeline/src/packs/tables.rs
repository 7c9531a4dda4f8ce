//! Released versions as tables, for analysts and the API: `mp_ux_friction_daily` and its like.
//!
//!     stored version ─▶ rows, all columns of the kind ─▶ Delta beside the files, and ClickHouse where it is configured
//!
//! One transaction for each version, known by its name: what is there is not written again.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::ExecutionPlan;
use netcrab_packs::rows::rows;
use netcrab_packs::{Definition, Plan};
use netcrab_schema::{RELEASED_TABLES, Table};
use netcrab_sinks::clickhouse::{ClickHouse, ClickHouseSink};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Replace, RunId, Sink};
use xxhash_rust::xxh3::xxh3_128;

use super::build::Sealed;
use crate::config::Config;
use crate::plans::resources::task_context;
use crate::plans::table_order::in_table_order;

/// Writes a version to the tables of released packs, where it is not there yet.
pub async fn write(
    config: &Config,
    released: &DeltaSink,
    clickhouse: Option<&ClickHouse>,
    version: &str,
    sealed: &Sealed,
) -> Result<()> {
    let name = sealed.definition.kind.table();
    let table = RELEASED_TABLES.iter().copied().find(|table| table.name == name);
    let table = table.with_context(|| format!("no table `{name}`"))?;
    let batch = batch(table, version, sealed)?;
    if batch.num_rows() == 0 {
        return Ok(());
    }
    let run = RunId::new(xxh3_128(format!("{}\u{1f}{version}", sealed.definition.pack_id).as_bytes()));
    put(config, released, table, &run, &batch).await?;
    if let Some(server) = clickhouse {
        put(config, &ClickHouseSink::new(server.clone(), released.clone()), table, &run, &batch).await?;
    }
    Ok(())
}

async fn put(config: &Config, sink: &dyn Sink, table: &'static Table, run: &RunId, batch: &RecordBatch) -> Result<()> {
    if sink.holds(table, run).await? {
        return Ok(());
    }
    let source: Arc<dyn ExecutionPlan> =
        MemorySourceConfig::try_new_exec(&[vec![batch.clone()]], batch.schema(), None)?;
    let rows = in_table_order(table, source)?.execute(0, task_context(config)?)?;
    let staged = sink.stage(table, run, rows).await?;
    sink.commit(table, run, &staged, Replace::Nothing).await?;
    Ok(())
}

/// The rows of a version in the types of its table.
fn batch(table: &Table, version: &str, sealed: &Sealed) -> Result<RecordBatch> {
    // Buyers get the fields of the definition; the table has them all.
    let whole = Definition { fields: Vec::new(), ..sealed.definition.clone() };
    let plan = Plan::of(&whole)?;
    let (from, to) = &sealed.window;
    let rows = rows(&whole, &plan, &sealed.release, &format!("{from}/{to}"))?;
    let schema = table.in_flight();
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef> {
        let all = |text: &str| Arc::new(StringArray::from(vec![text; rows.num_rows()])) as ArrayRef;
        let column = match field.name().as_str() {
            "pack_id" => all(&whole.pack_id),
            "version" => all(version),
            name => Arc::clone(rows.column_by_name(name).with_context(|| format!("no column `{name}`"))?),
        };
        Ok(cast(&column, field.data_type())?)
    });
    Ok(RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_>>()?)?)
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
