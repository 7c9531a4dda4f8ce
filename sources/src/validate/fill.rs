//! Fills what rows do not state: routes, places and event ids.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int64Array, StringArray, StringViewBuilder, TypedDictionaryArray,
};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type, TimestampMillisecondType};

use super::Lines;
use super::column::ColumnValidator;
use crate::event_id::{Content, EventIds};
use crate::route;

/// The columns of a batch, each as an array of `length` rows.
pub(super) struct Filling<'a> {
    pub(super) columns: &'a [ColumnValidator],
    pub(super) arrays: &'a mut [ArrayRef],
    pub(super) length: usize,
}

impl Filling<'_> {
    fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|validator| validator.column.name == name)
    }

    fn find_incomplete(&self, name: &str) -> Option<usize> {
        self.find(name).filter(|at| self.arrays[*at].logical_null_count() > 0)
    }

    /// A missing route is `/` and the screen.
    pub(super) fn routes(&mut self) {
        let (Some(at), Some(screens)) = (self.find_incomplete("route"), self.find("screen_id")) else { return };
        let (Some(routes), Some(screens)) = (symbols(&self.arrays[at]), symbols(&self.arrays[screens])) else {
            return;
        };
        let of_screen = |screen: &str| route::template(&format!("/{}", screen.trim_start_matches('/'))).into_owned();
        let filled: Vec<Option<Cow<'_, str>>> = (routes.into_iter().zip(screens))
            .map(|(route, screen)| route.map(Cow::Borrowed).or_else(|| screen.map(of_screen).map(Cow::Owned)))
            .collect();
        self.arrays[at] = Arc::new(filled.iter().map(Option::as_deref).collect::<DictionaryArray<Int32Type>>());
    }

    /// A missing `seq` is the number of the row.
    pub(super) fn seqs(&mut self, lines: &Lines, event_ids: &EventIds) {
        let Some(at) = self.find_incomplete("seq") else { return };
        let given = self.arrays[at].as_primitive::<Int64Type>();
        let filled = given.iter().enumerate().map(|(row, seq)| seq.or_else(|| event_ids.seq(lines.of(row), 0)));
        self.arrays[at] = Arc::new(filled.collect::<Int64Array>());
    }

    /// A missing event id is made from all columns.
    pub(super) fn event_ids(&mut self, lines: &Lines, event_ids: &EventIds) {
        let Some(at) = self.find_incomplete("event_id") else { return };
        let ts = self.find("ts").map(|at| Arc::clone(&self.arrays[at]));
        let ts = ts.as_ref().and_then(|ts| ts.as_primitive_opt::<TimestampMillisecondType>());
        let given = self.arrays[at].as_string_view();
        let mut filled = StringViewBuilder::with_capacity(given.len());
        for (row, id) in given.iter().enumerate() {
            match id {
                Some(id) => filled.append_value(id),
                None => {
                    let ts_ms = ts.map_or(0, |ts| ts.value(row));
                    let id = event_ids.make(ts_ms, lines.of(row), 0, || self.content(row));
                    filled.append_value(id.encode_lower(&mut [0; 36]));
                }
            }
        }
        self.arrays[at] = Arc::new(filled.finish());
    }

    fn content(&self, row: usize) -> u128 {
        debug_assert!(row < self.length);
        let mut content = Content::default();
        for (validator, array) in self.columns.iter().zip(self.arrays.iter()) {
            let column = validator.column;
            if array.is_null(row) {
                continue;
            }
            if let Some(symbols) = array.as_dictionary_opt::<Int32Type>() {
                let values = symbols.values().as_string::<i32>();
                content.text(column, symbols.key(row).map_or("", |key| values.value(key)));
            } else if let Some(texts) = array.as_string_view_opt() {
                content.text(column, texts.value(row));
            } else if let Some(instants) = array.as_primitive_opt::<TimestampMillisecondType>() {
                content.whole(column, instants.value(row));
            } else if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
                content.whole(column, numbers.value(row));
            } else if let Some(numbers) = array.as_primitive_opt::<Float32Type>() {
                content.number(column, numbers.value(row));
            } else if let Some(truths) = array.as_boolean_opt() {
                content.truth(column, truths.value(row));
            }
        }
        content.hash()
    }
}

fn symbols(array: &ArrayRef) -> Option<TypedDictionaryArray<'_, Int32Type, StringArray>> {
    array.as_dictionary_opt::<Int32Type>()?.downcast_dict::<StringArray>()
}
