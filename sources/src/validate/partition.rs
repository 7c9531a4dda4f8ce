//! Compares a column with the value that the folders of its file give it.

use arrow::array::{Array, ArrayRef, BooleanArray, Scalar, UInt32Array};
use arrow::compute::kernels::cmp::neq;
use arrow::compute::take;

use crate::Error;

/// The value, an array of one row, for each row.
pub(super) fn repeated(value: &ArrayRef, length: usize) -> Result<ArrayRef, Error> {
    Ok(take(value, &UInt32Array::from_value(0, length), None)?)
}

/// The rows of a column that state another value than that of every row of `given`. A null states nothing.
pub(super) fn contradictions(stated: &ArrayRef, given: &ArrayRef) -> Result<Vec<usize>, Error> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let differs: BooleanArray = if given.is_null(0) {
        (0..stated.len()).map(|row| Some(stated.is_valid(row))).collect()
    } else {
        neq(stated, &Scalar::new(given.slice(0, 1)))?
    };
    Ok((0..differs.len()).filter(|row| differs.is_valid(*row) && differs.value(*row)).collect())
}
