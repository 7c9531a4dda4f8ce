//! Whether state, tables and bus are of one history.
//!
//!     newest manifest ─▶ for each table the last epoch that changed it ─▶ the table's transactions say the same
//!                     └▶ the last event that was read                  ─▶ the bus has it at the same offset
//!
//! A copy of one of them that is put back beside newer others would lose events without a word: the epochs that it
//! lacks would be numbered again, and tables skip numbers that they have. So a shard that does not fit is not opened;
//! `netcrab stream repair` ([`crate::stream::rebuild`]) makes it fit again.

use netcrab_bus::Bus;
use netcrab_schema::Table;
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Sink, mark_of};

use super::apply::{HISTORY, writer};
use super::epoch::last_event;
use crate::checkpoints::manifest::{LastChange, LastChanges, Manifest, history};
use crate::error::{Error, Result};

/// Most bytes of the bus that are read for its last event; a range has at least one batch, whatever its size.
const LAST_EVENT_BYTES: usize = 1;

/// Checks that the tables have the epochs that `newest`, a manifest and its bytes, says; returns the last epoch before
/// it that changed each table. Where it is not `applied`, a table may still lack what it changes.
///
/// An epoch of an earlier release does not say so: then no table may have more epochs than the state, and what the
/// tables say is returned.
///
/// # Errors
/// [`Error::StateDisagrees`]; [`Error::Sink`] where a table cannot be read.
pub async fn check_tables(
    sink: &DeltaSink,
    shard: u32,
    newest: Option<&(Manifest, Vec<u8>)>,
    applied: bool,
) -> Result<LastChanges> {
    let stored = stored_changes(sink, shard).await?;
    let none = LastChanges::new();
    let (epoch, before, own) = match newest {
        None => (0, Some(&none), None),
        Some((manifest, bytes)) => (manifest.epoch, manifest.changed.as_ref(), Some((manifest, history(bytes)))),
    };
    let mut faults = Vec::new();
    for table in netcrab_schema::ALL.iter().map(|table| table.name) {
        let stored = stored.get(table).copied();
        let changes = own.filter(|(manifest, _)| manifest.tables.get(table).is_some_and(|change| !change.is_empty()));
        let newest = changes.map(|(_, history)| LastChange { epoch, history: Some(history) });
        let fits = match (before, newest) {
            (None, _) => stored.is_none_or(|stored| stored.epoch <= epoch),
            (Some(_), Some(_)) if same(stored, newest) => true,
            (Some(_), Some(_)) if applied => false,
            (Some(before), _) => same(stored, before.get(table).copied()),
        };
        if !fits {
            let expected = newest.or_else(|| before?.get(table).copied());
            faults.push(format!("{table} {}", difference(stored, expected)));
        }
    }
    if faults.is_empty() {
        // Also without the epoch's own changes, which are noted when it is applied.
        return Ok(before.cloned().unwrap_or(stored));
    }
    Err(Error::StateDisagrees { shard, what: format!("it ends with epoch {epoch}, and {}", faults.join(", ")) })
}

/// The last epoch of `shard` that changed each table, as the tables say.
///
/// # Errors
/// [`Error::Sink`] where a table cannot be read.
pub async fn stored_changes(sink: &DeltaSink, shard: u32) -> Result<LastChanges> {
    let mut changes = LastChanges::new();
    for table in netcrab_schema::ALL {
        if let Some(change) = stored_change(sink, table, &writer(shard)).await? {
            changes.insert(table.name.to_owned(), change);
        }
    }
    Ok(changes)
}

async fn stored_change(sink: &DeltaSink, table: &'static Table, writer: &str) -> Result<Option<LastChange>> {
    let Some(epoch) = sink.position(table, writer).await? else { return Ok(None) };
    let history = sink.position(table, &mark_of(writer, HISTORY)).await?;
    Ok(Some(LastChange { epoch: u64::try_from(epoch).unwrap_or(0), history }))
}

/// Whether two changes are of one epoch and, where both say so, of one history.
fn same(one: Option<LastChange>, other: Option<LastChange>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            let histories = one.history.zip(other.history);
            one.epoch == other.epoch && histories.is_none_or(|(one, other)| one == other)
        }
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn difference(stored: Option<LastChange>, expected: Option<LastChange>) -> String {
    match (stored, expected) {
        (Some(stored), Some(expected)) if stored.epoch == expected.epoch => {
            format!("has an epoch {} of another history", stored.epoch)
        }
        (Some(stored), Some(expected)) => format!("has epoch {} instead of {}", stored.epoch, expected.epoch),
        (Some(stored), None) => format!("has epoch {}", stored.epoch),
        (None, Some(expected)) => format!("lacks epoch {}", expected.epoch),
        (None, None) => String::new(),
    }
}

/// Checks that the bus has all events up to `next`, and the last of them at the same offset.
///
/// # Errors
/// [`Error::StateDisagrees`]; [`Error::Bus`] where the bus cannot be read.
pub async fn check_bus(bus: &dyn Bus, shard: u32, next: u64, last: Option<&str>) -> Result<()> {
    let bounds = bus.bounds(shard).await?;
    let disagrees = |what: String| Err(Error::StateDisagrees { shard, what });
    if next > bounds.end {
        return disagrees(format!("it has read the bus up to offset {next}, and the bus ends at {}", bounds.end));
    }
    // The built-in log reports events that it lost; it begins later where it deleted them.
    if next < bounds.start
        && let Err(netcrab_bus::Error::Gone { oldest, .. }) = bus.read(shard, next, Some(next + 1), 1).await
    {
        return disagrees(format!("it has read the bus up to offset {next}, and the bus begins at {oldest}"));
    }
    let (Some(last), Some(at)) = (last, next.checked_sub(1).filter(|at| *at >= bounds.start)) else { return Ok(()) };
    let fetched = bus.read(shard, at, Some(next), LAST_EVENT_BYTES).await?;
    // An offset may have no event: a gap, or an entry that is none.
    match last_event(&fetched)? {
        Some(found) if found != last => {
            disagrees(format!("it has read another event at offset {at} than the bus has there"))
        }
        _ => Ok(()),
    }
}
