//! Turns columns that already have event names into a clean batch of events, and the rest into rejects.
//!
//!     symbol   dictionary ─ judged once per dictionary ─▶ keys untouched where no value is at fault
//!     text     views      ─ lengths and buffers scanned ─▶ rows looked at only on suspicion
//!     number   values     ─ one vectorised pass
//!
//! A batch without faults is passed on without copying a row. The first fault of a row, in table
//! order, is its reason.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float32Array, PrimitiveArray, RecordBatch, StringArray,
    StringViewArray, StringViewBuilder, TimestampMillisecondArray, new_null_array,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{
    DataType, Field, Float32Type, Int32Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::events::{DEVICE_TYPES, EVENT, EVENT_TYPES, TASK_PHASES};
use netcrab_schema::{Column, Type};

use crate::event_id::EventIds;
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason, Rejects};
use crate::{Error, SourceSettings, extra, route};

/// Buffers remembered as clean, per column: batches of a row group share their pages.
const CLEAN_BUFFERS_MAX: usize = 8;

/// What holds for a value of a symbol column, decided by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// `[A-Za-z0-9_.-]`, 1 to 64 bytes.
    Identifier,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A route: templated.
    Route,
    /// A hash.
    Hash,
    /// Any text without personal data.
    Free,
}

/// The rule of the event column of that name.
pub(crate) fn rule_of(column: &str) -> Rule {
    match column {
        "org_id" | "product_id" => Rule::Identifier,
        "event_type" => Rule::OneOf(EVENT_TYPES),
        "device_type" => Rule::OneOf(DEVICE_TYPES),
        "task_phase" => Rule::OneOf(TASK_PHASES),
        "route" => Rule::Route,
        "session_id" | "user_hash" | "event_id" | "element_label_h" => Rule::Hash,
        _ => Rule::Free,
    }
}

/// Why a text that is not empty may not stand in a column, if so.
pub(crate) fn judge(rule: Rule, text: &str, settings: &SourceSettings, privacy: &Privacy) -> Option<Reason> {
    if text.len() > settings.text_bytes_max {
        return Some(Reason::TooLong);
    }
    match rule {
        Rule::Identifier => {
            let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
            (!plain || text.len() > 64).then_some(Reason::BadIdentifier)
        }
        Rule::OneOf(values) => (!values.contains(&text)).then_some(Reason::UnknownValue),
        Rule::Hash => privacy.identifier(text),
        Rule::Route | Rule::Free => privacy.text(text),
    }
}

/// Checks the batches of one stretch of rows (a row group) in order.
#[derive(Debug)]
pub(crate) struct Check {
    settings: Arc<SourceSettings>,
    privacy: Arc<Privacy>,
    columns: Vec<State>,
    schema: SchemaRef,
}

#[derive(Debug)]
struct State {
    column: &'static Column,
    rule: Rule,
    dictionary: Option<Judged>,
    clean: Vec<Buffer>,
    absent: Option<ArrayRef>,
}

/// A dictionary as given, and what became of it.
#[derive(Debug)]
struct Judged {
    given: StringArray,
    values: ArrayRef,
    faults: Option<Vec<Option<Reason>>>,
    empty: Option<Vec<bool>>,
}

/// The faults of a batch: of each row the first in table order.
struct Faults {
    rows: Vec<Option<(usize, Reason, &'static str)>>,
    count: usize,
    length: usize,
}

impl Faults {
    fn push(&mut self, row: usize, reason: Reason, field: &'static str) {
        // A row's columns are judged before they are held against each other.
        let place = if reason == Reason::TaskIncomplete { usize::MAX } else { place(field) };
        if self.rows.is_empty() {
            self.rows = vec![None; self.length];
        }
        match &mut self.rows[row] {
            Some(first) if first.0 <= place => {}
            Some(first) => *first = (place, reason, field),
            none => {
                *none = Some((place, reason, field));
                self.count += 1;
            }
        }
    }
}

fn place(field: &str) -> usize {
    EVENT.iter().position(|column| column.name == field).unwrap_or(EVENT.len())
}

impl Check {
    /// Checks for batches that shall have `columns`, in table order.
    pub(crate) fn new(columns: &[&'static Column], settings: Arc<SourceSettings>, privacy: Arc<Privacy>) -> Self {
        let state = |column: &&'static Column| State {
            column,
            rule: rule_of(column.name),
            dictionary: None,
            clean: Vec::new(),
            absent: None,
        };
        Self { settings, privacy, columns: columns.iter().map(state).collect(), schema: schema_of(columns) }
    }

