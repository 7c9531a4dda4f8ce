//! Writes events as records of a topic, one wire object each with `receivedAt`, and reads them back.
//!
//! ```text
//! batch ─ RecordWriter ─▶ {"orgId":"acme",…,"receivedAt":1790000100000} ─ RecordDecoder ─▶ the same batch
//! ```
//!
//! Others may write records too, so records are validated like any wire event. Nulls, an empty session_id and a false
//! reaction_observed are omitted; instants are whole milliseconds.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type, TimestampMillisecondType};
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::events::{EVENT, wire_name};

use crate::builder::EventBatchBuilder;
use crate::event_id::EventIds;
use crate::extra::quote;
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason};
use crate::surrogate::mended;
use crate::wire::{self, ReceiveTime};
use crate::{Error, SourceSettings};

/// `"orgId":` and so on, by index of the column.
static KEYS: LazyLock<Vec<String>> =
    LazyLock::new(|| EVENT.iter().map(|column| format!("\"{}\":", wire_name(column.name))).collect());

/// Writes each event of a batch as one JSON text.
#[derive(Debug)]
pub struct RecordWriter<'a> {
    columns: Vec<ColumnValues<'a>>,
}

#[derive(Debug)]
enum ColumnValues<'a> {
    Symbols(&'a [i32], &'a dyn Array, &'a StringArray),
    Texts(&'a StringViewArray),
    /// Texts that are JSON.
    Objects(&'a StringViewArray),
    Instants(&'a dyn Array, &'a [i64]),
    Wholes(&'a Int64Array),
    Numbers(&'a Float32Array),
    Truths(&'a BooleanArray, bool),
}

impl<'a> RecordWriter<'a> {
    /// A writer of `events`, which have the schema of [`netcrab_schema::arrow::event_in_flight`].
    ///
    /// # Errors
    ///
    /// [`Error::Batch`] names the first column that does not match that schema.
    pub fn new(events: &'a RecordBatch) -> Result<Self, Error> {
        let columns = EVENT.iter().enumerate().map(|(at, column)| {
            let given = events.columns().get(at).filter(|given| *given.data_type() == in_flight_type(column.kind));
            let Some(given) = given else {
                let fault = format!("column {at} is not `{}` of an event in flight", column.name);
                return Err(Error::Batch(arrow::error::ArrowError::SchemaError(fault)));
            };
            Ok(match given.data_type() {
                DataType::Dictionary(..) => {
                    let dictionary = given.as_dictionary::<Int32Type>();
                    let values = dictionary.values().as_string::<i32>();
                    ColumnValues::Symbols(dictionary.keys().values(), dictionary.keys(), values)
                }
                DataType::Utf8View if column.name == "extra" => ColumnValues::Objects(given.as_string_view()),
                DataType::Utf8View => ColumnValues::Texts(given.as_string_view()),
                DataType::Timestamp(..) => {
                    ColumnValues::Instants(given, given.as_primitive::<TimestampMillisecondType>().values())
                }
                DataType::Int64 => ColumnValues::Wholes(given.as_primitive::<Int64Type>()),
                DataType::Boolean => ColumnValues::Truths(given.as_boolean(), column.nullable),
                _ => ColumnValues::Numbers(given.as_primitive::<Float32Type>()),
            })
        });
        Ok(Self { columns: columns.collect::<Result<_, _>>()? })
    }

    /// Appends event `row` to `out`.
    pub fn write(&self, row: usize, out: &mut String) {
        let mut before = '{';
        for (values, key) in self.columns.iter().zip(KEYS.iter()) {
            if values.absent(row) {
                continue;
            }
            out.push(before);
            before = ',';
            out.push_str(key);
            values.write(row, out);
        }
        out.push('}');
    }
}

impl ColumnValues<'_> {
    fn absent(&self, row: usize) -> bool {
        match self {
            // The wire omits empty texts.
            ColumnValues::Symbols(keys, nulls, values) => {
                nulls.is_null(row) || values.is_null(keys[row] as usize) || values.value(keys[row] as usize).is_empty()
            }
            ColumnValues::Texts(texts) | ColumnValues::Objects(texts) => {
                texts.is_null(row) || texts.value(row).is_empty()
            }
            ColumnValues::Instants(nulls, _) => nulls.is_null(row),
            ColumnValues::Wholes(numbers) => numbers.is_null(row),
            ColumnValues::Numbers(numbers) => numbers.is_null(row) || !numbers.value(row).is_finite(),
            ColumnValues::Truths(truths, true) => truths.is_null(row),
            ColumnValues::Truths(truths, false) => truths.is_null(row) || !truths.value(row),
        }
    }

    fn write(&self, row: usize, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            ColumnValues::Symbols(keys, _, values) => return quote(values.value(keys[row] as usize), out),
            ColumnValues::Texts(texts) => return quote(texts.value(row), out),
            ColumnValues::Objects(texts) => return out.push_str(texts.value(row)),
            ColumnValues::Instants(_, instants) => write!(out, "{}", instants[row]),
            ColumnValues::Wholes(numbers) => write!(out, "{}", numbers.value(row)),
            ColumnValues::Numbers(numbers) => write!(out, "{}", numbers.value(row)),
            ColumnValues::Truths(truths, _) => write!(out, "{}", truths.value(row)),
        };
    }
}

/// Reads records back into batches.
#[derive(Debug)]
pub struct RecordDecoder {
    columns: EventBatchBuilder,
    event_ids: EventIds,
}

impl RecordDecoder {
    /// A decoder with these settings. `seed` identifies the topic: an event without an id gets one that is made from
    /// `seed` and the position of its record, the same one at each reading.
    pub fn new(settings: SourceSettings, seed: u128) -> Self {
        let privacy = Arc::new(Privacy::new(&settings.privacy));
        Self { columns: EventBatchBuilder::new(None, Arc::new(settings), privacy), event_ids: EventIds::Topic(seed) }
    }

    /// Decodes the record at `offset` of `partition` and stores its event.
    ///
    /// # Errors
    ///
    /// The fault of the record; nothing of it is stored then.
    pub fn push(&mut self, record: &[u8], partition: u32, offset: u64) -> Result<(), Fault> {
        if record.len() > self.columns.settings().line_bytes_max {
            return Err(Fault::line(Reason::LineTooLong));
        }
        let text = &mended(std::str::from_utf8(record).map_err(|_| Fault::line(Reason::NotUtf8))?);
        wire::push_event(&mut self.columns, text, ReceiveTime::in_event(), &self.event_ids, offset, partition)
    }

    /// Number of events stored.
    pub fn rows(&self) -> usize {
        self.columns.rows()
    }

    /// Takes the stored events as a batch and leaves the decoder empty.
    ///
    /// # Errors
    ///
    /// [`Error::Batch`] if Arrow refuses the batch.
    pub fn finish(&mut self) -> Result<RecordBatch, Error> {
        self.columns.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(batch: &RecordBatch) -> Vec<String> {
        let writer = RecordWriter::new(batch).unwrap();
        let text = |row| {
            let mut text = String::new();
            writer.write(row, &mut text);
            text
        };
        (0..batch.num_rows()).map(text).collect()
    }

    fn decoded(records: &[String]) -> RecordBatch {
        let mut decoder = RecordDecoder::new(SourceSettings::default(), 1);
        for (offset, record) in records.iter().enumerate() {
            decoder.push(record.as_bytes(), 0, offset as u64).unwrap();
        }
        decoder.finish().unwrap()
    }

    #[test]
    fn a_record_is_the_wire_object_with_the_time_it_was_received() {
        let event = r#"{"orgId":"acme","productId":"crm","userHash":"u1","eventId":"e\"1","ts":"2026-10-01T10:00:00Z","eventType":"click","screenId":"leads","route":"/leads/42","elementLabelHash":"h1","deviceType":"desktop","latencyMs":0.1,"reactionObserved":true,"taskSuccess":false,"extra":{"n":1.50,"a":"b"}}"#;
        let mut decoder = crate::wire::BatchDecoder::new(SourceSettings::default());
        let batch = decoder.batch(event.as_bytes(), 1_790_849_100_000, 10, 1).unwrap().events;
        let record = r#"{"orgId":"acme","productId":"crm","userHash":"u1","eventId":"e\"1","ts":1790848800000,"receivedAt":1790849100000,"eventType":"click","seq":0,"screenId":"leads","route":"/leads/:id","elementLabelHash":"h1","deviceType":"desktop","latencyMs":0.1,"reactionObserved":true,"taskSuccess":false,"extra":{"a":"b","n":1.5}}"#;
        assert_eq!(written(&batch), [record]);
        assert_eq!(decoded(&[record.to_owned()]), batch);
    }

    #[test]
    fn generated_traffic_comes_back_as_it_was() {
        let settings = crate::generate::GenerateSettings { events: 3000, batch_rows: 1000, ..Default::default() };
        for batch in crate::generate::Traffic::new(settings).unwrap() {
            let first = written(&batch.unwrap());
            let again = decoded(&first);
            assert_eq!(written(&again), first);
            assert_eq!(decoded(&written(&again)), again);
        }
    }

    #[test]
    fn an_event_on_the_wire_may_not_say_when_it_was_received() {
        let event = r#"{"orgId":"acme","productId":"crm","userHash":"u1","receivedAt":1}"#;
        let mut decoder = crate::wire::BatchDecoder::new(SourceSettings::default());
        let batch = decoder.batch(event.as_bytes(), 1_790_849_100_000, 10, 1).unwrap();
        assert_eq!(batch.faults[0].1.reason, Reason::UnknownKey);
    }

    #[test]
    fn what_is_no_record_is_a_fault_and_leaves_nothing_behind() {
        let mut decoder = RecordDecoder::new(SourceSettings { line_bytes_max: 1024, ..SourceSettings::default() }, 1);
        let check = |decoder: &mut RecordDecoder, record: &[u8], reason| {
            assert_eq!(decoder.push(record, 0, 0).unwrap_err().reason, reason);
        };
        check(&mut decoder, b"", Reason::NotJson);
        check(&mut decoder, b"\xff", Reason::NotUtf8);
        check(&mut decoder, b"[]", Reason::NotAnObject);
        check(&mut decoder, br#"{"orgId":"acme"}"#, Reason::MissingField);
        check(&mut decoder, &[b' '; 1025], Reason::LineTooLong);
        assert_eq!(decoder.rows(), 0);
    }

    #[test]
    fn an_event_without_an_id_gets_the_same_one_at_the_same_place() {
        let event = r#"{"orgId":"acme","productId":"crm","userHash":"u1","ts":1790848800000,"eventType":"click","screenId":"leads","route":"/","deviceType":"desktop"}"#;
        let id = |partition, offset| {
            let mut decoder = RecordDecoder::new(SourceSettings::default(), 1);
            decoder.push(event.as_bytes(), partition, offset).unwrap();
            decoder.finish().unwrap().column_by_name("event_id").unwrap().as_string_view().value(0).to_owned()
        };
        assert_eq!(id(0, 5), id(0, 5));
        assert_ne!(id(0, 5), id(0, 6));
        assert_ne!(id(0, 5), id(1, 5));
    }

    proptest! {
        #[test]
        fn numbers_and_texts_come_back_to_the_bit(bits in any::<u32>(), text in "\\PC{1,20}") {
            let number = f32::from_bits(bits);
            prop_assume!(number.is_finite());
            let mut label = String::new();
            quote(&text, &mut label);
            let event = format!(
                r#"{{"orgId":"a","productId":"b","userHash":"u1","eventId":"e","ts":1790848800000,"eventType":"click","screenId":{label},"route":"/","deviceType":"desktop","latencyMs":{number}}}"#
            );
            let mut decoder = RecordDecoder::new(SourceSettings::default(), 1);
            prop_assume!(decoder.push(event.as_bytes(), 0, 0).is_ok());
            let batch = decoder.finish().unwrap();
            let found = batch.column_by_name("latency_ms").unwrap().as_primitive::<Float32Type>().value(0);
            prop_assert_eq!(found.to_bits(), bits);
            prop_assert_eq!(decoded(&written(&batch)), batch);
        }
    }
}
