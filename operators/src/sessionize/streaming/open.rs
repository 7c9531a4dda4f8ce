//! The open sessions of a shard, between epochs.
//!
//!     events ─▶ packed ─▶ rows of their key        (late events ─▶ reported, not admitted)
//!
//! A plain data structure: it reads no clock and does no IO. The same batches and watermarks always leave the same state.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Fields;
use datafusion::common::{Result, internal_datafusion_err};
use hashbrown::HashSet;
use netcrab_schema::SessionKey;

use super::blocks::{Blocks, Chain, ROOM};
use super::keys::{Keys, Slot, closes_at};
use super::timers::{Timers, tick};
use crate::rules::Sessionize;
use crate::sessionize::dictionaries::{CodeRemapping, Dictionaries};
use crate::sessionize::encoded_batch::EncodedBatch;
use crate::sessionize::head::Head;
use crate::sessionize::layout::Layout;
use crate::sessionize::packer::Packer;
use crate::sessionize::text;
use crate::sessionize::visitor::Visitor;

/// The open sessions of a shard, and, for each key, how many sessions closed and at which watermark.
pub struct OpenSessions {
    pub(super) layout: Arc<Layout>,
    pub(super) settings: Sessionize,
    pub(super) keys: Keys,
    pub(super) blocks: Blocks,
    pub(super) timers: Timers,
    pub(super) counts: Counts,
    pub(super) packer: Packer,
    snapshot: Option<DictionarySnapshot>,
    late: Late,
    /// Keys whose sessions changed since the last [`Self::take_changed`], at most `changed_max`.
    changed: HashSet<u32>,
    changed_max: usize,
    /// Hashes of keys under repair: none of their sessions closes.
    pub(super) held: HashSet<u64>,
    pub(super) forgotten_before: i64,
    scratch: Scratch,
}

/// Number of open keys and events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of keys with open events; close to the number of open sessions.
    pub sessions: usize,
    /// Open events, including repeats.
    pub events: usize,
}

/// Events that were not admitted, because their session is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Late {
    /// Number of late events.
    pub events: usize,
    /// Their session keys, each with the smallest ts of its late events, in ms.
    pub since: BTreeMap<SessionKey, i64>,
}

/// The dictionaries of the symbols and tuples interned so far.
#[derive(Clone)]
pub(super) struct DictionarySnapshot {
    interned: usize,
    pub(super) dictionaries: Arc<Dictionaries>,
    pub(super) remapping: Arc<CodeRemapping>,
}

/// Buffers that are reused for each event.
#[derive(Default)]
struct Scratch {
    visitor: Visitor,
    own: Vec<u8>,
    head: Vec<u8>,
    packed: Vec<u8>,
}

impl OpenSessions {
    /// An empty state for events with these fields; each tuple dictionary holds at most `actions_max` entries.
    ///
    /// # Errors
    /// Where `fields` lacks a column that `sessionize` needs.
    pub fn new(fields: &Fields, settings: Sessionize, actions_max: usize) -> Result<Self> {
        let layout = Layout::new(fields)?;
        Ok(Self {
            packer: Packer::new(&layout, actions_max),
            layout: Arc::new(layout),
            settings,
            keys: Keys::default(),
            blocks: Blocks::default(),
            timers: Timers::default(),
            counts: Counts::default(),
            snapshot: None,
            late: Late::default(),
            changed: HashSet::new(),
            changed_max: 0,
            held: HashSet::new(),
            forgotten_before: i64::MIN,
            scratch: Scratch::default(),
        })
    }

    /// The event columns.
    pub fn fields(&self) -> &Fields {
        &self.layout.fields
    }

    /// The gap and the length that end a session.
    pub fn settings(&self) -> &Sessionize {
        &self.settings
    }

    /// Number of open keys and events.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// One past the highest slot number.
    pub fn slots(&self) -> u32 {
        self.keys.slots()
    }

