//! The session keys that have open events or closed sessions, each in a slot.
//!
//!     hash of the key ─▶ slot   hash  first ts  latest ts  due at  closed until  sessions  events  rows
//!                               └──────────────────── one cache line ────────────────────┘   └▶ blocks
//!
//! The slots are an array of structs, not a column for each field: an event reads and writes nearly every field of one
//! slot, which is one cache line here and would be ten in columns. Nothing iterates over one field.

use hashbrown::HashTable;

use datafusion::common::{Result, resources_datafusion_err};

use super::blocks::Chain;
use super::checkpoint_bytes::{CheckpointError, CheckpointReader, CheckpointWriter};
use super::timers::NEVER;
use crate::rules::Sessionize;

/// What is known of one key.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Hash of the key.
    pub hash: u64,
    /// Earliest open event.
    pub first_ts: i64,
    /// Latest open event.
    pub latest_ts: i64,
    /// When its timer fires (see [`super::timers`]): none of its sessions can close before.
    pub due_at: i64,
    /// The watermark at which its last closed session closed. An earlier event is late.
    pub closed_until: i64,
    /// How many of its sessions were closed; the next session has this number.
    pub sessions: u32,
    /// How many of its events are open.
    pub events: u32,
    /// Its head and its open events, packed.
    pub rows: Chain,
    /// Whether no gap separates its open events, so that `first_ts` and `latest_ts` tell when its session closes.
    gapless: bool,
}

/// The slots, by key.
#[derive(Debug, Default)]
pub struct Keys {
    table: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// The smallest watermark, in ms, that closes a session from `first_ts` to `last_ts`: from it on, no event that could
/// join the session is in time.
pub fn closes_at(settings: &Sessionize, first_ts: i64, last_ts: i64) -> i64 {
    let quiet = last_ts.saturating_add(settings.gap_ms).saturating_add(1);
    quiet.min(first_ts.saturating_add(settings.length_ms))
}

impl Slot {
    fn new(hash: u64) -> Self {
        Self {
            hash,
            first_ts: 0,
            latest_ts: 0,
            due_at: NEVER,
            closed_until: i64::MIN,
            sessions: 0,
            events: 0,
            rows: Chain::default(),
            gapless: true,
        }
    }

    fn write(&self, to: &mut CheckpointWriter<'_>) -> std::io::Result<()> {
        to.number(self.hash)?;
        [self.first_ts, self.latest_ts, self.due_at, self.closed_until].iter().try_for_each(|&at| to.signed(at))?;
        let (gapless, [first, last, filled]) = (u32::from(self.gapless), self.rows.parts());
        let counts = [self.sessions, self.events, first, last, filled << 1 | gapless];
        counts.iter().try_for_each(|count| to.bytes(&count.to_le_bytes()))
    }

    fn read(from: &mut CheckpointReader<'_>) -> std::result::Result<Self, CheckpointError> {
        let hash = from.number()?;
        let [first_ts, latest_ts, due_at, closed_until] =
            [from.signed()?, from.signed()?, from.signed()?, from.signed()?];
        let [sessions, events, first, last, rest] =
            [from.code()?, from.code()?, from.code()?, from.code()?, from.code()?];
        let (rows, gapless) = (Chain::from_parts([first, last, rest >> 1])?, rest & 1 == 1);
        Ok(Self { hash, first_ts, latest_ts, due_at, closed_until, sessions, events, rows, gapless })
    }

    /// Counts an open event.
    pub fn admit(&mut self, settings: &Sessionize, ts: i64) {
        if self.events == 0 {
            (self.first_ts, self.latest_ts, self.gapless) = (ts, ts, true);
        }
        let near = |a: i64, b: i64| b.saturating_sub(a) <= settings.gap_ms;
        self.gapless &= near(ts, self.first_ts) && near(self.latest_ts, ts);
        self.first_ts = self.first_ts.min(ts);
        self.latest_ts = self.latest_ts.max(ts);
        self.events = self.events.saturating_add(1);
    }

    /// The smallest watermark that may close its first session.
    ///
    /// Where a gap separates open events, only the events themselves tell; then this is [`Self::due_at`]. A repeated
    /// event can keep a session open for longer, but never close it early.
    pub fn may_close_at(&self, settings: &Sessionize) -> i64 {
        if self.gapless { closes_at(settings, self.first_ts, self.latest_ts) } else { self.due_at }
    }
}

impl Keys {
    /// The key with this hash for which `same` holds.
    pub fn find(&self, hash: u64, mut same: impl FnMut(&Slot) -> bool) -> Option<u32> {
        let found = self.table.find(hash, |&key| {
            let slot = &self.slots[key as usize];
            slot.hash == hash && same(slot)
        });
        found.copied()
    }

