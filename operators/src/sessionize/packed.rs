//! Events as plain columns: the form in which `sessionize` keeps and spills them.
//!
//! A symbol is a code, an absent number is a value that sorts last (`i64::MAX`, NaN, 2), a text is
//! its bytes. Comparing two rows column by column therefore needs no null check.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
    StringViewArray, UInt8Array, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute;
use arrow::datatypes::{
    DataType, Field, Fields, Float32Type, Int64Type, Schema, SchemaRef, TimestampMillisecondType, UInt8Type, UInt32Type,
};
use datafusion::common::{Result, exec_datafusion_err};

use crate::session::wrong_type;
use crate::symbols::{self, Interner, NULL_CODE};

/// An absent instant: later than any, so that it sorts last.
pub const NO_INSTANT: i64 = i64::MAX;

/// How the values of one column are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Codes of an interner, `NULL_CODE` for null.
    Symbol,
    /// Milliseconds, [`NO_INSTANT`] for null.
    Instant,
    /// Single precision, NaN for null.
    Real,
    /// 0, 1, or 2 for null.
    Flag,
    /// Bytes and their ends.
    Text,
}

/// The columns of the events that travel through one plan.
#[derive(Debug)]
pub struct Layout {
    /// The event columns, in table order.
    pub fields: Fields,
    /// How each is packed.
    pub packings: Vec<Packing>,
    /// Places of the columns that every rule needs.
    pub place: Places,
}

/// Where the columns of the session key and of the order stand.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the column of that name")]
pub struct Places {
    pub org_id: usize,
    pub product_id: usize,
    pub session_id: usize,
    pub user_hash: usize,
    pub event_id: usize,
    pub ts: usize,
    pub received_at: usize,
}

impl Layout {
    /// The layout of events with these fields, or an error that names what is missing.
    pub fn new(fields: &Fields) -> Result<Self> {
        let packings = fields.iter().map(|field| packing(field)).collect::<Result<_>>()?;
        let place = |name: &str| {
            let found = fields.iter().position(|field| field.name() == name);
            found.ok_or_else(|| exec_datafusion_err!("sessionize needs the event column `{name}`"))
        };
        let place = Places {
            org_id: place("org_id")?,
            product_id: place("product_id")?,
            session_id: place("session_id")?,
            user_hash: place("user_hash")?,
            event_id: place("event_id")?,
            ts: place("ts")?,
            received_at: place("received_at")?,
        };
        Ok(Self { fields: fields.clone(), packings, place })
    }

    /// The schema of a spilled chunk: the key's hash, then each column as packed.
    pub fn chunk_schema(&self) -> SchemaRef {
        let packed = self.fields.iter().zip(&self.packings).map(|(field, packing)| {
            let data_type = match packing {
                Packing::Symbol => DataType::UInt32,
                Packing::Instant => DataType::Int64,
                Packing::Real => DataType::Float32,
                Packing::Flag => DataType::UInt8,
                Packing::Text => DataType::Utf8,
            };
            Field::new(field.name(), data_type, *packing == Packing::Text)
        });
        let hash = Field::new("key_hash", DataType::UInt64, false);
        Arc::new(Schema::new(std::iter::once(hash).chain(packed).collect::<Vec<_>>()))
    }
}

fn packing(field: &Field) -> Result<Packing> {
    match field.data_type() {
        DataType::Dictionary(..) => Ok(Packing::Symbol),
        DataType::Timestamp(..) => Ok(Packing::Instant),
        DataType::Float32 => Ok(Packing::Real),
        DataType::Boolean => Ok(Packing::Flag),
        DataType::Utf8View => Ok(Packing::Text),
        other => Err(exec_datafusion_err!("event column `{}` is {other}, which no event column is", field.name())),
    }
}

/// One column of a batch, packed row by row.
pub enum PackedColumn {
    /// See [`Packing::Symbol`].
    Symbol(Vec<u32>),
    /// See [`Packing::Instant`].
    Instant(ScalarBuffer<i64>),
    /// See [`Packing::Real`].
    Real(ScalarBuffer<f32>),
    /// See [`Packing::Flag`].
    Flag(Vec<u8>),
    /// See [`Packing::Text`].
    Text(StringViewArray),
}

