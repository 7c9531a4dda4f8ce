//! The releases a session met: its part of dim_releases.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMillisecondArray};
use arrow::datatypes::{Field, Fields};
use datafusion::common::Result;
use netcrab_schema::Type;
use netcrab_schema::arrow::in_flight_type;

use crate::detect::Events;
use crate::session::{SessionBatch, list_column, symbols};
use crate::symbols;

/// The fields of a release.
pub fn release_fields() -> Fields {
    let field = |name: &str, kind| Field::new(name, in_flight_type(kind), false);
    [field("version_tag", Type::Symbol), field("first_seen_at", Type::Timestamp)].into_iter().collect()
}

/// The list column `releases`: each release of each session, when it was first seen there.
///
/// A release that comes and goes within a session is listed each time; the earliest one counts.
pub fn releases(sessions: &SessionBatch<'_>, events: &Events<'_>) -> Result<ArrayRef> {
    let column = symbols(sessions.events(), "version_tag")?;
    let codes = symbols::codes(column);
    let (mut tags, mut seen, mut lengths) = (Vec::new(), Vec::new(), Vec::with_capacity(sessions.len()));
    for session in sessions.borders() {
        let before = tags.len();
        let mut last = -1;
        for row in session {
            if codes[row] >= 0 && codes[row] != last {
                last = codes[row];
                tags.push(last);
                seen.push(events.ts[row]);
            }
        }
        lengths.push(tags.len() - before);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(symbols::column(tags, column.values())),
        Arc::new(TimestampMillisecondArray::from(seen).with_timezone("UTC")),
    ];
    list_column(release_fields(), lengths.into_iter(), columns)
}
