//! Columns of query results by name, in the types that repairs compute with.

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};

use crate::error::{Error, Result};

pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::no_column(name))
}

pub(super) fn text_column(batch: &RecordBatch, name: &str) -> Result<StringArray> {
    Ok(arrow::compute::cast(column(batch, name)?, &DataType::Utf8)?.as_string::<i32>().clone())
}

pub(super) fn int_column(batch: &RecordBatch, name: &str) -> Result<Int64Array> {
    Ok(arrow::compute::cast(column(batch, name)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}
