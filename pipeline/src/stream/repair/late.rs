//! Keys with late events: which wait for a repair, and which of their sessions a repair reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use netcrab_operators::session::day_of;
use netcrab_operators::sessionize::streaming::OpenSessions;
use netcrab_schema::SessionKey;

use crate::checkpoints::manifest::LateKeys;
use crate::error::Result;

/// Most keys that one repair takes on.
pub const KEYS_MAX: usize = 10_000;

/// A session key with late events.
#[derive(Debug)]
pub struct LateKey {
    pub(super) key: SessionKey,
    /// The ts of its first late event, ms.
    pub(super) since_ms: i64,
    /// The first date of sessions that the event may belong to.
    pub(super) from_date: i32,
    /// Events since this ts are open, ms; `None` where the key has none open.
    pub(super) closed_until: Option<i64>,
}

/// Splits late keys into those of the next repair, at most [`KEYS_MAX`], and those that wait.
pub fn take_batch(late: &LateKeys) -> (LateKeys, LateKeys) {
    let mut taken = late.clone();
    let waiting = late.keys().nth(KEYS_MAX).map(|first| taken.split_off(first));
    (taken, waiting.unwrap_or_default())
}

/// Merges late keys into others; the earlier ts counts.
pub fn merge_late(to: &mut LateKeys, late: &LateKeys) {
    for (key, &since_ms) in late {
        to.entry(key.clone()).and_modify(|since| *since = since_ms.min(*since)).or_insert(since_ms);
    }
}

/// The late keys of a repair, in order, with what the open sessions know of them.
pub fn late_keys(late: &LateKeys, state: &OpenSessions) -> Vec<LateKey> {
    let key = |(key, &since_ms): (&SessionKey, &i64)| LateKey {
        closed_until: state.closed_until(key),
        key: key.clone(),
        since_ms,
        // No session is longer than `length_ms`.
        from_date: day_of(since_ms.saturating_sub(state.settings().length_ms)),
    };
    late.iter().map(key).collect()
}

/// The late keys as rows to join, each with a range of timestamps, µs.
pub(super) fn late_batch(keys: &[LateKey], range: impl Fn(usize) -> (i64, i64)) -> Result<RecordBatch> {
    let text = |of: fn(&SessionKey) -> &String| {
        Arc::new(StringArray::from_iter_values(keys.iter().map(|key| of(&key.key)))) as ArrayRef
    };
    let number = |of: &dyn Fn(usize) -> i64| Arc::new((0..keys.len()).map(of).collect::<Int64Array>()) as ArrayRef;
    Ok(RecordBatch::try_from_iter([
        ("key", number(&|key| key as i64)),
        ("org_id", text(|key| &key.org_id)),
        ("product_id", text(|key| &key.product_id)),
        ("session_or_user", text(|key| &key.session_or_user)),
        ("from_date", Arc::new(keys.iter().map(|key| Some(key.from_date)).collect::<Date32Array>())),
        ("from_us", number(&|key| range(key).0)),
        ("until_us", number(&|key| range(key).1)),
    ])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_takes_on_so_many_keys_and_the_rest_waits() {
        let key = |number: usize| SessionKey::new("o", "p", &format!("{number:06}"), "");
        let late: LateKeys = (0..=KEYS_MAX).map(|number| (key(number), 5)).collect();
        let (taken, waiting) = take_batch(&late);
        assert_eq!((taken.len(), waiting.clone()), (KEYS_MAX, LateKeys::from([(key(KEYS_MAX), 5)])));
        assert_eq!(take_batch(&waiting), (waiting.clone(), LateKeys::new()));
        let mut both = taken;
        merge_late(&mut both, &LateKeys::from([(key(0), 4), (key(1), 6), (key(KEYS_MAX), 7)]));
        assert_eq!((both[&key(0)], both[&key(1)], both[&key(KEYS_MAX)]), (4, 5, 7));
    }
}
