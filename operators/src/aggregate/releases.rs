//! The product releases that the events of a session name: what it adds to dim_releases.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, TimestampMillisecondArray};
use arrow::datatypes::{Field, Fields};
use datafusion::common::Result;
use netcrab_schema::Type;
use netcrab_schema::arrow::in_flight_type;

use crate::detect::Events;
use crate::session::{SessionBatch, list_column, symbols, tuples};
use crate::sessionize::layout::CLIENT;
use crate::symbols;

/// The fields of a product release.
pub fn release_fields() -> Fields {
    let field = |name: &str, kind| Field::new(name, in_flight_type(kind), false);
    [field("version_tag", Type::Symbol), field("first_seen_at", Type::Timestamp)].into_iter().collect()
}

/// The list column `releases`: each product release of each session, with the ts of its first event there.
///
/// A release that returns within a session is listed again; the roll-up takes the earliest.
///
/// # Errors
/// Where an event column is missing.
pub fn releases(sessions: &SessionBatch<'_>, events: &Events<'_>) -> Result<ArrayRef> {
    let (client, clients) = tuples(sessions.events(), CLIENT)?;
    let column = symbols(clients.as_struct(), "version_tag")?;
    let (mut tags, mut seen, mut lengths) = (Vec::new(), Vec::new(), Vec::with_capacity(sessions.len()));
    for session in sessions.borders() {
        let before = tags.len();
        let (mut last, mut last_client) = (-1, -1);
        for row in session {
            if client[row] == last_client {
                continue;
            }
            last_client = client[row];
            if let Some(code) = column.key(last_client as usize).map(|code| code as i32).filter(|code| *code != last) {
                last = code;
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
