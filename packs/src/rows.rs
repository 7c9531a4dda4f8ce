//! The rows of a pack, out of a release.
//!
//!     release ─▶ a row for each cell; a column with noise is followed by a column with its margin of error
//!
//! Nothing here adds noise or sees an exact number.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use xxhash_rust::xxh3::xxh3_64;

use crate::bound::SEPARATOR;
use crate::definition::Definition;
use crate::estimate::{Estimate, Estimates};
use crate::method::{self, Column, Content, OTHER};
use crate::plan::ReleasePlan;
use crate::release::{NoisyCell, PackRelease};

/// A value of one column and row.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number with noise; `None` where too few sessions have a value.
    Noisy(Option<Estimate>),
}

/// The rows of a release as a batch: the columns of the definition in the order of the kind's table. A column with
/// noise is followed by `…_moe95`, its margin of error in the same unit. `window` is the text of the window's column.
///
/// # Errors
///
/// [`ArrowError`] when the columns do not make a batch, which is a defect of netcrab.
pub fn rows(
    definition: &Definition,
    plan: &ReleasePlan,
    release: &PackRelease,
    window: &str,
) -> Result<RecordBatch, ArrowError> {
    let estimates = Estimates { plan, measures: method::measures(definition.kind) };
    let reader = CellReader { definition, estimates, window };
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in columns_of(definition) {
        let values: Vec<Value> = release.cells.iter().map(|cell| reader.value(column, cell)).collect();
        for (field, array) in arrays_of(column, &values) {
            fields.push(field);
            arrays.push(array);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// The columns of a definition, in the order of the kind's table, without those of margins.
pub fn columns_of(definition: &Definition) -> impl Iterator<Item = &'static Column> {
    let all = method::columns(definition.kind).iter();
    all.filter(|column| definition.fields.is_empty() || definition.fields.iter().any(|field| field == column.name))
}

fn arrays_of(column: &Column, values: &[Value]) -> Vec<(Field, ArrayRef)> {
    let meaning = [("comment".to_owned(), format!("{} {}", column.meaning, column.unit).trim().to_owned())];
    let field =
        |kind: DataType, nullable| Field::new(column.name, kind, nullable).with_metadata(meaning.clone().into());
    match column.content {
        Content::Key(_) | Content::KeyId(_) | Content::Vertical | Content::Window => {
            let texts = values.iter().map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            });
            vec![(field(DataType::Utf8, false), Arc::new(texts.collect::<StringArray>()))]
        }
        Content::KeyNumber(_) | Content::KeySteps(_) => {
            let numbers = values.iter().map(|value| match value {
                Value::Whole(number) => Some(*number),
                _ => None,
            });
            vec![(field(DataType::Int64, false), Arc::new(numbers.collect::<Int64Array>()))]
        }
        Content::Sessions | Content::Orgs => {
            let part = |of: fn(&Estimate) -> f64| -> ArrayRef {
                let numbers = values.iter().map(|value| estimate(value).map(|estimate| of(&estimate) as i64));
                Arc::new(numbers.collect::<Int64Array>())
            };
            vec![
                (field(DataType::Int64, true), part(|estimate| estimate.value.round())),
                (moe_field(column, DataType::Int64), part(|estimate| estimate.moe95.ceil())),
            ]
        }
        Content::Quantile(..) | Content::Mean(_) | Content::Difference(..) => {
            let part = |of: fn(&Estimate) -> f64| -> ArrayRef {
                let numbers = values.iter().map(|value| estimate(value).map(|estimate| rounded(of(&estimate))));
                Arc::new(numbers.collect::<Float64Array>())
            };
            vec![
                (field(DataType::Float64, true), part(|estimate| estimate.value)),
                (moe_field(column, DataType::Float64), part(|estimate| estimate.moe95)),
            ]
        }
    }
}

fn moe_field(column: &Column, kind: DataType) -> Field {
    let meaning =
        format!("{} is off by no more than this, nineteen times of twenty, for the noise on it.", column.name);
    Field::new(format!("{}_moe95", column.name), kind, true).with_metadata([("comment".to_owned(), meaning)].into())
}

fn estimate(value: &Value) -> Option<Estimate> {
    match value {
        Value::Noisy(estimate) => *estimate,
        _ => None,
    }
}

/// Rounds to four digits after the point. More would suggest a precision that the noise does not leave.
fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

/// Reads the value of a column out of a released cell.
struct CellReader<'a> {
    definition: &'a Definition,
    estimates: Estimates<'a>,
    window: &'a str,
}

impl CellReader<'_> {
    fn value(&self, column: &Column, cell: &NoisyCell) -> Value {
        let part = |place: usize| cell.key.split(SEPARATOR).nth(place).unwrap_or_default();
        match column.content {
            Content::Key(place) => Value::Text(part(place).to_owned()),
            Content::KeyNumber(place) => Value::Whole(part(place).parse().unwrap_or(0)),
            Content::KeyId(place) => Value::Text(format!("{:016x}", xxh3_64(part(place).as_bytes()))),
            Content::KeySteps(place) if part(place) == OTHER => Value::Whole(0),
            Content::KeySteps(place) => Value::Whole(part(place).split(" > ").count() as i64),
            Content::Vertical => Value::Text(self.definition.vertical.clone()),
            Content::Window => Value::Text(self.window.to_owned()),
            Content::Sessions => Value::Noisy(Some(self.estimates.sessions(cell))),
            Content::Orgs => Value::Noisy(Some(self.estimates.orgs(cell))),
            Content::Mean(place) => Value::Noisy(self.estimates.mean(place, cell)),
            Content::Difference(after, before) => Value::Noisy(self.estimates.difference(after, before, cell)),
            Content::Quantile(place, thousandths) => {
                Value::Noisy(self.estimates.quantile(place, f64::from(thousandths) / 1000.0, cell))
            }
        }
    }
}
