//! When each key must be looked at: a timing wheel that is armed again only when it rings.
//!
//!     tick     0 ········ 1755 ·· 1756 ··················· 86 400
//!     keys              [4 7 9]   [2]                      [1]
//!                          └ rings: 4 had an event since, so it is armed again for tick 1790
//!
//! A new event moves its key's timer away, and moving it here each time would touch memory for
//! each event. Instead a key rings at the earliest time it may be due, and whoever looks finds it
//! due or arms it again: about once for each quiet time instead of once for each event.
//!
//! Timers lie within a day of each other, a second apart, so a tree of some thousand ticks stands
//! in for the circular arrays of a hierarchical wheel: the same cost for a key, without their sizes
//! to be set. An entry of a key that was since armed for another tick is stale; its reader tells.

use std::collections::BTreeMap;

use super::checkpoint_bytes::{CheckpointError, CheckpointReader, CheckpointWriter};

/// Milliseconds of a tick.
const TICK_MS: i64 = 1000;

/// A timer that never comes.
pub const NEVER: i64 = i64::MAX;

/// The keys by the tick of their timer.
#[derive(Debug, Default)]
pub struct Timers {
    ticks: BTreeMap<i64, Vec<u32>>,
}

/// The tick of an instant.
pub fn tick(at: i64) -> i64 {
    at.div_euclid(TICK_MS)
}

impl Timers {
    /// Lets `key` ring once the watermark is within the tick of `at`.
    pub fn register(&mut self, key: u32, at: i64) {
        self.ticks.entry(tick(at)).or_default().push(key);
    }

    /// Takes what rings at `watermark`: each tick with its keys, some of which are due only later within it.
    pub fn fire(&mut self, watermark: i64) -> BTreeMap<i64, Vec<u32>> {
        let later = self.ticks.split_off(&(tick(watermark) + 1));
        std::mem::replace(&mut self.ticks, later)
    }

    /// No key rings at a watermark before this; `None` where nothing is armed.
    pub fn next(&self) -> Option<i64> {
        self.ticks.keys().next().map(|tick| tick.saturating_mul(TICK_MS))
    }

    pub(super) fn write(&self, to: &mut CheckpointWriter<'_>) -> std::io::Result<()> {
        to.number(self.ticks.len() as u64)?;
        self.ticks.iter().try_for_each(|(&tick, keys)| to.signed(tick).and_then(|()| to.codes(keys)))
    }

    pub(super) fn read(from: &mut CheckpointReader<'_>) -> Result<Self, CheckpointError> {
        let mut ticks = BTreeMap::new();
        for _ in 0..from.length()? {
            ticks.insert(from.signed()?, from.codes()?);
        }
        Ok(Self { ticks })
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        const NODE: usize = 2 * (size_of::<i64>() + size_of::<Vec<u32>>());
        self.ticks.values().map(|keys| NODE + keys.capacity() * size_of::<u32>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rings_lies_within_the_tick_of_the_watermark_or_before() {
        let mut timers = Timers::default();
        [(1, -1), (2, 0), (3, 999), (4, 1000), (5, NEVER - 1)].iter().for_each(|&(key, at)| timers.register(key, at));
        assert_eq!(timers.fire(-1), BTreeMap::from([(-1, vec![1])]));
        assert_eq!(timers.fire(998), BTreeMap::from([(0, vec![2, 3])]));
        assert_eq!(timers.fire(999), BTreeMap::new());
        assert_eq!(timers.fire(i64::MAX).into_values().collect::<Vec<_>>(), [vec![4], vec![5]]);
    }
}
