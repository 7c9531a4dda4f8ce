//! The order of a table's rows in its files.

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, expressions::col};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use netcrab_schema::{Table, Type};

/// The order of `table`'s files over rows of `schema`: by the partition column, then by the sort columns.
///
/// # Errors
/// An internal error where `schema` lacks one of these columns, or the table has none.
pub fn order(table: &Table, schema: &SchemaRef) -> Result<LexOrdering> {
    let columns = table.partition().iter().chain(table.sort);
    let order = columns.map(|name| Ok(PhysicalSortExpr::new_default(col(name, schema)?)));
    let order = LexOrdering::new(order.collect::<Result<Vec<_>>>()?);
    order.ok_or_else(|| internal_datafusion_err!("table `{}` is sorted by nothing", table.name))
}

/// Ascending order by these columns, up to the first that `schema` lacks; `None` without columns.
pub(crate) fn ascending<'a>(columns: impl Iterator<Item = &'a &'a str>, schema: &SchemaRef) -> Option<LexOrdering> {
    LexOrdering::new(columns.map_while(|name| col(name, schema).ok()).map(PhysicalSortExpr::new_default))
}

/// Whether the properties of `plan` declare one partition whose rows are in the order of `table`'s files.
///
/// # Errors
/// As [`order`].
pub fn is_in_order(table: &Table, plan: &dyn ExecutionPlan) -> Result<bool> {
    if plan.output_partitioning().partition_count() != 1 {
        return Ok(false);
    }
    plan.equivalence_properties().ordering_satisfy(order(table, &plan.schema())?)
}

/// Whether `sort` can order `table` by numbers: its sort columns are two symbols, an instant and a text, and its rows
/// come from sessions, whose batches share their dictionaries.
pub(crate) fn by_numbers(table: &Table) -> bool {
    let [org, product, instant, text] = table.sort else { return false };
    let kind = |name: &str| table.column(name).filter(|column| !column.nullable).map(|column| column.kind);
    let kinds = [org, product, instant, text].map(|name| kind(name));
    let of_sessions = table.column("session_key").is_some();
    of_sessions && table.by_date && kinds == [Type::Symbol, Type::Symbol, Type::Timestamp, Type::Text].map(Some)
}
