//! Builds one column of a batch.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, StringViewBuilder, TimestampMillisecondArray};
use arrow::buffer::BooleanBuffer;
use netcrab_schema::events::EVENT;
use netcrab_schema::{Column, Type};

use super::cells::{NO_INSTANT, NO_KEY, NO_NUMBER, NO_TRUTH};
use super::symbols::Symbols;
use super::validity::present;
use crate::Error;
use crate::event_columns::place;
use crate::row::Value;
use crate::rules::rule_of;

const EVENT_ID: usize = place("event_id");
const SESSION_ID: usize = place("session_id");

#[derive(Debug)]
pub(super) enum Builder {
    Symbol(Symbols),
    Text(StringViewBuilder),
    Instant(Vec<i64>),
    Number(Vec<f32>),
    Truth(Vec<u8>),
}

impl Builder {
    /// `own` where each batch has dictionaries of its own.
    pub(super) fn new(column: &Column, own: bool) -> Self {
        let rule = rule_of(column.name);
        match column.kind {
            Type::Symbol if own => Builder::Symbol(Symbols::of_batch(rule)),
            Type::Symbol => Builder::Symbol(Symbols::shared(rule)),
            Type::Repeated => Builder::Symbol(Symbols::repeated(rule)),
            Type::Timestamp => Builder::Instant(Vec::new()),
            Type::Float32 => Builder::Number(Vec::new()),
            Type::Bool => Builder::Truth(Vec::new()),
            _ => Builder::Text(StringViewBuilder::new()),
        }
    }

    pub(super) fn push(&mut self, at: usize, value: &Value<'_>, key: i32) {
        match (self, value) {
            (Builder::Symbol(symbols), Value::Text(_)) => symbols.append(key),
            (Builder::Symbol(symbols), _) if at == SESSION_ID => {
                let none = symbols.intern("");
                symbols.append(none);
            }
            (Builder::Symbol(symbols), _) => symbols.append(NO_KEY),
            (Builder::Text(texts), Value::Text(text)) => texts.append_value(text),
            // The id that is missing is made when the row is known to be good.
            (Builder::Text(_), _) if at == EVENT_ID => {}
            (Builder::Text(texts), _) => texts.append_null(),
            (Builder::Instant(instants), Value::Instant(ms)) => instants.push(*ms),
            (Builder::Instant(instants), _) => instants.push(NO_INSTANT),
            (Builder::Number(numbers), Value::Number(number)) => numbers.push(*number as f32),
            (Builder::Number(numbers), _) => numbers.push(NO_NUMBER),
            (Builder::Truth(truths), Value::Truth(truth)) => truths.push((*truth).into()),
            (Builder::Truth(truths), _) if EVENT[at].nullable => truths.push(NO_TRUTH as u8),
            (Builder::Truth(truths), _) => truths.push(0),
        }
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, Error> {
        Ok(match self {
            Builder::Symbol(symbols) => symbols.finish()?,
            Builder::Text(texts) => Arc::new(texts.finish()),
            Builder::Instant(instants) => {
                let instants = std::mem::take(instants);
                let nulls = present(&instants, |instant| *instant != NO_INSTANT);
                Arc::new(TimestampMillisecondArray::try_new(instants.into(), nulls)?.with_timezone("UTC"))
            }
            Builder::Number(numbers) => {
                let numbers = std::mem::take(numbers);
                let nulls = present(&numbers, |number| !number.is_nan());
                Arc::new(Float32Array::try_new(numbers.into(), nulls)?)
            }
            Builder::Truth(truths) => {
                let truths = std::mem::take(truths);
                let nulls = present(&truths, |truth| i64::from(*truth) != NO_TRUTH);
                let values = BooleanBuffer::collect_bool(truths.len(), |at| truths[at] == 1);
                Arc::new(BooleanArray::new(values, nulls))
            }
        })
    }
}
