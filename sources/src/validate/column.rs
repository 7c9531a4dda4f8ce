//! Validates one column of a batch.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, PrimitiveArray, StringArray, StringViewArray,
    new_null_array,
};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::events::{SEQ_MAX, UNKNOWN_DEVICE};
use netcrab_schema::{Column, Type};

use super::convert::without_nulls;
use super::faults::BatchFaults;
use super::foreign::{self, Converted};
use super::partition::{contradictions, repeated};
use super::text_arrays::{packed, views};
use crate::privacy::Privacy;
use crate::reject::Reason;
use crate::rules::{Rule, rule_of, violation};
use crate::{Error, SourceSettings, extra, route};

/// Most buffers remembered as clean for one column: the batches of a row group share their pages.
const CLEAN_BUFFERS_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct ColumnValidator {
    pub(super) column: &'static Column,
    rule: Rule,
    dictionary: Option<ValidatedDictionary>,
    clean: Vec<Buffer>,
    absent: Option<ArrayRef>,
    /// The value that the folders of the file give, in an array of one row.
    partition: Option<ArrayRef>,
}

/// A dictionary of the file, and the result of its validation.
#[derive(Debug)]
struct ValidatedDictionary {
    given: StringArray,
    values: ArrayRef,
    faults: Option<Vec<Option<Reason>>>,
    empty: Option<Vec<bool>>,
}

impl ColumnValidator {
    /// A validator that has seen nothing of the column yet.
    pub(super) fn new(column: &'static Column) -> Self {
        Self { column, rule: rule_of(column.name), dictionary: None, clean: Vec::new(), absent: None, partition: None }
    }

    /// Rows do not have the column, or have the same value in it.
    pub(super) fn set_partition(&mut self, value: ArrayRef) {
        self.partition = Some(value);
    }

    /// The column of a batch. `stated` is that of the file, if it has one.
    pub(super) fn column(
        &mut self,
        stated: Option<ArrayRef>,
        length: usize,
        faults: &mut BatchFaults,
        settings: &SourceSettings,
        privacy: &Privacy,
    ) -> Result<ArrayRef, Error> {
        let given = self.partition.as_ref().map(|value| repeated(value, length)).transpose()?;
        let given = given.map(|given| self.clean(&given, faults, settings, privacy)).transpose()?;
        let stated = stated.map(|stated| self.clean(&stated, faults, settings, privacy)).transpose()?;
        match (stated, given) {
            (None, None) => Ok(self.absent(length)),
            (Some(column), None) | (None, Some(column)) => Ok(column),
            (Some(stated), Some(given)) => {
                for row in contradictions(&stated, &given)? {
                    faults.push(row, Reason::PartitionMismatch, self.column.name);
                }
                Ok(given)
            }
        }
    }

    fn clean(
        &mut self,
        array: &ArrayRef,
        faults: &mut BatchFaults,
        settings: &SourceSettings,
        privacy: &Privacy,
    ) -> Result<ArrayRef, Error> {
        match self.column.kind {
            Type::Symbol | Type::Repeated => self.symbols(array, faults, settings, privacy),
            Type::Text if self.column.name == "extra" => self.extras(array, faults, privacy),
            Type::Text => self.texts(array, faults, settings, privacy),
            Type::Timestamp => self.instants(array, faults, settings),
            Type::Int64 => self.wholes(array, faults),
            Type::Float32 => self.floats(array, faults),
            _ => self.bools(array, faults),
        }
    }

    /// The values of a column that neither the file nor its folders have: `false` for `reaction_observed`, empty for
    /// `session_id`, unknown for `device_type`, null for all others.
    fn absent(&mut self, length: usize) -> ArrayRef {
        match &self.absent {
            Some(array) if array.len() >= length => array.slice(0, length),
            _ => {
                let array: ArrayRef = match (self.column.name, default_symbol(self.column.name)) {
                    (_, Some(default)) => {
                        Arc::new(std::iter::repeat_n(Some(default), length).collect::<DictionaryArray<Int32Type>>())
                    }
                    ("reaction_observed", _) => Arc::new(BooleanArray::from(vec![false; length])),
                    _ => new_null_array(&in_flight_type(self.column.kind), length),
                };
                self.absent.insert(array).clone()
            }
        }
    }

