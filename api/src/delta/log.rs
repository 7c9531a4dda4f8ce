//! Follows the log of one Delta table, off the request path.
//!
//!     every `refresh_ms`: is the last commit read still there, and is there a next one? ─▶ read the log ─▶ TableFiles
//!
//! A poll costs two HEAD requests. Of a table that cannot be read, the last good version stays in use and its state
//! says so. A table that was deleted or created again is read from the beginning.

use std::sync::Arc;

use deltalake::logstore::LogStoreRef;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use netcrab_schema::Table;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use super::files::{DataFile, TableFiles};
use crate::store::TableState;

/// Follows the log of one table.
pub(super) struct LogFollower {
    table: &'static Table,
    url: Url,
    read: Option<(DeltaTable, Option<ObjectMeta>)>,
    /// The state of the table at the last poll.
    pub state: TableState,
}

impl LogFollower {
    /// Follows the table under `tables_url`; nothing is read yet.
    pub(super) fn new(table: &'static Table, tables_url: &Url) -> Result<Self, url::ParseError> {
        let url = tables_url.join(&format!("{}/", table.name))?;
        Ok(Self { table, url, read: None, state: TableState::Missing })
    }

    /// The table's files, where they have changed since the last poll.
    pub(super) async fn poll(&mut self) -> Option<TableFiles> {
        match self.try_poll().await {
            Ok(files) => {
                self.state = if self.read.is_some() { TableState::Present } else { TableState::Missing };
                files
            }
            Err(error) => {
                if self.state != TableState::Unreadable {
                    tracing::warn!(table = self.table.name, %error, "table cannot be read");
                }
                self.state = TableState::Unreadable;
                None
            }
        }
    }

    /// Makes the next poll read the whole log.
    pub(super) fn forget(&mut self) {
        self.read = None;
    }

    async fn try_poll(&mut self) -> Result<Option<TableFiles>, DeltaTableError> {
        let known = match self.read.take() {
            Some((delta, commit)) => {
                let store = delta.object_store();
                let version = delta.version().unwrap_or(0);
                let same = commit.is_some() && head(&store, version).await? == commit;
                if same && head(&store, version + 1).await?.is_none() {
                    self.read = Some((delta, commit));
                    return Ok(None);
                }
                Some((delta, same))
            }
            None => None,
        };
        if !exists(&self.url).await? {
            return Ok((self.state != TableState::Missing).then(|| TableFiles::missing(self.table)));
        }
        let delta = match known {
            Some((mut delta, true)) => {
                delta.update_state().await?;
                delta
            }
            _ => DeltaTableBuilder::from_url(self.url.clone())?.load().await?,
        };
        let files = files(self.table, &delta)?;
        let commit = head(&delta.object_store(), delta.version().unwrap_or(0)).await?;
        self.read = Some((delta, commit));
        Ok(Some(files))
    }
}

async fn head(store: &Arc<dyn ObjectStore>, version: u64) -> Result<Option<ObjectMeta>, DeltaTableError> {
    match store.head(&Path::from(format!("_delta_log/{version:020}.json"))).await {
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        found => Ok(Some(found?)),
    }
}

// For a local folder that does not exist, deltalake may not even build a store.
async fn exists(url: &Url) -> Result<bool, DeltaTableError> {
    if let Ok(folder) = url.to_file_path()
        && !folder.join("_delta_log").is_dir()
    {
        return Ok(false);
    }
    let log_store: LogStoreRef = DeltaTableBuilder::from_url(url.clone())?.build_storage()?;
    log_store.is_delta_table_location().await
}

fn files(table: &'static Table, delta: &DeltaTable) -> Result<TableFiles, DeltaTableError> {
    let snapshot = delta.snapshot()?.snapshot();
    let partition: Vec<&str> = snapshot.metadata().partition_columns().iter().map(String::as_str).collect();
    if partition != table.partition() {
        let expected = table.partition();
        return Err(refused(format!(
            "it is split by {partition:?}, expected {expected:?}; create it again with `netcrab run`"
        )));
    }
    let mut files = Vec::new();
    for file in snapshot.log_data().iter() {
        if file.deletion_vector_descriptor().is_some() {
            return Err(refused(
                "it has deletion vectors, which are not read here; rewrite it without them".to_owned(),
            ));
        }
        files.push(DataFile {
            path: file.object_store_path(),
            bytes: u64::try_from(file.size()).unwrap_or(0),
            day: day(table, &file.partition_values_map())?,
            rows: file.num_records().map(|rows| rows as u64),
        });
    }
    files.sort_by(|a, b| (a.day, &a.path).cmp(&(b.day, &b.path)));
    let log_store = delta.log_store();
    let version = delta.version();
    Ok(TableFiles {
        table,
        version,
        committed_at_ms: version.and_then(|version| snapshot.version_timestamp(version)),
        files,
        store: Some((log_store.object_store_url(), log_store.object_store(None))),
    })
}

fn day(
    table: &Table,
    values: &std::collections::HashMap<String, Option<String>>,
) -> Result<Option<crate::period::Day>, DeltaTableError> {
    if !table.by_date {
        return Ok(None);
    }
    let value = values.get("date").and_then(Option::as_deref).unwrap_or_default();
    value.parse().map(Some).map_err(|reason| refused(format!("a file's date is wrong: {reason}")))
}

fn refused(reason: String) -> DeltaTableError {
    DeltaTableError::Generic(reason)
}
