//! Tables in memory: the reference for every other sink.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Date32Type;
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use netcrab_schema::Table;

use crate::change::{Position, TableChange};
use crate::error::Error;
use crate::sink::Sink;
use crate::staged::{Replace, RunId, StagedFile, StagedTable};

/// Tables in memory; they are lost with the process.
#[derive(Debug, Default)]
pub struct MemorySink {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    staged: HashMap<String, RecordBatch>,
    tables: HashMap<&'static str, StoredTable>,
}

#[derive(Debug, Default)]
struct StoredTable {
    files: Vec<StoredFile>,
    /// The last transaction of each writer.
    positions: HashMap<String, i64>,
}

#[derive(Debug)]
struct StoredFile {
    path: String,
    date: Option<i32>,
    rows: RecordBatch,
}

impl State {
    /// Takes the rows that were staged as these files.
    fn take(&mut self, files: &[StagedFile]) -> Vec<StoredFile> {
        let staged = &mut self.staged;
        let stored = |file: &StagedFile| {
            let rows = staged.remove(&file.path)?;
            Some(StoredFile { path: file.path.clone(), date: file.date, rows })
        };
        files.iter().filter_map(stored).collect()
    }
}

impl MemorySink {
    /// The rows of a table, as they were staged.
    pub fn rows(&self, table: &Table) -> Vec<RecordBatch> {
        let state = self.state();
        state
            .tables
            .get(table.name)
            .map_or_else(Vec::new, |table| table.files.iter().map(|file| file.rows.clone()).collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows split where the date changes, in order.
fn by_date(table: &Table, batch: &RecordBatch) -> Vec<(Option<i32>, RecordBatch)> {
    if !table.by_date {
        return vec![(None, batch.clone())];
    }
    let Some(dates) = batch.column_by_name("date").and_then(|dates| dates.as_primitive_opt::<Date32Type>()) else {
        return Vec::new();
    };
    let mut parts = Vec::new();
    let mut start = 0;
    for run in dates.values().chunk_by(|a, b| a == b) {
        parts.push((Some(run[0]), batch.slice(start, run.len())));
        start += run.len();
    }
    parts
}

#[async_trait]
impl Sink for MemorySink {
    async fn stage(
        &self,
        table: &'static Table,
        run: &RunId,
        rows: SendableRecordBatchStream,
    ) -> Result<StagedTable, Error> {
        let batches: Vec<RecordBatch> = rows.try_collect().await?;
        let mut staged = StagedTable::default();
        let mut state = self.state();
        for (date, rows) in
            batches.iter().flat_map(|batch| by_date(table, batch)).filter(|(_, rows)| rows.num_rows() > 0)
        {
            let path = format!("{}/{}-{}", table.name, run.as_str(), staged.files.len());
            staged.files.push(StagedFile {
                path: path.clone(),
                date,
                rows: rows.num_rows() as u64,
                bytes: rows.get_array_memory_size() as u64,
                stats: String::new(),
                moved: false,
            });
            state.staged.insert(path, rows);
        }
        Ok(staged)
    }

    async fn commit(
        &self,
        table: &'static Table,
        run: &RunId,
        staged: &StagedTable,
        replace: Replace,
    ) -> Result<bool, Error> {
        let mut state = self.state();
        if state.tables.get(table.name).is_some_and(|stored| stored.positions.contains_key(run.as_str())) {
            return Ok(false);
        }
        let files = state.take(&staged.files);
        let stored = state.tables.entry(table.name).or_default();
        stored.files.retain(|file| match file.date {
            Some(date) => !replace.covers(date),
            None => replace == Replace::Nothing,
        });
        stored.files.extend(files);
        stored.positions.insert(run.as_str().to_owned(), 1);
        Ok(true)
    }

    async fn sync(&self, _: &'static Table, _: &StagedTable) -> Result<(), Error> {
        Ok(())
    }

    async fn apply(&self, table: &'static Table, position: &Position, change: &TableChange) -> Result<bool, Error> {
        let mut state = self.state();
        let last = state.tables.get(table.name).and_then(|stored| stored.positions.get(&position.writer));
        if last.is_some_and(|&number| number >= position.number) {
            return Ok(false);
        }
        let added = state.take(&change.added);
        let stored = state.tables.entry(table.name).or_default();
        stored.files.retain(|file| !change.removed.contains(&file.path));
        stored.files.extend(added);
        stored.positions.insert(position.writer.clone(), position.number);
        Ok(true)
    }

    async fn position(&self, table: &'static Table, writer: &str) -> Result<Option<i64>, Error> {
        Ok(self.state().tables.get(table.name).and_then(|stored| stored.positions.get(writer).copied()))
    }

    async fn discard(&self, _: &'static Table, staged: &StagedTable) -> Result<(), Error> {
        let mut state = self.state();
        staged.files.iter().for_each(|file| {
            state.staged.remove(&file.path);
        });
        Ok(())
    }

    async fn has_rows(&self, table: &'static Table) -> Result<bool, Error> {
        Ok(self.state().tables.get(table.name).is_some_and(|stored| !stored.files.is_empty()))
    }
}