    fn symbols(
        &mut self,
        array: &ArrayRef,
        faults: &mut BatchFaults,
        settings: &SourceSettings,
        privacy: &Privacy,
    ) -> Result<ArrayRef, Error> {
        let packed = packed(array)?;
        faults.extend(packed.faults, self.column.name);
        let array = packed.values.as_dictionary::<Int32Type>();
        let given = array.values().as_string::<i32>();
        let validated = match self.dictionary.take().filter(|validated| same_buffers(&validated.given, given)) {
            Some(validated) => validated,
            None => self.validate_dictionary(given, settings, privacy),
        };
        let validated = self.dictionary.insert(validated);
        if let Some(values) = &validated.faults {
            for (row, key) in array.keys().iter().enumerate() {
                if let Some(reason) = key.and_then(|key| values[key as usize]) {
                    faults.push(row, reason, self.column.name);
                }
            }
        }
        if let Some(default) = default_symbol(self.column.name) {
            return Ok(with_default(array, &validated.values, default));
        }
        let Some(empty) = &validated.empty else { return Ok(Arc::new(array.with_values(validated.values.clone()))) };
        let keys: PrimitiveArray<Int32Type> =
            array.keys().iter().map(|key| key.filter(|key| !empty[*key as usize])).collect();
        Ok(Arc::new(DictionaryArray::try_new(keys, validated.values.clone())?))
    }

    fn validate_dictionary(
        &self,
        given: &StringArray,
        settings: &SourceSettings,
        privacy: &Privacy,
    ) -> ValidatedDictionary {
        let mut faults = None;
        let mut empty = None;
        // Screen all ids at once: if none of their bytes is suspicious, no id is.
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
            if let Some(reason) = violation(self.rule, &route, settings, privacy) {
                faults.get_or_insert_with(|| vec![None; given.len()])[at] = Some(reason);
            }
            if route != value {
                templated.push((at, route.into_owned()));
            }
        }
        let values: ArrayRef =
            if templated.is_empty() { Arc::new(given.clone()) } else { Arc::new(with_templates(given, templated)) };
        ValidatedDictionary { given: given.clone(), values, faults, empty }
    }

    fn texts(
        &mut self,
        array: &ArrayRef,
        faults: &mut BatchFaults,
        settings: &SourceSettings,
        privacy: &Privacy,
    ) -> Result<ArrayRef, Error> {
        let Converted { values: array, faults: unread } = views(array)?;
        faults.extend(unread, self.column.name);
        let texts = array.as_string_view();
        let lengths = texts.views().iter().map(|view| *view as u32);
        let (shortest, longest) =
            lengths.fold((u32::MAX, 0), |(low, high), length| (low.min(length), high.max(length)));
        if longest as usize > settings.text_bytes_max || self.suspicious(texts, privacy) {
            for (row, text) in texts.iter().enumerate() {
                if let Some(reason) = text.and_then(|text| violation(self.rule, text, settings, privacy)) {
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

    /// Whether a text may hold personal data. A buffer that many batches share is scanned once.
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
        // The view itself holds a text of up to 12 bytes. A JWT is longer.
        let short = texts.views().iter().fold(false, |found, view| {
            let (low, high) = ((*view >> 32) as u64, (*view >> 96) as u64);
            found | ((*view as u32) <= 12 && (holds_at_or_percent(low) || holds_at_or_percent(high)))
        });
        suspicious || short
    }

    fn extras(&mut self, array: &ArrayRef, faults: &mut BatchFaults, privacy: &Privacy) -> Result<ArrayRef, Error> {
        let Converted { values: array, faults: unread } = views(array)?;
        faults.extend(unread, self.column.name);
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
        faults: &mut BatchFaults,
        settings: &SourceSettings,
    ) -> Result<ArrayRef, Error> {
        let Converted { values: instants, faults: unread } = foreign::instants(array)?;
        faults.extend(unread, self.column.name);
        let (low, high) = (settings.ts_min_ms, settings.ts_end_ms);
        let outside = instants.values().iter().fold(false, |outside, ts| outside | (*ts < low) | (*ts >= high));
        if outside {
            for (row, ts) in instants.iter().enumerate() {
                if ts.is_some_and(|ts| ts < low || ts >= high) {
                    faults.push(row, Reason::TsOutOfRange, self.column.name);
                }
            }
        }
        Ok(Arc::new(instants))
    }

    /// Whole numbers, as they are; one that is no whole number is a fault.
    fn wholes(&mut self, array: &ArrayRef, faults: &mut BatchFaults) -> Result<ArrayRef, Error> {
        let wholes = cast(array, &DataType::Int64)?;
        for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
            let number = wholes.as_primitive::<Int64Type>();
            if number.is_null(row) || !(0..=SEQ_MAX).contains(&number.value(row)) {
                faults.push(row, Reason::SeqOutOfRange, self.column.name);
            }
        }
        Ok(wholes)
    }

    fn floats(&mut self, array: &ArrayRef, faults: &mut BatchFaults) -> Result<ArrayRef, Error> {
        let Converted { values: floats, faults: unread } = foreign::floats(array)?;
        faults.extend(unread, self.column.name);
        let unbounded = floats.values().iter().fold(false, |found, value| found | !value.is_finite());
        if unbounded {
            for (row, value) in floats.iter().enumerate() {
                if value.is_some_and(|value| !value.is_finite()) {
                    faults.push(row, Reason::NotFinite, self.column.name);
                }
            }
        }
        Ok(Arc::new(floats))
    }

    fn bools(&mut self, array: &ArrayRef, faults: &mut BatchFaults) -> Result<ArrayRef, Error> {
        let array: ArrayRef = match array.data_type() {
            DataType::Boolean => array.clone(),
            _ => {
                let truths = foreign::truths(array)?;
                faults.extend(truths.faults, self.column.name);
                Arc::new(BooleanArray::from(truths.values))
            }
        };
        if self.column.nullable { Ok(array) } else { without_nulls(&array) }
    }
}

/// Whether one of eight bytes is `@` or `%` (Mycroft's zero-byte test). False alarms do no harm.
fn holds_at_or_percent(eight: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7) != 0;
    zero_byte(eight ^ (ONES * u64::from(b'@'))) | zero_byte(eight ^ (ONES * u64::from(b'%')))
}

