//! Tables in memory: the reference for every other sink.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Date32Type;
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use netcrab_schema::Table;

use crate::{Change, Error, Part, Position, Replace, RunId, Sink, Staged};

/// Tables that go with the process.
#[derive(Debug, Default)]
pub struct MemorySink {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    staged: HashMap<String, RecordBatch>,
    tables: HashMap<&'static str, Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    parts: Vec<KeptPart>,
    runs: Vec<RunId>,
    /// The last transaction of each writer.
    positions: HashMap<String, i64>,
}

#[derive(Debug)]
struct KeptPart {
    path: String,
    date: Option<i32>,
    rows: RecordBatch,
}

impl State {
    /// Takes what was staged as these parts.
    fn take(&mut self, parts: &[Part]) -> Vec<KeptPart> {
        let staged = &mut self.staged;
        let part = |part: &Part| {
            let rows = staged.remove(&part.path)?;
            Some(KeptPart { path: part.path.clone(), date: part.date, rows })
        };
        parts.iter().filter_map(part).collect()
    }
}

impl MemorySink {
    /// The rows of a table, as they were staged.
    pub fn rows(&self, table: &Table) -> Vec<RecordBatch> {
        let state = self.state();
        state
            .tables
            .get(table.name)
            .map_or_else(Vec::new, |kept| kept.parts.iter().map(|part| part.rows.clone()).collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows of each date, in the order in which they come.
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
    ) -> Result<Staged, Error> {
        let batches: Vec<RecordBatch> = rows.try_collect().await?;
        let mut staged = Staged::default();
        let mut state = self.state();
        for (date, rows) in
            batches.iter().flat_map(|batch| by_date(table, batch)).filter(|(_, rows)| rows.num_rows() > 0)
        {
            let path = format!("{}/{}-{}", table.name, run.as_str(), staged.parts.len());
            staged.parts.push(Part {
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
        staged: &Staged,
        replace: Replace,
    ) -> Result<bool, Error> {
        let mut state = self.state();
        if state.tables.get(table.name).is_some_and(|kept| kept.runs.contains(run)) {
            return Ok(false);
        }
        let parts = state.take(&staged.parts);
        let kept = state.tables.entry(table.name).or_default();
        kept.parts.retain(|part| match part.date {
            Some(date) => !replace.covers(date),
            None => replace == Replace::Nothing,
        });
        kept.parts.extend(parts);
        kept.runs.push(run.clone());
        Ok(true)
    }

    async fn keep(&self, _: &'static Table, _: &Staged) -> Result<(), Error> {
        Ok(())
    }

    async fn apply(&self, table: &'static Table, position: &Position, change: &Change) -> Result<bool, Error> {
        let mut state = self.state();
        let come_to = state.tables.get(table.name).and_then(|kept| kept.positions.get(&position.writer));
        if come_to.is_some_and(|&number| number >= position.number) {
            return Ok(false);
        }
        let added = state.take(&change.added);
        let kept = state.tables.entry(table.name).or_default();
        kept.parts.retain(|part| !change.removed.contains(&part.path));
        kept.parts.extend(added);
        kept.positions.insert(position.writer.clone(), position.number);
        Ok(true)
    }

    async fn position(&self, table: &'static Table, writer: &str) -> Result<Option<i64>, Error> {
        Ok(self.state().tables.get(table.name).and_then(|kept| kept.positions.get(writer).copied()))
    }

    async fn discard(&self, _: &'static Table, staged: &Staged) -> Result<(), Error> {
        let mut state = self.state();
        staged.parts.iter().for_each(|part| {
            state.staged.remove(&part.path);
        });
        Ok(())
    }

    async fn holds(&self, table: &'static Table, run: &RunId) -> Result<bool, Error> {
        Ok(self.state().tables.get(table.name).is_some_and(|kept| kept.runs.contains(run)))
    }

    async fn has_rows(&self, table: &'static Table) -> Result<bool, Error> {
        Ok(self.state().tables.get(table.name).is_some_and(|kept| !kept.parts.is_empty()))
    }
}
