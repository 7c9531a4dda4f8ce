//! The table `rejects` over many runs: the rows of a file stay until that file is run again.
//!
//!     stored rows ─┬─ of files that this run reads ──▶ replaced by ─┐
//!                  └─ of other files ──▶ kept                       │
//!     this run's rejects ───────────────────────────────────────────┘
//!
//! A file is known by its place: its path from the root, links resolved, or its address in a bucket. So a file that was
//! mended under the same name is the same file, wherever the command was started. Rows that no run wrote, such as those
//! of the API and of a stream, stay too.
//!
//! The table has at most `run.rejects_max` rows for each run whose files were not run again. A commit rewrites the
//! Parquet files that have rows to replace, and those that are small, so there are few files however many runs there
//! were.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, DictionaryArray, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch, not};
use arrow::datatypes::{Int32Type, Int64Type};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use futures::TryStreamExt;
use netcrab_schema::tables::REJECTS;
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Position, RunId, Sink, StagedTable, TableChange};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};
use crate::plans::table_order::in_table_order;

/// A Parquet file with fewer rows is rewritten together with the next rows that are stored.
const SMALL_FILE_ROWS: u64 = 100_000;

/// Where a file of a source lies, as `rejects` names it: links resolved, independent of the working folder.
fn place(name: &str) -> String {
    if name.contains("://") {
        return name.to_owned();
    }
    let path = Path::new(name);
    let place = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    place.map_or_else(|_| name.to_owned(), |place| place.display().to_string())
}

/// The rejects of `source` by reason, where the table has them as its last run left them. `names` are the names of its
/// files.
///
/// # Errors
/// Where the table cannot be read.
pub(crate) async fn stored(sink: &DeltaSink, source: &RunId, names: &[&str]) -> Result<Option<BTreeMap<String, u64>>> {
    let stored = StoredRejects::read(sink, names).await?;
    let position = sink.position(&REJECTS, &writer(source, stored.replaced)).await?;
    Ok(position.map(|_| stored.reasons))
}

/// Replaces the rows of the files of `source` by `rejects`; without a `source`, the files are read again the next time.
/// Gives the rows of `rejects`, and the bytes written.
///
/// # Errors
/// Where the table cannot be read or written.
pub(crate) async fn replace(
    sink: &DeltaSink,
    source: Option<&RunId>,
    names: &[&str],
    rejects: &[RecordBatch],
    context: &Arc<TaskContext>,
) -> Result<(u64, u64)> {
    let rejects = rejects.iter().map(placed).collect::<Result<Vec<_>>>()?;
    let mut digest = RowsDigest::default();
    let mut names = names.to_vec();
    for batch in &rejects {
        digest.add(batch)?;
        names.extend(symbols(batch, "file")?.1.iter().flatten());
    }
    let stored = StoredRejects::read(sink, &names).await?;
    let writer = source.map_or_else(|| "rejects".to_owned(), |source| writer(source, digest));
    let number = sink.position(&REJECTS, &writer).await?.map_or(1, |last| last + 1);
    let mut change = TableChange::default();
    let rows = rejects.iter().map(|batch| batch.num_rows() as u64).sum();
    if digest != stored.replaced {
        let run = RunId::new(digest_of(&[&writer, &number.to_string()]));
        let staged = stage(sink, &run, [&stored.kept[..], &rejects].concat(), context).await?;
        change = TableChange { added: staged.files, removed: stored.removed, ..TableChange::default() };
    }
    let bytes = change.added.iter().map(|file| file.bytes).sum();
    sink.apply(&REJECTS, &Position { writer, number, marks: Vec::new() }, &change).await?;
    Ok((rows, bytes))
}

/// What the table says of the files that a run reads, and what a commit has to rewrite.
#[derive(Debug, Default)]
struct StoredRejects {
    /// Parquet files that the next commit removes, if it writes anything.
    removed: Vec<String>,
    /// Their rows that stay.
    kept: Vec<RecordBatch>,
    /// Identifies the rows of the files that the run reads.
    replaced: RowsDigest,
    /// How many of these have each reason.
    reasons: BTreeMap<String, u64>,
}

