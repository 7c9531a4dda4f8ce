//! Fills what rows do not state: routes, places and event ids.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int64Array, RecordBatch, StringArray, StringViewBuilder,
    TypedDictionaryArray,
};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type, TimestampMillisecondType};
use netcrab_schema::Column;
use netcrab_schema::events::EVENT;

use super::column::ColumnValidator;
use super::lines::Lines;
use crate::event_id::{Content, EventIds};
use crate::route;

/// The columns of a batch.
pub(super) struct Filling<'a> {
    pub(super) columns: &'a [ColumnValidator],
    pub(super) arrays: &'a mut [ArrayRef],
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
        let of_screen = |screen: &str| route::template(&route::of_screen(screen)).into_owned();
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
        let columns = self.columns.iter().map(|validator| validator.column);
        content(columns.zip(self.arrays.iter()), row)
    }
}

/// A hash of all that row `row` of these columns says, in the types of events in flight.
fn content<'a>(columns: impl Iterator<Item = (&'static Column, &'a ArrayRef)>, row: usize) -> u128 {
    let mut content = Content::default();
    for (column, array) in columns.filter(|(_, array)| array.is_valid(row)) {
        if let Some(symbols) = array.as_dictionary_opt::<Int32Type>() {
            let values = symbols.values().as_string_opt::<i32>();
            let text = symbols.key(row).and_then(|key| values.map(|values| values.value(key)));
            content.text(column, text.unwrap_or_default());
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

/// For each event of a batch, a hash of all that it says but its place, `seq`. Two rows with one hash are one event,
/// read twice.
///
/// `events` has event columns in the types of [`netcrab_schema::arrow::event_in_flight`]; others are passed over.
pub fn row_hashes(events: &RecordBatch) -> Vec<u128> {
    let columns = EVENT.iter().filter(|column| column.name != "seq");
    let columns: Vec<_> =
        columns.filter_map(|column| events.column_by_name(column.name).map(|array| (column, array))).collect();
    (0..events.num_rows()).map(|row| content(columns.iter().copied(), row)).collect()
}

fn symbols(array: &ArrayRef) -> Option<TypedDictionaryArray<'_, Int32Type, StringArray>> {
    array.as_dictionary_opt::<Int32Type>()?.downcast_dict::<StringArray>()
}
