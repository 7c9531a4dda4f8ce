//! Removes files that no table references: those that compaction and repairs replaced, those of epochs that were never
//! committed, and old entries of the Delta logs.
//!
//! A file is retained for `stream.keep_removed_ms`, for a reader may use an older version. Files of an epoch that is
//! committed and not yet applied are always retained.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use netcrab_schema::Table;
use netcrab_sinks::delta::{DeltaSink, Vacuumed};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::checkpoints;
use crate::checkpoints::folder::Folder;
use crate::error::Result;

/// Shortest and longest pause between two rounds of [`vacuum_periodically`].
const EVERY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(900));

/// Vacuums every table of `sink`; returns what was removed from each.
///
/// # Errors
/// Whatever the tables or the manifests give.
pub async fn vacuum(sink: &DeltaSink, keep: Duration, dry_run: bool) -> Result<Vec<(&'static Table, Vacuumed)>> {
    let mut spared: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for manifest in checkpoints::unapplied(&Folder::of(sink)?).await? {
        for (table, change) in manifest.tables {
            spared.entry(table).or_default().extend(change.staged_files().map(|part| part.path.clone()));
        }
    }
    let mut vacuumed = Vec::new();
    for &table in netcrab_schema::ALL {
        let spared = spared.remove(table.name).unwrap_or_default();
        vacuumed.push((table, sink.vacuum(table, keep, &spared, dry_run).await?));
    }
    Ok(vacuumed)
}

/// Vacuums periodically until `stop`; a failure is logged and tried again in the next round.
pub async fn vacuum_periodically(sink: DeltaSink, keep: Duration, stop: CancellationToken) {
    let every = (keep / 4).clamp(EVERY.0, EVERY.1);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        match vacuum(&sink, keep, false).await {
            Ok(vacuumed) => {
                for (table, Vacuumed { files, bytes, log_entries }) in vacuumed {
                    if files + log_entries > 0 {
                        info!(table = table.name, files, bytes, log_entries, "removed what nobody reads any more");
                    }
                }
            }
            Err(fault) => warn!(reason = %fault.chain(), "vacuum failed; it is tried again"),
        }
    }
}
