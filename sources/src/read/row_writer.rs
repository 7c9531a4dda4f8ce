//! Turns the text of one row into an event, and stores it.

use std::borrow::Cow;

use netcrab_schema::events::EVENT;

use super::mapped::FileMapping;
use super::seen::SeenKeys;
use super::w3c_log::W3cHeader;
use super::{access_log, csv, json};
use crate::builder::EventBatchBuilder;
use crate::event_id::EventIds;
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason, Rejects};
use crate::row::Row;
use crate::surrogate::mended;
use crate::wire;

/// How a text becomes a row.
#[derive(Debug)]
pub(super) enum RowFormat {
    /// JSON in the wire format.
    Wire,
    /// Foreign JSON objects.
    Json(FileMapping),
    /// CSV of event columns: the index of the column of each field.
    Events { delimiter: u8, places: Vec<usize> },
    /// CSV of foreign columns.
    Foreign { mapping: FileMapping, delimiter: u8, fields: Vec<Option<usize>>, width: usize },
    /// An access log, with what its lines `#…` said.
    Log { mapping: FileMapping, fields: Vec<Option<usize>>, w3c: W3cHeader },
}

/// Turns a text into a row, and stores it.
pub(super) struct RowWriter<'d> {
    pub(super) columns: &'d mut EventBatchBuilder,
    pub(super) event_ids: &'d EventIds,
    pub(super) line: u64,
    pub(super) seen: &'d mut SeenKeys,
    pub(super) rejects: &'d mut Rejects,
}

impl RowWriter<'_> {
    /// Stores a row; `false` if the mapping skips it.
    pub(super) fn decode(&mut self, format: &mut RowFormat, text: &str) -> Result<bool, Fault> {
        match format {
            RowFormat::Wire => self.wire(&mended(text)),
            RowFormat::Events { delimiter, places } => {
                let mut fields = Vec::with_capacity(places.len());
                csv::record(text, *delimiter, places.len(), &mut fields).map_err(Fault::line)?;
                let mut row = Row::new();
                for (place, field) in places.iter().zip(fields) {
                    set_field(&mut row, *place, field, self.columns.privacy())?;
                }
                self.columns.push(&row, self.event_ids, self.line, 0).map(|()| true)
            }
            RowFormat::Foreign { mapping, delimiter, fields: places, width } => {
                let mut fields = Vec::with_capacity(*width);
                csv::record(text, *delimiter, *width, &mut fields).map_err(Fault::line)?;
                let taken = |place: &Option<usize>| place.map(|place| std::mem::take(&mut fields[place]));
                let values: Vec<Option<Cow<'_, str>>> = places.iter().map(taken).collect();
                mapping.push(values, self.columns, self.event_ids, self.line)
            }
            RowFormat::Log { mapping, fields, w3c } => {
                let (values, requests) = log_values(text, fields, w3c)?;
                let pushed = mapping.push(values, self.columns, self.event_ids, self.line);
                pushed.map_err(|fault| if requests { fault } else { without_request(fault) })
            }
            RowFormat::Json(mapping) => {
                let text = mended(text);
                let values = json::values(&text, mapping.mapping.columns(), self.seen)?;
                mapping.known().for_each(|column| self.seen.saw(column));
                mapping.push(values, self.columns, self.event_ids, self.line)
            }
        }
    }

    /// Stores an event or a batch of events. Refused ones become rejects, unless the text is no JSON at all.
    fn wire(&mut self, text: &str) -> Result<bool, Fault> {
        let rows = self.columns.rows();
        let mut faults = Vec::new();
        wire::push_line(self.columns, text, self.event_ids, self.line, &mut |fault| faults.push(fault));
        if self.columns.rows() == rows
            && let [Fault { reason: Reason::NotJson, field: None }] = &faults[..]
        {
            return Err(Fault::line(Reason::NotJson));
        }
        faults.into_iter().for_each(|fault| self.rejects.push(self.line, fault));
        Ok(true)
    }
}

/// The values of a row, in the order of the mapping's columns.
type Values<'a> = Vec<Option<Cow<'a, str>>>;

/// The values of the places in a log line, and whether the line has a request.
fn log_values<'a>(text: &'a str, places: &[Option<usize>], w3c: &mut W3cHeader) -> Result<(Values<'a>, bool), Fault> {
    let fields = if w3c.names_fields() { w3c.fields(text) } else { access_log::fields(text) };
    let mut fields = fields.ok_or(Fault::line(Reason::NotALogLine))?;
    let requests = fields[access_log::METHOD].is_some();
    let taken = |place: &Option<usize>| place.and_then(|place| fields[place].take());
    Ok((places.iter().map(taken).collect(), requests))
}

/// The fault of a log line whose request is none: what the mapping makes of method and path is missing.
fn without_request(fault: Fault) -> Fault {
    match fault.reason {
        Reason::MissingField | Reason::UnmappedEvent => Fault::line(Reason::NotARequest),
        _ => fault,
    }
}

fn set_field<'a>(row: &mut Row<'a>, place: usize, field: Cow<'a, str>, privacy: &Privacy) -> Result<(), Fault> {
    if EVENT[place].name != "extra" || field.is_empty() {
        return row.set_parsed(place, field);
    }
    let mut canonical = String::new();
    crate::extra::canonical(&field, privacy, &mut canonical)?;
    row.set_text(place, if canonical == "{}" { String::new() } else { canonical });
    Ok(())
}
