//! Takes rows out of many batches, column by column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Int32Array, PrimitiveArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use datafusion::common::Result;

use crate::symbols::SymbolArray;

/// Takes the values of one column, for rows given as (batch, row in the batch).
pub(super) type TakeColumn = Box<dyn Fn(&[(usize, usize)]) -> Result<ArrayRef> + Send>;

/// A [`TakeColumn`] over `columns`, one of each batch. It is built once, since there may be a thousand batches.
pub(super) fn taker(columns: Vec<ArrayRef>) -> TakeColumn {
    let of_numbers = [
        numbers::<Int64Type>,
        numbers::<Float64Type>,
        numbers::<TimestampMillisecondType>,
        numbers::<Int32Type>,
        numbers::<Float32Type>,
        numbers::<Date32Type>,
    ];
    let plain = of_numbers.iter().find_map(|numbers| numbers(&columns));
    plain.or_else(|| symbols(&columns)).unwrap_or_else(|| {
        Box::new(move |rows| {
            let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
            Ok(interleave(&columns, rows)?)
        })
    })
}

/// Takes from columns of numbers.
fn numbers<T: ArrowPrimitiveType>(columns: &[ArrayRef]) -> Option<TakeColumn> {
    let kind = columns.first()?.data_type().clone();
    let columns: Vec<PrimitiveArray<T>> =
        columns.iter().map(|column| column.as_primitive_opt().cloned()).collect::<Option<_>>()?;
    let nulls = Nulls::of(columns.iter().map(|column| column.nulls()));
    let values: Vec<ScalarBuffer<T::Native>> = columns.iter().map(|column| column.values().clone()).collect();
    Some(Box::new(move |rows| {
        let taken = rows.iter().map(|&(batch, row)| values[batch][row]).collect();
        Ok(Arc::new(PrimitiveArray::<T>::try_new(taken, nulls.take(rows))?.with_data_type(kind.clone())))
    }))
}

/// Takes from columns of symbols that share their dictionary.
fn symbols(columns: &[ArrayRef]) -> Option<TakeColumn> {
    let columns: Vec<&SymbolArray> = columns.iter().map(|column| column.as_dictionary_opt()).collect::<Option<_>>()?;
    let values = Arc::clone(columns.first()?.values());
    if !columns.iter().all(|column| Arc::ptr_eq(column.values(), &values)) {
        return None;
    }
    let nulls = Nulls::of(columns.iter().map(|column| column.nulls()));
    let keys: Vec<ScalarBuffer<i32>> = columns.iter().map(|column| column.keys().values().clone()).collect();
    Some(Box::new(move |rows| {
        let taken = rows.iter().map(|&(batch, row)| keys[batch][row]).collect();
        let keys = Int32Array::try_new(taken, nulls.take(rows))?;
        Ok(Arc::new(SymbolArray::try_new(keys, Arc::clone(&values))?))
    }))
}

/// Which rows of each batch are null; empty where none is.
struct Nulls(Vec<Option<NullBuffer>>);

impl Nulls {
    fn of<'a>(batches: impl Iterator<Item = Option<&'a NullBuffer>>) -> Self {
        let nulls: Vec<Option<NullBuffer>> =
            batches.map(|nulls| nulls.filter(|nulls| nulls.null_count() > 0).cloned()).collect();
        Self(if nulls.iter().any(Option::is_some) { nulls } else { Vec::new() })
    }

    fn take(&self, rows: &[(usize, usize)]) -> Option<NullBuffer> {
        if self.0.is_empty() {
            return None;
        }
        let valid = |&(batch, row): &(usize, usize)| self.0[batch].as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let nulls = NullBuffer::from_iter(rows.iter().map(valid));
        Some(nulls).filter(|nulls| nulls.null_count() > 0)
    }
}
