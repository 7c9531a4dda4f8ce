//! The rows to sort, each with a number that says where it belongs.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, SchemaRef, TimestampMillisecondType};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use netcrab_schema::Table;

use super::take::{TakeColumn, taker};
use crate::session::wrong_type;
use crate::symbols::{SymbolArray, same_buffers};

/// Rows of an output batch, the same as DataFusion's.
pub(super) const BATCH_ROWS: usize = 8_192;

/// Bytes of a [`Place`], and of the pair of numbers by which its row is taken.
const PLACE_BYTES: usize = size_of::<Place>() + size_of::<(usize, usize)>();

/// Where a row belongs and where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Date, organisation, product and instant, from the highest bits down.
    key: u128,
    batch: u32,
    row: u32,
}

/// The rows so far.
pub(super) struct Sorting {
    pub(super) table: &'static Table,
    pub(super) schema: SchemaRef,
    pub(super) batches: Vec<RecordBatch>,
    pub(super) places: Vec<Place>,
    pub(super) memory: MemoryReservation,
}

impl Sorting {
    /// Adds a batch; returns it where numbers cannot sort it or the memory is used up.
    pub(super) fn add(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        // An empty batch may have a dictionary of its own.
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let bytes = bytes_of(&batch) + batch.num_rows() * PLACE_BYTES;
        if self.memory.try_grow(bytes).is_err() || !self.place(&batch)? {
            return Ok(Some(batch));
        }
        self.batches.push(batch);
        Ok(None)
    }

    /// Computes the places of the rows of `batch`; `false` where its codes do not tell the order.
    fn place(&mut self, batch: &RecordBatch) -> Result<bool> {
        let [org, product, instant, text] = self.key_columns(batch)?;
        let date = column(batch, "date")?;
        let (dates, instants) = (date.as_primitive::<Date32Type>(), instant.as_primitive::<TimestampMillisecondType>());
        let first = self.batches.first().map(|first| self.key_columns(first)).transpose()?;
        let owners = [org, product].map(|owner| owner.as_dictionary());
        for (at, owner) in owners.into_iter().enumerate() {
            let known = first.is_some_and(|first| {
                same_buffers(first[at].as_dictionary::<arrow::datatypes::Int32Type>().values(), owner.values())
            });
            if !known && (first.is_some() || !in_order(owner)) {
                return Ok(false);
            }
        }
        if [date, org, product, instant, text].iter().any(|column| column.null_count() > 0) {
            return Ok(false);
        }
        let number = self.batches.len() as u32;
        let [orgs, products] = owners.map(|owner: &SymbolArray| owner.keys().values());
        self.places.extend((0..batch.num_rows()).map(|row| {
            // The sign bit is flipped, so that unsigned order is signed order.
            let date = u128::from(dates.value(row).cast_unsigned() ^ 1 << 31);
            let instant = u128::from(instants.value(row).cast_unsigned() ^ 1 << 63);
            let owner = u128::from(orgs[row].cast_unsigned() & 0xffff) << 16
                | u128::from(products[row].cast_unsigned() & 0xffff);
            Place { key: date << 96 | owner << 64 | instant, batch: number, row: row as u32 }
        }));
        Ok(true)
    }

    /// The columns that decide within a date.
    fn key_columns<'b>(&self, batch: &'b RecordBatch) -> Result<[&'b ArrayRef; 4]> {
        let name = |at: usize| self.table.sort.get(at).copied().unwrap_or_default();
        Ok([column(batch, name(0))?, column(batch, name(1))?, column(batch, name(2))?, column(batch, name(3))?])
    }

    /// All rows in order, a batch at a time.
    pub(super) fn finish(mut self) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send> {
        let texts = self.batches.iter().map(|batch| Ok(self.key_columns(batch)?[3].as_string::<i32>()));
        let texts: Vec<&StringArray> = texts.collect::<Result<_>>()?;
        let text = |place: &Place| texts[place.batch as usize].value(place.row as usize);
        let mut places = std::mem::take(&mut self.places);
        places.sort_unstable_by(|a, b| match a.key.cmp(&b.key) {
            Ordering::Equal => text(a).cmp(text(b)).then((a.batch, a.row).cmp(&(b.batch, b.row))),
            decided => decided,
        });
        let chunks = places.len().div_ceil(BATCH_ROWS);
        let (schema, memory) = (self.schema, self.memory);
        let column = |at: usize| self.batches.iter().map(|batch| Arc::clone(batch.column(at))).collect();
        let takers: Vec<TakeColumn> = (0..schema.fields().len()).map(|at| taker(column(at))).collect();
        Ok((0..chunks).map(move |chunk| {
            // The reservation covers the rows until the last of them is emitted.
            let _ = &memory;
            let end = places.len().min((chunk + 1) * BATCH_ROWS);
            let rows: Vec<(usize, usize)> = places[chunk * BATCH_ROWS..end]
                .iter()
                .map(|place| (place.batch as usize, place.row as usize))
                .collect();
            let columns = takers.iter().map(|take| take(&rows));
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_>>()?)?)
        }))
    }
}

/// Bytes of a batch without its dictionaries, which all batches share.
fn bytes_of(batch: &RecordBatch) -> usize {
    let own = |column: &ArrayRef| match column.data_type() {
        DataType::Dictionary(..) => column.len() * size_of::<i32>(),
        _ => column.get_array_memory_size(),
    };
    batch.columns().iter().map(own).sum()
}

/// Whether a dictionary has at most 2¹⁶ texts, and its codes are in the order of the texts.
fn in_order(symbols: &SymbolArray) -> bool {
    let texts = symbols.values().as_string::<i32>();
    let strictly = |at: usize| texts.value(at - 1) < texts.value(at);
    texts.len() <= 1 << 16 && texts.null_count() == 0 && (1..texts.len()).all(strictly)
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| wrong_type(name))
}
