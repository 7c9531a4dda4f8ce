//! One event on its way into columns: what a line said, before it is judged.
//!
//!     wire JSON · CSV · mapping  ─▶  Row  ─ judge, intern ─▶  Columns  ─▶  batch
//!
//! A row is judged as a whole before any of it is kept, so a refused row leaves nothing behind.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, RecordBatch, StringViewBuilder, TimestampMillisecondArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::SchemaRef;
use netcrab_schema::events::EVENT;
use netcrab_schema::{Column, Type};

use crate::check::{judge, project, rule_of, schema_of};
use crate::event_id::EventIds;
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason};
use crate::symbols::Symbols;
use crate::{Error, SourceSettings};

/// How many columns an event has.
pub(crate) const COLUMNS: usize = EVENT.len();

/// Marks an instant, a number and a truth that are absent; no value that is judged good is one of them.
const NO_INSTANT: i64 = i64::MIN;
const NO_NUMBER: f32 = f32::NAN;
const NO_TRUTH: i64 = 2;

/// Marks a symbol that is absent.
const NO_KEY: i32 = -1;

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

/// A good event in the form in which columns take it, by place: the key of a symbol, the bits of a
/// number, an instant, a truth.
pub(crate) type Cells = [i64; COLUMNS];

/// The cells of an event that says nothing.
pub(crate) const ABSENT: Cells = {
    let mut cells = [0; COLUMNS];
    let mut at = 0;
    while at < COLUMNS {
        cells[at] = match EVENT[at].kind {
            Type::Symbol | Type::Repeated => NO_KEY as i64,
            Type::Timestamp => NO_INSTANT,
            Type::Float32 => NO_NUMBER.to_bits() as i64,
            Type::Bool if EVENT[at].nullable => NO_TRUTH,
            _ => 0,
        };
        at += 1;
    }
    cells
};

/// Builders of event batches.
#[derive(Debug)]
pub(crate) struct Columns {
    settings: Arc<SourceSettings>,
    privacy: Arc<Privacy>,
    builders: Vec<Builder>,
    keys: [i32; COLUMNS],
    rows: usize,
    wanted: Vec<usize>,
    schema: SchemaRef,
    /// Event ids that were taken without a look at their content; see [`Self::suspicious`].
    unjudged: String,
}

#[derive(Debug)]
enum Builder {
    Symbol(Symbols),
    Text(StringViewBuilder),
    Instant(Vec<i64>),
    Number(Vec<f32>),
    Truth(Vec<u8>),
}

impl Columns {
    /// Builders for batches of these event columns; all of them where `columns` is `None`.
    pub(crate) fn new(columns: Option<&[&'static str]>, settings: Arc<SourceSettings>, privacy: Arc<Privacy>) -> Self {
        let wanted = project(columns);
        let places = wanted.iter().map(|column| place(column.name)).collect();
        let builders = EVENT.iter().map(|column| Builder::new(column, false)).collect();
        Self {
            settings,
            privacy,
            builders,
            keys: [0; COLUMNS],
            rows: 0,
            wanted: places,
            schema: schema_of(&wanted),
            unjudged: String::new(),
        }
    }

    /// Builders of small batches of many senders: a batch's dictionaries hold its own values and no others.
    pub(crate) fn of_senders(settings: Arc<SourceSettings>, privacy: Arc<Privacy>) -> Self {
        let builders = EVENT.iter().map(|column| Builder::new(column, true)).collect();
        Self { builders, ..Self::new(None, settings, privacy) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn settings(&self) -> &Arc<SourceSettings> {
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
        self.unjudged.clear();
        let columns = self.wanted.iter().filter_map(|at| arrays[*at].take()).collect();
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// What a reader that goes straight to the columns needs. It judges nothing twice: where it is not
/// sure that an event is good, it leaves the event to [`Columns::push`].
impl Columns {
    /// The key of a symbol that is not empty; `None` where the careful reader must say what is wrong with it.
    /// Random ids are not judged here but together, by [`Self::suspicious`].
    #[inline]
    pub(crate) fn symbol(&mut self, at: usize, text: &str) -> Option<i64> {
        let Builder::Symbol(symbols) = &mut self.builders[at] else { return None };
        symbols.quick_key(text, &self.settings, &self.privacy).map(i64::from)
    }

    /// Keeps an event whose cells are good. `event_id` was not judged; one is made where it is absent.
    pub(crate) fn keep(
        &mut self,
        cells: &Cells,
        event_id: Option<&str>,
        extra: Option<&str>,
        made: impl FnOnce() -> String,
    ) {
        for (builder, cell) in self.builders.iter_mut().zip(cells) {
            match builder {
                Builder::Symbol(symbols) => symbols.append(*cell as i32),
                Builder::Instant(instants) => instants.push(*cell),
                Builder::Number(numbers) => numbers.push(f32::from_bits(*cell as u32)),
                Builder::Truth(truths) => truths.push(*cell as u8),
                Builder::Text(_) => {}
            }
        }
        if let Builder::Text(ids) = &mut self.builders[EVENT_ID] {
            match event_id {
                Some(event_id) => {
                    self.unjudged.push_str(event_id);
                    ids.append_value(event_id);
                }
                None => ids.append_value(made()),
            }
        }
        if let Builder::Text(extras) = &mut self.builders[EXTRA] {
            extras.append_option(extra);
        }
        self.rows += 1;
    }

    /// Whether any of the ids that were not judged may be personal data: all of them are looked through at once.
    pub(crate) fn suspicious(&self) -> bool {
        let unjudged = |builder: &Builder| match builder {
            Builder::Symbol(symbols) => symbols.suspicious(&self.privacy),
            _ => false,
        };
        self.privacy.may_hold_identity(self.unjudged.as_bytes()) || self.builders.iter().any(unjudged)
    }
}

impl Builder {
    /// `own` where each batch has dictionaries of its own.
    fn new(column: &Column, own: bool) -> Self {
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

    fn push(&mut self, at: usize, value: &Value<'_>, key: i32) {
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

    fn finish(&mut self) -> Result<ArrayRef, Error> {
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

/// Which values are there; `None` where all are.
pub(crate) fn present<T>(values: &[T], there: impl Fn(&T) -> bool) -> Option<NullBuffer> {
    let nulls = NullBuffer::new(BooleanBuffer::collect_bool(values.len(), |at| there(&values[at])));
    Some(nulls).filter(|nulls| nulls.null_count() > 0)
}
