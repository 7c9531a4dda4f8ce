//! Repairs: merges late events into sessions that are closed already.
//!
//!     late keys ─▶ their sessions since the first late event ─▶ retracted from every table
//!                                     │
//!                                     └─ their events and the late ones ─▶ opened again ─▶ closed by the watermark
//!
//! One late event can lengthen a session, join two, or change the numbers of all sessions after it. So a repair
//! retracts the sessions that the event may belong to, and opens their events again as if they had never closed. The
//! watermark then closes them by the ordinary rules.
//!
//!     epoch n   the repair begins: from here on no session of its keys closes
//!               │ in the background: staged files without the retracted sessions
//!     epoch m   commits the repair: files are replaced, sessions are open again, due ones close
//!
//! Where epoch m is not committed, the repair starts again from the files of that time.
//!
//! **Sums.** What retracted sessions added to hotspots and flows is subtracted by rows with negated sums; a cell whose
//! counts are all zero disappears (`Table::folded`). Two cases cannot be subtracted: a session that may move to another
//! day, and events that were counted by other rules. Those days of a product are recomputed from the remaining events.
//!
//! | file | what it holds |
//! |---|---|
//! | `late.rs` | which keys a repair takes on |
//! | `closed.rs` | their closed sessions |
//! | `reopen.rs`, `reopened_file.rs` | the events to open again, and the file that records them |
//! | `retract.rs` | what changes in the tables |

mod closed;
mod columns;
mod late;
mod reopen;
mod reopened_file;
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

/// The result of a repair, to be committed by an epoch.
#[derive(Debug, Default)]
pub struct Repair {
    /// Sessions to open again.
    pub reopened: Vec<ReopenedSessions>,
    /// What changes in the tables.
    pub changes: BTreeMap<String, TableChange>,
}

/// Prepares a repair of `keys`: stages the changed files and collects the events to open again. Sessions that closed at
/// or before `rules_since_ms` may have been derived with other rules.
///
/// # Errors
/// [`Error::NoEventsOfSession`] where events_raw lacks a session; otherwise whatever a query or the sink gives.
pub async fn prepare(context: &MaintenanceContext<'_>, keys: &[LateKey], rules_since_ms: i64) -> Result<Repair> {
    let began = std::time::Instant::now();
    let closed = closed_sessions(context, keys).await?;
    let retracted: Vec<&ClosedSession> = closed.iter().filter(|closed| closed.may_contain(&keys[closed.key])).collect();
    let reopened = reopened(context, keys, &closed).await?;
    let of_key: BTreeMap<usize, &ReopenedSessions> = reopened.iter().map(|reopened| (reopened.key, reopened)).collect();
    // Days of products whose sums are recomputed.
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
        "repair of late events prepared"
    );
    Ok(Repair { reopened, changes })
}

/// Whether subtracting a session could change the route of a screen: the session may move to another day, or repeated
/// events disagree on screen or route.
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
