//! Knows an event that was sent before.
//!
//!     claim ──▶ new       ─ append ─▶ settle   known from now on
//!         │                  └ fails ▶ release  as if it had never come
//!         ├───▶ known     accepted, not kept again
//!         └───▶ awaited   another request is just appending it: wait, and claim again
//!
//! An event is known by 128 bits of XXH3 over organisation, product, visit and event id, each with its
//! length: among n remembered ids the chance that a new event is taken for one of them is n / 2^127, for
//! four million 2·10⁻³², so none is lost to it while this planet stands. (At 64 bits and 300 000 events a
//! second it would be one in half a year.)
//!
//! Two generations: ids are noted in the young one, which becomes the old one, and the old one is
//! forgotten, after the window, or earlier when it has half of the ids that may be remembered. So an id is
//! known for at least one window and at most two, while ids are no more than that. It takes 20 to 39
//! bytes: 17 for a slot, between half and seven eighths of which are full.
//!
//! An event becomes known only once it is durable. Until then it is *claimed*: of two requests that bring
//! it at the same time one appends it, and the other waits for how that ends, so it is neither kept twice
//! nor lost when the first fails. Within one batch a repeated id is claimed as often as it comes: which of
//! the rows counts is for the stage that makes sessions to say (rules, section 2).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use hashbrown::HashTable;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use xxhash_rust::xxh3::xxh3_128;

use crate::config::IngestSettings;

/// Stripes of the window, each with a lock of its own.
const STRIPES: usize = 64;

/// Set in the hash of an event that is claimed and not yet durable.
const CLAIMED: u128 = 1;

/// What is remembered of events sent before.
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

/// What a claim says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is the claimer's to append.
    New,
    /// It is durable already.
    Known,
    /// Another request is appending it.
    Awaited,
}

/// Events that are claimed; given up when dropped without [`Claims::commit`].
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

    /// Claims events, by their [`ids`]: what each of them is, and the hold on those that are new.
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

    /// Resolves once more claims have been settled or given up. Ask for it before the claim that found
    /// something awaited, or the end of it may be missed.
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
        // Nothing ended, and whoever waits for something else must not be woken by this.
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
        // Both generations went by while it was appended.
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

/// An id is random already.
fn hash(id: &u128) -> u64 {
    (id >> 64) as u64
}

fn lock(stripe: &Mutex<Stripe>) -> MutexGuard<'_, Stripe> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What each event of a batch is known by; `None` where the batch is none of events in flight.
pub(super) fn ids(events: &RecordBatch) -> Option<Vec<u128>> {
    let symbols = |name| {
        let column = events.column_by_name(name)?.as_dictionary_opt::<Int32Type>()?;
        Some((column.keys(), column.values().as_string_opt::<i32>()?))
    };
    let [org, product, session, user] =
        [symbols("org_id")?, symbols("product_id")?, symbols("session_id")?, symbols("user_hash")?];
    let event_ids = events.column_by_name("event_id")?.as_string_view_opt()?;
    let mut bytes = Vec::with_capacity(256);
    let ids = (0..events.num_rows()).map(|row| {
        let session_id = value(session, row);
        let visit = if session_id.is_empty() { value(user, row) } else { session_id };
        bytes.clear();
        for part in [value(org, row), value(product, row), visit, event_ids.value(row)] {
            bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        xxh3_128(&bytes) & !CLAIMED
    });
    Some(ids.collect())
}

fn value<'a>((keys, values): (&arrow::array::Int32Array, &'a StringArray), row: usize) -> &'a str {
    values.value(keys.value(row) as usize)
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
        assert_eq!(window.claim(&[id(1), id(2), id(3)], 0).0, [Known, Known, New], "3 was given up");
    }

    #[test]
    fn what_failed_is_as_if_it_had_never_come() {
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
        assert_eq!(other.0, [New], "both generations went by");
        assert_eq!(window.claim(&[id(2)], 5000).0, [Known]);
    }
}
