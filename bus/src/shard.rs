//! Which shard an event belongs to. It decides what is stored together for ever, so it never changes.
//!
//!     shard = XXH3-64 (seed 0) of  len(org) org · len(product) product · len(visit) visit   mod shards
//!
//! Each length is the bytes of the text as u32 little-endian. visit = session_id, or user_hash where that
//! is empty: the session key of `docs/rules.md`, section 2, in the byte layout of its section 3.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::Int32Type;
use netcrab_schema::Type;
use netcrab_schema::arrow::in_flight_type;
use xxhash_rust::xxh3::xxh3_64;

use crate::Error;

/// The shard of the visit `visit` (session_id, or user_hash where that is empty) to a product, of `shards`.
/// No shards are taken as one.
pub fn shard_of(org_id: &str, product_id: &str, visit: &str, shards: u32) -> u32 {
    place(&mut Vec::with_capacity(128), [org_id, product_id, visit], shards)
}

fn place(bytes: &mut Vec<u8>, parts: [&str; 3], shards: u32) -> u32 {
    bytes.clear();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    (xxh3_64(bytes) % u64::from(shards.max(1))) as u32
}

/// The events of a batch by shard, each shard's in the order of the batch; shards without events are left out.
pub fn split(events: &RecordBatch, shards: u32) -> Result<Vec<(u32, RecordBatch)>, Error> {
    let keys = Keys::of(events)?;
    if events.num_rows() == 0 {
        return Ok(Vec::new());
    }
    if shards <= 1 {
        return Ok(vec![(0, events.clone())]);
    }
    let mut bytes = Vec::with_capacity(128);
    let places: Vec<u32> = (0..events.num_rows()).map(|row| place(&mut bytes, keys.row(row), shards)).collect();
    if places.iter().all(|shard| *shard == places[0]) {
        return Ok(vec![(places[0], events.clone())]);
    }
    let mut order: Vec<u32> = (0..places.len() as u32).collect();
    order.sort_by_key(|row| places[*row as usize]);
    let runs = order.chunk_by(|a, b| places[*a as usize] == places[*b as usize]);
    runs.map(|rows| {
        let taken = take_record_batch(events, &UInt32Array::from(rows.to_vec())).map_err(Error::arrow("split"))?;
        Ok((places[rows[0] as usize], taken))
    })
    .collect()
}

/// The columns of the session key.
pub(crate) struct Keys<'a> {
    columns: [(&'a [i32], &'a StringArray); 4],
}

impl<'a> Keys<'a> {
    pub(crate) fn of(events: &'a RecordBatch) -> Result<Self, Error> {
        let column = |name| texts(name, events.column_by_name(name));
        Ok(Self { columns: [column("org_id")?, column("product_id")?, column("session_id")?, column("user_hash")?] })
    }

    /// org_id, product_id and visit of a row.
    pub(crate) fn row(&self, row: usize) -> [&'a str; 3] {
        let [org, product, session, user] = &self.columns;
        let text = |(keys, values): &(&[i32], &'a StringArray)| {
            let key = keys[row] as usize;
            if key < values.len() { values.value(key) } else { "" }
        };
        let visit = Some(text(session)).filter(|session| !session.is_empty());
        [text(org), text(product), visit.unwrap_or_else(|| text(user))]
    }
}

fn texts<'a>(name: &str, column: Option<&'a ArrayRef>) -> Result<(&'a [i32], &'a StringArray), Error> {
    let expected = in_flight_type(Type::Symbol);
    match column {
        Some(column) if *column.data_type() == expected => {
            let dictionary = column.as_dictionary::<Int32Type>();
            Ok((dictionary.keys().values(), dictionary.values().as_string::<i32>()))
        }
        other => Err(Error::column(name, other.map(|column| column.data_type()), &expected)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These values are the contract: data that is stored stands where they say. Another implementation of
    /// XXH3 gave them.
    #[test]
    fn the_place_of_a_visit_never_changes() {
        let hash = |org, product, visit| {
            // With this many shards the place is nearly the whole hash.
            shard_of(org, product, visit, u32::MAX)
        };
        assert_eq!(hash("acme", "crm", "s1"), 921_042_371);
        assert_eq!(hash("acme", "crm", "s2"), 3_330_225_942);
        assert_eq!(hash("acme", "crm", ""), 2_308_191_801);
        assert_eq!(hash("", "", ""), 777_794_690);
        assert_eq!(hash("acme", "crm", "Ünïcödé"), 939_349_517);
        let visits =
            |shards| -> Vec<u32> { (0..12).map(|n| shard_of("acme", "crm", &format!("s{n}"), shards)).collect() };
        assert_eq!(visits(4), [2, 0, 2, 3, 1, 1, 1, 3, 0, 0, 0, 2]);
        assert_eq!(visits(7), [1, 1, 5, 1, 6, 3, 2, 2, 2, 0, 1, 3]);
    }

    #[test]
    fn lengths_keep_parts_apart() {
        assert_ne!(shard_of("ab", "c", "d", u32::MAX), shard_of("a", "bc", "d", u32::MAX));
        assert_ne!(shard_of("a", "b", "cd", u32::MAX), shard_of("a", "bc", "d", u32::MAX));
    }

    #[test]
    fn one_shard_takes_all() {
        assert_eq!(shard_of("acme", "crm", "s1", 1), 0);
        assert_eq!(shard_of("acme", "crm", "s1", 0), 0);
    }
}
