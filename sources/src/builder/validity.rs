//! The validity bitmap of a column.

use arrow::buffer::{BooleanBuffer, NullBuffer};

/// The validity bitmap of `values`; `None` if all of them are there.
pub(crate) fn validity<T>(values: &[T], there: impl Fn(&T) -> bool) -> Option<NullBuffer> {
    let nulls = NullBuffer::new(BooleanBuffer::collect_bool(values.len(), |at| there(&values[at])));
    Some(nulls).filter(|nulls| nulls.null_count() > 0)
}
