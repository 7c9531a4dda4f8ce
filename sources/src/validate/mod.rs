//! Validates batches of columns that already have event names: valid rows become events, the others rejects.
//!
//! ```text
//! symbol   dictionary ─ each dictionary validated once ─▶ keys unchanged if no value is at fault
//! text     views      ─ lengths and buffers scanned ─▶ rows looked at only on suspicion
//! number   values     ─ one vectorised pass
//! ```
//!
//! A batch without faults is passed on without copying a row. The reject of a row gives its first fault in table
//! order.

mod column;
mod convert;
mod faults;
mod fill;
mod foreign;
mod lines;
mod partition;
mod text_arrays;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::SchemaRef;
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::events::EVENT;
use netcrab_schema::{Column, Type};

use column::ColumnValidator;
use convert::without_nulls;
use faults::BatchFaults;
use fill::Filling;
pub use fill::row_hashes;
pub(crate) use foreign::{element, has_text, instants, is_temporal, texts, uuid_texts, without_zone};
pub(crate) use lines::Lines;

use crate::event_columns::schema_of;
use crate::event_id::EventIds;
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason, Rejects};
use crate::row::Value;
use crate::{Error, SourceSettings};

/// One value as an array that [`BatchValidator`] takes for a column of that type.
fn array_of(kind: Type, value: &Value<'_>) -> Result<ArrayRef, Error> {
    Ok(match value {
        Value::Absent => new_null_array(&in_flight_type(kind), 1),
        Value::Instant(ms) => Arc::new(TimestampMillisecondArray::from(vec![*ms]).with_timezone("UTC")),
        Value::Whole(number) => Arc::new(Int64Array::from(vec![*number])),
        Value::Number(number) => Arc::new(Float32Array::from(vec![*number as f32])),
        Value::Truth(truth) => Arc::new(BooleanArray::from(vec![*truth])),
        Value::Text(text) => cast(&StringArray::from(vec![text.as_ref()]), &in_flight_type(kind))?,
    })
}

/// Validates the batches of one row group, in order.
#[derive(Debug)]
pub(crate) struct BatchValidator {
    settings: Arc<SourceSettings>,
    privacy: Arc<Privacy>,
    columns: Vec<ColumnValidator>,
    schema: SchemaRef,
}

impl BatchValidator {
    /// A validator of batches that have `columns`, in table order.
    pub(crate) fn new(columns: &[&'static Column], settings: Arc<SourceSettings>, privacy: Arc<Privacy>) -> Self {
        Self {
            settings,
            privacy,
            columns: columns.iter().map(|column| ColumnValidator::new(column)).collect(),
            schema: schema_of(columns),
        }
    }

    /// Gives columns the values of the folders of the file, by index of the event column.
    pub(crate) fn with_partitions(mut self, partitions: &[(usize, Value<'static>)]) -> Result<Self, Error> {
        for (place, value) in partitions {
            let column = self.columns.iter_mut().find(|validator| validator.column.name == EVENT[*place].name);
            let Some(validator) = column else { continue };
            validator.set_partition(array_of(validator.column.kind, value)?);
        }
        Ok(self)
    }

    /// The valid rows of `arrays`: one array for each column, `None` where the file does not have it. The other rows
    /// are added to `rejects`. `lines` are the numbers of the rows.
    pub(crate) fn validate(
        &mut self,
        arrays: Vec<Option<ArrayRef>>,
        length: usize,
        lines: &Lines,
        event_ids: &EventIds,
        rejects: &mut Rejects,
    ) -> Result<RecordBatch, Error> {
        let mut faults = BatchFaults { rows: Vec::new(), count: 0, length };
        let mut clean: Vec<ArrayRef> = Vec::with_capacity(arrays.len());
        for (validator, array) in self.columns.iter_mut().zip(arrays) {
            clean.push(validator.column(array, length, &mut faults, &self.settings, &self.privacy)?);
        }
        self.pair_tasks(&clean, &mut faults);
        let mut filling = Filling { columns: &self.columns, arrays: &mut clean };
        filling.routes();
        filling.event_ids(lines, event_ids);
        filling.seqs(lines, event_ids);
        let batch = RecordBatch::try_new(self.schema.clone(), self.required(clean, length, &mut faults)?)?;
        if faults.count == 0 {
            return Ok(batch);
        }
        for (row, fault) in faults.rows.iter().enumerate() {
            if let Some((_, reason, field)) = fault {
                rejects.push(lines.of(row), Fault::field(*reason, *field));
            }
        }
        let keep = BooleanArray::from_iter(faults.rows.iter().map(|fault| Some(fault.is_none())));
        Ok(filter_record_batch(&batch, &keep)?)
    }

    /// Task type and task phase come together or not at all.
    fn pair_tasks(&self, clean: &[ArrayRef], faults: &mut BatchFaults) {
        let find =
            |name: &str| self.columns.iter().position(|validator| validator.column.name == name).map(|at| &clean[at]);
        let (Some(types), Some(phases)) = (find("task_type"), find("task_phase")) else { return };
        if types.nulls().map(NullBuffer::inner) == phases.nulls().map(NullBuffer::inner) {
            return;
        }
        for row in 0..faults.length {
            if types.is_null(row) != phases.is_null(row) {
                let field = if types.is_null(row) { "task_type" } else { "task_phase" };
                faults.push(row, Reason::TaskIncomplete, field);
            }
        }
    }

    /// Records rows that lack a required value. They are filtered out later, so their columns get placeholder values.
    fn required(&self, clean: Vec<ArrayRef>, length: usize, faults: &mut BatchFaults) -> Result<Vec<ArrayRef>, Error> {
        let mut complete = Vec::with_capacity(clean.len());
        for (validator, array) in self.columns.iter().zip(clean) {
            if validator.column.nullable || array.null_count() == 0 {
                complete.push(array);
                continue;
            }
            for row in (0..length).filter(|row| array.is_null(*row)) {
                faults.push(row, Reason::MissingField, validator.column.name);
            }
            complete.push(without_nulls(&array)?);
        }
        Ok(complete)
    }
}
