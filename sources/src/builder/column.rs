//! Builds one column of a batch.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Int64Array, StringViewBuilder, TimestampMillisecondArray};
use arrow::buffer::BooleanBuffer;
use netcrab_schema::events::EVENT;
use netcrab_schema::{Column, Type};

use super::cells::{NO_INSTANT, NO_KEY, NO_NUMBER, NO_TRUTH};
use super::symbols::SymbolBuilder;
use super::validity::validity;
use crate::Error;
use crate::event_columns::column_index;
use crate::row::Value;
use crate::rules::rule_of;

const EVENT_ID: usize = column_index("event_id");
const SESSION_ID: usize = column_index("session_id");

#[derive(Debug)]
pub(super) enum ColumnBuilder {
    Symbol(SymbolBuilder),
    Text(StringViewBuilder),
    Instant(Vec<i64>),
    Whole(Vec<i64>),
    Number(Vec<f32>),
    Truth(Vec<u8>),
}

impl ColumnBuilder {
    /// `own`: each batch has dictionaries of its own.
    pub(super) fn new(column: &Column, own: bool) -> Self {
        let rule = rule_of(column.name);
        match column.kind {
            Type::Symbol if own => ColumnBuilder::Symbol(SymbolBuilder::per_batch(rule)),
            Type::Symbol => ColumnBuilder::Symbol(SymbolBuilder::shared(rule)),
            Type::Repeated => ColumnBuilder::Symbol(SymbolBuilder::transient(rule)),
            Type::Timestamp => ColumnBuilder::Instant(Vec::new()),
            Type::Int64 => ColumnBuilder::Whole(Vec::new()),
            Type::Float32 => ColumnBuilder::Number(Vec::new()),
            Type::Bool => ColumnBuilder::Truth(Vec::new()),
            _ => ColumnBuilder::Text(StringViewBuilder::new()),
        }
    }

    pub(super) fn push(&mut self, at: usize, value: &Value<'_>, key: i32) {
        match (self, value) {
            (ColumnBuilder::Symbol(symbols), Value::Text(_)) => symbols.append(key),
            (ColumnBuilder::Symbol(symbols), _) if at == SESSION_ID => {
                let none = symbols.intern("");
                symbols.append(none);
            }
            (ColumnBuilder::Symbol(symbols), _) => symbols.append(NO_KEY),
            (ColumnBuilder::Text(texts), Value::Text(text)) => texts.append_value(text),
            // `EventBatchBuilder::push` makes the missing id once the row is known to be valid.
            (ColumnBuilder::Text(_), _) if at == EVENT_ID => {}
            (ColumnBuilder::Text(texts), _) => texts.append_null(),
            (ColumnBuilder::Instant(instants), Value::Instant(ms)) => instants.push(*ms),
            (ColumnBuilder::Instant(instants), _) => instants.push(NO_INSTANT),
            (ColumnBuilder::Whole(numbers), Value::Whole(number)) => numbers.push(*number),
            (ColumnBuilder::Whole(numbers), _) => numbers.push(NO_INSTANT),
            (ColumnBuilder::Number(numbers), Value::Number(number)) => numbers.push(*number as f32),
            (ColumnBuilder::Number(numbers), _) => numbers.push(NO_NUMBER),
            (ColumnBuilder::Truth(truths), Value::Truth(truth)) => truths.push((*truth).into()),
            (ColumnBuilder::Truth(truths), _) if EVENT[at].nullable => truths.push(NO_TRUTH as u8),
            (ColumnBuilder::Truth(truths), _) => truths.push(0),
        }
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, Error> {
        Ok(match self {
            ColumnBuilder::Symbol(symbols) => symbols.finish()?,
            ColumnBuilder::Text(texts) => Arc::new(texts.finish()),
            ColumnBuilder::Instant(instants) => {
                let instants = std::mem::take(instants);
                let nulls = validity(&instants, |instant| *instant != NO_INSTANT);
                Arc::new(TimestampMillisecondArray::try_new(instants.into(), nulls)?.with_timezone("UTC"))
            }
            ColumnBuilder::Whole(numbers) => {
                let numbers = std::mem::take(numbers);
                let nulls = validity(&numbers, |number| *number != NO_INSTANT);
                Arc::new(Int64Array::try_new(numbers.into(), nulls)?)
            }
            ColumnBuilder::Number(numbers) => {
                let numbers = std::mem::take(numbers);
                let nulls = validity(&numbers, |number| !number.is_nan());
                Arc::new(Float32Array::try_new(numbers.into(), nulls)?)
            }
            ColumnBuilder::Truth(truths) => {
                let truths = std::mem::take(truths);
                let nulls = validity(&truths, |truth| i64::from(*truth) != NO_TRUTH);
                let values = BooleanBuffer::collect_bool(truths.len(), |at| truths[at] == 1);
                Arc::new(BooleanArray::new(values, nulls))
            }
        })
    }
}
