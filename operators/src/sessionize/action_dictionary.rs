//! Dictionary encoding of several symbol columns at once: each distinct tuple of their codes has one code.
//!
//!     client    app · os · browser · device · version · segment                         ─▶ 17
//!     action    event_type · screen · route · element · … · which numbers are present  ─▶ 242
//!
//! A product has few kinds of clients and few things to do, so the twenty symbols of an event become two small
//! numbers: one in the dictionary of clients, one in the dictionary of actions. A tuple that finds its dictionary full
//! is stored with its event instead.

use hashbrown::HashTable;

/// Gives each distinct tuple a code, in order of first sight. Actions have one such dictionary, clients another.
pub struct ActionDictionary {
    width: usize,
    max: usize,
    tuples: Vec<u32>,
    codes: HashTable<u32>,
}

impl ActionDictionary {
    /// An empty dictionary of tuples of `width` codes, with room for `max` tuples.
    pub fn new(width: usize, max: usize) -> Self {
        Self { width, max, tuples: Vec::new(), codes: HashTable::new() }
    }

    /// The code of `tuple`; a tuple that was not seen before gets a new one. `None` where the dictionary is full.
    pub fn code(&mut self, tuple: &[u32]) -> Option<u32> {
        let Self { width, max, tuples, codes } = self;
        let of = |code: u32| &tuples[code as usize * *width..][..*width];
        let hash = hash(tuple);
        if let Some(&code) = codes.find(hash, |&code| of(code) == tuple) {
            return Some(code);
        }
        if codes.len() >= *max {
            return None;
        }
        let code = codes.len() as u32;
        codes.insert_unique(hash, code, |&code| self::hash(of(code)));
        tuples.extend_from_slice(tuple);
        Some(code)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Every tuple, in order of code.
    pub fn tuples(&self) -> impl Iterator<Item = &[u32]> {
        self.tuples.chunks_exact(self.width.max(1))
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        self.tuples.capacity() * 4 + self.codes.capacity() * 5
    }
}

/// Slots of [`RecentCodes`].
const RECENT_SLOTS: usize = 1 << 13;

/// A cache of codes, by a number that stands for a tuple as long as batches keep their dictionaries.
#[derive(Default)]
pub struct RecentCodes {
    slots: Vec<(u64, u32)>,
}

/// No tuple has this code.
const EMPTY: u32 = u32::MAX;

impl RecentCodes {
    /// Forgets all codes: from now on the numbers stand for other tuples.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.slots.resize(RECENT_SLOTS, (0, EMPTY));
    }

    /// The code cached for `number`.
    #[inline]
    pub fn find(&self, number: u64) -> Option<u32> {
        let (kept, code) = *self.slots.get(Self::slot(number))?;
        (kept == number && code != EMPTY).then_some(code)
    }

    /// Caches a code; it may evict another.
    pub fn keep(&mut self, number: u64, code: u32) {
        if let Some(slot) = self.slots.get_mut(Self::slot(number)) {
            *slot = (number, code);
        }
    }

    fn slot(number: u64) -> usize {
        (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - RECENT_SLOTS.trailing_zeros())) as usize
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<(u64, u32)>()
    }
}

/// Folded multiplication over pairs of codes, the mixing step of the crate foldhash.
fn hash(tuple: &[u32]) -> u64 {
    let mut hash = 0x243f_6a88_85a3_08d3;
    for pair in tuple.chunks(2) {
        let pair = u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 32;
        let folded = u128::from(hash ^ pair) * 0x9e37_79b9_7f4a_7c15;
        hash = folded as u64 ^ (folded >> 64) as u64;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tuple_has_one_code_until_the_table_is_full() {
        let mut dictionary = ActionDictionary::new(3, 2);
        assert_eq!(dictionary.code(&[1, 2, 3]), Some(0));
        assert_eq!(dictionary.code(&[1, 2, 4]), Some(1));
        assert_eq!(dictionary.code(&[1, 2, 3]), Some(0));
        assert_eq!(dictionary.code(&[0, 2, 3]), None);
        assert_eq!(dictionary.tuples().collect::<Vec<_>>(), [[1, 2, 3], [1, 2, 4]]);
    }

    #[test]
    fn a_number_finds_its_own_code_or_none() {
        let mut recent = RecentCodes::default();
        assert_eq!(recent.find(0), None);
        recent.clear();
        assert_eq!(recent.find(0), None);
        (0..100_000).for_each(|number| recent.keep(number, number as u32));
        assert!((0..100_000).all(|number| recent.find(number).is_none_or(|code| u64::from(code) == number)));
        recent.clear();
        assert!((0..100_000).all(|number| recent.find(number).is_none()));
    }
}
