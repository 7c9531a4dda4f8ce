//! Closes the sessions that no event in time can still join.
//!
//!     timers ─▶ keys that may be due ─▶ rows ─▶ order ─▶ cut ─┬─▶ closed: session batches
//!                                                             └─▶ open: back into the rows of their key
//!
//! The ordered events of a key may form several sessions. The first of them may be closed: these are emitted, with
//! numbers that continue those of the key's earlier sessions. The others stay open.

use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;

use super::keys::closes_at;
use super::open::{DictionarySnapshot, OpenSessions};
use super::timers::{NEVER, tick};
use crate::sessionize::bytes::Reader;
use crate::sessionize::fold::{self, Cut};
use crate::sessionize::order::{self, Order};
use crate::sessionize::rows::Rows;

/// Events that are ordered at once, unless one key alone has more.
const GROUP_EVENTS: usize = 1 << 15;

/// The closing of an epoch, in progress.
pub struct Closing {
    watermark: i64,
    /// Keys that may have something to close.
    due: std::vec::IntoIter<u32>,
    dictionaries: DictionarySnapshot,
    rows: Rows,
    closed: Order,
    cuts: Vec<Cut>,
    /// How many of `cuts` were emitted.
    done: usize,
    /// How many events repeated another one and were excluded.
    pub repeats: usize,
}

/// A view of open sessions, in progress.
pub struct OpenSessionsView {
    closing: Closing,
    /// The key of each of the current sessions.
    keys: Vec<u32>,
}

/// The keys of a group, and where their heads and rows lie among its bytes.
#[derive(Default)]
struct KeyGroup {
    keys: Vec<u32>,
    bytes: Vec<u8>,
    heads: Vec<Range<u32>>,
    rows: Vec<Range<u32>>,
}

impl Closing {
    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        self.rows.memory() + size_of_val(self.due.as_slice())
    }
}

impl OpenSessions {
    /// Begins to close the sessions that `watermark` (ms) closes. Then call [`Self::next_closed`] until it gives `None`.
    ///
    /// # Errors
    /// An internal error where the dictionaries cannot be built.
    pub fn close(&mut self, watermark: i64) -> Result<Closing> {
        let due = self.take_due(watermark);
        // Most epochs bring a new symbol, and many close nothing: those need no new dictionaries.
        let dictionaries = self.dictionaries(!due.is_empty())?;
        Ok(self.begin(watermark, due, dictionaries))
    }

    fn begin(&self, watermark: i64, keys: Vec<u32>, dictionaries: DictionarySnapshot) -> Closing {
        Closing {
            watermark,
            due: keys.into_iter(),
            rows: Rows::new(&self.layout, dictionaries.dictionaries.clone()),
            dictionaries,
            closed: Order { rows: Vec::new(), key_ends: Vec::new(), repeats: 0 },
            cuts: Vec::new(),
            done: 0,
            repeats: 0,
        }
    }

    /// The keys whose timers fire and that may be due. The timers of the others are set anew, those of held keys for
    /// the same instant.
    fn take_due(&mut self, watermark: i64) -> Vec<u32> {
        let (mut due, mut held) = (Vec::new(), Vec::new());
        for (fired_at, keys) in self.timers.fire(watermark) {
            for key in keys {
                let slot = self.keys.slot(key);
                let stale = tick(slot.due_at) != fired_at || slot.events == 0;
                if stale {
                    continue;
                }
                if self.held.contains(&slot.hash) {
                    held.push((key, slot.due_at));
                    continue;
                }
                let may_close_at = slot.may_close_at(&self.settings);
                self.keys.slot_mut(key).due_at = NEVER;
                if may_close_at > watermark {
                    self.set_timer(key, may_close_at);
                } else {
                    due.push(key);
                }
            }
        }
        held.into_iter().for_each(|(key, due_at)| self.timers.register(key, due_at));
        due
    }

    /// The next batch of closed sessions, a session batch of this schema; `None` after the last one.
    ///
    /// # Errors
    /// Where the packed events of a key are damaged, or one key has more than 4 GiB of them.
    pub fn next_closed(&mut self, closing: &mut Closing, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        while closing.done == closing.cuts.len() {
            if !self.close_group(closing)? {
                return Ok(None);
            }
        }
        let cuts = fold::one_batch(&closing.cuts[closing.done..]);
        closing.done += cuts.len();
        fold::session_batch(&self.layout, schema, &closing.rows, &closing.closed, cuts).map(Some)
    }

    /// Orders the events of the next due keys and separates closed from open sessions; `false` where no key is left.
    fn close_group(&mut self, closing: &mut Closing) -> Result<bool> {
        let group = self.read_group(closing)?;
        closing.closed.rows.clear();
        closing.cuts.clear();
        closing.done = 0;
        let order = order::order(&self.layout, &closing.rows);
        let cuts = fold::cut(&self.settings, &closing.rows.ts, &order);
        let of_keys = cuts.chunk_by(|_, next| next.session_no > 0);
        for ((place, &key), cuts) in group.keys.iter().enumerate().zip(of_keys) {
            let at = |place: u32| closing.rows.ts[order.rows[place as usize] as usize];
            let closes_at = |cut: &Cut| closes_at(&self.settings, at(cut.start), at(cut.end - 1));
            // A session is closed before the one after it, so the closed ones come first.
            let closed = cuts.partition_point(|cut| closes_at(cut) <= closing.watermark);
            let Some(last) = closed.checked_sub(1) else {
                self.set_timer(key, closes_at(&cuts[0]));
                continue;
            };
            let closed_until = closes_at(&cuts[last]);
            let all = cuts[0].start..cuts[cuts.len() - 1].end;
            let numbered = self.keys.slot(key).sessions;
            closing.repeats += (self.keys.slot(key).events - (all.end - all.start)) as usize;
            closing.take(&order, &cuts[..closed], numbered);
            self.close_first(key, closed, closed_until);
            let open = &order.rows[cuts[last].end as usize..all.end as usize];
            let open = open.iter().map(|&row| (closing.rows.ts[row as usize], group.part(&group.rows[row as usize])));
            self.keep(key, group.part(&group.heads[place]), open)?;
        }
        Ok(!group.keys.is_empty())
    }

