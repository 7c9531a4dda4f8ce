//! Rows that did not become events: file, line, reason and field, never the value.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringDictionaryBuilder};
use arrow::datatypes::Int32Type;
use netcrab_schema::tables::REJECTS;

/// Why a line, row or event was refused. The names are stable: they stand in the table `rejects` and in API answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The line is longer than `line_bytes_max`.
    LineTooLong,
    /// The line or text is not UTF-8.
    NotUtf8,
    /// The line is not JSON, or nests deeper than any event does.
    NotJson,
    /// The line is JSON, but neither an event nor a batch of events.
    NotAnObject,
    /// The object has a key twice.
    DuplicateKey,
    /// A key that no event has; `field` names the nearest valid key.
    UnknownKey,
    /// A key whose name says that it holds personal data.
    DeniedKey,
    /// A value of the wrong type.
    WrongType,
    /// A required field is missing or empty.
    MissingField,
    /// A time that cannot be parsed.
    BadTime,
    /// A time with a zone that may be one of several (`CST`) or is not known, or that clocks skipped or showed twice.
    UnknownZone,
    /// A time outside the allowed range.
    TsOutOfRange,
    /// A `seq` below 0 or above 2⁵³ − 1.
    SeqOutOfRange,
    /// A number that is NaN or infinite.
    NotFinite,
    /// A number that cannot be parsed.
    NotANumber,
    /// A value that is not one of those allowed.
    UnknownValue,
    /// An organisation or product id with characters outside `[A-Za-z0-9_.-]`, or longer than 64 bytes.
    BadIdentifier,
    /// A text longer than `text_bytes_max`.
    TooLong,
    /// `task_type` without `task_phase`, or the other way round.
    TaskIncomplete,
    /// A value that looks like an e-mail address.
    Email,
    /// A value that looks like a payment card number.
    CardNumber,
    /// A value that looks like a JSON Web Token.
    Jwt,
    /// `extra` is not an object of scalars.
    ExtraNested,
    /// `extra` is longer than 4 KiB.
    ExtraTooLong,
    /// `extra` has more than 32 keys.
    ExtraTooManyKeys,
    /// A CSV row with more or fewer fields than the header.
    WrongFieldCount,
    /// A CSV row in which a quote never closes, or a quoted field goes on after it.
    UnclosedQuote,
    /// A column of the mapping that is an object, or an array of several values.
    NestedValue,
    /// A line that is not in the common, combined or W3C log format.
    NotALogLine,
    /// A log line whose request is none: bytes of another protocol, one word, nothing.
    NotARequest,
    /// A list of more than one value in a column that takes one.
    ManyValues,
    /// The row states another value than the folder that it lies in (`segment=new/`).
    PartitionMismatch,
    /// The mapping has no entry for this event and no default.
    UnmappedEvent,
    /// A batch has more events than allowed; those beyond the limit are refused.
    TooManyEvents,
    /// The key of the sender may not write this product (ingestion API only).
    ForbiddenProduct,
    /// Accepted events that the event bus no longer has, because a segment was removed or damaged.
    LostOnBus,
}

