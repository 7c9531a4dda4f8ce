//! The columns of an event by index, and the schemas of selected columns.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use netcrab_schema::Column;
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::events::EVENT;

/// Number of columns of an event.
pub(crate) const COLUMNS: usize = EVENT.len();

/// The index of a column in [`EVENT`]. Does not compile if there is no such column.
pub(crate) const fn column_index(name: &str) -> usize {
    let mut at = 0;
    while at < COLUMNS {
        if same(EVENT[at].name.as_bytes(), name.as_bytes()) {
            return at;
        }
        at += 1;
    }
    panic!("no such event column")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// The schema of a batch with these event columns.
pub(crate) fn schema_of(columns: &[&'static Column]) -> SchemaRef {
    let fields = columns.iter().map(|column| Field::new(column.name, in_flight_type(column.kind), column.nullable));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The event columns of these names, in table order; all of them where `names` is `None`.
pub(crate) fn project(names: Option<&[&'static str]>) -> Vec<&'static Column> {
    EVENT.iter().filter(|column| names.is_none_or(|names| names.contains(&column.name))).collect()
}