/// The symbol that stands for an absent one.
fn default_symbol(column: &str) -> Option<&'static str> {
    match column {
        "session_id" => Some(""),
        "device_type" => Some(UNKNOWN_DEVICE),
        _ => None,
    }
}

/// The symbols, with `default` for those that are null or empty.
fn with_default(given: &DictionaryArray<Int32Type>, values: &ArrayRef, default: &'static str) -> ArrayRef {
    let validated = given.with_values(values.clone());
    let texts = values.as_string::<i32>();
    let empty = !default.is_empty() && texts.iter().flatten().any(str::is_empty);
    if given.keys().null_count() == 0 && values.null_count() == 0 && !empty {
        return Arc::new(validated);
    }
    let symbols = validated.downcast_dict::<StringArray>();
    let symbols = symbols.map(|symbols| {
        let stated = symbols.into_iter().map(|symbol| symbol.filter(|symbol| !symbol.is_empty()).or(Some(default)));
        stated.collect()
    });
    Arc::new(symbols.unwrap_or(validated) as DictionaryArray<Int32Type>)
}

fn same_buffers(a: &StringArray, b: &StringArray) -> bool {
    a.len() == b.len()
        && a.value_data().as_ptr() == b.value_data().as_ptr()
        && a.value_offsets().as_ptr() == b.value_offsets().as_ptr()
}

fn with_templates(given: &StringArray, templated: Vec<(usize, String)>) -> StringArray {
    let mut templated = templated.into_iter().peekable();
    let values = given.iter().enumerate().map(|(at, value)| match templated.next_if(|(place, _)| *place == at) {
        Some((_, route)) => Some(route),
        None => value.map(str::to_owned),
    });
    values.collect()
}
