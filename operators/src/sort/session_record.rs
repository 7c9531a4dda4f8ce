//! The events of a session as bytes, column by column.
//!
//!     session_no  events  ts: which are there, differences  client: codes  session_id: texts, once where they repeat  …
//!
//! An event takes about 40 bytes. A tuple is one more than its code in the dictionary of the first batch, which nearly
//! all batches share, or 0 and the codes of its symbols.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, BooleanBufferBuilder, Float32Array, Int64Array,
    StringBuilder, StringViewArray, StructArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Field, Float32Type, Int32Type, Int64Type, TimestampMillisecondType};
use datafusion::common::Result;

use crate::session::wrong_type;
use crate::sessionize::bytes::{Reader, put_real, put_signed, put_varint};
use crate::sessionize::text;
use crate::symbols::{self, SymbolArray};

/// Which values of a column are there: none, all, or those of a bit each.
const NONE: u8 = 0;
const ALL: u8 = 1;
const SOME: u8 = 2;

/// A text that is the one before it; any other is 1 and the text.
const AGAIN: u8 = 0;

/// A column of the events of a batch.
pub(super) enum EventColumn<'a> {
    /// `inline` are the columns of a dictionary of its own.
    Tuples {
        codes: &'a [i32],
        inline: Option<Vec<InlineColumn<'a>>>,
    },
    Wholes(Int64Array),
    Reals(&'a Float32Array),
    Texts(&'a StringViewArray),
    EventIds(&'a BinaryViewArray),
}

impl<'a> EventColumn<'a> {
    /// The columns of `events`, in the order of its fields, with the dictionaries of the first batch in `shared`.
    ///
    /// # Errors
    /// An internal error where a column has a type that no column of an event has.
    pub(super) fn all(events: &'a StructArray, shared: &[ArrayRef; 2]) -> Result<Vec<Self>> {
        let columns = events.fields().iter().zip(events.columns());
        columns.map(|(field, column)| Self::new(column, shared).ok_or_else(|| wrong_type(field.name()))).collect()
    }

    fn new(column: &'a ArrayRef, shared: &[ArrayRef; 2]) -> Option<Self> {
        Some(match column.data_type() {
            DataType::Timestamp(..) => {
                Self::Wholes(column.as_primitive_opt::<TimestampMillisecondType>()?.reinterpret_cast())
            }
            DataType::Int64 => Self::Wholes(column.as_primitive_opt::<Int64Type>()?.clone()),
            DataType::Float32 => Self::Reals(column.as_primitive_opt::<Float32Type>()?),
            DataType::Utf8View => Self::Texts(column.as_string_view_opt()?),
            DataType::BinaryView => Self::EventIds(column.as_binary_view_opt()?),
            _ => {
                let tuples = column.as_dictionary_opt::<Int32Type>()?;
                let is_shared = shared.iter().any(|shared| symbols::same_buffers(shared, tuples.values()));
                let inline = if is_shared { None } else { Some(InlineColumn::all(tuples.values())?) };
                Self::Tuples { codes: tuples.keys().values(), inline }
            }
        })
    }

    /// Appends the values of `rows`.
    pub(super) fn put(&self, rows: Range<usize>, to: &mut Vec<u8>) {
        match self {
            Self::Tuples { codes, inline } => {
                for &code in &codes[rows] {
                    let Some(columns) = inline else {
                        put_varint(u64::from(code.cast_unsigned()) + 1, to);
                        continue;
                    };
                    to.push(0);
                    columns.iter().for_each(|column| put_varint(u64::from(column.code(code as usize)), to));
                }
            }
            Self::Wholes(wholes) => {
                put_presence(wholes.nulls(), rows.clone(), to);
                let mut before = 0;
                for row in rows.filter(|&row| wholes.is_valid(row)) {
                    let value = wholes.value(row);
                    put_signed(value.wrapping_sub(before), to);
                    before = value;
                }
            }
            Self::Reals(reals) => {
                put_presence(reals.nulls(), rows.clone(), to);
                rows.filter(|&row| reals.is_valid(row)).for_each(|row| put_real(reals.value(row), to));
            }
            Self::Texts(texts) => {
                put_presence(texts.nulls(), rows.clone(), to);
                let mut before = None;
                for row in rows.filter(|&row| texts.is_valid(row)) {
                    let value = texts.value(row);
                    if before == Some(value) {
                        to.push(AGAIN);
                    } else {
                        to.push(AGAIN + 1);
                        text::pack(value, to);
                    }
                    before = Some(value);
                }
            }
            Self::EventIds(packed) => rows.for_each(|row| to.extend_from_slice(packed.value(row))),
        }
    }
}

fn put_presence(nulls: Option<&NullBuffer>, rows: Range<usize>, to: &mut Vec<u8>) {
    let Some(nulls) = nulls else { return to.push(ALL) };
    let present = rows.clone().filter(|&row| nulls.is_valid(row)).count();
    if present == 0 || present == rows.len() {
        return to.push(if present == 0 { NONE } else { ALL });
    }
    to.push(SOME);
    to.extend(rows.clone().step_by(8).map(|start| {
        let eight = start..rows.end.min(start + 8);
        eight.fold(0, |bits, row| bits | u8::from(nulls.is_valid(row)) << (row - start))
    }));
}

/// A column of a dictionary of tuples.
pub(super) enum InlineColumn<'a> {
    Symbols(&'a SymbolArray),
    Flags(&'a BooleanArray),
}

impl<'a> InlineColumn<'a> {
    fn all(tuples: &'a ArrayRef) -> Option<Vec<Self>> {
        tuples.as_struct_opt()?.columns().iter().map(Self::new).collect()
    }

    fn new(column: &'a ArrayRef) -> Option<Self> {
        let flags = column.as_boolean_opt().map(Self::Flags);
        flags.or_else(|| column.as_dictionary_opt().map(Self::Symbols))
    }

    /// The code of a tuple: 0 is null; a symbol is one more than its key, a flag is 1 or 2.
    fn code(&self, tuple: usize) -> u32 {
        match self {
            Self::Symbols(symbols) => symbols.key(tuple).map_or(0, |key| key as u32 + 1),
            Self::Flags(flags) if flags.is_null(tuple) => 0,
            Self::Flags(flags) => u32::from(flags.value(tuple)) + 1,
        }
    }
}

/// A column of the shared dictionary of tuples, as codes; see [`InlineColumn::code`].
pub(super) struct TupleColumn {
    codes: Vec<u32>,
    /// The dictionary of a symbol; `None` for a flag.
    dictionary: Option<ArrayRef>,
}

impl TupleColumn {
    /// The columns of `tuples`.
    pub(super) fn all(tuples: &ArrayRef) -> Option<Vec<Self>> {
        let columns = InlineColumn::all(tuples)?.into_iter().map(|column| Self {
            codes: (0..tuples.len()).map(|tuple| column.code(tuple)).collect(),
            dictionary: match column {
                InlineColumn::Symbols(symbols) => Some(Arc::clone(symbols.values())),
                InlineColumn::Flags(_) => None,
            },
        });
        Some(columns.collect())
    }

    /// The column of these tuples; those beyond the dictionary are in `inline`.
    pub(super) fn take(&self, tuples: &[u32], inline: &[u32]) -> ArrayRef {
        let code = |&tuple: &u32| match (tuple as usize).checked_sub(self.codes.len()) {
            None => self.codes[tuple as usize],
            Some(inlined) => inline.get(inlined).copied().unwrap_or(0),
        };
        match &self.dictionary {
            None => {
                let flags = tuples.iter().map(code).map(|code| (code > 0).then_some(code == 2));
                Arc::new(flags.collect::<BooleanArray>())
            }
            Some(dictionary) => {
                let codes = tuples.iter().map(|tuple| code(tuple).cast_signed() - 1);
                Arc::new(symbols::column(codes.collect(), dictionary))
            }
        }
    }
}

/// Builds a column of events out of records.
pub(super) enum ColumnBuilder {
    /// Tuples by number: those of the shared dictionary, then those of `inline`, column by column.
    Tuples {
        tuples: Vec<u32>,
        shared: u32,
        inline: Vec<Vec<u32>>,
    },
    Wholes {
        instants: bool,
        values: Vec<i64>,
        valid: BooleanBufferBuilder,
    },
    Reals {
        values: Vec<f32>,
        valid: BooleanBufferBuilder,
    },
    Texts(StringBuilder),
    EventIds(StringBuilder),
}

impl ColumnBuilder {
    /// Builds a column of what `field` is in a session batch, or of tuples: their dictionary, which all batches share.
    pub(super) fn new(field: &Field, shared: &[TupleColumn]) -> Self {
        let valid = BooleanBufferBuilder::new(0);
        match field.data_type() {
            DataType::Timestamp(..) => Self::Wholes { instants: true, values: Vec::new(), valid },
            DataType::Int64 => Self::Wholes { instants: false, values: Vec::new(), valid },
            DataType::Float32 => Self::Reals { values: Vec::new(), valid },
            DataType::Utf8View => Self::Texts(StringBuilder::new()),
            DataType::BinaryView => Self::EventIds(StringBuilder::new()),
            _ => {
                let tuples = shared.first().map_or(0, |column| column.codes.len() as u32);
                Self::Tuples { tuples: Vec::new(), shared: tuples, inline: vec![Vec::new(); shared.len()] }
            }
        }
    }

    /// Reads the values of `rows` events; `None` where the bytes are damaged.
    pub(super) fn read(&mut self, rows: usize, reader: &mut Reader<'_>) -> Option<()> {
        match self {
            Self::Tuples { tuples, shared, inline } => {
                for _ in 0..rows {
                    let lead = u32::try_from(reader.varint()?).ok()?;
                    if lead > 0 {
                        tuples.push(lead - 1);
                        continue;
                    }
                    tuples.push(*shared + inline.first().map_or(0, Vec::len) as u32);
                    for column in inline.iter_mut() {
                        column.push(u32::try_from(reader.varint()?).ok()?);
                    }
                }
            }
            Self::Wholes { values, valid, .. } => {
                let (presence, mut before) = (Presence::read(rows, reader)?, 0i64);
                for row in 0..rows {
                    if presence.has(row) {
                        before = before.wrapping_add(reader.signed()?);
                    }
                    values.push(if presence.has(row) { before } else { 0 });
                }
                presence.append(rows, valid);
            }
            Self::Reals { values, valid } => {
                let presence = Presence::read(rows, reader)?;
                for row in 0..rows {
                    values.push(if presence.has(row) { reader.real()? } else { 0.0 });
                }
                presence.append(rows, valid);
            }
            Self::Texts(texts) => {
                let presence = Presence::read(rows, reader)?;
                let (mut digits, mut packed): (_, &[u8]) = ([0; size_of::<text::Digits>()], &[]);
                for row in 0..rows {
                    if !presence.has(row) {
                        texts.append_null();
                        continue;
                    }
                    if reader.take(1)? != [AGAIN] {
                        packed = text::skip(reader)?;
                    }
                    texts.append_value(text::unpack(packed, &mut digits));
                }
            }
            Self::EventIds(texts) => {
                let mut digits = [0; size_of::<text::Digits>()];
                for _ in 0..rows {
                    texts.append_value(text::unpack(text::skip(reader)?, &mut digits));
                }
            }
        }
        Some(())
    }

    /// The column, its texts plain strings; `None` of tuples, which are several columns.
    pub(super) fn finish(&mut self) -> Option<ArrayRef> {
        Some(match self {
            Self::Tuples { .. } => return None,
            Self::Wholes { instants, values, valid } => {
                let wholes = Int64Array::new(std::mem::take(values).into(), nulls(valid.finish()));
                if *instants {
                    Arc::new(wholes.reinterpret_cast::<TimestampMillisecondType>().with_timezone("UTC"))
                } else {
                    Arc::new(wholes)
                }
            }
            Self::Reals { values, valid } => {
                Arc::new(Float32Array::new(std::mem::take(values).into(), nulls(valid.finish())))
            }
            Self::Texts(texts) | Self::EventIds(texts) => Arc::new(texts.finish()),
        })
    }
}

fn nulls(valid: BooleanBuffer) -> Option<NullBuffer> {
    Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0)
}

/// Which values of a column are there.
enum Presence<'a> {
    None,
    All,
    Some(&'a [u8]),
}

impl<'a> Presence<'a> {
    fn read(rows: usize, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match reader.take(1)? {
            [NONE] => Self::None,
            [ALL] => Self::All,
            _ => Self::Some(reader.take(rows.div_ceil(8))?),
        })
    }

    fn has(&self, row: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(bits) => bits[row / 8] >> (row % 8) & 1 == 1,
        }
    }

    fn append(&self, rows: usize, valid: &mut BooleanBufferBuilder) {
        match self {
            Self::None => valid.append_n(rows, false),
            Self::All => valid.append_n(rows, true),
            Self::Some(bits) => valid.append_packed_range(0..rows, bits),
        }
    }
}
