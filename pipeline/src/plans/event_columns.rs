//! Events that were stored, as the stages take them.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::error::ArrowError;
use netcrab_schema::Column;
use netcrab_schema::arrow::{event_in_flight, in_flight_type};
use netcrab_schema::events::EVENT;

/// The event columns of a batch, in the types between stages.
///
/// # Errors
/// Where the batch lacks an event column, or has one that cannot be cast.
pub(crate) fn in_flight_events(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let in_flight = |column: &Column| -> Result<ArrayRef, ArrowError> {
        let place = batch.schema_ref().index_of(column.name)?;
        cast(batch.column(place), &in_flight_type(column.kind))
    };
    RecordBatch::try_new(event_in_flight(), EVENT.iter().map(in_flight).collect::<Result<_, _>>()?)
}
