//! What left through the gate, and the rows of a pack made of it.
//!
//!     noisy answers ─▶ counts, means, quantiles, each with its margin of error ─▶ rows
//!
//! Nothing here adds noise or sees an exact number: a release may be read back from a database and gives the same
//! rows to the byte.
//!
//! **Margins** (`…_moe95`) are how far, nineteen times of twenty, the number lies from the one without noise; they
//! are reckoned out of the noisy answers and the scales of the noise, and hold neither the sampling of visitors nor
//! the bounds.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::bound::SEPARATOR;
use crate::definition::{Definition, Kind};
use crate::method::{self, Column, Content, Measure, OTHER};
use crate::plan::{Plan, Query, WEIGHT};

/// The normal quantile that nineteen of twenty lie within.
const Z95: f64 = 1.96;

/// The cells that left, all numbers with noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The kind of the pack.
    pub kind: Kind,
    /// The cells, in the order of their keys.
    pub cells: Vec<NoisyCell>,
    /// How many cells did not leave, about.
    pub left_out: i64,
    /// How many cells left as part of another, about.
    pub brought_together: i64,
}

/// A cell that left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoisyCell {
    /// Its key.
    pub key: String,
    /// Organisations, in parts of one.
    pub org_parts: i64,
    /// Sessions, in weight.
    pub sessions: i64,
    /// The answers to the queries of the plan.
    pub answers: Vec<Vec<i64>>,
    /// By how much more noise they have than the plan's.
    pub factor: f64,
}

/// A number and its margin of error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// How far it may be off.
    pub moe95: f64,
}

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
    let reading = Reading { definition, plan, window };
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
    plan: &'a Plan,
    window: &'a str,
}

impl Reading<'_> {
    fn value(&self, column: &Column, cell: &NoisyCell) -> Value {
        let part = |place: usize| cell.key.split(SEPARATOR).nth(place).unwrap_or_default();
        let sigma = |sigma: f64| sigma * cell.factor;
        match column.content {
            Content::Key(place) => Value::Text(part(place).to_owned()),
            Content::KeyNumber(place) => Value::Whole(part(place).parse().unwrap_or(0)),
            Content::KeyId(place) => Value::Text(format!("{:016x}", xxh3_64(part(place).as_bytes()))),
            Content::KeySteps(place) if part(place) == OTHER => Value::Whole(0),
            Content::KeySteps(place) => Value::Whole(part(place).split(" > ").count() as i64),
            Content::Vertical => Value::Text(self.definition.vertical.clone()),
            Content::Window => Value::Text(self.window.to_owned()),
            Content::Sessions => {
                let weight = WEIGHT as f64;
                let moe95 = Z95 * sigma(self.plan.sessions_sigma) / weight;
                Value::Noisy(Some(Estimate { value: cell.sessions as f64 / weight, moe95 }))
            }
            Content::Orgs => {
                let whole = f64::from(self.plan.whole_org_units);
                let moe95 = Z95 * sigma(self.plan.orgs_sigma) / whole;
                Value::Noisy(Some(Estimate { value: cell.org_parts as f64 / whole, moe95 }))
            }
            Content::Mean(place) => Value::Noisy(self.mean(place, cell)),
            Content::Difference(after, before) => {
                let both = self.mean(after, cell).zip(self.mean(before, cell));
                Value::Noisy(both.map(|(after, before)| Estimate {
                    value: after.value - before.value,
                    moe95: after.moe95.hypot(before.moe95),
                }))
            }
            Content::Quantile(place, thousandths) => {
                Value::Noisy(self.quantile(place, f64::from(thousandths) / 1000.0, cell))
            }
        }
    }

    fn measure(&self, place: usize) -> &'static Measure {
        &method::measures(self.definition.kind)[place]
    }

    /// The answer to a query, and the scale of its noise.
    fn answer<'c>(&self, query: Query, cell: &'c NoisyCell) -> Option<(&'c [i64], f64)> {
        let place = self.plan.queries.iter().position(|noised| noised.query == query)?;
        Some((cell.answers.get(place)?, self.plan.queries[place].sigma * cell.factor))
    }

    /// A sum over a count, both with noise.
    fn mean(&self, place: usize, cell: &NoisyCell) -> Option<Estimate> {
        let measure = self.measure(place);
        let (sum, sum_sigma) = self.answer(Query::Sum(place), cell)?;
        let (count, count_sigma) = match self.answer(Query::Count(place), cell) {
            Some((count, sigma)) => (*count.first()?, sigma),
            None => (cell.sessions, self.plan.sessions_sigma * cell.factor),
        };
        // Where the count is mostly noise there is nothing to say.
        if (count as f64) < 4.0 * count_sigma.max(1.0) {
            return None;
        }
        let about = *sum.first()? as f64 / count as f64;
        let moe = Z95 * sum_sigma.hypot(about * count_sigma) / count as f64;
        let steps = (about + measure.middle() as f64).clamp(measure.least as f64, measure.greatest as f64);
        let per_unit = measure.per_unit as f64;
        Some(Estimate { value: steps / per_unit, moe95: moe.min(measure.range() as f64) / per_unit })
    }

    /// A quantile of a noisy histogram: where its running sum comes to that part of the whole.
    fn quantile(&self, place: usize, part: f64, cell: &NoisyCell) -> Option<Estimate> {
        let measure = self.measure(place);
        let (bins, sigma) = self.answer(Query::Histogram(place), cell)?;
        let mut running = Vec::with_capacity(bins.len());
        let mut sum = 0_i64;
        for bin in bins {
            sum += bin;
            // What noise made fall, does not fall.
            running.push(sum.max(running.last().copied().unwrap_or(0)));
        }
        let all = *running.last()? as f64;
        let at = running.partition_point(|below| (*below as f64) < part * all).min(bins.len() - 1);
        // Of the difference between the running sum and that part of the whole.
        let (below, above) = ((at + 1) as f64, (bins.len() - at - 1) as f64);
        let rank = Z95 * sigma * (below * (1.0 - part).powi(2) + above * part.powi(2)).sqrt();
        if all <= 2.0 * rank {
            return None;
        }
        let value = |target: f64| self.within(measure, &running, target);
        let (low, high) = (value(part * all - rank), value(part * all + rank));
        let middle = value(part * all);
        let per_unit = measure.per_unit as f64;
        Some(Estimate { value: middle / per_unit, moe95: (high - middle).max(middle - low) / per_unit })
    }

    /// The value, in steps of the measure, that so much weight lies at or below.
    fn within(&self, measure: &Measure, running: &[i64], target: f64) -> f64 {
        let at = running.partition_point(|below| (*below as f64) < target).min(running.len() - 1);
        let before = if at == 0 { 0 } else { running[at - 1] } as f64;
        let inside = running[at] as f64 - before;
        let first = measure.edges[at] as f64;
        // A bin ends one step before the next begins.
        let last = measure.edges.get(at + 1).map_or(measure.greatest, |next| next - 1) as f64;
        let along = if inside > 0.0 { ((target - before) / inside).clamp(0.0, 1.0) } else { 0.0 };
        first + (last - first).max(0.0) * along
    }
}
