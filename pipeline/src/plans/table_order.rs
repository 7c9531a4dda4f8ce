//! Sorts rows into the order of a table's files: by date, then by the table's key.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use netcrab_operators::sort::sort_rows;
use netcrab_operators::table_order;
use netcrab_schema::Table;
use netcrab_schema::arrow::to_store_type;

use crate::error::Result;

/// The rows of `plan` by date, then in the order of the table's files.
///
/// # Errors
/// [`Error::Plan`](crate::error::Error::Plan) where `plan` lacks a column of the table.
pub fn in_table_order(table: &'static Table, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if table_order::is_in_order(table, plan.as_ref())? {
        return Ok(plan);
    }
    // One sort of rows for each table: one per thread would split the memory pool into shares smaller than a batch.
    let together = Arc::new(CoalescePartitionsExec::new(plain_texts(table, plan)?));
    Ok(sort_rows(together, table)?)
}

/// The rows of `plan` with plain strings instead of dictionaries and views, see [`Table::to_store`].
fn plain_texts(table: &Table, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    if schema == table.to_store() {
        return Ok(plan);
    }
    let column = |(at, field): (usize, &FieldRef)| {
        let column = Arc::new(Column::new(field.name(), at)) as Arc<dyn PhysicalExpr>;
        let stored = table.column(field.name()).map(|column| to_store_type(column.kind));
        match stored.filter(|stored| stored != field.data_type()) {
            Some(stored) => ProjectionExpr::new(Arc::new(CastExpr::new(column, stored, None)), field.name()),
            None => ProjectionExpr::new(column, field.name()),
        }
    };
    let columns: Vec<ProjectionExpr> = schema.fields().iter().enumerate().map(column).collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, plan)?))
}