    /// Unpacks the next due keys.
    fn read_group(&self, closing: &mut Closing) -> Result<KeyGroup> {
        let mut group = KeyGroup::default();
        closing.rows.clear();
        while closing.rows.len() < GROUP_EVENTS {
            let Some(key) = closing.due.next() else { break };
            let slot = self.keys.slot(key);
            let start = group.bytes.len();
            self.blocks.read(&slot.rows, usize::MAX, &mut group.bytes);
            let mut reader = Reader { bytes: &group.bytes, at: start };
            let names = &closing.dictionaries.remapping;
            let head_end = closing.rows.read_key(&self.layout, names, slot.hash, &mut reader, &mut group.rows)?;
            group.heads.push(start as u32..head_end);
            group.keys.push(key);
        }
        Ok(group)
    }

    /// A view of the open sessions of these keys as they are now; closes none. Then call [`Self::next_viewed`].
    ///
    /// # Errors
    /// As [`Self::close`].
    pub fn view(&mut self, mut keys: Vec<u32>) -> Result<OpenSessionsView> {
        keys.retain(|&key| key < self.keys.slots() && self.keys.slot(key).events > 0);
        let dictionaries = self.dictionaries(true)?;
        let closing = self.begin(i64::MIN, keys, dictionaries);
        Ok(OpenSessionsView { closing, keys: Vec::new() })
    }

    /// The next batch of open sessions, a session batch of this schema, with the key of each; `None` after the last one.
    ///
    /// # Errors
    /// As [`Self::next_closed`].
    pub fn next_viewed(
        &self,
        view: &mut OpenSessionsView,
        schema: &SchemaRef,
    ) -> Result<Option<(RecordBatch, Vec<u32>)>> {
        let OpenSessionsView { closing, keys } = view;
        while closing.done == closing.cuts.len() {
            let group = self.read_group(closing)?;
            if group.keys.is_empty() {
                return Ok(None);
            }
            closing.closed.rows.clear();
            closing.cuts.clear();
            keys.clear();
            closing.done = 0;
            let order = order::order(&self.layout, &closing.rows);
            let cuts = fold::cut(&self.settings, &closing.rows.ts, &order);
            let open = group.keys.iter().filter(|key| self.keys.slot(**key).events > 0);
            for (&key, cuts) in open.zip(cuts.chunk_by(|_, next| next.session_no > 0)) {
                closing.take(&order, cuts, self.keys.slot(key).sessions);
                keys.extend(std::iter::repeat_n(key, cuts.len()));
            }
        }
        let cuts = fold::one_batch(&closing.cuts[closing.done..]);
        let keys = keys[closing.done..closing.done + cuts.len()].to_vec();
        closing.done += cuts.len();
        Ok(Some((fold::session_batch(&self.layout, schema, &closing.rows, &closing.closed, cuts)?, keys)))
    }

    /// Counts the first `sessions` of a key as closed, and none of its events as open.
    fn close_first(&mut self, key: u32, sessions: usize, closed_until: i64) {
        self.note_change(key);
        let slot = self.keys.slot_mut(key);
        self.counts.events -= slot.events as usize;
        self.counts.sessions -= 1;
        slot.sessions = slot.sessions.saturating_add(sessions as u32);
        slot.closed_until = closed_until;
        slot.events = 0;
    }

    /// Keeps of a key its head and the rows `open`, each with its ts.
    fn keep<'a>(&mut self, key: u32, head: &[u8], open: impl ExactSizeIterator<Item = (i64, &'a [u8])>) -> Result<()> {
        let slot = self.keys.slot_mut(key);
        self.blocks.free(&mut slot.rows);
        self.blocks.append(&mut slot.rows, head)?;
        self.counts.sessions += usize::from(open.len() > 0);
        for (ts, row) in open {
            self.blocks.append(&mut self.keys.slot_mut(key).rows, row)?;
            self.admit(key, ts);
        }
        Ok(())
    }
}

impl KeyGroup {
    fn part(&self, place: &Range<u32>) -> &[u8] {
        &self.bytes[place.start as usize..place.end as usize]
    }
}

impl Closing {
    /// Adds the closed sessions of a key; the first of them has number `first_no`.
    fn take(&mut self, order: &Order, closed: &[Cut], first_no: u32) {
        for cut in closed {
            let start = self.closed.rows.len() as u32;
            self.closed.rows.extend_from_slice(&order.rows[cut.start as usize..cut.end as usize]);
            let end = self.closed.rows.len() as u32;
            self.cuts.push(Cut { start, end, session_no: cut.session_no + i64::from(first_no) });
        }
    }
}