impl Reason {
    /// Every reason, in the order of the reference page.
    pub const ALL: &[Reason] = &[
        Reason::LineTooLong,
        Reason::NotUtf8,
        Reason::NotJson,
        Reason::NotAnObject,
        Reason::DuplicateKey,
        Reason::UnknownKey,
        Reason::DeniedKey,
        Reason::WrongType,
        Reason::MissingField,
        Reason::BadTime,
        Reason::UnknownZone,
        Reason::TsOutOfRange,
        Reason::SeqOutOfRange,
        Reason::NotFinite,
        Reason::NotANumber,
        Reason::UnknownValue,
        Reason::BadIdentifier,
        Reason::TooLong,
        Reason::TaskIncomplete,
        Reason::Email,
        Reason::CardNumber,
        Reason::Jwt,
        Reason::ExtraNested,
        Reason::ExtraTooLong,
        Reason::ExtraTooManyKeys,
        Reason::WrongFieldCount,
        Reason::UnclosedQuote,
        Reason::NestedValue,
        Reason::NotALogLine,
        Reason::NotARequest,
        Reason::ManyValues,
        Reason::PartitionMismatch,
        Reason::UnmappedEvent,
        Reason::TooManyEvents,
        Reason::ForbiddenProduct,
        Reason::LostOnBus,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::LineTooLong => "line_too_long",
            Reason::NotUtf8 => "not_utf8",
            Reason::NotJson => "not_json",
            Reason::NotAnObject => "not_an_object",
            Reason::DuplicateKey => "duplicate_key",
            Reason::UnknownKey => "unknown_key",
            Reason::DeniedKey => "denied_key",
            Reason::WrongType => "wrong_type",
            Reason::MissingField => "missing_field",
            Reason::BadTime => "bad_time",
            Reason::UnknownZone => "unknown_zone",
            Reason::TsOutOfRange => "ts_out_of_range",
            Reason::SeqOutOfRange => "seq_out_of_range",
            Reason::NotFinite => "not_finite",
            Reason::NotANumber => "not_a_number",
            Reason::UnknownValue => "unknown_value",
            Reason::BadIdentifier => "bad_identifier",
            Reason::TooLong => "too_long",
            Reason::TaskIncomplete => "task_incomplete",
            Reason::Email => "email",
            Reason::CardNumber => "card_number",
            Reason::Jwt => "jwt",
            Reason::ExtraNested => "extra_nested",
            Reason::ExtraTooLong => "extra_too_long",
            Reason::ExtraTooManyKeys => "extra_too_many_keys",
            Reason::WrongFieldCount => "wrong_field_count",
            Reason::UnclosedQuote => "unclosed_quote",
            Reason::NestedValue => "nested_value",
            Reason::NotALogLine => "not_a_log_line",
            Reason::NotARequest => "not_a_request",
            Reason::ManyValues => "many_values",
            Reason::PartitionMismatch => "partition_mismatch",
            Reason::UnmappedEvent => "unmapped_event",
            Reason::TooManyEvents => "too_many_events",
            Reason::ForbiddenProduct => "forbidden_product",
            Reason::LostOnBus => "lost_on_bus",
        }
    }

    /// What the sender can do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Reason::LineTooLong => "split the line, or raise `line_bytes_max`",
            Reason::NotUtf8 => "write the file as UTF-8, or its `encoding` in the mapping",
            Reason::NotJson => "write whole JSON objects, without comments or trailing commas",
            Reason::NotAnObject => "write event objects or batch objects",
            Reason::DuplicateKey => "send each key once",
            Reason::UnknownKey => "correct the key to the one named, or move it into `extra`",
            Reason::DeniedKey => "leave the key out; personal data is not taken",
            Reason::WrongType => "send the type that docs/tables.md gives",
            Reason::MissingField => "send the field; every event has it",
            Reason::BadTime => "send ISO 8601 with a zone, or milliseconds since 1970",
            Reason::UnknownZone => "send the offset, as `+02:00`",
            Reason::TsOutOfRange => "correct the sender's clock or the unit of its times",
            Reason::SeqOutOfRange => "send a whole number from 0 to 2⁵³ − 1, or leave it out",
            Reason::NotFinite => "leave the number out where it is not known",
            Reason::NotANumber => "send a number",
            Reason::UnknownValue => "send one of the values that docs/tables.md lists",
            Reason::BadIdentifier => "use 1 to 64 characters of A-Z a-z 0-9 _ . -",
            Reason::TooLong => "shorten the text, or raise `text_bytes_max`",
            Reason::TaskIncomplete => "send `taskType` and `taskPhase` together",
            Reason::Email | Reason::CardNumber | Reason::Jwt => {
                "leave the value out or hash it; personal data is not taken"
            }
            Reason::ExtraNested => "keep `extra` flat: texts, numbers, true, false, null",
            Reason::ExtraTooLong => "keep `extra` within 4 KiB",
            Reason::ExtraTooManyKeys => "keep `extra` within 32 keys",
            Reason::WrongFieldCount => "quote fields that hold the delimiter or a line break",
            Reason::UnclosedQuote => "close the quote, and double each quote within a quoted field",
            Reason::NestedValue => "name one value of it in the mapping, such as `tags.0` or `user.id`",
            Reason::NotALogLine => "write the log in the common or combined format, or with a line `#Fields:`",
            Reason::NotARequest => "skip such lines by their status in the mapping, or leave them",
            Reason::ManyValues => "write one value, or a list of one",
            Reason::PartitionMismatch => "correct the row, or rename its folder",
            Reason::UnmappedEvent => "add the value to `[events]` of the mapping, or a default",
            Reason::TooManyEvents => "send smaller batches",
            Reason::ForbiddenProduct => "send it with a key that may write this product",
            Reason::LostOnBus => {
                "let the bus keep events for longer than processing ever stands still; look after its disk"
            }
        }
    }
}

