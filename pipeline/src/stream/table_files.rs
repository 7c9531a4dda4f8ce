//! The files of a shard in each table, and their rows.
//!
//! The name of a file has its shard, so a shard rewrites only its own files.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::prelude::{ParquetReadOptions, SessionContext, col, lit};
use netcrab_schema::Table;
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{StagedFile, TableChange};

use crate::error::{Error, Result};

/// The files of one shard: by table, and by date where it has dates.
#[derive(Debug, Clone, Default)]
pub struct TableFiles {
    tables: BTreeMap<&'static str, BTreeMap<Option<i32>, Vec<StagedFile>>>,
}

impl TableFiles {
    /// The files of `shard` in all tables.
    ///
    /// # Errors
    /// [`Error::Sink`] where a Delta log cannot be read.
    pub async fn read(sink: &DeltaSink, shard: u32) -> Result<Self> {
        let mut files = Self::default();
        for &table in netcrab_schema::ALL {
            for part in sink.files(table, &format!("-s{shard:04}-")).await? {
                files.add(table, part);
            }
        }
        Ok(files)
    }

    fn add(&mut self, table: &'static Table, part: StagedFile) {
        let part = StagedFile { stats: String::new(), ..part };
        self.tables.entry(table.name).or_default().entry(part.date).or_default().push(part);
    }

    /// Applies the changes of an epoch.
    pub fn apply(&mut self, changes: &BTreeMap<String, TableChange>) {
        for (name, change) in changes {
            let Some(table) = netcrab_schema::by_name(name) else { continue };
            let removed: BTreeSet<&str> = change.removed.iter().map(String::as_str).collect();
            if let Some(dates) = self.tables.get_mut(table.name).filter(|_| !removed.is_empty()) {
                dates.values_mut().for_each(|parts| parts.retain(|part| !removed.contains(part.path.as_str())));
                dates.retain(|_, parts| !parts.is_empty());
            }
            change.added.iter().for_each(|part| self.add(table, part.clone()));
        }
    }

    /// The files of a table by date.
    pub fn of(&self, table: &Table) -> impl Iterator<Item = (Option<i32>, &[StagedFile])> {
        self.tables.get(table.name).into_iter().flatten().map(|(date, parts)| (*date, parts.as_slice()))
    }

    /// Whether a table has all these files.
    pub fn contains_all(&self, table: &Table, paths: &[String]) -> bool {
        let ours: BTreeSet<&str> = self.of(table).flat_map(|(_, parts)| parts).map(|part| part.path.as_str()).collect();
        paths.iter().all(|path| ours.contains(path.as_str()))
    }

    /// Every table with its files by date.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, Option<i32>, &[StagedFile])> {
        self.tables.iter().flat_map(|(name, dates)| dates.iter().map(|(date, parts)| (*name, *date, parts.as_slice())))
    }

    /// The files of a table on some dates.
    pub fn on(&self, table: &Table, dates: &BTreeSet<i32>) -> Vec<&StagedFile> {
        let parts = self.of(table).filter(|(date, _)| date.is_some_and(|date| dates.contains(&date)));
        parts.flat_map(|(_, parts)| parts).collect()
    }
}

/// The rows of some files of `table`, with their date; columns in table order.
///
/// # Errors
/// [`Error::PathNotUnicode`], or [`Error::Plan`] where a file cannot be opened.
pub async fn rows(
    context: &SessionContext,
    sink: &DeltaSink,
    table: &'static Table,
    parts: &[&StagedFile],
) -> Result<Option<DataFrame>> {
    let location = sink.location(table);
    let folder = location.to_file_path().ok();
    let mut by_date: BTreeMap<Option<i32>, Vec<String>> = BTreeMap::new();
    for part in parts {
        let path = match &folder {
            Some(folder) => folder.join(&part.path).into_os_string().into_string(),
            None => Ok(format!("{location}{}", part.path)),
        };
        let path = path.ok().ok_or(Error::PathNotUnicode)?;
        by_date.entry(part.date).or_default().push(path);
    }
    let mut all: Option<DataFrame> = None;
    for (date, paths) in by_date {
        // A file of an earlier release may lack columns; they are null.
        let schema = table.at_rest();
        let stored = schema.fields().iter().filter(|field| date.is_none() || field.name() != "date").cloned();
        let schema = Schema::new(stored.collect::<Vec<_>>());
        let options = ParquetReadOptions::default().parquet_pruning(true).schema(&schema);
        let rows = context.read_parquet(paths, options).await?;
        let columns = table.columns().map(|column| match date.filter(|_| column.name == "date") {
            Some(date) => lit(ScalarValue::Date32(Some(date))).alias("date"),
            None => col(column.name),
        });
        let rows = rows.select(columns.collect::<Vec<_>>())?;
        all = Some(match all {
            Some(all) => all.union(rows)?,
            None => rows,
        });
    }
    Ok(all)
}

/// The columns of `table`, cast to the types that `kind` gives.
///
/// # Errors
/// [`Error::Plan`] where a column is missing.
pub fn typed(rows: DataFrame, table: &'static Table, kind: fn(netcrab_schema::Type) -> DataType) -> Result<DataFrame> {
    let columns = table
        .columns()
        .map(|column| datafusion::logical_expr::cast(col(column.name), kind(column.kind)).alias(column.name));
    Ok(rows.select(columns.collect::<Vec<_>>())?)
}
