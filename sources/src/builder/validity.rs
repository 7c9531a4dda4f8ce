//! Which rows of a column have a value.

use arrow::buffer::{BooleanBuffer, NullBuffer};

/// Which values are there; `None` where all are.
pub(crate) fn validity<T>(values: &[T], there: impl Fn(&T) -> bool) -> Option<NullBuffer> {
    let nulls = NullBuffer::new(BooleanBuffer::collect_bool(values.len(), |at| there(&values[at])));
    Some(nulls).filter(|nulls| nulls.null_count() > 0)
}
