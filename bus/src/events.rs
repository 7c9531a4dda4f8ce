//! Checks that a batch has the columns of events in flight.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use netcrab_schema::arrow::event_in_flight;

use crate::Error;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(event_in_flight);

/// The schema of every batch on the bus.
pub(crate) fn schema() -> SchemaRef {
    SCHEMA.clone()
}

/// Checks that a batch has the columns of an event, in the order of the table.
///
/// # Errors
/// [`Error::Schema`] names the first column that is wrong.
pub(crate) fn check(events: &RecordBatch) -> Result<(), Error> {
    let (given, expected) = (events.schema_ref().fields(), SCHEMA.fields());
    if Arc::ptr_eq(events.schema_ref(), &SCHEMA) {
        return Ok(());
    }
    for (at, expected) in expected.iter().enumerate() {
        let found = given.get(at).filter(|found| found.name() == expected.name());
        let found = found.map(|found| found.data_type());
        if found != Some(expected.data_type()) {
            return Err(Error::column(expected.name(), found, expected.data_type()));
        }
        if !expected.is_nullable() && events.column(at).null_count() > 0 {
            let (column, found) = (expected.name().clone(), "null in some rows".to_owned());
            return Err(Error::Schema { column, found, expected: "never null".to_owned() });
        }
    }
    match given.get(expected.len()) {
        Some(more) => {
            let (column, found) = (more.name().clone(), more.data_type().to_string());
            Err(Error::Schema { column, found, expected: "not there".to_owned() })
        }
        None => Ok(()),
    }
}
