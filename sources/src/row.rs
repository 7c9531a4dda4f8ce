//! One event on its way into columns: what a line said, before it is judged.
//!
//!     wire JSON · CSV · mapping  ─▶  Row  ─ judge, intern ─▶  Columns  ─▶  batch
//!
//! A row is judged as a whole before any of it is kept, so a refused row leaves nothing behind.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, DictionaryArray, Float32Builder, Int32Builder, RecordBatch, StringArray,
    StringViewBuilder, TimestampMillisecondBuilder,
};
use arrow::datatypes::{Int32Type, SchemaRef};
use hashbrown::HashMap;
use netcrab_schema::events::EVENT;
use netcrab_schema::{Column, Type};

use crate::check::{Rule, judge, project, rule_of, schema_of};
use crate::event_id::EventIds;
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason};
use crate::{Error, Settings, route};

/// How many columns an event has.
pub(crate) const COLUMNS: usize = EVENT.len();

/// Values of a symbol column kept in a dictionary from batch to batch.
const DICTIONARY_VALUES_MAX: usize = 32_768;

/// The place of a column in [`EVENT`]; fails to compile where there is none.
pub(crate) const fn place(name: &str) -> usize {
    let mut at = 0;
    while at < COLUMNS {
        if same(EVENT[at].name.as_bytes(), name.as_bytes()) {
            return at;
        }
        at += 1;
    }
    panic!("no such event column")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

const EVENT_ID: usize = place("event_id");
const SESSION_ID: usize = place("session_id");
const TASK_TYPE: usize = place("task_type");
const TASK_PHASE: usize = place("task_phase");
const TS: usize = place("ts");
const EXTRA: usize = place("extra");

/// A value of one column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Value<'a> {
    /// Not given.
    #[default]
    Absent,
    /// Text of a text or symbol column; `extra` in its canonical form.
    Text(Cow<'a, str>),
    /// An instant, ms.
    Instant(i64),
    /// A number.
    Number(f64),
    /// A truth.
    Truth(bool),
}

/// What a line said, by place of the column.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    values: [Value<'a>; COLUMNS],
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

    /// Reads a text as what the column holds; empty is absent.
    pub(crate) fn set_parsed(&mut self, place: usize, text: Cow<'a, str>) -> Result<(), Fault> {
        let column = &EVENT[place];
        let fault = |reason| Fault::field(reason, column.name);
        if text.is_empty() {
            self.values[place] = Value::Absent;
            return Ok(());
        }
        self.values[place] = match column.kind {
            Type::Timestamp => Value::Instant(crate::time::parse(&text).ok_or_else(|| fault(Reason::BadTime))?),
            Type::Float32 => Value::Number(text.trim().parse().map_err(|_| fault(Reason::NotANumber))?),
            Type::Bool => Value::Truth(truth(&text).ok_or_else(|| fault(Reason::WrongType))?),
            _ => Value::Text(text),
        };
        Ok(())
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" => Some(true),
        "false" | "f" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Builders of event batches.
#[derive(Debug)]
pub(crate) struct Columns {
    settings: Arc<Settings>,
    privacy: Arc<Privacy>,
    builders: Vec<Builder>,
    keys: [i32; COLUMNS],
    rows: usize,
    wanted: Vec<usize>,
    schema: SchemaRef,
}

#[derive(Debug)]
enum Builder {
    Symbol(Symbols),
    Text(StringViewBuilder),
    Instant(TimestampMillisecondBuilder),
    Number(Float32Builder),
    Truth(BooleanBuilder),
}

/// A symbol column: values are judged when first met, and keep their key while the dictionary lives.
#[derive(Debug)]
struct Symbols {
    rule: Rule,
    /// Values kept from batch to batch; beyond it the next batch starts a new dictionary.
    kept_max: usize,
    keys: Int32Builder,
    interned: HashMap<Box<str>, i32>,
    values: Vec<Box<str>>,
    array: Option<ArrayRef>,
}

impl Columns {
    /// Builders for batches of these event columns; all of them where `columns` is `None`.
    pub(crate) fn new(columns: Option<&[&'static str]>, settings: Arc<Settings>, privacy: Arc<Privacy>) -> Self {
        let wanted = project(columns);
        let places = wanted.iter().map(|column| place(column.name)).collect();
        let builders = EVENT.iter().map(Builder::new).collect();
        Self { settings, privacy, builders, keys: [0; COLUMNS], rows: 0, wanted: places, schema: schema_of(&wanted) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    pub(crate) fn privacy(&self) -> &Arc<Privacy> {
        &self.privacy
    }

    /// Judges a row and keeps it, or says what is wrong with it. `line` and `at` say where it stood.
    pub(crate) fn push(&mut self, row: &Row<'_>, event_ids: &EventIds, line: u64, at: u32) -> Result<(), Fault> {
        for at in 0..COLUMNS {
            self.judge(at, &row.values[at])?;
        }
        let (begun, phase) = (row.text(TASK_TYPE), row.text(TASK_PHASE));
        if begun.is_some() != phase.is_some() {
            let missing = if begun.is_none() { "task_type" } else { "task_phase" };
            return Err(Fault::field(Reason::TaskIncomplete, missing));
        }
        for (at, builder) in self.builders.iter_mut().enumerate() {
            builder.push(at, &row.values[at], self.keys[at]);
        }
        if let (Builder::Text(ids), Value::Absent) = (&mut self.builders[EVENT_ID], &row.values[EVENT_ID]) {
            let id = event_ids.make(row.instant(TS).unwrap_or(0), line, at);
            ids.append_value(id.encode_lower(&mut [0; 36]));
        }
        self.rows += 1;
        Ok(())
    }

    fn judge(&mut self, at: usize, value: &Value<'_>) -> Result<(), Fault> {
        let column = &EVENT[at];
        let fault = |reason| Err(Fault::field(reason, column.name));
        match (&mut self.builders[at], value) {
            (_, Value::Absent) => {
                let made = matches!(at, SESSION_ID | EVENT_ID) || column.kind == Type::Bool;
                if column.nullable || made { Ok(()) } else { fault(Reason::MissingField) }
            }
            (Builder::Symbol(symbols), Value::Text(text)) => {
                match symbols.key(text, &self.settings, &self.privacy) {
                    Ok(key) => self.keys[at] = key,
                    Err(reason) => return fault(reason),
                }
                Ok(())
            }
            (Builder::Text(_), Value::Text(_)) if at == EXTRA => Ok(()),
            (Builder::Text(_), Value::Text(text)) => {
                judge(rule_of(column.name), text, &self.settings, &self.privacy).map_or(Ok(()), fault)
            }
            (Builder::Instant(_), Value::Instant(ms)) => {
                let inside = (self.settings.ts_min_ms..self.settings.ts_end_ms).contains(ms);
                if inside { Ok(()) } else { fault(Reason::TsOutOfRange) }
            }
            (Builder::Number(_), Value::Number(number)) => {
                if (*number as f32).is_finite() {
                    Ok(())
                } else {
                    fault(Reason::NotFinite)
                }
            }
            (Builder::Truth(_), Value::Truth(_)) => Ok(()),
            _ => fault(Reason::WrongType),
        }
    }

    /// The rows so far as a batch; the builders are empty then.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, Error> {
        let mut arrays: Vec<Option<ArrayRef>> = Vec::with_capacity(COLUMNS);
        for builder in &mut self.builders {
            arrays.push(Some(builder.finish()?));
        }
        self.rows = 0;
        let columns = self.wanted.iter().filter_map(|at| arrays[*at].take()).collect();
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

impl Builder {
    fn new(column: &Column) -> Self {
        match column.kind {
            Type::Symbol => Builder::Symbol(Symbols::new(rule_of(column.name), DICTIONARY_VALUES_MAX)),
            Type::Repeated => Builder::Symbol(Symbols::new(rule_of(column.name), 0)),
            Type::Timestamp => Builder::Instant(TimestampMillisecondBuilder::new().with_timezone("UTC")),
            Type::Float32 => Builder::Number(Float32Builder::new()),
            Type::Bool => Builder::Truth(BooleanBuilder::new()),
            _ => Builder::Text(StringViewBuilder::new()),
        }
    }

    fn push(&mut self, at: usize, value: &Value<'_>, key: i32) {
        match (self, value) {
            (Builder::Symbol(symbols), Value::Text(_)) => symbols.keys.append_value(key),
            (Builder::Symbol(symbols), _) if at == SESSION_ID => {
                let none = symbols.intern("");
                symbols.keys.append_value(none);
            }
            (Builder::Symbol(symbols), _) => symbols.keys.append_null(),
            (Builder::Text(texts), Value::Text(text)) => texts.append_value(text),
            // The id that is missing is made when the row is known to be good.
            (Builder::Text(_), _) if at == EVENT_ID => {}
            (Builder::Text(texts), _) => texts.append_null(),
            (Builder::Instant(instants), Value::Instant(ms)) => instants.append_value(*ms),
            (Builder::Instant(instants), _) => instants.append_null(),
            (Builder::Number(numbers), Value::Number(number)) => numbers.append_value(*number as f32),
            (Builder::Number(numbers), _) => numbers.append_null(),
            (Builder::Truth(truths), Value::Truth(truth)) => truths.append_value(*truth),
            (Builder::Truth(truths), _) if EVENT[at].nullable => truths.append_null(),
            (Builder::Truth(truths), _) => truths.append_value(false),
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, Error> {
        Ok(match self {
            Builder::Symbol(symbols) => symbols.finish()?,
            Builder::Text(texts) => Arc::new(texts.finish()),
            Builder::Instant(instants) => Arc::new(instants.finish()),
            Builder::Number(numbers) => Arc::new(numbers.finish()),
            Builder::Truth(truths) => Arc::new(truths.finish()),
        })
    }
}

impl Symbols {
    fn new(rule: Rule, kept_max: usize) -> Self {
        Self { rule, kept_max, keys: Int32Builder::new(), interned: HashMap::new(), values: Vec::new(), array: None }
    }

    fn key(&mut self, text: &str, settings: &Settings, privacy: &Privacy) -> Result<i32, Reason> {
        let text = if self.rule == Rule::Route { route::template(text) } else { Cow::Borrowed(text) };
        if let Some(key) = self.interned.get(text.as_ref()) {
            return Ok(*key);
        }
        if let Some(reason) = judge(self.rule, &text, settings, privacy) {
            return Err(reason);
        }
        Ok(self.intern(&text))
    }

    /// The key of a text that was judged, a new one where it was not met before.
    fn intern(&mut self, text: &str) -> i32 {
        if let Some(key) = self.interned.get(text) {
            return *key;
        }
        let key = self.values.len() as i32;
        self.values.push(text.into());
        self.interned.insert(text.into(), key);
        key
    }

    fn finish(&mut self) -> Result<ArrayRef, Error> {
        let known = self.array.take().filter(|array| array.len() == self.values.len());
        let values = known.unwrap_or_else(|| Arc::new(StringArray::from_iter_values(&self.values)));
        let array = DictionaryArray::<Int32Type>::try_new(self.keys.finish(), values.clone())?;
        if self.values.len() > self.kept_max {
            self.values.clear();
            self.interned.clear();
        } else {
            self.array = Some(values);
        }
        Ok(Arc::new(array))
    }
}
