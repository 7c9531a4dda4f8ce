//! Removes files that no recent version of a table references.

use std::collections::BTreeSet;
use std::time::Duration;

use deltalake::operations::vacuum::VacuumMode;
use deltalake::protocol::checkpoints::cleanup_expired_logs_for;
use netcrab_schema::Table;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::tables::DeltaSink;
use crate::error::Error;

/// What [`DeltaSink::vacuum`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries of the log.
    pub log_entries: u64,
}

impl DeltaSink {
    /// Removes the files that no version of the last `keep` references, and the log entries that are older. Files
    /// younger than `keep` stay, because a writer may be about to commit them, and so do those in `spared`, paths within
    /// the table. With `dry_run` it only counts the files.
    ///
    /// # Errors
    /// Where the table's log cannot be read, or a file cannot be removed.
    pub async fn vacuum(
        &self,
        table: &'static Table,
        keep: Duration,
        spared: &BTreeSet<String>,
        dry_run: bool,
    ) -> Result<Vacuumed, Error> {
        let Some(opened) = self.open(table).await? else { return Ok(Vacuumed::default()) };
        let fault = |fault| self.fault(table, fault);
        let (version, log_store) = (opened.version(), opened.log_store());
        let keep = chrono::Duration::from_std(keep).unwrap_or(chrono::Duration::MAX);
        let plan = opened.vacuum().with_mode(VacuumMode::Full).with_retention_period(keep);
        let (_, plan) = plan.with_enforce_retention_duration(false).with_dry_run(true).await.map_err(fault)?;
        let store = log_store.object_store(None);
        let mut vacuumed = Vacuumed::default();
        for path in plan.files_deleted.iter().filter(|path| !spared.contains(*path)) {
            let path = Path::from(path.as_str());
            let Some(found) = if_there(store.head(&path).await).map_err(|error| self.store_fault(table, error))? else {
                continue;
            };
            if !dry_run {
                if_there(store.delete(&path).await).map_err(|error| self.store_fault(table, error))?;
            }
            vacuumed.files += 1;
            vacuumed.bytes += found.size;
        }
        if let Some(version) = version.filter(|_| !dry_run) {
            let before = chrono::Utc::now().checked_sub_signed(keep).unwrap_or_default().timestamp_millis();
            let removed = cleanup_expired_logs_for(version, log_store.as_ref(), before, None).await.map_err(fault)?;
            vacuumed.log_entries = removed as u64;
        }
        Ok(vacuumed)
    }
}

/// The answer of a store about a file; `None` where the file is not there, because somebody else removed it.
fn if_there<T>(answer: object_store::Result<T>) -> object_store::Result<Option<T>> {
    match answer {
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        answer => answer.map(Some),
    }
}