    /// The clean rows of `arrays` (one for each column, `None` where the file has none); `first_line` is
    /// the number of their first row.
    pub(crate) fn run(
        &mut self,
        arrays: Vec<Option<ArrayRef>>,
        length: usize,
        first_line: u64,
        event_ids: &EventIds,
        rejects: &mut Rejects,
    ) -> Result<RecordBatch, Error> {
        let mut faults = Faults { rows: Vec::new(), count: 0, length };
        let mut clean: Vec<ArrayRef> = Vec::with_capacity(arrays.len());
        for (state, array) in self.columns.iter_mut().zip(arrays) {
            let column = match array {
                None => state.absent(length),
                Some(array) => match state.column.kind {
                    Type::Symbol | Type::Repeated => {
                        state.symbols(&array, &mut faults, &self.settings, &self.privacy)?
                    }
                    Type::Text if state.column.name == "extra" => state.extras(&array, &mut faults, &self.privacy)?,
                    Type::Text => state.texts(&array, &mut faults, &self.settings, &self.privacy)?,
                    Type::Timestamp => state.instants(&array, &mut faults, &self.settings)?,
                    Type::Float32 => state.floats(&array, &mut faults)?,
                    _ => state.bools(&array)?,
                },
            };
            clean.push(column);
        }
        self.pair_tasks(&clean, &mut faults);
        self.fill_event_ids(&mut clean, first_line, event_ids);
        let batch = RecordBatch::try_new(self.schema.clone(), self.required(clean, length, &mut faults)?)?;
        if faults.count == 0 {
            return Ok(batch);
        }
        for (row, fault) in faults.rows.iter().enumerate() {
            if let Some((_, reason, field)) = fault {
                rejects.push(first_line + row as u64, Fault::field(*reason, *field));
            }
        }
        let keep = BooleanArray::from_iter(faults.rows.iter().map(|fault| Some(fault.is_none())));
        Ok(filter_record_batch(&batch, &keep)?)
    }

