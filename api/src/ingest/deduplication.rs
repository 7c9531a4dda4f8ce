//! The deduplication window: recognises an event that was sent before.
//!
//!     claim ──▶ new       ─ append ─▶ commit    known from now on
//!         │                  └ fails ▶ release   as if it had never been sent
//!         ├───▶ known     accepted, not stored again
//!         └───▶ awaited   another request is appending it: wait, and claim again
//!
//! The id of an event is 128 bits of XXH3 over its session key and its event id, each part with its length. One bit is
//! used as a mark, so among n remembered ids a new event is taken for one of them with probability n / 2^127: for four
//! million ids, 2·10⁻³². 64 bits would not do: at 300 000 events a second, about one event in half a year would be
//! dropped.
//!
//! There are two generations of ids. New ids go into the young one. After one window, or once it has half of the ids
//! that may be remembered, the young generation becomes the old one, and the old one is dropped. So an id is known for
//! one to two windows, as long as the ids fit. An id takes 20 to 39 bytes: a slot has 17, and between seven sixteenths
//! and seven eighths of the slots are full.
//!
//! An event becomes known only once it is durable. Until then it is *claimed*. When two requests send the same event at
//! the same time, one appends it and the other waits for the result, so the event is neither stored twice nor lost when
//! the first request fails. A batch that repeats an id claims it for each of its rows; `sessionize` decides which row
//! counts (`docs/rules.md`, section 2).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{AsArray, RecordBatch};
use hashbrown::HashTable;
use netcrab_bus::SessionKeyColumns;
use netcrab_schema::session_key::append_part;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use xxhash_rust::xxh3::xxh3_128;

use crate::config::IngestSettings;

/// Stripes of the window, each with a lock of its own.
const STRIPES: usize = 64;

/// Set in the hash of an event that is claimed and not yet durable.
const CLAIMED: u128 = 1;

/// The ids of events sent before.
#[derive(Debug)]
pub(super) struct DeduplicationWindow {
    stripes: Vec<Mutex<Stripe>>,
    ids_max: usize,
    window_ms: i64,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Stripe {
    young: HashTable<u128>,
    old: HashTable<u128>,
    young_since_ms: Option<i64>,
}

/// The result of claiming an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The claimer appends it.
    New,
    /// It is durable already.
    Known,
    /// Another request is appending it.
    Awaited,
}

/// Events that are claimed; released when dropped without [`Claims::commit`].
#[derive(Debug)]
pub(super) struct Claims {
    window: Arc<DeduplicationWindow>,
    ids: Vec<u128>,
}

impl DeduplicationWindow {
    pub(super) fn new(settings: &IngestSettings) -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            ids_max: (settings.repeats_ids_max / 2 / STRIPES).max(1),
            window_ms: settings.repeats_window_ms,
            ended: Notify::new(),
        }
    }

    /// Claims events by their [`ids`]. Gives the state of each, and the claims on those that are new.
    pub(super) fn claim(self: &Arc<Self>, ids: &[u128], now_ms: i64) -> (Vec<Claim>, Claims) {
        let mut claims = Claims { window: self.clone(), ids: Vec::with_capacity(ids.len()) };
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let mut claim = self.stripe(*id).claim(*id, now_ms, self);
            // Claimed by an earlier row of this very batch.
            if claim == Claim::Awaited && claims.ids.contains(id) {
                claim = Claim::New;
            } else if claim == Claim::New {
                claims.ids.push(*id);
            }
            found.push(claim);
        }
        (found, claims)
    }

    /// Resolves when further claims have been committed or released. Call it before the claim whose awaited events it is
    /// to wait for; called later, it may miss their end.
    pub(super) fn ended(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// How many ids are remembered.
    pub(super) fn len(&self) -> usize {
        self.stripes.iter().map(|stripe| lock(stripe)).map(|stripe| stripe.young.len() + stripe.old.len()).sum()
    }

    fn stripe(&self, id: u128) -> MutexGuard<'_, Stripe> {
        lock(&self.stripes[(id >> 1) as usize % STRIPES])
    }
}

impl Claims {
    /// The events are durable: they are known from now on.
    pub(super) fn commit(mut self) {
        // Nothing was claimed, so nobody waits for this.
        if self.ids.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.ids) {
            self.window.stripe(id).commit(id);
        }
        self.window.ended.notify_waiters();
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.ids) {
            self.window.stripe(id).release(id);
        }
        self.window.ended.notify_waiters();
    }
}

impl Stripe {
    fn claim(&mut self, id: u128, now_ms: i64, bounds: &DeduplicationWindow) -> Claim {
        let since_ms = *self.young_since_ms.get_or_insert(now_ms);
        if self.young.len() >= bounds.ids_max || now_ms.saturating_sub(since_ms) >= bounds.window_ms {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            if now_ms.saturating_sub(since_ms) >= bounds.window_ms.saturating_mul(2) {
                self.old.clear();
            }
            self.young_since_ms = Some(now_ms);
        }
        let known = find(&self.young, id).or_else(|| find(&self.old, id));
        match known {
            Some(known) if known & CLAIMED == 0 => Claim::Known,
            Some(_) => Claim::Awaited,
            None => {
                self.young.insert_unique(hash(&id), id | CLAIMED, hash);
                Claim::New
            }
        }
    }

