//! Decodes text files line by line: wire NDJSON, CSV, access logs, and foreign NDJSON.
//!
//! ```text
//! stream ─▶ decompress ─▶ lines ─▶ fields ─▶ (mapping) ─▶ row ─▶ columns ─▶ batch
//!                                    └──────────┴──────────┴─▶ rejects
//! ```
//!
//! State   one line, one batch

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use netcrab_schema::events::{EVENT, wire_name};

use crate::blob::stream;
use crate::builder::EventBatchBuilder;
use crate::event_id::EventIds;
use crate::listing::{Compression, Format, SourceFile};
use crate::mapping::{CompiledMapping, Mapping};
use crate::privacy::Privacy;
use crate::read::event_header::{not_an_event, require};
use crate::read::lines::{LineReader, NextLine};
use crate::read::mapped::push_mapped;
use crate::read::{ReadBatch, UnitDecoder, access_log, csv, json};
use crate::reject::{Fault, Reason, Rejects};
use crate::row::Row;
use crate::{Error, SourceSettings, WhyLeftOut, wire};

/// How a line becomes a row.
enum LineFormat {
    /// JSON in the wire format.
    Wire,
    /// Foreign JSON objects.
    Json(Arc<CompiledMapping>),
    /// CSV of event columns: the index of the column of each field.
    Events { places: Vec<usize> },
    /// CSV of foreign columns.
    Foreign { mapping: Arc<CompiledMapping>, fields: Vec<Option<usize>>, width: usize },
    /// An access log.
    Log { mapping: Arc<CompiledMapping>, fields: Vec<Option<usize>> },
}

/// Decodes one text file.
pub(crate) struct TextDecoder {
    file: Arc<SourceFile>,
    lines: LineReader,
    format: LineFormat,
    delimiter: u8,
    columns: EventBatchBuilder,
    event_ids: EventIds,
    rejects: Rejects,
    skipped: u64,
    bytes_taken: Arc<AtomicU64>,
    bytes_reported: u64,
    ready: VecDeque<RecordBatch>,
    failed: Option<Error>,
    over: bool,
}

