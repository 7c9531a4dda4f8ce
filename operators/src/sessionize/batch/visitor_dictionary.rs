//! Numbers the visitors of a partition, so that an event names its visitor by a small number.
//!
//!     visitor 0   org · product · session_id · user_hash · first ts seen
//!     rows        0 …   0 …   1 (defined here) …   0 …
//!
//! The events of a session name one visitor, unless their user_hash changes or equals another event's session_id.

use hashbrown::HashTable;

/// Gives each visitor of one partition a number, in order of first sight.
#[derive(Default)]
pub struct VisitorDictionary {
    numbers: HashTable<u32>,
    known: Vec<Known>,
    keys: Vec<u8>,
}

struct Known {
    hash: u64,
    owner: [u32; 2],
    base_ts: i64,
    key_end: usize,
}

/// The number of a visitor.
pub struct VisitorCode {
    /// Its number.
    pub number: u32,
    /// The ts that the timestamps of its rows are relative to.
    pub base_ts: i64,
    /// Whether it was not seen before.
    pub is_new: bool,
}

impl VisitorDictionary {
    /// The number of the visitor with this hash, owner and packed key. A new visitor has `ts` as its base.
    pub fn number(&mut self, hash: u64, owner: [u32; 2], key: &[u8], ts: i64) -> VisitorCode {
        let Self { numbers, known, keys } = self;
        let same = |number: u32| {
            let visitor = &known[number as usize];
            visitor.hash == hash && visitor.owner == owner && &keys[key_start(known, number)..visitor.key_end] == key
        };
        if let Some(&number) = numbers.find(hash, |&number| same(number)) {
            return VisitorCode { number, base_ts: known[number as usize].base_ts, is_new: false };
        }
        let number = known.len() as u32;
        numbers.insert_unique(hash, number, |&number| known[number as usize].hash);
        keys.extend_from_slice(key);
        known.push(Known { hash, owner, base_ts: ts, key_end: keys.len() });
        VisitorCode { number, base_ts: ts, is_new: true }
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        self.keys.capacity() + self.known.capacity() * size_of::<Known>() + self.numbers.capacity() * 5
    }
}

fn key_start(known: &[Known], number: u32) -> usize {
    if number == 0 { 0 } else { known[number as usize - 1].key_end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_has_one_number_whatever_else_has_its_hash() {
        let mut visitors = VisitorDictionary::default();
        let mut number = |hash, owner, key: &[u8], ts| {
            let VisitorCode { number, base_ts, is_new } = visitors.number(hash, owner, key, ts);
            (number, base_ts, is_new)
        };
        assert_eq!(number(7, [0, 0], b"a", 10), (0, 10, true));
        assert_eq!(number(7, [0, 0], b"b", 11), (1, 11, true));
        assert_eq!(number(7, [0, 1], b"a", 12), (2, 12, true));
        assert_eq!(number(7, [0, 0], b"a", 13), (0, 10, false));
        assert_eq!(number(8, [0, 0], b"a", 14), (3, 14, true));
    }
}
