//! The answer to a query.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};

use crate::error::Error;

/// The answer to a query.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    /// The number in a column of the first row; 0 where there is no row or no such column.
    ///
    /// # Errors
    /// Where the column holds no numbers.
    pub fn number(&self, name: &str) -> Result<i64, Error> {
        let column =
            self.batches.iter().find(|batch| batch.num_rows() > 0).and_then(|batch| batch.column_by_name(name));
        let Some(column) = column else { return Ok(0) };
        let numbers = arrow::compute::cast(column, &DataType::Int64)?;
        Ok(numbers.as_primitive::<Int64Type>().iter().next().flatten().unwrap_or(0))
    }

    /// The texts of a column; a null is an empty text.
    ///
    /// # Errors
    /// Where the column cannot be read as text.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let mut texts = Vec::new();
        for column in self.batches.iter().filter_map(|batch| batch.column_by_name(name)) {
            let column = arrow::compute::cast(column, &DataType::Utf8)?;
            texts.extend(column.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()));
        }
        Ok(texts)
    }
}