impl TextDecoder {
    /// Opens the file, reads its header if it has one, and finds its columns.
    pub(crate) fn open(
        file: Arc<SourceFile>,
        mapping: Option<&Mapping>,
        columns: Option<&[&'static str]>,
        settings: Arc<SourceSettings>,
        privacy: Arc<Privacy>,
    ) -> Result<Self, Error> {
        let bytes_taken = Arc::new(AtomicU64::new(0));
        let from = stream(&file, bytes_taken.clone()).map_err(|source| Error::read(&file.name, source))?;
        let mut lines = LineReader::new(from, settings.line_bytes_max).map_err(|cause| broken(&file, 0, cause))?;
        let mapping = mapping.filter(|mapping| mapping.format() == file.format);
        let delimiter = mapping.map_or(b',', Mapping::delimiter);
        let format = match (file.format, mapping) {
            (Format::Csv, mapping) => csv_format(&file, &mut lines, mapping, delimiter, &privacy)?,
            (Format::AccessLog, Some(mapping)) => {
                let mapping = mapping.compiled();
                let fields = mapping.find(&file, &access_log::FIELDS)?;
                LineFormat::Log { mapping, fields }
            }
            (Format::AccessLog, None) => return Err(Error::NeedsMapping { file: file.name.clone() }),
            (_, Some(mapping)) => LineFormat::Json(mapping.compiled()),
            (_, None) => LineFormat::Wire,
        };
        Ok(Self {
            lines,
            format,
            delimiter,
            columns: EventBatchBuilder::new(columns, settings, privacy),
            event_ids: EventIds::of(&file),
            rejects: Rejects::new(&file.name),
            skipped: 0,
            bytes_taken,
            bytes_reported: 0,
            ready: VecDeque::new(),
            failed: None,
            over: false,
            file,
        })
    }

    /// Why there is nothing to decode, if there is not. Call it before the first batch.
    pub(crate) fn without_rows(mut self) -> Result<Option<WhyLeftOut>, Error> {
        let header = self.lines.line() > 0;
        let blank = self.lines.blank_to_the_end().map_err(|cause| broken(&self.file, self.lines.line(), cause))?;
        Ok(match (blank, header) {
            (false, _) => None,
            (true, true) => Some(WhyLeftOut::NoRows),
            (true, false) => Some(WhyLeftOut::Empty),
        })
    }

    /// Reads lines until a batch is full; `false` at the end of the file.
    fn read(&mut self) -> Result<bool, Error> {
        let rows_max = self.columns.settings().batch_rows;
        let mut lines = 0;
        while self.columns.rows() < rows_max && self.rejects.len() < rows_max && lines < 16 * rows_max {
            lines += 1;
            let delimiter = self.delimiter;
            let next = match self.format {
                LineFormat::Events { .. } | LineFormat::Foreign { .. } => {
                    self.lines.next_record(|bytes| csv::record_end(bytes, delimiter))
                }
                _ => self.lines.next(),
            };
            let (line, bytes) = match next {
                Ok(NextLine::Line(line, bytes)) => (line, bytes),
                Ok(NextLine::TooLong(line)) => {
                    self.rejects.push(line, Fault::line(Reason::LineTooLong));
                    continue;
                }
                Ok(NextLine::Unfinished(line)) => {
                    self.rejects.push(line, Fault::line(Reason::WrongFieldCount));
                    continue;
                }
                Ok(NextLine::End) => return Ok(false),
                Err(cause) => return Err(broken(&self.file, self.lines.line().saturating_sub(1), cause)),
            };
            if bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let Ok(text) = std::str::from_utf8(bytes) else {
                self.rejects.push(line, Fault::line(Reason::NotUtf8));
                continue;
            };
            match decode(
                &self.format,
                self.delimiter,
                text,
                &mut self.columns,
                &self.event_ids,
                line,
                &mut self.rejects,
            ) {
                Ok(true) => {}
                Ok(false) => self.skipped += 1,
                Err(fault) => self.rejects.push(line, fault),
            }
        }
        Ok(true)
    }

    fn decoded(&mut self, events: RecordBatch) -> ReadBatch {
        let bytes_taken = self.bytes_taken.load(Ordering::Relaxed);
        let bytes_read = bytes_taken - std::mem::replace(&mut self.bytes_reported, bytes_taken);
        ReadBatch { events, rejects: self.rejects.take(), bytes_read, skipped: std::mem::take(&mut self.skipped) }
    }

    /// Cuts the stored rows into batches: a line with a JSON batch may have more events than a batch has rows.
    fn cut(&mut self) -> Result<(), Error> {
        let rows_max = self.columns.settings().batch_rows;
        let batch = self.columns.finish()?;
        self.event_ids.check()?;
        let mut from = 0;
        loop {
            let length = rows_max.min(batch.num_rows() - from);
            self.ready.push_back(batch.slice(from, length));
            from += length;
            if from == batch.num_rows() {
                return Ok(());
            }
        }
    }
}

impl UnitDecoder for TextDecoder {
    fn next(&mut self) -> Option<Result<ReadBatch, Error>> {
        if let Some(events) = self.ready.pop_front() {
            return Some(Ok(self.decoded(events)));
        }
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        if self.over {
            return None;
        }
        match self.read() {
            Ok(more) => self.over = !more,
            Err(error) => (self.over, self.failed) = (true, Some(error)),
        }
        let nothing = self.columns.rows() == 0 && self.rejects.len() == 0 && self.skipped == 0;
        if nothing && self.over && self.bytes_taken.load(Ordering::Relaxed) == self.bytes_reported {
            return self.failed.take().map(Err);
        }
        if let Err(error) = self.cut() {
            self.over = true;
            return Some(Err(error));
        }
        self.next()
    }
}

/// Turns one line into a row and stores it; `false` if the mapping skips it.
fn decode(
    format: &LineFormat,
    delimiter: u8,
    text: &str,
    columns: &mut EventBatchBuilder,
    event_ids: &EventIds,
    line: u64,
    rejects: &mut Rejects,
) -> Result<bool, Fault> {
    match format {
        LineFormat::Wire => {
            wire::push_line(columns, text, event_ids, line, &mut |fault| rejects.push(line, fault));
            Ok(true)
        }
        LineFormat::Events { places } => {
            let mut fields = Vec::with_capacity(places.len());
            csv::fields(text, delimiter, &mut fields);
            if fields.len() != places.len() {
                return Err(Fault::line(Reason::WrongFieldCount));
            }
            let mut row = Row::new();
            for (place, field) in places.iter().zip(fields) {
                set_field(&mut row, *place, field, columns.privacy())?;
            }
            columns.push(&row, event_ids, line, 0).map(|()| true)
        }
        LineFormat::Foreign { mapping, fields: places, width } => {
            let mut fields = Vec::with_capacity(*width);
            csv::fields(text, delimiter, &mut fields);
            if fields.len() != *width {
                return Err(Fault::line(Reason::WrongFieldCount));
            }
            let taken = |place: &Option<usize>| place.map(|place| std::mem::take(&mut fields[place]));
            let values: Vec<Option<Cow<'_, str>>> = places.iter().map(taken).collect();
            push_mapped(mapping, &values, columns, event_ids, line)
        }
        LineFormat::Log { mapping, fields: places } => {
            let mut fields = access_log::fields(text).ok_or(Fault::line(Reason::NotALogLine))?;
            let taken = |place: &Option<usize>| place.and_then(|place| fields[place].take());
            let values: Vec<Option<Cow<'_, str>>> = places.iter().map(taken).collect();
            push_mapped(mapping, &values, columns, event_ids, line)
        }
        LineFormat::Json(mapping) => {
            let values = json::values(text, mapping.columns())?;
            push_mapped(mapping, &values, columns, event_ids, line)
        }
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

/// Reads the header of a CSV and finds its columns.
fn csv_format(
    file: &SourceFile,
    lines: &mut LineReader,
    mapping: Option<&Mapping>,
    delimiter: u8,
    privacy: &Privacy,
) -> Result<LineFormat, Error> {
    if lines.blank_to_the_end().map_err(|cause| broken(file, 0, cause))? {
        return Ok(LineFormat::Events { places: Vec::new() });
    }
    let none = || Error::MissingColumn { file: file.name.clone(), column: "org_id".to_owned() };
    let header = match lines.next_record(|bytes| csv::record_end(bytes, delimiter)) {
        Ok(NextLine::Line(_, bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Ok(_) => return Err(none()),
        Err(cause) => return Err(broken(file, 0, cause)),
    };
    let mut names = Vec::new();
    csv::fields(&header, delimiter, &mut names);
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    if let Some(mapping) = mapping {
        let mapping = mapping.compiled();
        let fields = mapping.find(file, &names)?;
        return Ok(LineFormat::Foreign { mapping, fields, width: names.len() });
    }
    let mut places = Vec::with_capacity(names.len());
    for name in &names {
        let place = EVENT.iter().position(|column| column.name == *name || wire_name(column.name) == *name);
        let place = place.ok_or_else(|| not_an_event(file, names.iter().copied(), privacy))?;
        if places.contains(&place) {
            return Err(Error::RepeatedColumn { file: file.name.clone(), column: (*name).to_owned() });
        }
        places.push(place);
    }
    for (place, column) in EVENT.iter().enumerate() {
        require(file, column, places.contains(&place))
            .map_err(|_| not_an_event(file, names.iter().copied(), privacy))?;
    }
    Ok(LineFormat::Events { places })
}

/// The error for a stream that cannot be read on: damage if it is compressed, otherwise the disk or the network.
fn broken(file: &SourceFile, line: u64, cause: std::io::Error) -> Error {
    let network = cause.get_ref().is_some_and(|cause| cause.is::<object_store::Error>());
    if network || file.compression == Compression::None {
        return Error::read(&file.name, cause);
    }
    Error::DamagedStream { file: file.name.clone(), compression: file.compression.name(), line, cause }
}