    /// Bytes held, nearly: events, slots, timers, symbols and tuples.
    pub fn memory(&self) -> usize {
        let snapshot_bytes = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.dictionaries.memory());
        self.blocks.memory() + self.keys.memory() + self.timers.memory() + self.packer.memory() + snapshot_bytes
    }

    /// Adds the events of `batch`; returns how many were late.
    ///
    /// # Errors
    /// Where a column has another type than expected, or the shard is at its maximum of keys or events.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<usize> {
        let late_before = self.late.events;
        let batch = self.packer.encode(&self.layout, batch)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let pushed = (0..batch.len()).try_for_each(|row| {
            let key = self.find(&batch, row, &mut scratch)?;
            if batch.ts(row) < key.map_or(self.forgotten_before, |key| self.keys.slot(key).closed_until) {
                return self.report_late(&scratch.own, batch.ts(row));
            }
            self.push_row(&batch, row, key, &mut scratch).map(|_| ())
        });
        self.scratch = scratch;
        pushed.map(|()| self.late.events - late_before)
    }

    /// Reopens closed sessions of one key: adds all their events, and the late events that belong to them. The first
    /// `sessions` of the key's sessions remain closed, the last of them at the watermark `closed_until` (ms).
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn reopen(&mut self, events: &RecordBatch, sessions: u32, closed_until: i64) -> Result<()> {
        let batch = self.packer.encode(&self.layout, events)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let pushed = (0..batch.len()).try_for_each(|row| {
            let key = self.find(&batch, row, &mut scratch)?;
            let key = self.push_row(&batch, row, key, &mut scratch)?;
            let slot = self.keys.slot_mut(key);
            (slot.sessions, slot.closed_until) = (sessions, closed_until);
            Ok(())
        });
        self.scratch = scratch;
        pushed
    }

    /// The key of a row, where it is known. Writes to `own` the head of a key that would begin with this row.
    fn find(&self, batch: &EncodedBatch, row: usize, scratch: &mut Scratch) -> Result<Option<u32>> {
        let Scratch { visitor, own, head, .. } = scratch;
        self.packer.visitor(batch, row, visitor);
        own.clear();
        self.packer.append_head(&self.layout, batch, row, visitor, own);
        let own_head = Head::read(&self.layout, own).ok_or_else(damaged)?;
        Ok(self.keys.find(visitor.hash, |slot| {
            read_head(&self.layout, &self.blocks, &slot.rows, head).is_some_and(|head| head.same_key(&own_head))
        }))
    }

    /// Adds a row to its key; inserts a key that is not known.
    fn push_row(&mut self, batch: &EncodedBatch, row: usize, key: Option<u32>, scratch: &mut Scratch) -> Result<u32> {
        let Scratch { visitor, own, head, packed } = scratch;
        let key = match key {
            Some(key) => key,
            None => {
                let key = self.keys.insert(visitor.hash)?;
                // A forgotten key looks new, so events before `forgotten_before` stay late.
                self.keys.slot_mut(key).closed_until = self.forgotten_before;
                key
            }
        };
        let slot = self.keys.slot_mut(key);
        if slot.events == 0 {
            self.blocks.free(&mut slot.rows);
            self.blocks.append(&mut slot.rows, own)?;
            self.counts.sessions += 1;
        }
        let own_head = Head::read(&self.layout, own).ok_or_else(damaged)?;
        let head = read_head(&self.layout, &self.blocks, &slot.rows, head).ok_or_else(damaged)?;
        packed.clear();
        self.packer.append_under(&self.layout, batch, row, &head, &own_head, packed);
        self.blocks.append(&mut slot.rows, packed)?;
        self.admit(key, batch.ts(row));
        Ok(key)
    }

    /// The watermark, in ms, at which the last closed session of a key closed; `None` where no closed session of the
    /// key is known.
    pub fn closed_until(&self, key: &SessionKey) -> Option<i64> {
        let (hash, owner, packed) = self.hash_of(key)?;
        let mut space = Vec::new();
        let key = self.keys.find(hash, |slot| {
            read_head(&self.layout, &self.blocks, &slot.rows, &mut space)
                .is_some_and(|head| head.owner == owner && head.session_or_user() == packed)
        });
        Some(self.keys.slot(key?).closed_until).filter(|&closed_until| closed_until > i64::MIN)
    }

    /// Replaces the set of held keys. Sessions of a held key do not close, whatever the watermark.
    ///
    /// The held keys are not part of a checkpoint; whoever reads one must call this again. A key that shares its hash
    /// with one of these is held too.
    pub fn hold<'a>(&mut self, keys: impl IntoIterator<Item = &'a SessionKey>) {
        self.held = keys.into_iter().filter_map(|key| Some(self.hash_of(key)?.0)).collect();
    }

    /// The hash of a key, the codes of its owner, and its session_id or user_hash, packed; `None` if no event had this
    /// organisation or this product.
    fn hash_of(&self, key: &SessionKey) -> Option<(u64, [u32; 2], Vec<u8>)> {
        let [org, product] = self.layout.owner;
        let owner =
            [self.packer.interners[org].find(&key.org_id)?, self.packer.interners[product].find(&key.product_id)?];
        let mut packed = Vec::new();
        text::pack(&key.session_or_user, &mut packed);
        Some((self.packer.hash_of(&packed, owner), owner, packed))
    }

    /// Counts an open event whose bytes were appended, and moves the timer of its key where the key may be due earlier.
    pub(super) fn admit(&mut self, key: u32, ts: i64) {
        let slot = self.keys.slot_mut(key);
        slot.admit(&self.settings, ts);
        self.note_change(key);
        let slot = self.keys.slot_mut(key);
        self.counts.events += 1;
        let due_at = closes_at(&self.settings, ts, ts);
        if due_at < slot.due_at {
            self.set_timer(key, due_at);
        }
    }

    /// Sets the timer of a key; an earlier timer of the key becomes stale.
    pub(super) fn set_timer(&mut self, key: u32, due_at: i64) {
        let slot = self.keys.slot_mut(key);
        let registered = tick(slot.due_at) == tick(due_at);
        slot.due_at = due_at;
        if !registered {
            self.timers.register(key, due_at);
        }
    }

    /// Records a late event; `head` is what `find` wrote to `own`.
    fn report_late(&mut self, head: &[u8], ts: i64) -> Result<()> {
        let head = Head::read(&self.layout, head).ok_or_else(damaged)?;
        let texts = [0, 1].map(|at| self.packer.interners[self.layout.owner[at]].text(head.owner[at]).to_owned());
        let [org_id, product_id] = texts;
        let session_or_user = text::unpack(head.session_or_user(), &mut [0; 64]).to_owned();
        self.late.events += 1;
        let since = self.late.since.entry(SessionKey { org_id, product_id, session_or_user }).or_insert(ts);
        *since = ts.min(*since);
        Ok(())
    }

    /// Tracks at most `max` keys whose sessions change, for [`Self::take_changed`], beginning with all keys that have
    /// open events.
    pub fn note_changes(&mut self, max: usize) {
        self.changed_max = max;
        self.changed.clear();
        for key in 0..self.keys.slots() {
            if self.keys.slot(key).events > 0 {
                self.note_change(key);
            }
        }
    }

    pub(super) fn note_change(&mut self, key: u32) {
        if self.changed.len() < self.changed_max {
            self.changed.insert(key);
        }
    }

    /// Keys whose sessions changed since the last call, in order: first those with open events, then those without.
    pub fn take_changed(&mut self) -> (Vec<u32>, Vec<u32>) {
        let mut changed: Vec<u32> = self.changed.drain().collect();
        changed.sort_unstable();
        changed.into_iter().partition(|&key| self.keys.slot(key).events > 0)
    }

    /// The late events since the last call.
    pub fn take_late(&mut self) -> Late {
        std::mem::take(&mut self.late)
    }

    /// Forgets keys that have no open events and whose last session closed at or before the watermark `before` (ms).
    ///
    /// From then on, an event before `before` with an unknown key is late, since its session may have been closed. The
    /// sessions of a key that comes back are numbered from 0 again, so choose `before` older than any key whose
    /// numbering must continue. O(keys).
    pub fn forget(&mut self, before: i64) {
        let Self { keys, blocks, held, .. } = self;
        let forgets = |slot: &Slot| slot.events == 0 && slot.closed_until <= before && !held.contains(&slot.hash);
        keys.remove(forgets, |slot| blocks.free(&mut slot.rows));
        self.forgotten_before = self.forgotten_before.max(before);
    }

    /// No session closes at a watermark before this; `None` where nothing is open.
    pub fn next_due(&self) -> Option<i64> {
        self.timers.next()
    }

    /// The dictionaries of all symbols and tuples, built again where new ones were interned. Without `all`, the last
    /// dictionaries do.
    pub(super) fn dictionaries(&mut self, all: bool) -> Result<DictionarySnapshot> {
        let symbols: usize = self.packer.interners.iter().map(|symbols| symbols.len()).sum();
        let interned = symbols + self.packer.dictionaries.iter().map(|tuples| tuples.len()).sum::<usize>();
        if let Some(snapshot) = self.snapshot.as_ref().filter(|snapshot| !all || snapshot.interned == interned) {
            return Ok(snapshot.clone());
        }
        let (dictionaries, mut remappings) = Dictionaries::new(&self.layout, std::slice::from_ref(&self.packer));
        let remapping = remappings.pop().ok_or_else(|| internal_datafusion_err!("symbols without a remapping"))?;
        let snapshot =
            DictionarySnapshot { interned, dictionaries: Arc::new(dictionaries), remapping: Arc::new(remapping) };
        self.snapshot = Some(snapshot.clone());
        Ok(snapshot)
    }
}

/// The head at the beginning of a key's rows.
fn read_head<'a>(layout: &Layout, blocks: &'a Blocks, rows: &Chain, space: &'a mut Vec<u8>) -> Option<Head<'a>> {
    if let Some(head) = Head::read(layout, blocks.start(rows)) {
        return Some(head);
    }
    let mut length = 4 * ROOM;
    loop {
        space.clear();
        blocks.read(rows, length, space);
        if space.len() < length || Head::read(layout, space).is_some() {
            break;
        }
        length *= 2;
    }
    Head::read(layout, space)
}

fn damaged() -> datafusion::error::DataFusionError {
    internal_datafusion_err!("the head of a key cannot be read")
}
