//! The sessions that a repair opens again, in the file that the epoch's manifest references: an Arrow IPC stream.

use std::io::{Read, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use netcrab_operators::sessionize::streaming::CheckpointError;
use netcrab_schema::Type;
use netcrab_schema::arrow::{event_in_flight, in_flight_type};
use netcrab_schema::events::EVENT;

use super::columns::int_column;
use crate::error::{Error, Result};

/// Target number of rows in a batch of the file.
pub(super) const WRITTEN_ROWS: usize = 8192;

/// The sessions of one key to open again.
#[derive(Debug, Clone)]
pub struct ReopenedSessions {
    /// Which of the late keys it is.
    pub(super) key: usize,
    /// How many of the key's sessions remain closed.
    pub sessions: u32,
    /// The watermark at which the last of these closed, ms.
    pub closed_until: i64,
    /// The events of the others, and the late ones.
    pub events: RecordBatch,
}

/// Writes sessions to open again, for a restart that repeats the epoch.
///
/// # Errors
/// What writing gives.
pub fn write_reopened(reopened: &[ReopenedSessions], to: &mut dyn Write) -> std::io::Result<()> {
    let schema = reopened_schema();
    let written = || -> Result<(), ArrowError> {
        let mut writer = StreamWriter::try_new(to, &schema)?;
        let mut rows = 0;
        let together = reopened.chunk_by(|one, _| {
            rows = if rows >= WRITTEN_ROWS { 0 } else { rows + one.events.num_rows() };
            rows < WRITTEN_ROWS && rows > 0
        });
        for keys in together {
            writer.write(&written_batch(&schema, keys)?)?;
        }
        writer.finish()
    };
    written().map_err(std::io::Error::other)
}

/// The events of some keys in one batch, compacted: it pins no text of other keys.
fn written_batch(schema: &SchemaRef, keys: &[ReopenedSessions]) -> Result<RecordBatch, ArrowError> {
    let events = arrow::compute::concat_batches(&event_in_flight(), keys.iter().map(|key| &key.events))?;
    let number = |of: fn(&ReopenedSessions) -> i64| -> ArrayRef {
        let of_rows = keys.iter().flat_map(|key| std::iter::repeat_n(of(key), key.events.num_rows()));
        Arc::new(of_rows.collect::<Int64Array>())
    };
    let own = |column: &ArrayRef| -> ArrayRef {
        match column.as_string_view_opt() {
            Some(texts) => Arc::new(texts.gc()),
            None => Arc::clone(column),
        }
    };
    let numbers = [number(|key| key.key as i64), number(|key| i64::from(key.sessions)), number(|key| key.closed_until)];
    RecordBatch::try_new(Arc::clone(schema), events.columns().iter().map(own).chain(numbers).collect())
}

/// Reads what [`write_reopened`] wrote.
///
/// # Errors
/// [`Error::Arrow`], or [`CheckpointError::Damaged`] where a number is out of range.
pub fn read_reopened(from: impl Read) -> Result<Vec<ReopenedSessions>> {
    let mut reopened = Vec::new();
    for batch in StreamReader::try_new(from, None)? {
        let batch = batch?;
        let (key, sessions, closed_until) =
            (int_column(&batch, "key")?, int_column(&batch, "sessions")?, int_column(&batch, "closed_until")?);
        let events = RecordBatch::try_new(event_in_flight(), batch.columns()[..EVENT.len()].to_vec())?;
        let mut start = 0;
        for run in key.values().chunk_by(|a, b| a == b) {
            reopened.push(ReopenedSessions {
                key: usize::try_from(run[0]).map_err(|_| damaged())?,
                sessions: u32::try_from(sessions.value(start)).map_err(|_| damaged())?,
                closed_until: closed_until.value(start),
                events: events.slice(start, run.len()),
            });
            start += run.len();
        }
    }
    Ok(reopened)
}

fn reopened_schema() -> SchemaRef {
    let numbers =
        ["key", "sessions", "closed_until"].map(|name| Arc::new(Field::new(name, in_flight_type(Type::Int64), false)));
    Arc::new(Schema::new(event_in_flight().fields().iter().cloned().chain(numbers).collect::<Vec<_>>()))
}

fn damaged() -> Error {
    Error::OpenSessions(CheckpointError::Damaged)
}

#[cfg(test)]
mod tests {
    use netcrab_sources::generate::{GenerateSettings, Traffic};

    use super::*;
    use crate::plans::event_columns::in_flight_events;

    #[test]
    fn what_is_opened_again_is_written_in_proportion_to_its_events_and_read_back() {
        let settings = GenerateSettings { events: 4000, batch_rows: 4000, ..GenerateSettings::default() };
        let events = Traffic::new(settings).unwrap().next().unwrap().unwrap();
        let reopened: Vec<ReopenedSessions> = (0..2000)
            .map(|key| ReopenedSessions {
                key,
                sessions: key as u32,
                closed_until: -(key as i64),
                events: in_flight_events(&events.slice(key * 2, 2)).unwrap(),
            })
            .collect();
        let mut bytes = Vec::new();
        write_reopened(&reopened, &mut bytes).unwrap();
        assert!(bytes.len() < 4000 * 1000, "{} bytes for 4000 events", bytes.len());
        let back = read_reopened(bytes.as_slice()).unwrap();
        assert_eq!(back.len(), 2000);
        for (ours, theirs) in reopened.iter().zip(&back) {
            assert_eq!(
                (ours.key, ours.sessions, ours.closed_until),
                (theirs.key, theirs.sessions, theirs.closed_until)
            );
            let printed = |events: &RecordBatch| {
                arrow::util::pretty::pretty_format_batches(std::slice::from_ref(events)).unwrap().to_string()
            };
            assert_eq!(printed(&ours.events), printed(&theirs.events));
        }
    }
}
