//! Makes files durable.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use netcrab_schema::Table;

use crate::error::Error;
use crate::file_fault::file_fault;

/// Waits until files and folders are durable.
pub(super) async fn fsync(table: &'static Table, paths: BTreeSet<PathBuf>) -> Result<(), Error> {
    let synced = tokio::task::spawn_blocking(move || {
        for path in paths {
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(|error| (path.display().to_string(), error))?;
        }
        Ok::<_, (String, std::io::Error)>(())
    });
    match synced.await {
        Ok(synced) => synced.map_err(|(place, error)| file_fault(table, &place, Box::new(error))),
        Err(panic) => Err(file_fault(table, table.name, Box::new(panic))),
    }
}
