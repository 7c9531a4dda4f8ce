//! The totals of a rolled-up table: one row for each key.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch};
use arrow::array::{Date32Array, Float64Array, Int64Array, TimestampMillisecondArray};
use arrow::datatypes::{Date32Type, Int64Type, TimestampMillisecondType};
use datafusion::common::Result;
use hashbrown::HashTable;
use netcrab_schema::Type;

use super::tables::{Measure, MeasureSource, RollUp};
use crate::aggregate::score;
use crate::session::{self, symbols, wrong_type};
use crate::symbols::{Interner, SymbolArray};

/// org, product, date and at most two symbols, in the codes of [`Totals`].
type Key = [u32; 5];

/// The rows of a rolled-up table so far.
pub struct Totals {
    roll_up: &'static RollUp,
    /// One each for org, product and the symbols of the key.
    interners: Vec<Interner>,
    texts: Interner,
    places: HashTable<u32>,
    keys: Vec<Key>,
    values: Vec<Vec<i128>>,
    hasher: foldhash::fast::FixedState,
}

impl Totals {
    /// No rows yet.
    pub fn new(roll_up: &'static RollUp) -> Self {
        Self {
            roll_up,
            interners: (0..2 + roll_up.symbols.len()).map(|_| Interner::default()).collect(),
            texts: Interner::default(),
            places: HashTable::new(),
            keys: Vec::new(),
            values: roll_up.measures.iter().map(|_| Vec::new()).collect(),
            hasher: foldhash::fast::FixedState::default(),
        }
    }

    /// Adds the sessions of a batch.
    ///
    /// # Errors
    /// Where a column that the roll-up needs is missing or has another type.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let list = session::list(batch, self.roll_up.list)?;
        let places = self.places(batch, list)?;
        let rows = list.values().as_struct();
        for (values, measure) in self.values.iter_mut().zip(self.roll_up.measures) {
            values.resize(self.keys.len(), measure.start());
            measure.add(values, &places, rows, &mut self.texts)?;
        }
        Ok(())
    }

    /// The row that each element of the list adds to, by its place.
    fn places(&mut self, batch: &RecordBatch, list: &ListArray) -> Result<Vec<u32>> {
        let rows = list.values().as_struct();
        let mut owners = [Vec::new(), Vec::new()];
        for ((codes, interner), name) in owners.iter_mut().zip(&mut self.interners).zip(["org_id", "product_id"]) {
            *codes = interner.codes(session::session_symbols(batch, name)?);
        }
        let mut codes = [Vec::new(), Vec::new()];
        for ((codes, interner), name) in codes.iter_mut().zip(&mut self.interners[2..]).zip(self.roll_up.symbols) {
            *codes = interner.codes(symbols(rows, name)?);
        }
        let dates =
            session::column(batch, "date")?.as_primitive_opt::<Date32Type>().ok_or_else(|| wrong_type("date"))?;
        let date = |session: usize| if self.roll_up.table.by_date { dates.value(session).cast_unsigned() } else { 0 };
        let mut places = Vec::with_capacity(rows.len());
        for (session, pair) in list.value_offsets().windows(2).enumerate() {
            let owner = [owners[0][session], owners[1][session], date(session)];
            for row in pair[0] as usize..pair[1] as usize {
                let symbol = |place: usize| codes[place].get(row).copied().unwrap_or(0);
                let key = [owner[0], owner[1], owner[2], symbol(0), symbol(1)];
                let hash = self.hasher.hash_one(key);
                let keys = &mut self.keys;
                let place = *self
                    .places
                    .entry(
                        hash,
                        |&place| keys[place as usize] == key,
                        |&place| self.hasher.hash_one(keys[place as usize]),
                    )
                    .or_insert(keys.len() as u32)
                    .get();
                if place as usize == keys.len() {
                    keys.push(key);
                }
                places.push(place);
            }
        }
        Ok(places)
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        let interners = self.interners.iter().chain([&self.texts]).map(Interner::memory).sum::<usize>();
        interners + self.keys.capacity() * (size_of::<Key>() + 6 + self.values.len() * size_of::<i128>())
    }

    /// The rows, sorted by date and key.
    ///
    /// # Errors
    /// An internal error where a column does not fit the table.
    pub fn finish(self) -> Result<RecordBatch> {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        order.sort_by(|&a, &b| self.sort_key(a).cmp(&self.sort_key(b)));
        let key_columns: Vec<&str> = self.roll_up.key_columns().copied().filter(|name| *name != "date").collect();
        let column = |column: &netcrab_schema::Column| -> ArrayRef {
            if column.name == "date" {
                let dates = order.iter().map(|&place| self.keys[place][2].cast_signed());
                return Arc::new(dates.map(Some).collect::<Date32Array>());
            }
            if let Some(part) = key_columns.iter().position(|name| *name == column.name) {
                let texts = order.iter().map(|&place| Some(self.key_text(place, part)));
                return Arc::new(texts.collect::<SymbolArray>());
            }
            let measure = self.roll_up.measures.iter().position(|measure| measure.column == column.name);
            self.measure(measure.unwrap_or(0), column.kind, &order)
        };
        Ok(RecordBatch::try_new(self.roll_up.table.to_store(), self.roll_up.table.columns().map(column).collect())?)
    }

    fn key_text(&self, place: usize, part: usize) -> &str {
        let code = self.keys[place][if part < 2 { part } else { part + 1 }];
        self.interners[part].text(code)
    }

    fn sort_key(&self, place: usize) -> (i32, [&str; 4]) {
        let text = |part: usize| if part < self.interners.len() { self.key_text(place, part) } else { "" };
        (self.keys[place][2].cast_signed(), [text(0), text(1), text(2), text(3)])
    }

    fn measure(&self, measure: usize, kind: Type, order: &[usize]) -> ArrayRef {
        let values = &self.values[measure];
        let whole = order.iter().map(|&place| values[place]);
        match (&self.roll_up.measures[measure].from, kind) {
            (MeasureSource::Null, _) => Arc::new(TimestampMillisecondArray::new_null(order.len()).with_timezone("UTC")),
            (MeasureSource::FirstText(_), _) => {
                let texts = whole.map(|code| Some(self.texts.text(code as u32)));
                Arc::new(texts.collect::<SymbolArray>())
            }
            (_, Type::Float64) => Arc::new(whole.map(score::from_units).collect::<Float64Array>()),
            (_, Type::Timestamp) => {
                let instants: Vec<i64> = whole.map(|value| value as i64).collect();
                Arc::new(TimestampMillisecondArray::from(instants).with_timezone("UTC"))
            }
            _ => Arc::new(whole.map(|value| value as i64).collect::<Int64Array>()),
        }
    }
}

