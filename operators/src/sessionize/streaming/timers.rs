//! Event-time timers: when each key may have a session to close.
//!
//!     tick     0 ········ 1755 ·· 1756 ··················· 86 400
//!     keys              [4 7 9]   [2]                      [1]
//!                          └ fires: key 4 had an event since, so its timer is set again, for tick 1790
//!
//! Each new event makes its key due later. Moving the timer for each event would touch memory each time. Instead a timer
//! fires at the earliest time at which its key may be due; then the key is due, or its timer is set again. That is about
//! once for each quiet time instead of once for each event.
//!
//! All timers lie within a day, in ticks of a second. So a tree of some thousand ticks does what the circular arrays of a
//! hierarchical timing wheel would do, at the same cost for each key, and needs no sizes to be set. An entry is stale
//! where the timer of its key was set for another tick since; the reader of the entry checks that.

use std::collections::BTreeMap;

use super::checkpoint_bytes::{CheckpointError, CheckpointReader, CheckpointWriter};

/// Milliseconds of a tick.
const TICK_MS: i64 = 1000;

/// The instant of a timer that never fires.
pub const NEVER: i64 = i64::MAX;

/// The keys by the tick in which their timer fires.
#[derive(Debug, Default)]
pub struct Timers {
    ticks: BTreeMap<i64, Vec<u32>>,
}

/// The tick of an instant.
pub fn tick(at: i64) -> i64 {
    at.div_euclid(TICK_MS)
}

impl Timers {
    /// Registers a timer of `key`: it fires once the watermark is within the tick of `at` (ms).
    pub fn register(&mut self, key: u32, at: i64) {
        self.ticks.entry(tick(at)).or_default().push(key);
    }

    /// Removes the timers that fire at `watermark`: each tick with its keys, some of which are due later in the tick.
    pub fn fire(&mut self, watermark: i64) -> BTreeMap<i64, Vec<u32>> {
        let later = self.ticks.split_off(&(tick(watermark) + 1));
        std::mem::replace(&mut self.ticks, later)
    }

    /// No timer fires at a watermark before this; `None` where there is no timer.
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
    fn what_fires_lies_within_the_tick_of_the_watermark_or_before() {
        let mut timers = Timers::default();
        [(1, -1), (2, 0), (3, 999), (4, 1000), (5, NEVER - 1)].iter().for_each(|&(key, at)| timers.register(key, at));
        assert_eq!(timers.fire(-1), BTreeMap::from([(-1, vec![1])]));
        assert_eq!(timers.fire(998), BTreeMap::from([(0, vec![2, 3])]));
        assert_eq!(timers.fire(999), BTreeMap::new());
        assert_eq!(timers.fire(i64::MAX).into_values().collect::<Vec<_>>(), [vec![4], vec![5]]);
    }
}
