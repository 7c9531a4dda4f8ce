//! Decodes text files row by row: wire JSON, CSV, access logs, and foreign JSON.
//!
//! ```text
//! stream ─▶ decompress ─▶ UTF-8 ─▶ lines, values ─▶ fields ─▶ (mapping) ─▶ row ─▶ columns ─▶ batch
//!                                                     └──────────┴──────────┴─▶ rejects
//! ```
//!
//! State   one line or JSON value, one batch

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;

use crate::blob::stream;
use crate::builder::EventBatchBuilder;
use crate::decompress::{Packing, decompress};
use crate::encoding::{Utf32, utf8};
use crate::event_id::EventIds;
use crate::listing::{Compression, Format, SourceFile};
use crate::mapping::Mapping;
use crate::percent;
use crate::privacy::Privacy;
use crate::read::csv_header::{self, Header};
use crate::read::lines::values::JsonValues;
use crate::read::lines::{LineReader, NextLine};
use crate::read::mapped::FileMapping;
use crate::read::row_writer::{RowFormat, RowWriter};
use crate::read::seen::SeenKeys;
use crate::read::w3c_log::W3cHeader;
use crate::read::{ReadBatch, UnitDecoder, access_log, csv};
use crate::reject::{Fault, Reason, Rejects};
use crate::{Error, SourceSettings, WhyLeftOut};

