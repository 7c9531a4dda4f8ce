//! The trait [`Sink`] for Delta tables.

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use netcrab_schema::Table;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::fsync::fsync;
use super::tables::DeltaSink;
use crate::change::{Position, TableChange};
use crate::error::Error;
use crate::parquet::TableWriter;
use crate::sink::Sink;
use crate::staged::{Replace, RunId, StagedTable};

#[async_trait]
impl Sink for DeltaSink {
    async fn stage(
        &self,
        table: &'static Table,
        run: &RunId,
        rows: SendableRecordBatchStream,
    ) -> Result<StagedTable, Error> {
        let store = self.store(table).await?;
        match TableWriter::new(table, run, store, self.location(table).into()).write(rows).await {
            Ok(staged) => Ok(staged),
            Err((written, fault)) => {
                // Nobody will commit these files. Vacuum takes those that cannot be removed here.
                let _ = self.discard(table, &written).await;
                Err(fault)
            }
        }
    }

    async fn commit(
        &self,
        table: &'static Table,
        run: &RunId,
        staged: &StagedTable,
        replace: Replace,
    ) -> Result<bool, Error> {
        self.with_retries(table, || self.try_to_commit(table, run, staged, replace)).await
    }

    async fn sync(&self, table: &'static Table, staged: &StagedTable) -> Result<(), Error> {
        let Some(folder) = self.folder(table) else { return Ok(()) };
        let files: Vec<PathBuf> = staged.files.iter().map(|file| folder.join(&file.path)).collect();
        if files.is_empty() {
            return Ok(());
        }
        let mut paths: BTreeSet<PathBuf> =
            files.iter().filter_map(|file| file.parent()).map(std::path::Path::to_path_buf).collect();
        paths.extend(files);
        // The folders of a date and of the table may be new; their parents are fsynced too, so that the entries
        // survive.
        paths.extend(folder.parent().map(std::path::Path::to_path_buf));
        paths.insert(folder);
        fsync(table, paths).await
    }

    async fn apply(&self, table: &'static Table, position: &Position, change: &TableChange) -> Result<bool, Error> {
        self.with_retries(table, || self.try_to_apply(table, position, change)).await
    }

    async fn position(&self, table: &'static Table, writer: &str) -> Result<Option<i64>, Error> {
        let Some(opened) = self.open(table).await? else { return Ok(None) };
        let fault = |fault| self.fault(table, fault);
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        snapshot.transaction_version(opened.log_store().as_ref(), writer).await.map_err(fault)
    }

    async fn discard(&self, table: &'static Table, staged: &StagedTable) -> Result<(), Error> {
        let store = self.store(table).await?;
        for file in &staged.files {
            let removed = store.delete(&Path::from(file.path.as_str())).await;
            removed.map_err(|error| self.store_fault(table, error))?;
        }
        Ok(())
    }

    async fn has_rows(&self, table: &'static Table) -> Result<bool, Error> {
        let Some(opened) = self.open(table).await? else { return Ok(false) };
        let fault = |fault| self.fault(table, fault);
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        let log_store = opened.log_store();
        let mut files = snapshot.file_views(log_store.as_ref(), None);
        Ok(files.try_next().await.map_err(fault)?.is_some())
    }
}