/// Why an event was refused, and the column or key at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The reason.
    pub reason: Reason,
    /// The column or key at fault; never its value.
    pub field: Option<Cow<'static, str>>,
}

impl Fault {
    /// A fault of a whole line.
    pub fn line(reason: Reason) -> Self {
        Self { reason, field: None }
    }

    /// A fault of one field.
    pub fn field(reason: Reason, field: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, field: Some(field.into()) }
    }
}

/// The rejects of one batch.
#[derive(Debug)]
pub(crate) struct Rejects {
    file: Arc<str>,
    rows: Vec<(u64, Fault)>,
}

impl Rejects {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.into(), rows: Vec::new() }
    }

    /// Adds `line`, counted from 1.
    pub(crate) fn push(&mut self, line: u64, fault: Fault) {
        self.rows.push((line, fault));
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes the rejects so far, in the schema of [`REJECTS`]; `None` if there are none.
    pub(crate) fn take(&mut self) -> Option<RecordBatch> {
        if self.rows.is_empty() {
            return None;
        }
        let rejected =
            self.rows.iter().map(|(line, fault)| (&*self.file, *line, fault.reason.name(), fault.field.as_deref()));
        let rejected = rows(rejected).ok();
        self.rows.clear();
        rejected
    }
}

/// Builds rows of the table [`REJECTS`] in the in-flight schema, of (file, line from 1, name of the reason, field).
///
/// # Errors
///
/// An Arrow error if the columns do not fit the schema, which is a defect.
pub fn rows<'a>(
    rejected: impl IntoIterator<Item = (&'a str, u64, &'a str, Option<&'a str>)>,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut file = StringDictionaryBuilder::<Int32Type>::new();
    let mut line = Int64Builder::new();
    let mut reason = StringDictionaryBuilder::<Int32Type>::new();
    let mut field = StringDictionaryBuilder::<Int32Type>::new();
    for (of_file, at, name, of_field) in rejected {
        file.append_value(of_file);
        line.append_value(i64::try_from(at).unwrap_or(i64::MAX));
        reason.append_value(name);
        field.append_option(of_field);
    }
    let columns: Vec<ArrayRef> =
        vec![Arc::new(file.finish()), Arc::new(line.finish()), Arc::new(reason.finish()), Arc::new(field.finish())];
    RecordBatch::try_new(REJECTS.in_flight(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_lists_every_reason_with_its_hint() {
        let page = include_str!("../../docs/sources.md");
        for reason in Reason::ALL {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", reason.name())));
            let row = row.unwrap_or_else(|| panic!("docs/sources.md lacks `{}`", reason.name()));
            assert!(row.ends_with(&format!("| {} |", reason.hint())), "{row}");
        }
        let rows = page.split("## Reasons").nth(1).unwrap().split("## ").next().unwrap().matches("\n| `").count();
        assert_eq!(rows, Reason::ALL.len());
    }
}
