//! A batch of events about to be packed: its columns, and the code of each row's client and action.

use arrow::array::{Array, Float32Array, StringViewArray, TimestampMillisecondArray};
use arrow::buffer::ScalarBuffer;

use super::visitor::BatchVisitor;
use crate::symbols::SymbolArray;

/// A batch about to be packed.
pub struct EncodedBatch {
    pub(super) events: Columns,
    pub(super) tuples: [Vec<TupleCode>; 2],
    /// The tuples that found their dictionary full.
    pub(super) inline: Vec<u32>,
}

impl EncodedBatch {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.events.ts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The visitor that row `row` is from.
    pub fn batch_visitor(&self, row: usize) -> BatchVisitor {
        let events = &self.events;
        BatchVisitor {
            keys: [events.ids[0][row], events.ids[1][row]],
            owner: [events.owner[0][row], events.owner[1][row]],
        }
    }

    /// When row `row` happened.
    pub fn ts(&self, row: usize) -> i64 {
        self.events.ts[row]
    }
}

/// The tuple of a row in one group.
#[derive(Debug, Clone, Copy)]
pub(super) enum TupleCode {
    /// Its code in the dictionary of the group.
    Known(u32),
    /// Where it begins in [`EncodedBatch::inline`].
    Inline(u32),
}

/// The columns of a batch that the tuples of a group are made of.
pub(super) struct Symbols<'a> {
    pub(super) columns: Vec<&'a SymbolArray>,
    /// For the action: which of the other columns have a value, and the flags.
    pub(super) bits: &'a [u32],
    pub(super) bits_width: u32,
}

impl Symbols<'_> {
    /// For each row, its dictionary keys and bits as one number; `None` where they take more than 64 bits.
    pub(super) fn numbers(&self, rows: usize) -> Option<Vec<u64>> {
        // Null is the key after the last one.
        let width = |column: &SymbolArray| usize::BITS - column.values().len().leading_zeros();
        let widths: u32 = self.columns.iter().map(|column| width(column)).sum();
        if widths + self.bits_width > u64::BITS {
            return None;
        }
        let mut numbers: Vec<u64> = self.bits.iter().map(|&bits| u64::from(bits)).collect();
        numbers.resize(rows, 0);
        let mut shift = self.bits_width;
        for column in &self.columns {
            let (keys, null) = (column.keys(), column.values().len() as u64);
            let rows = numbers.iter_mut().zip(keys.values());
            match keys.nulls() {
                None => rows.for_each(|(number, &key)| *number |= u64::from(key.cast_unsigned()) << shift),
                Some(nulls) if nulls.null_count() == keys.len() => {
                    rows.for_each(|(number, _)| *number |= null << shift)
                }
                Some(nulls) => rows.zip(nulls).for_each(|((number, &key), valid)| {
                    *number |= if valid { u64::from(key.cast_unsigned()) } else { null } << shift;
                }),
            }
            // A shift by 64 would overflow; where the number is full, no column follows.
            shift = (shift + width(column)).min(u64::BITS - 1);
        }
        Some(numbers)
    }
}

/// The columns of a batch that are not symbols.
pub(super) struct Columns {
    /// Codes of org_id and product_id.
    pub(super) owner: [Vec<u32>; 2],
    /// Dictionary keys of session_id and user_hash.
    pub(super) ids: [ScalarBuffer<i32>; 2],
    pub(super) event_id: StringViewArray,
    pub(super) ts: ScalarBuffer<i64>,
    /// In the order of [`Layout::instants`](super::layout::Layout).
    pub(super) instants: Vec<TimestampMillisecondArray>,
    pub(super) reals: Vec<Float32Array>,
    pub(super) texts: Vec<StringViewArray>,
}
