//! Orders the events of each session key, and counts a repeated event once.
//!
//!     rows of a partition ─▶ by key ─▶ by (ts, seq, event_id) ─▶ without repeats
//!
//! Keys are found by hash and compared in full, so two keys that share a hash stay apart.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::layout::{Id, Layout};
use super::rows::Rows;
use super::text;

/// The rows of a partition, key by key, in order.
pub struct Order {
    /// Row numbers.
    pub rows: Vec<u32>,
    /// Where each key's rows end in `rows`.
    pub key_ends: Vec<u32>,
    /// How many rows repeated an event and were excluded.
    pub repeats: usize,
}

/// Orders `rows`. Keys stand in the order in which their first visitor was seen.
pub fn order(layout: &Layout, rows: &Rows) -> Order {
    let keys = group_by_key(rows);
    let mut ordered = Order { rows: Vec::with_capacity(rows.len()), key_ends: Vec::new(), repeats: 0 };
    let mut sorter = Sorter::new(layout, rows);
    let mut start = 0;
    for end in keys.ends {
        let mut of_key = &keys.rows[start as usize..end as usize];
        let distinct;
        if let Some(kept) = sorter.without_repeats(of_key) {
            ordered.repeats += of_key.len() - kept.len();
            distinct = kept;
            of_key = &distinct;
        }
        sorter.append_sorted(of_key, &mut ordered.rows);
        ordered.key_ends.push(ordered.rows.len() as u32);
        start = end;
    }
    ordered
}

struct Grouped {
    rows: Vec<u32>,
    ends: Vec<u32>,
}

/// The session key of each visitor, as a number: several visitors may share a key.
fn keys_of_visitors(rows: &Rows) -> (Vec<u32>, usize) {
    let same_key = |a: usize, b: usize| {
        rows.hash(a) == rows.hash(b)
            && rows.owner(a) == rows.owner(b)
            && rows.session_or_user(a) == rows.session_or_user(b)
    };
    let mut first_visitors: Vec<u32> = Vec::new();
    let mut table: HashTable<u32> = HashTable::with_capacity(rows.visitors());
    let keys = (0..rows.visitors()).map(|visitor| {
        let hash = rows.hash(visitor);
        let found = table.find(hash, |&key| same_key(first_visitors[key as usize] as usize, visitor));
        found.copied().unwrap_or_else(|| {
            let key = first_visitors.len() as u32;
            first_visitors.push(visitor as u32);
            table.insert_unique(hash, key, |&key| rows.hash(first_visitors[key as usize] as usize));
            key
        })
    });
    let keys = keys.collect();
    (keys, first_visitors.len())
}

/// Row numbers by key, in input order within a key.
fn group_by_key(rows: &Rows) -> Grouped {
    let (key_of_visitor, keys) = keys_of_visitors(rows);
    let mut counts = vec![0u32; keys];
    let key_of_row = || rows.visitor().iter().map(|&visitor| key_of_visitor[visitor as usize]);
    key_of_row().for_each(|key| counts[key as usize] += 1);
    let ends: Vec<u32> = counts
        .iter()
        .scan(0, |end, count| {
            *end += count;
            Some(*end)
        })
        .collect();
    let mut next: Vec<u32> = ends.iter().zip(&counts).map(|(end, count)| end - count).collect();
    let mut grouped = vec![0u32; rows.len()];
    for (row, key) in key_of_row().enumerate() {
        let place = &mut next[key as usize];
        grouped[*place as usize] = row as u32;
        *place += 1;
    }
    Grouped { rows: grouped, ends }
}

/// Sorts and deduplicates the rows of one key after another; reuses its scratch space.
struct Sorter<'a> {
    layout: &'a Layout,
    rows: &'a Rows,
    event_hash: Vec<u64>,
    seen: Vec<u32>,
    sorted: Vec<(i64, u32)>,
}

impl<'a> Sorter<'a> {
    fn new(layout: &'a Layout, rows: &'a Rows) -> Self {
        Self {
            event_hash: (0..rows.len()).map(|row| xxh3_64(rows.packed(Id::Event, row))).collect(),
            seen: Vec::new(),
            sorted: Vec::new(),
            layout,
            rows,
        }
    }

    fn event_id(&self, row: u32) -> &'a [u8] {
        self.rows.packed(Id::Event, row as usize)
    }

    /// The rows without repeats; `None` where no event_id repeats.
    fn without_repeats(&mut self, of_key: &[u32]) -> Option<Vec<u32>> {
        let slots = (of_key.len() * 2).next_power_of_two();
        self.seen.clear();
        self.seen.resize(slots, u32::MAX);
        let mut kept: Option<Vec<u32>> = None;
        for (place, &row) in of_key.iter().enumerate() {
            let mut slot = self.event_hash[row as usize] as usize & (slots - 1);
            loop {
                let other = self.seen[slot];
                if other == u32::MAX {
                    self.seen[slot] = row;
                    if let Some(kept) = &mut kept {
                        kept.push(row);
                    }
                    break;
                }
                if self.same_event(other, row) {
                    let kept = kept.get_or_insert_with(|| of_key[..place].to_vec());
                    if self.counts_before(row, other) {
                        self.seen[slot] = row;
                        kept.iter_mut().filter(|kept| **kept == other).for_each(|kept| *kept = row);
                    }
                    break;
                }
                slot = (slot + 1) & (slots - 1);
            }
        }
        kept
    }

    fn same_event(&self, a: u32, b: u32) -> bool {
        self.event_hash[a as usize] == self.event_hash[b as usize] && self.event_id(a) == self.event_id(b)
    }

    /// Whether `a`, rather than `b`, counts for the event that both repeat (`docs/rules.md`, section 2).
    fn counts_before(&self, a: u32, b: u32) -> bool {
        let (i, j) = (a as usize, b as usize);
        let received_at = |row| self.rows.received_at(self.layout, row);
        let earlier = received_at(i).cmp(&received_at(j)).then(self.rows.ts[i].cmp(&self.rows.ts[j]));
        earlier.then_with(|| self.rows.compare(self.layout, i, j)).is_lt()
    }

    fn append_sorted(&mut self, of_key: &[u32], into: &mut Vec<u32>) {
        self.sorted.clear();
        self.sorted.extend(of_key.iter().map(|&row| (self.rows.ts[row as usize], row)));
        let in_order = self.sorted.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !in_order {
            let mut sorted = std::mem::take(&mut self.sorted);
            let seq = |row: u32| self.rows.seq(self.layout, row as usize);
            sorted.sort_unstable_by(|a, b| {
                let place = a.0.cmp(&b.0).then_with(|| seq(a.1).cmp(&seq(b.1)));
                place.then_with(|| text::compare(self.event_id(a.1), self.event_id(b.1)))
            });
            self.sorted = sorted;
        }
        into.extend(self.sorted.iter().map(|&(_, row)| row));
    }
}
