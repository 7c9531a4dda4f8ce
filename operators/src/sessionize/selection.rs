//! Builds the columns of session batches from rows in a given order.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewArray, BooleanArray, DictionaryArray, Float32Array, Int64Array, make_view};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{Int32Type, TimestampMillisecondType};
use datafusion::common::{Result, internal_datafusion_err};

use super::layout::{ACTION, ColumnEncoding, Id, Layout};
use super::rows::{NO_INSTANT, Rows};
use super::text;
use crate::session::TUPLES;
use crate::symbols;

/// Rows in a given order, whose columns can be built.
pub struct Selection<'a> {
    layout: &'a Layout,
    of: &'a Rows,
    rows: &'a [u32],
    tuples: [Vec<u32>; 2],
}

impl Rows {
    /// A selection of these rows, in this order.
    pub fn select<'a>(&'a self, layout: &'a Layout, rows: &'a [u32]) -> Selection<'a> {
        let tuples = self.tuples.each_ref().map(|tuples| rows.iter().map(|&row| tuples[row as usize]).collect());
        Selection { layout, of: self, rows, tuples }
    }
}

impl Selection<'_> {
    /// The column `name` of the event's struct in a session batch.
    ///
    /// # Errors
    /// An internal error where no event column, and no group, has this name.
    pub fn take(&self, name: &str) -> Result<ArrayRef> {
        if let Some(group) = TUPLES.iter().position(|tuples| *tuples == name) {
            return self.tuples(group);
        }
        let place = self.layout.place(name)?;
        let rows = self.rows.iter().map(|&row| row as usize);
        let (of, layout) = (self.of, self.layout);
        Ok(match layout.encodings[place] {
            ColumnEncoding::Owner(at) => {
                let codes = rows.map(|row| of.visitors[of.visitor[row] as usize].owner[at].cast_signed()).collect();
                Arc::new(symbols::column(codes, of.dictionary(place)))
            }
            ColumnEncoding::Symbol { .. } | ColumnEncoding::Flag { .. } => {
                return Err(internal_datafusion_err!("event column `{name}` is part of a tuple"));
            }
            ColumnEncoding::Ts => instants(rows.map(|row| of.ts[row]).collect(), None),
            ColumnEncoding::Instant { at, .. } => {
                let values: Vec<i64> = rows.map(|row| of.instants[at][row]).collect();
                let nulls = validity(&values, |value| *value != NO_INSTANT);
                instants(values, nulls)
            }
            ColumnEncoding::Whole { at, .. } => {
                let values: Vec<i64> = rows.map(|row| of.instants[at][row]).collect();
                let nulls = validity(&values, |value| *value != NO_INSTANT);
                Arc::new(Int64Array::new(values.into(), nulls))
            }
            ColumnEncoding::Real { bit } => {
                let reals = rows.zip(self.bits()).map(|(row, bits)| of.real_of(layout, bit, bits, row));
                Arc::new(reals.collect::<Float32Array>())
            }
            ColumnEncoding::Id(Id::Event) => Arc::new(self.event_ids()?),
            ColumnEncoding::Id(id) => Arc::new(text::unpack_all(rows.map(|row| Some(of.packed(id, row))))),
            ColumnEncoding::Text { bit } => Arc::new(text::unpack_all(rows.map(|row| of.text(layout, bit, row)))),
        })
    }

    /// The event column `name` in the form of [`netcrab_schema::Table::to_store`].
    ///
    /// # Errors
    /// An internal error where no event column has this name.
    pub fn take_stored(&self, name: &str) -> Result<ArrayRef> {
        let place = self.layout.place(name)?;
        let rows = self.rows.iter().map(|&row| row as usize);
        let of = self.of;
        Ok(match self.layout.encodings[place] {
            ColumnEncoding::Symbol { group, at } => {
                let codes = self.tuples[group].iter().map(|&tuple| of.code_in_tuple(group, at, tuple).cast_signed());
                Arc::new(symbols::column(codes.collect(), of.dictionary(place)))
            }
            ColumnEncoding::Flag { shift } => {
                let flags = self.bits().map(|bits| bits >> shift & 3);
                Arc::new(flags.map(|flag| (flag != 2).then_some(flag == 1)).collect::<BooleanArray>())
            }
            ColumnEncoding::Id(id) => Arc::new(text::unpack_plain(rows.map(|row| Some(of.packed(id, row))))),
            ColumnEncoding::Text { bit } => {
                Arc::new(text::unpack_plain(rows.map(|row| of.text(self.layout, bit, row))))
            }
            _ => self.take(name)?,
        })
    }

    /// The column of one group: codes over its dictionary of tuples.
    fn tuples(&self, group: usize) -> Result<ArrayRef> {
        let codes: Vec<i32> = self.tuples[group].iter().map(|code| code.cast_signed()).collect();
        let structs = self.of.structs(self.layout, group)?;
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(codes.into(), structs)?))
    }

    /// The event_ids in packed form, as views into the bytes of the partition.
    fn event_ids(&self) -> Result<BinaryViewArray> {
        let of = self.of;
        let view = |&row: &u32| {
            let at = of.event_id[row as usize];
            make_view(of.packed_at(at), 0, at)
        };
        let views: Vec<u128> = self.rows.iter().map(view).collect();
        Ok(BinaryViewArray::try_new(views.into(), vec![of.bytes.clone()], None)?)
    }

    /// The bits of each row's action.
    fn bits(&self) -> impl Iterator<Item = u32> {
        self.tuples[ACTION].iter().map(|&action| self.of.bits(action).unwrap_or(0))
    }
}

fn instants(values: Vec<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(Int64Array::new(values.into(), nulls).reinterpret_cast::<TimestampMillisecondType>().with_timezone("UTC"))
}

fn validity<T>(values: &[T], present: impl Fn(&T) -> bool) -> Option<NullBuffer> {
    if values.iter().all(&present) {
        return None;
    }
    Some(BooleanBuffer::collect_bool(values.len(), |at| present(&values[at])).into())
}