    /// Task type and phase come together or not at all.
    fn pair_tasks(&self, clean: &[ArrayRef], faults: &mut Faults) {
        let find = |name: &str| self.columns.iter().position(|state| state.column.name == name).map(|at| &clean[at]);
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

    fn fill_event_ids(&self, clean: &mut [ArrayRef], first_line: u64, event_ids: &EventIds) {
        let find = |name: &str| self.columns.iter().position(|state| state.column.name == name);
        let Some(at) = find("event_id").filter(|at| clean[*at].null_count() > 0) else { return };
        let ts = find("ts").map(|at| clean[at].clone());
        let ts = ts.as_ref().and_then(|ts| ts.as_primitive_opt::<TimestampMillisecondType>());
        let given = clean[at].as_string_view();
        let mut filled = StringViewBuilder::with_capacity(given.len());
        let mut text = [0; 36];
        for (row, id) in given.iter().enumerate() {
            match id {
                Some(id) => filled.append_value(id),
                None => {
                    let id = event_ids.make(ts.map_or(0, |ts| ts.value(row)), first_line + row as u64, 0);
                    filled.append_value(id.encode_lower(&mut text));
                }
            }
        }
        clean[at] = Arc::new(filled.finish());
    }

    /// Marks rows that lack a required value; their columns then hold what no later stage will see.
    fn required(&self, clean: Vec<ArrayRef>, length: usize, faults: &mut Faults) -> Result<Vec<ArrayRef>, Error> {
        let mut complete = Vec::with_capacity(clean.len());
        for (state, array) in self.columns.iter().zip(clean) {
            if state.column.nullable || array.null_count() == 0 {
                complete.push(array);
                continue;
            }
            for row in (0..length).filter(|row| array.is_null(*row)) {
                faults.push(row, Reason::MissingField, state.column.name);
            }
            complete.push(without_nulls(&array)?);
        }
        Ok(complete)
    }
}

/// The schema of a batch with these event columns.
pub(crate) fn schema_of(columns: &[&'static Column]) -> SchemaRef {
    let fields = columns.iter().map(|column| Field::new(column.name, in_flight_type(column.kind), column.nullable));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The event columns of these names, in table order; all of them where `names` is `None`.
pub(crate) fn project(names: Option<&[&'static str]>) -> Vec<&'static Column> {
    EVENT.iter().filter(|column| names.is_none_or(|names| names.contains(&column.name))).collect()
}

fn without_nulls(array: &ArrayRef) -> Result<ArrayRef, Error> {
    Ok(match array.data_type() {
        DataType::Dictionary(_, _) => {
            let given = array.as_dictionary::<Int32Type>();
            if given.values().is_empty() {
                let keys = PrimitiveArray::<Int32Type>::from_value(0, array.len());
                Arc::new(DictionaryArray::try_new(keys, Arc::new(StringArray::from(vec![""])))?)
            } else {
                let keys = PrimitiveArray::<Int32Type>::new(given.keys().values().clone(), None);
                let bound = given.values().len() as i32;
                let keys = keys.unary(|key: i32| if (0..bound).contains(&key) { key } else { 0 });
                Arc::new(DictionaryArray::<Int32Type>::try_new(keys, given.values().clone())?)
            }
        }
        DataType::Utf8View => {
            let texts = array.as_string_view();
            Arc::new(texts.iter().map(|text| Some(text.unwrap_or_default())).collect::<StringViewArray>())
        }
        DataType::Timestamp(_, _) => {
            let instants = array.as_primitive::<TimestampMillisecondType>();
            Arc::new(TimestampMillisecondArray::new(instants.values().clone(), None).with_timezone("UTC"))
        }
        _ => {
            let bools = array.as_boolean();
            let set = match bools.nulls() {
                Some(nulls) => bools.values() & nulls.inner(),
                None => bools.values().clone(),
            };
            Arc::new(BooleanArray::new(set, None))
        }
    })
}

impl State {
    /// A column the file does not have: null, `false` for `reaction_observed`, empty for `session_id`.
    fn absent(&mut self, length: usize) -> ArrayRef {
        match &self.absent {
            Some(array) if array.len() >= length => array.slice(0, length),
            _ => {
                let array: ArrayRef = match self.column.name {
                    "session_id" => {
                        Arc::new(std::iter::repeat_n(Some(""), length).collect::<DictionaryArray<Int32Type>>())
                    }
                    "reaction_observed" => Arc::new(BooleanArray::from(vec![false; length])),
                    _ => new_null_array(&in_flight_type(self.column.kind), length),
                };
                self.absent.insert(array).clone()
            }
        }
    }

    fn symbols(
        &mut self,
        array: &ArrayRef,
        faults: &mut Faults,
        settings: &SourceSettings,
        privacy: &Privacy,
    ) -> Result<ArrayRef, Error> {
        let packed;
        let array = match array.as_dictionary_opt::<Int32Type>() {
            Some(dictionary) => dictionary,
            None => {
                packed = cast(array, &in_flight_type(Type::Symbol))?;
                packed.as_dictionary::<Int32Type>()
            }
        };
        let given = array.values().as_string::<i32>();
        let judged = match self.dictionary.take().filter(|judged| same(&judged.given, given)) {
            Some(judged) => judged,
            None => self.judge(given, settings, privacy),
        };
        let judged = self.dictionary.insert(judged);
        if let Some(values) = &judged.faults {
            for (row, key) in array.keys().iter().enumerate() {
                if let Some(reason) = key.and_then(|key| values[key as usize]) {
                    faults.push(row, reason, self.column.name);
                }
            }
        }
        if self.column.name == "session_id" {
            return Ok(without_sessions(array, &judged.values));
        }
        let Some(empty) = &judged.empty else { return Ok(Arc::new(array.with_values(judged.values.clone()))) };
        let keys: PrimitiveArray<Int32Type> =
            array.keys().iter().map(|key| key.filter(|key| !empty[*key as usize])).collect();
        Ok(Arc::new(DictionaryArray::try_new(keys, judged.values.clone())?))
    }

    fn judge(&self, given: &StringArray, settings: &SourceSettings, privacy: &Privacy) -> Judged {
        let mut faults = None;
        let mut empty = None;
        // Many ids are judged together: not one of them can be at fault where no byte of all is.
        let harmless = self.rule == Rule::Hash
            && !privacy.may_hold_identity(given.value_data())
            && given.value_offsets().windows(2).all(|ends| (ends[1] - ends[0]) as usize <= settings.text_bytes_max);
        let mut templated = Vec::new();
        for (at, value) in given.iter().enumerate() {
            let value = value.unwrap_or_default();
            if value.is_empty() {
                empty.get_or_insert_with(|| vec![false; given.len()])[at] = true;
                continue;
            }
            if harmless {
                continue;
            }
            let route = if self.rule == Rule::Route { route::template(value) } else { value.into() };
            if let Some(reason) = judge(self.rule, &route, settings, privacy) {
                faults.get_or_insert_with(|| vec![None; given.len()])[at] = Some(reason);
            }
            if route != value {
                templated.push((at, route.into_owned()));
            }
        }
        let values: ArrayRef =
            if templated.is_empty() { Arc::new(given.clone()) } else { Arc::new(replace(given, templated)) };
        Judged { given: given.clone(), values, faults, empty }
    }

    fn texts(
        &mut self,
        array: &ArrayRef,
        faults: &mut Faults,
        settings: &SourceSettings,
        privacy: &Privacy,
    ) -> Result<ArrayRef, Error> {
        let array = cast(array, &DataType::Utf8View)?;
        let texts = array.as_string_view();
        let lengths = texts.views().iter().map(|view| *view as u32);
        let (shortest, longest) =
            lengths.fold((u32::MAX, 0), |(low, high), length| (low.min(length), high.max(length)));
        if longest as usize > settings.text_bytes_max || self.suspicious(texts, privacy) {
            for (row, text) in texts.iter().enumerate() {
                if let Some(reason) = text.and_then(|text| judge(self.rule, text, settings, privacy)) {
                    faults.push(row, reason, self.column.name);
                }
            }
        }
        if array.null_count() == 0 && shortest > 0 {
            return Ok(array);
        }
        let filled: StringViewArray = texts.iter().map(|text| text.filter(|text| !text.is_empty())).collect();
        Ok(Arc::new(filled))
    }

    /// Whether any text may hold personal data. Buffers, shared by many batches, are scanned once.
    fn suspicious(&mut self, texts: &StringViewArray, privacy: &Privacy) -> bool {
        let mut suspicious = false;
        for buffer in texts.data_buffers() {
            if self.clean.iter().any(|clean| clean.as_ptr() == buffer.as_ptr() && clean.len() == buffer.len()) {
                continue;
            }
            if privacy.may_hold_identity(buffer) {
                suspicious = true;
                continue;
            }
            if self.clean.len() == CLEAN_BUFFERS_MAX {
                self.clean.remove(0);
            }
            self.clean.push(buffer.clone());
        }
        // Texts of up to 12 bytes stand in the view itself; a JWT is longer.
        let short = texts.views().iter().fold(false, |found, view| {
            let (low, high) = ((*view >> 32) as u64, (*view >> 96) as u64);
            found | ((*view as u32) <= 12 && (holds_sign(low) || holds_sign(high)))
        });
        suspicious || short
    }

    fn extras(&mut self, array: &ArrayRef, faults: &mut Faults, privacy: &Privacy) -> Result<ArrayRef, Error> {
        let array = cast(array, &DataType::Utf8View)?;
        if array.null_count() == array.len() {
            return Ok(array);
        }
        let texts = array.as_string_view();
        let mut canonical = String::new();
        let mut rewritten: Vec<(usize, Option<String>)> = Vec::new();
        for (row, text) in texts.iter().enumerate() {
            let Some(text) = text else { continue };
            if text.is_empty() {
                rewritten.push((row, None));
                continue;
            }
            canonical.clear();
            if let Err(fault) = extra::canonical(text, privacy, &mut canonical) {
                faults.push(row, fault.reason, "extra");
            } else if canonical == "{}" {
                rewritten.push((row, None));
            } else if canonical != text {
                rewritten.push((row, Some(canonical.clone())));
            }
        }
        if rewritten.is_empty() {
            return Ok(array);
        }
        let mut rewritten = rewritten.into_iter().peekable();
        let texts = texts.iter().enumerate().map(|(row, text)| match rewritten.next_if(|(at, _)| *at == row) {
            Some((_, text)) => text,
            None => text.map(str::to_owned),
        });
        Ok(Arc::new(texts.collect::<StringViewArray>()))
    }

    fn instants(
        &mut self,
        array: &ArrayRef,
        faults: &mut Faults,
        settings: &SourceSettings,
    ) -> Result<ArrayRef, Error> {
        let array = whole_milliseconds(array)?;
        let instants = array.as_primitive::<TimestampMillisecondType>();
        let (low, high) = (settings.ts_min_ms, settings.ts_end_ms);
        let outside = instants.values().iter().fold(false, |outside, ts| outside | (*ts < low) | (*ts >= high));
        if outside {
            for (row, ts) in instants.iter().enumerate() {
                if ts.is_some_and(|ts| ts < low || ts >= high) {
                    faults.push(row, Reason::TsOutOfRange, self.column.name);
                }
            }
        }
        Ok(array)
    }

    fn floats(&mut self, array: &ArrayRef, faults: &mut Faults) -> Result<ArrayRef, Error> {
        let array =
            if *array.data_type() == DataType::Float32 { array.clone() } else { cast(array, &DataType::Float32)? };
        let floats: &Float32Array = array.as_primitive::<Float32Type>();
        let unbounded = floats.values().iter().fold(false, |found, value| found | !value.is_finite());
        if unbounded {
            for (row, value) in floats.iter().enumerate() {
                if value.is_some_and(|value| !value.is_finite()) {
                    faults.push(row, Reason::NotFinite, self.column.name);
                }
            }
        }
        Ok(array)
    }

    fn bools(&mut self, array: &ArrayRef) -> Result<ArrayRef, Error> {
        let array = cast(array, &DataType::Boolean)?;
        if self.column.nullable { Ok(array) } else { without_nulls(&array) }
    }
}

/// Whether one of eight bytes is `@` or `%` (Mycroft's zero-byte test; false alarms do no harm).
fn holds_sign(eight: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7) != 0;
    zero_byte(eight ^ (ONES * u64::from(b'@'))) | zero_byte(eight ^ (ONES * u64::from(b'%')))
}

/// Session ids, empty where a row has none.
fn without_sessions(given: &DictionaryArray<Int32Type>, values: &ArrayRef) -> ArrayRef {
    let judged = given.with_values(values.clone());
    if given.keys().null_count() == 0 && values.null_count() == 0 {
        return Arc::new(judged);
    }
    let ids = judged.downcast_dict::<StringArray>();
    let ids = ids.map(|ids| ids.into_iter().map(|id| Some(id.unwrap_or_default())).collect());
    Arc::new(ids.unwrap_or(judged) as DictionaryArray<Int32Type>)
}

fn same(a: &StringArray, b: &StringArray) -> bool {
    a.len() == b.len()
        && a.value_data().as_ptr() == b.value_data().as_ptr()
        && a.value_offsets().as_ptr() == b.value_offsets().as_ptr()
}

fn replace(given: &StringArray, templated: Vec<(usize, String)>) -> StringArray {
    let mut templated = templated.into_iter().peekable();
    let values = given.iter().enumerate().map(|(at, value)| match templated.next_if(|(place, _)| *place == at) {
        Some((_, route)) => Some(route),
        None => value.map(str::to_owned),
    });
    values.collect()
}

/// Instants of any unit as whole milliseconds, towards the past; beyond the range of i64 they saturate.
pub(crate) fn whole_milliseconds(array: &ArrayRef) -> Result<ArrayRef, Error> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        let plain = cast(array, &DataType::Int64)?;
        return Ok(cast(&plain, &in_flight_type(Type::Timestamp))?);
    };
    let instants: TimestampMillisecondArray = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().unary(|s: i64| s.saturating_mul(1000)),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().clone(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().unary(|us: i64| us.div_euclid(1000)),
        TimeUnit::Nanosecond => {
            array.as_primitive::<TimestampNanosecondType>().unary(|ns: i64| ns.div_euclid(1_000_000))
        }
    };
    Ok(Arc::new(instants.with_timezone("UTC")))
}
