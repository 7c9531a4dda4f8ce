//! The two transactions of a table: the commit of a run, and the change of an epoch.

use std::collections::{BTreeSet, HashMap};

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Add, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use futures::TryStreamExt;
use netcrab_schema::Table;

use super::fsync::fsync;
use super::schema::parse_day;
use super::tables::DeltaSink;
use crate::change::{Position, TableChange, mark_of};
use crate::error::Error;
use crate::staged::{Replace, RunId, StagedFile, StagedTable};

/// How often a transaction is retried because another writer committed first.
const CONFLICTS_MAX: usize = 20;

impl DeltaSink {
    /// Retries a transaction while other writers commit first in ways that Delta cannot reconcile with it.
    pub(super) async fn with_retries<F>(&self, table: &'static Table, change: impl Fn() -> F) -> Result<bool, Error>
    where
        F: Future<Output = Result<bool, Error>>,
    {
        for _ in 0..CONFLICTS_MAX {
            match change().await {
                Err(Error::Delta { source, .. }) if is_conflict(&source) => {
                    // Two writers that created the table at once wrote its metadata twice: read the table again.
                    self.forget(table);
                }
                ended => return ended,
            }
        }
        change().await
    }

    pub(super) async fn try_to_commit(
        &self,
        table: &'static Table,
        run: &RunId,
        staged: &StagedTable,
        replace: Replace,
    ) -> Result<bool, Error> {
        let opened = self.latest(table).await?;
        let fault = |fault| self.fault(table, fault);
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        let log_store = opened.log_store();
        if snapshot.transaction_version(log_store.as_ref(), run.as_str()).await.map_err(fault)?.is_some() {
            return Ok(false);
        }
        let mut actions: Vec<Action> = Vec::new();
        let files: Vec<_> = match replace {
            Replace::Nothing => Vec::new(),
            _ => snapshot.file_views(log_store.as_ref(), None).try_collect().await.map_err(fault)?,
        };
        for file in files {
            let date = file.partition_values_map().get("date").cloned().flatten();
            let replaced = match date.as_deref().and_then(parse_day) {
                Some(date) => replace.covers(date),
                None => true,
            };
            if replaced {
                actions.push(Action::Remove(file.remove_action(true)));
            }
        }
        actions.extend(staged.files.iter().map(|file| Action::Add(add(file))));
        let mode = if replace == Replace::Nothing { SaveMode::Append } else { SaveMode::Overwrite };
        let properties = CommitProperties::default().with_application_transaction(Transaction::new(run.as_str(), 1));
        CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(snapshot), log_store, write_operation(table, mode))
            .await
            .map_err(fault)?;
        Ok(true)
    }

    pub(super) async fn try_to_apply(
        &self,
        table: &'static Table,
        position: &Position,
        change: &TableChange,
    ) -> Result<bool, Error> {
        let mut opened = self.latest(table).await?;
        let fault = |fault| self.fault(table, fault);
        let log_store = opened.log_store();
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        let last = snapshot.transaction_version(log_store.as_ref(), &position.writer).await.map_err(fault)?;
        if last.is_some_and(|number| number >= position.number) {
            return Ok(false);
        }
        let mut actions: Vec<Action> = Vec::new();
        if !change.removed.is_empty() {
            let removed: BTreeSet<&str> = change.removed.iter().map(String::as_str).collect();
            let mut files = snapshot.file_views(log_store.as_ref(), None);
            while let Some(file) = files.try_next().await.map_err(fault)? {
                if removed.contains(file.path().as_ref()) {
                    actions.push(Action::Remove(file.remove_action(true)));
                }
            }
        }
        actions.extend(change.added.iter().map(|file| Action::Add(add(file))));
        let mut transactions = vec![Transaction::new(position.writer.as_str(), position.number)];
        transactions.extend(
            position.marks.iter().map(|(name, number)| Transaction::new(mark_of(&position.writer, name), *number)),
        );
        // Cleaning up the log lists all of it, which is too much for a commit each second; `vacuum` does it now and then.
        let properties = CommitProperties::default()
            .with_application_transactions(transactions)
            .with_cleanup_expired_logs(Some(false));
        let committed = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(snapshot), log_store, write_operation(table, SaveMode::Append))
            .await
            .map_err(fault)?;
        opened.state = Some(committed.snapshot());
        self.cache(table, &opened);
        if let Some(folder) = self.folder(table) {
            let log = folder.join("_delta_log");
            let entry = log.join(format!("{:020}.json", committed.version()));
            fsync(table, BTreeSet::from([entry, log])).await?;
        }
        Ok(true)
    }
}

fn write_operation(table: &Table, mode: SaveMode) -> DeltaOperation {
    let partition_by = Some(table.partition().iter().map(|&name| name.to_owned()).collect());
    DeltaOperation::Write { mode, partition_by, predicate: None }
}

fn is_conflict(fault: &DeltaTableError) -> bool {
    matches!(fault, DeltaTableError::Transaction { source: TransactionError::CommitConflict(_) })
}

fn add(file: &StagedFile) -> Add {
    let date = file.date.map(|date| ("date".to_owned(), arrow::temporal_conversions::date32_to_datetime(date)));
    let date = date.map(|(name, day)| (name, day.map(|day| day.format("%Y-%m-%d").to_string())));
    Add {
        path: file.path.clone(),
        partition_values: date.into_iter().collect::<HashMap<_, _>>(),
        size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
        // A replay writes the same log byte for byte, so it contains no wall clock time.
        modification_time: 0,
        data_change: true,
        stats: Some(file.stats.clone()),
        ..Add::default()
    }
}
