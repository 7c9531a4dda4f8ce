//! The rows of a pack, out of what left through the gate.
//!
//!     noisy answers ─▶ counts, means, quantiles, each with its margin of error ─▶ rows
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
use crate::plan::Plan;
use crate::release::{NoisyCell, Release};

/// What a column of one row holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number with noise; `None` where too few sessions said anything.
    Noisy(Option<Estimate>),
}

/// The rows of a pack, as a batch: the definition's columns, each with noise followed by its margin.
pub fn rows(definition: &Definition, plan: &Plan, release: &Release, window: &str) -> Result<RecordBatch, ArrowError> {
    let estimates = Estimates { plan, measures: method::measures(definition.kind) };
    let reading = Reading { definition, estimates, window };
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in chosen(definition) {
        let values: Vec<Value> = release.cells.iter().map(|cell| reading.value(column, cell)).collect();
        for (field, array) in arrays_of(column, &values) {
            fields.push(field);
            arrays.push(array);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// The columns that a definition has, in the order of the table.
pub fn chosen(definition: &Definition) -> impl Iterator<Item = &'static Column> {
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

/// To four digits after the point: more would pretend.
fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

/// Reads the columns out of noisy cells.
struct Reading<'a> {
    definition: &'a Definition,
    estimates: Estimates<'a>,
    window: &'a str,
}

impl Reading<'_> {
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
