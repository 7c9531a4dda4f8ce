//! One event as a line states it, before it is validated.

use std::borrow::Cow;

use netcrab_schema::Type;
use netcrab_schema::events::EVENT;

use crate::event_columns::COLUMNS;
use crate::reject::{Fault, Reason};

/// A value of one column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Value<'a> {
    /// The line does not state it.
    #[default]
    Absent,
    /// Text of a text or symbol column; `extra` in its canonical form.
    Text(Cow<'a, str>),
    /// An instant, ms.
    Instant(i64),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A boolean.
    Truth(bool),
}

/// What a line states, by index of the column.
#[derive(Debug, Clone)]
pub(crate) struct Row<'a> {
    pub(crate) values: [Value<'a>; COLUMNS],
}

impl<'a> Row<'a> {
    pub(crate) fn new() -> Self {
        Self { values: std::array::from_fn(|_| Value::Absent) }
    }

    pub(crate) fn set(&mut self, place: usize, value: Value<'a>) {
        self.values[place] = value;
    }

    /// Sets a text; an empty one is absent.
    pub(crate) fn set_text(&mut self, place: usize, text: impl Into<Cow<'a, str>>) {
        let text = text.into();
        self.values[place] = if text.is_empty() { Value::Absent } else { Value::Text(text) };
    }

    pub(crate) fn text(&self, place: usize) -> Option<&str> {
        match &self.values[place] {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn instant(&self, place: usize) -> Option<i64> {
        match self.values[place] {
            Value::Instant(ms) => Some(ms),
            _ => None,
        }
    }

    /// Parses a text as the type of the column; an empty text is absent.
    pub(crate) fn set_parsed(&mut self, place: usize, text: Cow<'a, str>) -> Result<(), Fault> {
        let column = &EVENT[place];
        let fault = |reason| Fault::field(reason, column.name);
        if text.is_empty() {
            self.values[place] = Value::Absent;
            return Ok(());
        }
        self.values[place] = match column.kind {
            Type::Timestamp => Value::Instant(crate::time::parse(&text).map_err(fault)?),
            Type::Int64 => Value::Whole(text.trim().parse().map_err(|_| fault(Reason::NotANumber))?),
            Type::Float32 => Value::Number(text.trim().parse().map_err(|_| fault(Reason::NotANumber))?),
            Type::Bool => Value::Truth(truth(&text).ok_or_else(|| fault(Reason::WrongType))?),
            _ => Value::Text(text),
        };
        Ok(())
    }
}

pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" | "1.0" => Some(true),
        "false" | "f" | "no" | "0" | "0.0" => Some(false),
        _ => None,
    }
}
