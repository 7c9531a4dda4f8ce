//! Columns of a record batch by name, cast to the type that a reader wants.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use super::error::StoreError;

/// The error of a batch that does not have the columns its statement promises: a defect of NetCrab.
pub(crate) fn wrong(source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Query { query: "rows", source: Box::new(source) }
}

/// A text column as `Utf8`; any other column as it is.
pub(crate) fn plain_text(column: &ArrayRef) -> Result<ArrayRef, StoreError> {
    match column.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) => {
            arrow::compute::cast(column, &DataType::Utf8).map_err(wrong)
        }
        _ => Ok(Arc::clone(column)),
    }
}

/// The days of a column.
pub(crate) fn dates(batch: &RecordBatch, name: &str) -> Result<Date32Array, StoreError> {
    Ok(batch.cast(name, &DataType::Date32)?.as_primitive::<Date32Type>().clone())
}

/// Columns of a batch by name and type.
pub(crate) trait Columns {
    fn cast(&self, name: &str, to: &DataType) -> Result<ArrayRef, StoreError>;
    fn texts(&self, name: &str) -> Result<StringArray, StoreError>;
    fn numbers(&self, name: &str) -> Result<Int64Array, StoreError>;
    fn scores(&self, name: &str) -> Result<Float64Array, StoreError>;
    fn instants(&self, name: &str) -> Result<Int64Array, StoreError>;
    fn flags(&self, name: &str) -> Result<BooleanArray, StoreError>;
    fn lists(&self, name: &str) -> Result<ListArray, StoreError>;
}

impl Columns for RecordBatch {
    fn cast(&self, name: &str, to: &DataType) -> Result<ArrayRef, StoreError> {
        let at = self.schema_ref().index_of(name).map_err(wrong)?;
        let column = self.column(at);
        if column.data_type() == to { Ok(column.clone()) } else { arrow::compute::cast(column, to).map_err(wrong) }
    }

    fn texts(&self, name: &str) -> Result<StringArray, StoreError> {
        Ok(self.cast(name, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    fn numbers(&self, name: &str) -> Result<Int64Array, StoreError> {
        Ok(self.cast(name, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    }

    fn scores(&self, name: &str) -> Result<Float64Array, StoreError> {
        Ok(self.cast(name, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    }

    /// A timestamp column, in microseconds since 1970.
    fn instants(&self, name: &str) -> Result<Int64Array, StoreError> {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Ok(self.cast(name, &utc)?.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<Int64Type>())
    }

    fn flags(&self, name: &str) -> Result<BooleanArray, StoreError> {
        Ok(self.cast(name, &DataType::Boolean)?.as_boolean().clone())
    }

    fn lists(&self, name: &str) -> Result<ListArray, StoreError> {
        let list = DataType::new_list(DataType::Utf8, true);
        Ok(self.cast(name, &list)?.as_list::<i32>().clone())
    }
}
