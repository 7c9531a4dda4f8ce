//! The order of a table's rows in its files.

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, expressions::col};
use netcrab_schema::{Table, Type};

/// The order of `table` over rows of `schema`.
pub fn order(table: &Table, schema: &SchemaRef) -> Result<LexOrdering> {
    let columns = table.partition().iter().chain(table.sort);
    let order = columns.map(|name| Ok(PhysicalSortExpr::new_default(col(name, schema)?)));
    let order = LexOrdering::new(order.collect::<Result<Vec<_>>>()?);
    order.ok_or_else(|| internal_datafusion_err!("table `{}` is sorted by nothing", table.name))
}

/// Whether the order of `table` is one of numbers, and a text to decide between equals; and its rows are of
/// sessions, whose batches share their dictionaries.
pub(crate) fn by_numbers(table: &Table) -> bool {
    let [org, product, instant, text] = table.sort else { return false };
    let kind = |name: &str| table.column(name).filter(|column| !column.nullable).map(|column| column.kind);
    let kinds = [org, product, instant, text].map(|name| kind(name));
    let of_sessions = table.column("session_key").is_some();
    of_sessions && table.by_date && kinds == [Type::Symbol, Type::Symbol, Type::Timestamp, Type::Text].map(Some)
}
