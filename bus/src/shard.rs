//! Which shard an event belongs to. It decides what is stored together for ever, so it never changes.
//!
//!     shard = XXH3-64 (seed 0) of the bytes of the session key (`SessionKeyRef::append_to`)  mod shards

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::Int32Type;
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::{SessionKeyRef, Type};
use xxhash_rust::xxh3::xxh3_64;

use crate::Error;

/// The shard of a session key, out of `shards`; 0 shards count as 1.
pub fn shard_of(key: SessionKeyRef<'_>, shards: u32) -> u32 {
    place(&mut Vec::with_capacity(128), key, shards)
}

fn place(bytes: &mut Vec<u8>, key: SessionKeyRef<'_>, shards: u32) -> u32 {
    bytes.clear();
    key.append_to(bytes);
    (xxh3_64(bytes) % u64::from(shards.max(1))) as u32
}

/// Splits a batch of events by shard. Each shard's events keep the order of the batch; a shard without events has
/// no entry.
///
/// # Errors
/// [`Error::Schema`] where the columns of the session key are missing or of another type; [`Error::Arrow`].
pub fn split(events: &RecordBatch, shards: u32) -> Result<Vec<(u32, RecordBatch)>, Error> {
    let keys = SessionKeyColumns::of(events)?;
    if events.num_rows() == 0 {
        return Ok(Vec::new());
    }
    if shards <= 1 {
        return Ok(vec![(0, events.clone())]);
    }
    let mut bytes = Vec::with_capacity(128);
    let places: Vec<u32> = (0..events.num_rows()).map(|row| place(&mut bytes, keys.key(row), shards)).collect();
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

/// The columns of a batch of events that make the session keys of its rows.
#[derive(Debug)]
pub struct SessionKeyColumns<'a> {
    columns: [(&'a [i32], &'a StringArray); 4],
}

impl<'a> SessionKeyColumns<'a> {
    /// The columns of `events`.
    ///
    /// # Errors
    /// [`Error::Schema`] where one is missing or is not as in `schema::arrow::event_in_flight`.
    pub fn of(events: &'a RecordBatch) -> Result<Self, Error> {
        let column = |name| texts(name, events.column_by_name(name));
        Ok(Self { columns: [column("org_id")?, column("product_id")?, column("session_id")?, column("user_hash")?] })
    }

    /// The session key of row `row`, which the batch must have.
    pub fn key(&self, row: usize) -> SessionKeyRef<'a> {
        let [org, product, session, user] = self.columns.map(|(codes, values)| {
            let code = codes[row] as usize;
            if code < values.len() { values.value(code) } else { "" }
        });
        SessionKeyRef::new(org, product, session, user)
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

    fn shard(org_id: &str, product_id: &str, session_id: &str, shards: u32) -> u32 {
        shard_of(SessionKeyRef::new(org_id, product_id, session_id, ""), shards)
    }

    /// These values are the contract: stored data lies where they say. Another implementation of XXH3 gave them.
    #[test]
    fn the_shard_of_a_key_never_changes() {
        // With this many shards the number of the shard is nearly the whole hash.
        let hash = |org, product, session| shard(org, product, session, u32::MAX);
        assert_eq!(hash("acme", "crm", "s1"), 921_042_371);
        assert_eq!(hash("acme", "crm", "s2"), 3_330_225_942);
        assert_eq!(hash("acme", "crm", ""), 2_308_191_801);
        assert_eq!(hash("", "", ""), 777_794_690);
        assert_eq!(hash("acme", "crm", "Ünïcödé"), 939_349_517);
        let sessions =
            |shards| -> Vec<u32> { (0..12).map(|n| shard("acme", "crm", &format!("s{n}"), shards)).collect() };
        assert_eq!(sessions(4), [2, 0, 2, 3, 1, 1, 1, 3, 0, 0, 0, 2]);
        assert_eq!(sessions(7), [1, 1, 5, 1, 6, 3, 2, 2, 2, 0, 1, 3]);
    }

    #[test]
    fn lengths_keep_parts_apart() {
        assert_ne!(shard("ab", "c", "d", u32::MAX), shard("a", "bc", "d", u32::MAX));
        assert_ne!(shard("a", "b", "cd", u32::MAX), shard("a", "bc", "d", u32::MAX));
    }

    #[test]
    fn one_shard_takes_all() {
        assert_eq!(shard("acme", "crm", "s1", 1), 0);
        assert_eq!(shard("acme", "crm", "s1", 0), 0);
    }
}