impl StoredRejects {
    /// Reads the table; `names` are those of the files that the run reads.
    async fn read(sink: &DeltaSink, names: &[&str]) -> Result<Self> {
        let mut stored = Self::default();
        let files = sink.files(&REJECTS, "").await?;
        if files.is_empty() {
            return Ok(stored);
        }
        // Earlier releases stored names as they were given.
        let names: HashSet<String> = names.iter().flat_map(|name| [(*name).to_owned(), place(name)]).collect();
        for file in files {
            let (mut kept, mut replaced) = (Vec::new(), 0);
            let mut rows = sink.read(&REJECTS, &file).await?;
            while let Some(batch) = rows.try_next().await? {
                let batch = in_flight(&batch)?;
                let of_run = of_files(&batch, &names)?;
                replaced += of_run.true_count();
                let rows = filter_record_batch(&batch, &of_run)?;
                stored.replaced.add(&rows)?;
                count_reasons(&rows, &mut stored.reasons)?;
                kept.push(filter_record_batch(&batch, &not(&of_run)?)?);
            }
            if replaced > 0 || file.rows < SMALL_FILE_ROWS {
                stored.kept.extend(kept);
                stored.removed.push(file.path);
            }
        }
        Ok(stored)
    }
}

/// How many rows have each reason; `not_kept` more were rejected beyond `run.rejects_max`.
///
/// # Errors
/// [`Error::Defect`] where a batch is not of `rejects`.
pub(crate) fn by_reason(rejects: &[RecordBatch], not_kept: usize) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    rejects.iter().try_for_each(|batch| count_reasons(batch, &mut counts))?;
    if not_kept > 0 {
        counts.insert("(not kept, see run.rejects_max)".to_owned(), not_kept as u64);
    }
    Ok(counts)
}

fn count_reasons(rejects: &RecordBatch, counts: &mut BTreeMap<String, u64>) -> Result<()> {
    let (keys, names) = symbols(rejects, "reason")?;
    for key in keys.keys().iter().flatten() {
        *counts.entry(names.value(key as usize).to_owned()).or_default() += 1;
    }
    Ok(())
}

async fn stage(
    sink: &DeltaSink,
    run: &RunId,
    rows: Vec<RecordBatch>,
    context: &Arc<TaskContext>,
) -> Result<StagedTable> {
    let rows = MemorySourceConfig::try_new_exec(&[rows], REJECTS.in_flight(), None)?;
    let rows = in_table_order(&REJECTS, rows)?.execute(0, Arc::clone(context))?;
    Ok(sink.stage(&REJECTS, run, rows).await?)
}

/// The transactions of a source that left the table with these rows of its files.
fn writer(source: &RunId, rows: RowsDigest) -> String {
    format!("rejects-{:032x}", digest_of(&[source.as_str(), &rows.0.to_string()]))
}

fn digest_of(parts: &[&str]) -> u128 {
    let mut hasher = Xxh3::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.digest128()
}

/// Identifies a set of rows, in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct RowsDigest(u128);

impl RowsDigest {
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let (files, file) = symbols(batch, "file")?;
        let (reasons, reason) = symbols(batch, "reason")?;
        let (fields, field) = symbols(batch, "field")?;
        let lines = column(batch, "line")?.as_primitive_opt::<Int64Type>().ok_or_else(|| Error::no_column("line"))?;
        for row in 0..batch.num_rows() {
            let file = files.key(row).map_or("", |key| file.value(key));
            let reason = reasons.key(row).map_or("", |key| reason.value(key));
            let field = fields.key(row).map_or("", |key| field.value(key));
            let of_row = digest_of(&[file, &lines.value(row).to_string(), reason, field]);
            self.0 = self.0.wrapping_add(of_row);
        }
        Ok(())
    }
}

/// Which rows are of these files.
fn of_files(batch: &RecordBatch, names: &HashSet<String>) -> Result<BooleanArray> {
    let (keys, texts) = symbols(batch, "file")?;
    let of_name: Vec<bool> = texts.iter().map(|name| name.is_some_and(|name| names.contains(name))).collect();
    Ok(keys.keys().iter().map(|key| key.map(|key| of_name[key as usize])).collect())
}

/// The same rows, each file named by its place.
fn placed(batch: &RecordBatch) -> Result<RecordBatch> {
    let (keys, names) = symbols(batch, "file")?;
    let places: StringArray = names.iter().map(|name| name.map(place)).collect();
    let file = keys.with_values(Arc::new(places));
    let mut columns = batch.columns().to_vec();
    columns[batch.schema_ref().index_of("file")?] = Arc::new(file);
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// Rows of a Parquet file with dictionaries for texts that repeat.
fn in_flight(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = REJECTS.in_flight();
    let columns = schema.fields().iter().map(|field| Ok(cast(column(batch, field.name())?, field.data_type())?));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::no_column(name))
}

/// A column of texts that repeat: keys and texts.
fn symbols<'a>(batch: &'a RecordBatch, name: &str) -> Result<(&'a DictionaryArray<Int32Type>, &'a StringArray)> {
    let keys = column(batch, name)?.as_dictionary_opt::<Int32Type>().ok_or_else(|| Error::no_column(name))?;
    let texts = keys.values().as_string_opt::<i32>().ok_or_else(|| Error::no_column(name))?;
    Ok((keys, texts))
}