impl Measure {
    /// The value before any row.
    fn start(&self) -> i128 {
        match self.from {
            MeasureSource::Earliest(_) | MeasureSource::FirstText(_) => i128::MAX,
            MeasureSource::Latest(_) => i128::MIN,
            _ => 0,
        }
    }

    fn add(
        &self,
        values: &mut [i128],
        places: &[u32],
        rows: &arrow::array::StructArray,
        texts: &mut Interner,
    ) -> Result<()> {
        let number = |name: &str| -> Result<&[i64]> {
            let column = rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
            Ok(column.ok_or_else(|| wrong_type(name))?.values())
        };
        let instant = |name: &str| -> Result<&TimestampMillisecondArray> {
            let column =
                rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
            column.ok_or_else(|| wrong_type(name))
        };
        let first_present = |names: &[&str]| -> Result<Vec<Option<i128>>> {
            let instants = names.iter().map(|name| instant(name)).collect::<Result<Vec<_>>>()?;
            let present = |row: usize| instants.iter().find(|instants| instants.is_valid(row));
            Ok((0..rows.len()).map(|row| present(row).map(|instants| i128::from(instants.value(row)))).collect())
        };
        let at = |row: usize| places[row] as usize;
        match &self.from {
            MeasureSource::Sum(name) | MeasureSource::Scores(name) => {
                let numbers = number(name)?;
                numbers.iter().enumerate().for_each(|(row, &number)| values[at(row)] += i128::from(number));
            }
            MeasureSource::Earliest(names) => {
                let instants = first_present(names)?;
                instants.iter().enumerate().for_each(|(row, at_ms)| {
                    values[at(row)] = at_ms.unwrap_or(i128::MAX).min(values[at(row)]);
                });
            }
            MeasureSource::Latest(names) => {
                let instants = first_present(names)?;
                instants.iter().enumerate().for_each(|(row, at_ms)| {
                    values[at(row)] = at_ms.unwrap_or(i128::MIN).max(values[at(row)]);
                });
            }
            MeasureSource::Present(name) => {
                let instants = instant(name)?;
                (0..rows.len()).filter(|&row| instants.is_valid(row)).for_each(|row| values[at(row)] += 1);
            }
            MeasureSource::FirstText(name) => {
                let codes = texts.codes(symbols(rows, name)?);
                for (row, &code) in codes.iter().enumerate() {
                    let value = &mut values[at(row)];
                    let first = *value == i128::MAX || texts.text(code) < texts.text(*value as u32);
                    if *value != i128::from(code) && first {
                        *value = i128::from(code);
                    }
                }
            }
            MeasureSource::Null => {}
        }
        Ok(())
    }
}