/// Packs `column`; symbols get their codes from `interner`.
pub fn pack(column: &ArrayRef, interner: &mut Interner, name: &str) -> Result<PackedColumn> {
    Ok(match column.data_type() {
        DataType::Dictionary(..) => {
            let symbols = column.as_dictionary_opt().ok_or_else(|| wrong_type(name))?;
            let mut codes = Vec::with_capacity(symbols.len());
            interner.append_codes(symbols, &mut codes);
            PackedColumn::Symbol(codes)
        }
        DataType::Timestamp(..) => {
            let instants = column.as_primitive_opt::<TimestampMillisecondType>().ok_or_else(|| wrong_type(name))?;
            PackedColumn::Instant(fill(instants, NO_INSTANT))
        }
        DataType::Float32 => PackedColumn::Real(fill(column.as_primitive::<Float32Type>(), f32::NAN)),
        DataType::Boolean => {
            let flags = column.as_boolean();
            PackedColumn::Flag(flags.iter().map(|flag| flag.map_or(2, u8::from)).collect())
        }
        DataType::Utf8View => PackedColumn::Text(column.as_string_view().clone()),
        _ => return Err(wrong_type(name)),
    })
}

fn fill<T: arrow::datatypes::ArrowPrimitiveType>(column: &PrimitiveArray<T>, absent: T::Native) -> ScalarBuffer<T::Native> {
    if column.null_count() == 0 {
        return column.values().clone();
    }
    column.iter().map(|value| value.unwrap_or(absent)).collect()
}

/// The rows of one partition, from every chunk, with one dictionary for each symbol column.
pub struct Rows {
    /// Hash of each row's session key.
    pub key_hash: ScalarBuffer<u64>,
    /// The columns, as in the layout.
    pub columns: Vec<RowColumn>,
}

/// One column of [`Rows`].
pub enum RowColumn {
    /// Codes whose order is the order of the texts.
    Symbol(Vec<u32>),
    /// See [`Packing::Instant`].
    Instant(ScalarBuffer<i64>),
    /// See [`Packing::Real`].
    Real(ScalarBuffer<f32>),
    /// See [`Packing::Flag`].
    Flag(ScalarBuffer<u8>),
    /// Texts, null where absent.
    Text(StringViewArray),
}

impl Rows {
    /// Brings chunks together. `tables[c]` translates the codes of chunk `c`'s interners, by column.
    pub fn new(layout: &Layout, chunks: &[(&RecordBatch, &[Vec<u32>])]) -> Result<Self> {
        let gather = |column: usize| {
            let arrays: Vec<&dyn Array> = chunks.iter().map(|(chunk, _)| chunk.column(column).as_ref()).collect();
            compute::concat(&arrays)
        };
        let key_hash = gather(0)?.as_primitive::<arrow::datatypes::UInt64Type>().values().clone();
        let columns = layout.packings.iter().enumerate().map(|(i, packing)| {
            Ok(match packing {
                Packing::Symbol => RowColumn::Symbol(translate(chunks, i)),
                Packing::Instant => RowColumn::Instant(gather(i + 1)?.as_primitive::<Int64Type>().values().clone()),
                Packing::Real => RowColumn::Real(gather(i + 1)?.as_primitive::<Float32Type>().values().clone()),
                Packing::Flag => RowColumn::Flag(gather(i + 1)?.as_primitive::<UInt8Type>().values().clone()),
                Packing::Text => RowColumn::Text(gather_texts(chunks, i + 1)?),
            })
        });
        Ok(Self { key_hash, columns: columns.collect::<Result<_>>()? })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.key_hash.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.key_hash.is_empty()
    }

    /// The codes of symbol column `place`.
    pub fn symbol(&self, place: usize) -> &[u32] {
        if let RowColumn::Symbol(codes) = &self.columns[place] { codes } else { &[] }
    }

    /// The instants of column `place`.
    pub fn instant(&self, place: usize) -> &[i64] {
        if let RowColumn::Instant(instants) = &self.columns[place] { instants } else { &[] }
    }

    /// The text of column `place` in row `row`; empty where absent.
    pub fn text(&self, place: usize, row: usize) -> &str {
        match &self.columns[place] {
            RowColumn::Text(texts) => texts.value(row),
            _ => "",
        }
    }