    /// Adds a key that is not there yet.
    ///
    /// # Errors
    /// Where there are 2³² keys.
    pub fn insert(&mut self, hash: u64) -> Result<u32> {
        let Self { table, slots, free } = self;
        let key = match free.pop() {
            Some(key) => key,
            None => {
                let too_many = || resources_datafusion_err!("more than 2³² keys are open; use more shards");
                let key = u32::try_from(slots.len()).map_err(|_| too_many())?;
                if slots.len() == slots.capacity() {
                    // Doubling would leave as many empty slots as a day of growth fills.
                    slots.reserve_exact(1024 + slots.len() / 8);
                }
                slots.push(Slot::new(hash));
                key
            }
        };
        slots[key as usize] = Slot::new(hash);
        table.insert_unique(hash, key, |&key| slots[key as usize].hash);
        Ok(key)
    }

    /// Removes the keys for which `forget` holds, in their order; `release` frees what belongs to each.
    pub fn remove(&mut self, forget: impl Fn(&Slot) -> bool, mut release: impl FnMut(&mut Slot)) {
        let Self { table, slots, free } = self;
        let mut forgotten: Vec<u32> = Vec::new();
        table.retain(|&mut key| {
            let forgets = forget(&slots[key as usize]);
            forgotten.extend(forgets.then_some(key));
            !forgets
        });
        // The order of the table depends on how it grew, which differs in a state that was read back.
        forgotten.sort_unstable();
        for &key in &forgotten {
            release(&mut slots[key as usize]);
            slots[key as usize].due_at = NEVER;
        }
        free.extend(forgotten);
    }

    /// The slot of a key.
    pub fn slot(&self, key: u32) -> &Slot {
        &self.slots[key as usize]
    }

    /// See [`Self::slot`].
    pub fn slot_mut(&mut self, key: u32) -> &mut Slot {
        &mut self.slots[key as usize]
    }

    /// How many slots there are, used or free.
    pub fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn write(&self, to: &mut CheckpointWriter<'_>) -> std::io::Result<()> {
        to.number(self.slots.len() as u64)?;
        self.slots.iter().try_for_each(|slot| slot.write(to))?;
        to.codes(&self.free)
    }

    pub(super) fn read(from: &mut CheckpointReader<'_>) -> std::result::Result<Self, CheckpointError> {
        let length = from.length()?;
        let mut slots = Vec::new();
        for _ in 0..length {
            slots.push(Slot::read(from)?);
        }
        let free = from.codes()?;
        let mut used = vec![true; slots.len()];
        for &key in &free {
            *used.get_mut(key as usize).ok_or(CheckpointError::Damaged)? = false;
        }
        let mut table = HashTable::with_capacity(slots.len() - free.len().min(slots.len()));
        for (key, slot) in slots.iter().enumerate().filter(|(key, _)| used[*key]) {
            table.insert_unique(slot.hash, key as u32, |&key: &u32| slots[key as usize].hash);
        }
        Ok(Self { table, slots, free })
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.table.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_a_cache_line() {
        assert_eq!(size_of::<Slot>(), 64);
    }

    #[test]
    fn keys_that_share_a_hash_stay_apart_and_a_forgotten_slot_is_used_again() {
        let mut keys = Keys::default();
        let (a, b) = (keys.insert(7).unwrap(), keys.insert(7).unwrap());
        keys.slot_mut(b).events = 1;
        assert_eq!(keys.find(7, |slot| slot.events == 0), Some(a));
        assert_eq!(keys.find(7, |slot| slot.events == 1), Some(b));
        keys.remove(|slot| slot.events == 0, |_| ());
        assert_eq!(keys.find(7, |slot| slot.events == 0), None);
        assert_eq!((keys.len(), keys.insert(9).unwrap()), (1, a));
    }

    #[test]
    fn events_are_gapless_while_each_is_at_most_a_gap_from_those_before_it() {
        let settings = Sessionize { gap_ms: 10, length_ms: 100 };
        let mut slot = Slot::new(0);
        for ts in [50, 60, 40] {
            slot.admit(&settings, ts);
        }
        assert_eq!(slot.may_close_at(&settings), 71);
        slot.due_at = 43;
        slot.admit(&settings, 71);
        assert_eq!((slot.may_close_at(&settings), slot.first_ts, slot.latest_ts), (43, 40, 71));
    }
}