    fn commit(&mut self, id: u128) {
        for generation in [&mut self.young, &mut self.old] {
            if let Some(known) = generation.find_mut(hash(&id), |known| same(*known, id)) {
                *known = id;
                return;
            }
        }
        // Both generations were dropped while it was appended.
        self.young.insert_unique(hash(&id), id, hash);
    }

    fn release(&mut self, id: u128) {
        for generation in [&mut self.young, &mut self.old] {
            if let Ok(claimed) = generation.find_entry(hash(&id), |known| *known == id | CLAIMED) {
                claimed.remove();
                return;
            }
        }
    }
}

fn find(generation: &HashTable<u128>, id: u128) -> Option<u128> {
    generation.find(hash(&id), |known| same(*known, id)).copied()
}

fn same(a: u128, b: u128) -> bool {
    (a ^ b) | CLAIMED == CLAIMED
}

/// An id is a hash already.
fn hash(id: &u128) -> u64 {
    (id >> 64) as u64
}

fn lock(stripe: &Mutex<Stripe>) -> MutexGuard<'_, Stripe> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The id of each event of a batch; `None` where the batch does not have the schema of events in flight.
pub(super) fn ids(events: &RecordBatch) -> Option<Vec<u128>> {
    let keys = SessionKeyColumns::of(events).ok()?;
    let event_ids = events.column_by_name("event_id")?.as_string_view_opt()?;
    let mut bytes = Vec::with_capacity(256);
    let ids = (0..events.num_rows()).map(|row| {
        bytes.clear();
        keys.key(row).append_to(&mut bytes);
        append_part(event_ids.value(row), &mut bytes);
        xxh3_128(&bytes) & !CLAIMED
    });
    Some(ids.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Claim::{Awaited, Known, New};

    fn window(repeats_window_ms: i64, repeats_ids_max: usize) -> Arc<DeduplicationWindow> {
        Arc::new(DeduplicationWindow::new(&IngestSettings {
            repeats_window_ms,
            repeats_ids_max,
            ..IngestSettings::default()
        }))
    }

    /// Ids as [`ids`] makes them.
    fn id(number: u64) -> u128 {
        xxh3_128(&number.to_le_bytes()) & !CLAIMED
    }

    #[test]
    fn an_event_is_known_once_it_is_durable_and_not_before() {
        let window = window(1000, 1000);
        let (found, claims) = window.claim(&[id(1), id(2)], 0);
        assert_eq!(found, [New, New]);
        assert_eq!(window.claim(&[id(1), id(3)], 0).0, [Awaited, New]);
        claims.commit();
        assert_eq!(window.claim(&[id(1), id(2), id(3)], 0).0, [Known, Known, New], "3 was released");
    }

    #[test]
    fn a_failed_append_leaves_nothing_known() {
        let window = window(1000, 1000);
        drop(window.claim(&[id(1)], 0));
        assert_eq!(window.len(), 0);
        assert_eq!(window.claim(&[id(1)], 0).0, [New]);
    }

    #[test]
    fn repeats_within_a_batch_are_all_the_batchs_own() {
        let window = window(1000, 1000);
        let (found, claims) = window.claim(&[id(1), id(1)], 0);
        assert_eq!(found, [New, New]);
        claims.commit();
        assert_eq!(window.claim(&[id(1)], 0).0, [Known]);
    }

    #[test]
    fn an_event_is_known_for_one_window_and_forgotten_after_two() {
        let window = window(1000, 1000);
        window.claim(&[id(1)], 0).1.commit();
        assert_eq!(window.claim(&[id(1)], 999).0, [Known]);
        assert_eq!(window.claim(&[id(1)], 1000).0, [Known], "in the old generation");
        assert_eq!(window.claim(&[id(1)], 1999).0, [Known]);
        assert_eq!(window.claim(&[id(1)], 2000).0, [New]);
        window.claim(&[id(1)], 2000).1.commit();
        assert_eq!(window.claim(&[id(1)], 4000).0, [New], "two windows in which nothing came");
    }

    #[test]
    fn more_ids_than_are_remembered_shorten_the_window_and_take_no_more_memory() {
        let window = window(1000, 2000);
        for number in 0..20_000 {
            window.claim(&[id(number)], 0).1.commit();
        }
        assert!((500..=2000).contains(&window.len()), "{}", window.len());
        assert_eq!(window.claim(&[id(19_999), id(0)], 0).0, [Known, New]);
    }

    #[test]
    fn a_claim_outlives_the_generations() {
        let window = window(1000, 1000);
        let claims = window.claim(&[id(1)], 0).1;
        assert_eq!(window.claim(&[id(1)], 1500).0, [Awaited]);
        claims.commit();
        assert_eq!(window.claim(&[id(1)], 1500).0, [Known]);
        let claims = window.claim(&[id(2)], 0).1;
        let other = window.claim(&[id(2)], 5000);
        claims.commit();
        assert_eq!(other.0, [New], "both generations were dropped");
        assert_eq!(window.claim(&[id(2)], 5000).0, [Known]);
    }
}