    /// Compares two rows in every column, in table order, null last.
    pub fn compare(&self, a: usize, b: usize) -> Ordering {
        let compare = |column: &RowColumn| match column {
            RowColumn::Symbol(codes) => codes[a].cmp(&codes[b]),
            RowColumn::Instant(instants) => instants[a].cmp(&instants[b]),
            RowColumn::Real(reals) => reals[a].total_cmp(&reals[b]),
            RowColumn::Flag(flags) => flags[a].cmp(&flags[b]),
            RowColumn::Text(texts) => {
                texts.is_null(a).cmp(&texts.is_null(b)).then_with(|| texts.value(a).cmp(texts.value(b)))
            }
        };
        self.columns.iter().map(compare).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// The rows `order` of each column as Arrow arrays of the layout's types.
    pub fn take(&self, layout: &Layout, order: &[u32], dictionaries: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let columns = self.columns.iter().zip(layout.fields.iter()).zip(dictionaries);
        columns.map(|((column, field), dictionary)| take(column, field, order, dictionary)).collect()
    }
}

fn translate(chunks: &[(&RecordBatch, &[Vec<u32>])], column: usize) -> Vec<u32> {
    let mut codes = Vec::with_capacity(chunks.iter().map(|(chunk, _)| chunk.num_rows()).sum());
    for (chunk, tables) in chunks {
        let table = &tables[column];
        let packed = chunk.column(column + 1).as_primitive::<UInt32Type>().values();
        codes.extend(packed.iter().map(|&code| table.get(code as usize).copied().unwrap_or(NULL_CODE)));
    }
    codes
}

fn gather_texts(chunks: &[(&RecordBatch, &[Vec<u32>])], column: usize) -> Result<StringViewArray> {
    let views = chunks.iter().map(|(chunk, _)| StringViewArray::from(chunk.column(column).as_string::<i32>()));
    let views: Vec<_> = views.collect();
    let views: Vec<&dyn Array> = views.iter().map(|view| view as &dyn Array).collect();
    Ok(compute::concat(&views)?.as_string_view().clone())
}

fn take(column: &RowColumn, field: &Field, order: &[u32], dictionary: &ArrayRef) -> Result<ArrayRef> {
    Ok(match column {
        RowColumn::Symbol(codes) => {
            let codes = order.iter().map(|&row| codes[row as usize].cast_signed()).collect();
            Arc::new(symbols::column(codes, dictionary))
        }
        RowColumn::Instant(instants) => {
            let values: Vec<i64> = order.iter().map(|&row| instants[row as usize]).collect();
            let nulls = field.is_nullable().then(|| validity(&values, |value| *value != NO_INSTANT)).flatten();
            Arc::new(Int64Array::new(values.into(), nulls).reinterpret_cast::<TimestampMillisecondType>().with_timezone("UTC"))
        }
        RowColumn::Real(reals) => {
            let values: Vec<f32> = order.iter().map(|&row| reals[row as usize]).collect();
            let nulls = validity(&values, |value| !value.is_nan());
            Arc::new(Float32Array::new(values.into(), nulls))
        }
        RowColumn::Flag(flags) => {
            let values: Vec<u8> = order.iter().map(|&row| flags[row as usize]).collect();
            let nulls = validity(&values, |value| *value != 2);
            Arc::new(BooleanArray::new(values.iter().map(|value| *value == 1).collect(), nulls))
        }
        RowColumn::Text(texts) => {
            let order = UInt32Array::from(order.to_vec());
            compute::take(texts, &order, None)?
        }
    })
}

fn validity<T>(values: &[T], present: impl Fn(&T) -> bool) -> Option<NullBuffer> {
    if values.iter().all(&present) {
        return None;
    }
    Some(values.iter().map(present).collect())
}

/// Texts appended one by one, for a chunk.
#[derive(Default)]
pub struct TextBuffer {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    absent: Vec<usize>,
}

impl TextBuffer {
    /// Appends a text, or its absence.
    pub fn push(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.bytes.extend_from_slice(text.as_bytes()),
            None => self.absent.push(self.ends.len()),
        }
        self.ends.push(self.bytes.len() as i32);
    }

    /// Bytes of text held.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The texts as an array.
    pub fn finish(self) -> Result<StringArray> {
        let rows = self.ends.len();
        let nulls = (!self.absent.is_empty()).then(|| {
            let mut present = vec![true; rows];
            self.absent.iter().for_each(|&row| present[row] = false);
            NullBuffer::from(present)
        });
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        offsets.extend(self.ends);
        Ok(StringArray::try_new(OffsetBuffer::new(offsets.into()), self.bytes.into(), nulls)?)
    }
}

/// The packed columns of a chunk as arrays.
pub fn codes_array(codes: Vec<u32>) -> ArrayRef {
    Arc::new(UInt32Array::from(codes))
}

/// Flags as an array.
pub fn flags_array(flags: Vec<u8>) -> ArrayRef {
    Arc::new(UInt8Array::from(flags))
}