/// Decodes one text file.
pub(crate) struct TextDecoder {
    file: Arc<SourceFile>,
    compression: Compression,
    lines: LineReader,
    values: JsonValues,
    format: RowFormat,
    seen: SeenKeys,
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
        event_ids: EventIds,
    ) -> Result<Self, Error> {
        let bytes_taken = Arc::new(AtomicU64::new(0));
        let mapping = mapping.filter(|mapping| mapping.format() == file.format);
        let (mut lines, compression) = lines(&file, mapping, bytes_taken.clone(), settings.line_bytes_max)?;
        let builder = EventBatchBuilder::new(columns, settings, privacy.clone());
        let builder = match mapping {
            Some(_) => builder,
            None => builder.with_partitions(file.known.partitions.events(&file.name)?),
        };
        let format = match (file.format, mapping) {
            (Format::Csv, mapping) => csv_format(&file, &mut lines, compression, mapping, &privacy)?,
            (Format::AccessLog, Some(mapping)) => {
                let mapping = FileMapping::of(&file, mapping)?;
                let fields = mapping.mapping.find(&file, &access_log::FIELDS)?;
                RowFormat::Log { mapping, fields, w3c: W3cHeader::default() }
            }
            (Format::AccessLog, None) => return Err(Error::NeedsMapping { file: file.name.clone() }),
            (_, Some(mapping)) => RowFormat::Json(FileMapping::of(&file, mapping)?),
            (_, None) => RowFormat::Wire,
        };
        let foreign = mapping.map_or(0, |mapping| mapping.compiled().columns().len());
        Ok(Self {
            compression,
            lines,
            values: JsonValues::default(),
            format,
            seen: SeenKeys::new(foreign),
            columns: builder,
            event_ids,
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
        let blank = self.lines.blank_to_the_end().map_err(|cause| self.broken(self.lines.line(), cause))?;
        Ok(match (blank, header) {
            (false, _) => None,
            (true, true) => Some(WhyLeftOut::NoRows),
            (true, false) => Some(WhyLeftOut::Empty),
        })
    }

    /// Reads rows until a batch is full; `false` at the end of the file.
    fn read(&mut self) -> Result<bool, Error> {
        let rows_max = self.columns.settings().batch_rows;
        let mut rows = 0;
        while self.columns.rows() < rows_max && self.rejects.len() < rows_max && rows < 16 * rows_max {
            rows += 1;
            if !self.row()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads one row, or a line that is none; `false` at the end of the file.
    fn row(&mut self) -> Result<bool, Error> {
        let json = matches!(self.format, RowFormat::Wire | RowFormat::Json(_));
        let next = match self.format {
            RowFormat::Events { delimiter, .. } | RowFormat::Foreign { delimiter, .. } => {
                self.lines.next_record(|bytes| csv::record_end(bytes, delimiter))
            }
            RowFormat::Log { .. } => self.lines.next(),
            RowFormat::Wire | RowFormat::Json(_) => self.lines.next_value(&mut self.values),
        };
        let (line, bytes) = match next {
            Ok(NextLine::Line(line, bytes)) => (line, bytes),
            Ok(NextLine::TooLong(line)) => return Ok(self.refuse(line, Reason::LineTooLong)),
            Ok(NextLine::Unfinished(line)) if json => return Ok(self.refuse(line, Reason::NotJson)),
            Ok(NextLine::Unfinished(line)) => return Ok(self.refuse(line, Reason::UnclosedQuote)),
            Ok(NextLine::End) => return Ok(false),
            Err(cause) => return Err(self.broken(self.lines.line().saturating_sub(u64::from(!json)), cause)),
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(true);
        }
        let first_line = memchr::memchr(b'\n', bytes);
        let text = text_of(bytes, &self.format);
        if let RowFormat::Log { w3c, .. } = &mut self.format
            && let Some(text) = text.as_deref().filter(|text| text.starts_with('#'))
        {
            w3c.read(text);
            return Ok(true);
        }
        let decoded = match text {
            Some(text) => {
                let (columns, event_ids) = (&mut self.columns, &self.event_ids);
                let (seen, rejects) = (&mut self.seen, &mut self.rejects);
                RowWriter { columns, event_ids, line, seen, rejects }.decode(&mut self.format, &text)
            }
            None => Err(Fault::line(Reason::NotUtf8)),
        };
        match decoded {
            Ok(taken) => self.skipped += u64::from(!taken),
            // A line that looked like one object may be several, or the beginning of one.
            Err(Fault { reason: Reason::NotJson, field: None }) if self.lines.scan_again(&mut self.values) => {}
            Err(fault) => self.refuse_row(line, fault, first_line.filter(|_| !json)),
        }
        Ok(true)
    }

    /// Refuses a row. If quotes may have joined it of several lines, only the first of them, `first_line` long, is lost.
    fn refuse_row(&mut self, line: u64, fault: Fault, first_line: Option<usize>) {
        if let (Reason::UnclosedQuote | Reason::NotUtf8, Some(length)) = (fault.reason, first_line) {
            self.lines.back_to_second_line(length);
        }
        self.rejects.push(line, fault);
    }

    fn refuse(&mut self, line: u64, reason: Reason) -> bool {
        self.rejects.push(line, Fault::line(reason));
        true
    }

    fn broken(&self, line: u64, cause: std::io::Error) -> Error {
        broken(&self.file, self.compression, line, cause)
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
    fn seen(&self) -> Option<&SeenKeys> {
        matches!(self.format, RowFormat::Json(_)).then_some(&self.seen)
    }

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

/// A line as text; `None` if it is not UTF-8. Servers log what they were sent, so a log has escapes for such bytes.
fn text_of<'a>(bytes: &'a [u8], format: &RowFormat) -> Option<Cow<'a, str>> {
    match format {
        RowFormat::Log { .. } => Some(percent::text(bytes)),
        _ => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
    }
}

/// The text of a file as UTF-8, and how it is compressed.
fn lines(
    file: &SourceFile,
    mapping: Option<&Mapping>,
    bytes_taken: Arc<AtomicU64>,
    bytes_max: usize,
) -> Result<(LineReader, Compression), Error> {
    let stored = stream(file, bytes_taken).map_err(|source| Error::read(&file.name, source))?;
    let unpacked = decompress(stored, file.compression).map_err(|source| Error::read(&file.name, source))?;
    let (bytes, compression) = match unpacked {
        (bytes, Packing::Text(compression)) => (bytes, compression),
        (_, Packing::Unread(packing)) => {
            return Err(Error::Unread { file: file.name.clone(), why: WhyLeftOut::Compression(packing) });
        }
        (_, Packing::Damaged(compression)) => {
            let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, "its first bytes are something else");
            return Err(broken(file, compression, 0, cause));
        }
    };
    let text = utf8(bytes, mapping.and_then(Mapping::encoding)).map_err(|cause| match cause.downcast::<Utf32>() {
        Ok(cause) => Error::Encoding { file: file.name.clone(), cause: cause.to_string() },
        Err(cause) => broken(file, compression, 0, cause),
    })?;
    let lines = LineReader::new(text, bytes_max).map_err(|cause| broken(file, compression, 0, cause))?;
    Ok((lines, compression))
}

/// Reads the header of a CSV and finds its columns. A blank file has none.
fn csv_format(
    file: &SourceFile,
    lines: &mut LineReader,
    compression: Compression,
    mapping: Option<&Mapping>,
    privacy: &Privacy,
) -> Result<RowFormat, Error> {
    let broken = |line, cause| broken(file, compression, line, cause);
    if lines.blank_to_the_end().map_err(|cause| broken(0, cause))? {
        return Ok(RowFormat::Events { delimiter: b',', places: Vec::new() });
    }
    let Some(mapping) = mapping else {
        let resolve = |names: &[&str]| csv_header::events(file, names, privacy);
        let Header { delimiter, columns: places, .. } = csv_header::read(file, lines, None, broken, resolve)?;
        return Ok(RowFormat::Events { delimiter, places });
    };
    let (given, mapping) = (mapping.delimiter(), FileMapping::of(file, mapping)?);
    let resolve = |names: &[&str]| mapping.mapping.find(file, names);
    let Header { delimiter, width, columns: fields } = csv_header::read(file, lines, given, broken, resolve)?;
    Ok(RowFormat::Foreign { mapping, delimiter, fields, width })
}

/// The error for a stream that cannot be read on: damage if it is compressed, otherwise the disk or the network.
fn broken(file: &SourceFile, compression: Compression, line: u64, cause: std::io::Error) -> Error {
    let network = cause.get_ref().is_some_and(|cause| cause.is::<object_store::Error>());
    if network || compression == Compression::None {
        return Error::read(&file.name, cause);
    }
    Error::DamagedStream { file: file.name.clone(), compression: compression.name(), line, cause }
}
