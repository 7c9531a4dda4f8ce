//! Encodes a batch of events as the bytes of a frame, and decodes it.
//!
//!     batch ─ only the texts its rows use ─▶ [64 free bytes][dictionaries][record batch]
//!
//! A frame contains its dictionaries, so each can be decoded alone; the schema is in the segment's head. Decoding copies
//! nothing: the arrays point into the buffer that was read from the file.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, DictionaryArray, RecordBatch, new_null_array};
use arrow::buffer::Buffer;
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, Int32Type, Schema, SchemaRef};
use arrow::ipc::MetadataVersion;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use xxhash_rust::xxh3::xxh3_64;

use super::frame::{FrameHead, HEAD};
use crate::Error;

/// The alignment within a frame: that of the widest value, a view.
pub(crate) const ALIGNMENT: usize = 16;

/// An encoded batch. Its head is written once its offset is known.
#[derive(Debug)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
    /// Where the frame begins in `bytes`. The bytes before are not part of it.
    begin: usize,
    rows: u32,
    payload_hash: u64,
}

impl Frame {
    /// Writes the head.
    pub(crate) fn place(&mut self, offset: u64, durable: u64, appended_at_ms: i64) {
        let payload_bytes = (self.bytes.len() - self.begin - HEAD) as u32;
        let (rows, payload_hash) = (self.rows, self.payload_hash);
        let head = FrameHead { payload_bytes, offset, durable, appended_at_ms, rows, payload_hash };
        head.write(&mut self.bytes[self.begin..]);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.begin..]
    }

    pub(crate) fn len(&self) -> u64 {
        self.bytes().len() as u64
    }
}

/// Encodes batches of one schema.
#[derive(Debug)]
pub(crate) struct Encoder {
    schema: SchemaRef,
    options: IpcWriteOptions,
    schema_message: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(schema: SchemaRef) -> Result<Self, Error> {
        let fault = Error::arrow("encode the schema of");
        let made = || -> Result<_, arrow::error::ArrowError> {
            let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?;
            let writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options.clone())?;
            Ok((options, writer.get_ref().clone()))
        };
        let (options, schema_message) = made().map_err(fault)?;
        Ok(Self { schema, options, schema_message })
    }

    /// The schema as an IPC message.
    pub(crate) fn schema_message(&self) -> &[u8] {
        &self.schema_message
    }

    /// Adds the frames of `events`, each at most `bytes_max` bytes.
    pub(crate) fn encode(&self, events: &RecordBatch, bytes_max: u64, frames: &mut Vec<Frame>) -> Result<(), Error> {
        if events.num_rows() == 0 {
            return Ok(());
        }
        let frame = self.frame(events).map_err(Error::arrow("encode"))?;
        if frame.len() <= bytes_max {
            frames.push(frame);
            return Ok(());
        }
        let half = events.num_rows() / 2;
        if half == 0 {
            let (what, bytes, setting) = ("an event", frame.len(), "frame_bytes_max");
            return Err(Error::TooLarge { what, bytes, bytes_max, setting });
        }
        drop(frame);
        self.encode(&events.slice(0, half), bytes_max, frames)?;
        self.encode(&events.slice(half, events.num_rows() - half), bytes_max, frames)
    }

    fn frame(&self, events: &RecordBatch) -> Result<Frame, arrow::error::ArrowError> {
        let columns = events.columns().iter().map(compact).collect::<Result<Vec<_>, _>>()?;
        let events = RecordBatch::try_new(self.schema.clone(), columns)?;
        let room = self.schema_message.len() + HEAD + events.get_array_memory_size();
        let mut writer =
            StreamWriter::try_new_with_options(Vec::with_capacity(room), &self.schema, self.options.clone())?;
        writer.write(&events)?;
        let bytes = std::mem::take(writer.get_mut());
        // The schema's message precedes the payload and is not stored. The head overwrites its last bytes, so that
        // nothing has to be moved.
        let payload = self.schema_message.len();
        let payload_hash = xxh3_64(&bytes[payload..]);
        Ok(Frame { bytes, begin: payload - HEAD, rows: events.num_rows() as u32, payload_hash })
    }
}

/// A column with only the texts that its rows use. Dictionaries and views are shared between batches.
fn compact(column: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    match column.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = column.as_dictionary::<Int32Type>();
            let used = dictionary.occupancy();
            if used.count_set_bits() == used.len() {
                return Ok(column.clone());
            }
            let mut places = vec![0; used.len()];
            for (place, key) in used.set_indices().enumerate() {
                places[key] = place as i32;
            }
            // The key of a null may be any number.
            let keys = dictionary.keys().unary(|key: i32| places.get(key as usize).copied().unwrap_or(0));
            let values = filter(dictionary.values(), &BooleanArray::new(used, None))?;
            Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values)?))
        }
        DataType::Utf8View => Ok(Arc::new(column.as_string_view().gc())),
        _ => Ok(column.clone()),
    }
}

/// Decodes the frames of a segment, in any order.
#[derive(Debug)]
pub(crate) struct Decoder {
    decoder: StreamDecoder,
    wanted: SchemaRef,
}

impl Decoder {
    /// A decoder of frames stored with the schema of `schema_message`; it gives batches of the schema `wanted`.
    pub(crate) fn new(schema_message: Buffer, wanted: SchemaRef) -> Result<Self, Error> {
        let mut decoder = StreamDecoder::new();
        let mut message = schema_message;
        decoder.decode(&mut message).map_err(Error::arrow("read the schema of"))?;
        Ok(Self { decoder, wanted })
    }

    pub(crate) fn decode(&mut self, mut payload: Buffer) -> Result<RecordBatch, Error> {
        let fault = Error::arrow("decode");
        let decoded = self.decoder.decode(&mut payload).and_then(|batch| {
            batch.ok_or_else(|| arrow::error::ArrowError::IpcError("a frame without a record batch".to_owned()))
        });
        self.fitted(decoded.map_err(fault)?)
    }

    /// The batch with the columns of this release. Columns that the stored batch does not have are null.
    fn fitted(&self, stored: RecordBatch) -> Result<RecordBatch, Error> {
        if same(stored.schema_ref(), &self.wanted) {
            return Ok(stored);
        }
        let columns = self.wanted.fields().iter().map(|field| match stored.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
            Some(column) => cast(column, field.data_type()).map_err(Error::arrow("convert the columns of")),
            None if field.is_nullable() => Ok(new_null_array(field.data_type(), stored.num_rows())),
            None => Err(Error::column(field.name(), None, field.data_type())),
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(self.wanted.clone(), columns).map_err(Error::arrow("build"))
    }
}

fn same(a: &Schema, b: &Schema) -> bool {
    a.fields().len() == b.fields().len()
        && a.fields()
            .iter()
            .zip(b.fields())
            .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type() && a.is_nullable() == b.is_nullable())
}
