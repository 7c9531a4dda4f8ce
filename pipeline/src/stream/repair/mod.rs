//! Brings late events to sessions that are closed already.
//!
//!     late: (key, day) ─▶ the key's sessions from the day before on ─▶ out of every table
//!                                     │
//!                                     └─ their events, the late ones too ─▶ open again ─▶ closed by W
//!
//! One late event can lengthen a session, join two, or move the numbers of all that follow. So the
//! sessions it may concern are taken back: their rows leave the tables, and their events are opened
//! again as if they had never been closed. The watermark then closes them by the ordinary rules, in the
//! same epoch where they are due.
//!
//!     epoch n   begins: none of the keys' sessions closes from here on
//!               │ beside the epochs: what is taken back, files without it
//!     epoch m   takes it up: the files change, the sessions open again, and what is due closes
//!
//! Epoch m is a fact with its manifest, or it never was: then the repair is made again, from the files
//! of that time.
//!
//! **Sums.** What sessions added to hotspots and flows is taken out by rows with the same numbers below
//! zero; a cell whose counts are all zero is none ([`Table::folded`]). Their events all come back, so
//! the smallest route of a screen stays, unless a session may move to another day, or its events were
//! counted by other rules: those days of a product are summed recomputed from the events that stay.

pub mod closed;
mod columns;
pub mod late;
pub mod reopen;
pub mod reopened_file;
mod retract;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::AsArray;
use arrow::datatypes::TimestampMillisecondType;
use netcrab_operators::rules::Rules;
use netcrab_operators::session::DAY_MS;
use netcrab_sinks::TableChange;

use self::closed::{ClosedSession, closed_sessions};
use self::columns::{column, text_column};
pub use self::late::{KEYS_MAX, LateKey, late_keys, merge_late, take_batch};
use self::reopen::reopened;
pub use self::reopened_file::{ReopenedSessions, read_reopened, write_reopened};
pub use self::retract::reinsert_concurrent_rows;
use self::retract::retract;
use crate::error::{Error, Result};
use crate::stream::maintenance_context::{MaintenanceContext, ProductDay};

/// What a repair does.
#[derive(Debug, Default)]
pub struct Repair {
    /// Sessions to open again.
    pub reopened: Vec<ReopenedSessions>,
    /// What leaves the tables.
    pub changes: BTreeMap<String, TableChange>,
}

/// Plans a repair of these keys; sessions that closed at or before `rules_since_ms` may know other rules.
pub async fn prepare(context: &MaintenanceContext<'_>, keys: &[LateKey], rules_since_ms: i64) -> Result<Repair> {
    let began = std::time::Instant::now();
    let closed = closed_sessions(context, keys).await?;
    let retracted: Vec<&ClosedSession> = closed.iter().filter(|closed| closed.may_contain(&keys[closed.key])).collect();
    let reopened = reopened(context, keys, &closed).await?;
    let of_key: BTreeMap<usize, &ReopenedSessions> = reopened.iter().map(|reopened| (reopened.key, reopened)).collect();
    // Days of products that are summed recomputed.
    let mut recomputed: BTreeSet<ProductDay<'_>> = BTreeSet::new();
    for closed in &retracted {
        let Some(reopened) = of_key.get(&closed.key) else {
            let org_id = &keys[closed.key].key.org_id;
            return Err(Error::NoEventsOfSession { session_key: closed.session_key.clone(), org_id: org_id.clone() });
        };
        if closed.closes_at <= rules_since_ms || may_change_day_or_route(closed, reopened, context.rules)? {
            recomputed.insert(closed.day());
        }
    }
    let mut changes = BTreeMap::new();
    if !retracted.is_empty() {
        retract(context, &retracted, &recomputed, &mut changes).await?;
    }
    tracing::info!(
        shard = context.shard,
        keys = keys.len(),
        sessions = retracted.len(),
        events = reopened.iter().map(|reopened| reopened.events.num_rows()).sum::<usize>(),
        days_anew = recomputed.len(),
        files = changes.values().map(|change| change.removed.len()).sum::<usize>(),
        took_ms = began.elapsed().as_millis() as u64,
        "late events can be brought to their sessions"
    );
    Ok(Repair { reopened, changes })
}

/// Whether a screen may lose a route on the day of a session: where that may come to lie on another day, or events
/// that repeat each other disagree.
fn may_change_day_or_route(closed: &ClosedSession, reopened: &ReopenedSessions, rules: &Rules) -> Result<bool> {
    let ts = column(&reopened.events, "ts")?.as_primitive::<TimestampMillisecondType>().values().clone();
    let (Some(&first), Some(&last)) = (ts.first(), ts.last()) else { return Ok(true) };
    if first.div_euclid(DAY_MS) < i64::from(closed.date) || last - first >= rules.sessionize.length_ms {
        return Ok(true);
    }
    let texts = ["event_id", "screen_id", "route"].map(|name| text_column(&reopened.events, name));
    let [event_ids, screens, routes] = texts;
    let (event_ids, screens, routes) = (event_ids?, screens?, routes?);
    let mut places = BTreeMap::new();
    let differs = |row: usize| {
        let place = (screens.value(row), routes.value(row));
        *places.entry(event_ids.value(row)).or_insert(place) != place
    };
    Ok((0..reopened.events.num_rows()).any(differs))
}
