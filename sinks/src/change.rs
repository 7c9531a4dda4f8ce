//! What one transaction of a stream changes in a table.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::error::ArrowError;
use netcrab_schema::{Column, Fold, Table, Type};
use serde::{Deserialize, Serialize};

use crate::staged::StagedFile;

/// Which transaction of which writer changes a table; each writer numbers its own transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Who writes: the shard of a pipeline.
    pub writer: String,
    /// The number of the transaction, higher than that of every transaction before.
    pub number: i64,
    /// More numbers that the table stores with the transaction, by name; [`mark_of`] reads them back. A sink that
    /// stores rows (ClickHouse) ignores them.
    pub marks: Vec<(&'static str, i64)>,
}

/// The name under which a table stores the mark `name` of `writer`.
pub fn mark_of(writer: &str, name: &str) -> String {
    format!("{writer}/{name}")
}

/// What one transaction of a stream changes in a table, in two forms: as files and as rows.
///
/// A sink that stores files (Delta) replaces `removed` by `added` and ignores the other fields. A sink that stores
/// rows (ClickHouse) inserts the rows of the added files that are not [`StagedFile::moved`], and deletes and reinserts
/// what the other fields say; compaction changes nothing there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChange {
    /// Staged files that the table references from now on.
    pub added: Vec<StagedFile>,
    /// Paths of files that the table no longer references.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Staged files with the rows to delete; no table references them. Empty where no sink stores rows.
    #[serde(default, rename = "lost", skip_serializing_if = "Vec::is_empty")]
    pub deleted_rows: Vec<StagedFile>,
    /// Days (org_id, product_id, days since 1970) whose sums are recomputed: the rows that this writer wrote for them in
    /// earlier transactions are deleted.
    #[serde(default, rename = "anew", skip_serializing_if = "Vec::is_empty")]
    pub recomputed_days: Vec<(String, String, i32)>,
    /// Staged files with the rows of those days that the table still has, to insert again after the delete; no table
    /// references them. Empty where no sink stores rows.
    #[serde(default, rename = "again", skip_serializing_if = "Vec::is_empty")]
    pub reinserted_rows: Vec<StagedFile>,
    /// The rows that this writer wrote for dates before this one (days since 1970) are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_before: Option<i32>,
}

impl TableChange {
    /// Whether the table's files stay as they are.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// Adds another change of the same transaction.
    pub fn add(&mut self, other: TableChange) {
        self.added.extend(other.added);
        self.removed.extend(other.removed);
        self.deleted_rows.extend(other.deleted_rows);
        self.recomputed_days.extend(other.recomputed_days);
        self.reinserted_rows.extend(other.reinserted_rows);
        self.expired_before = self.expired_before.max(other.expired_before);
    }

    /// Every file that was staged for it, also those that no table will reference. They must exist until the change is
    /// applied.
    pub fn staged_files(&self) -> impl Iterator<Item = &StagedFile> {
        self.added.iter().chain(&self.deleted_rows).chain(&self.reinserted_rows)
    }

    /// The added files whose rows the table did not have before.
    pub fn new_files(&self) -> impl Iterator<Item = &StagedFile> {
        self.added.iter().filter(|file| !file.moved)
    }
}

/// The same rows with every sum negated, so that adding them takes the originals out. Columns that do not add up stay
/// as they are.
///
/// # Errors
/// Where the columns are not those of `table`.
pub fn negated_sums(table: &Table, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |(column, values): (&Column, &ArrayRef)| -> ArrayRef {
        if table.fold(column.name) != Some(Fold::Sum) {
            return Arc::clone(values);
        }
        // 0.0 - sum, not -sum: a zero stays the positive zero it is.
        match column.kind {
            Type::Float64 => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(|sum| 0.0 - sum)),
            _ => Arc::new(values.as_primitive::<Int64Type>().unary::<_, Int64Type>(|sum| -sum)),
        }
    };
    let columns = table.columns().zip(rows.columns()).map(column).collect();
    RecordBatch::try_new(rows.schema(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Manifests on disk have these names.
    #[test]
    fn the_written_form_never_changes() {
        let file =
            StagedFile { path: "p".to_owned(), date: Some(1), rows: 2, bytes: 3, stats: "{}".to_owned(), moved: true };
        let change = TableChange {
            added: vec![file.clone()],
            removed: vec!["r".to_owned()],
            deleted_rows: vec![StagedFile { moved: false, ..file }],
            recomputed_days: vec![("o".to_owned(), "p".to_owned(), 4)],
            reinserted_rows: Vec::new(),
            expired_before: Some(5),
        };
        let json = concat!(
            r#"{"added":[{"path":"p","date":1,"rows":2,"bytes":3,"stats":"{}","moved":true}],"removed":["r"],"#,
            r#""lost":[{"path":"p","date":1,"rows":2,"bytes":3,"stats":"{}"}],"anew":[["o","p",4]],"expired_before":5}"#
        );
        assert_eq!(serde_json::to_string(&change).expect("plain data"), json);
        assert_eq!(serde_json::from_str::<TableChange>(json).expect("a change"), change);
        let again = r#"{"added":[],"again":[{"path":"p","date":null,"rows":0,"bytes":0,"stats":""}]}"#;
        assert_eq!(serde_json::from_str::<TableChange>(again).expect("a change").reinserted_rows.len(), 1);
    }
}
