//! Tables as sources: which of a table's files and rows are left is in its log, not in its folder.
//!
//! ```text
//! events/_delta_log/            a Delta table      read through a TableLog
//! events/.hoodie/               a Hudi table       refused
//! events/metadata/*.metadata.json  an Iceberg table   refused
//! ```
//!
//! Reading Delta's log takes Delta's kernel, and with it DataFusion, so the caller brings it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use futures::future::BoxFuture;
use xxhash_rust::xxh3::Xxh3;

use crate::Error;
use crate::partitions::Partitions;

/// Reads the logs of Delta tables.
pub trait TableLog: Send + Sync {
    /// The files of the table in `folder` (a path, or `s3://bucket/prefix`) at its latest version.
    ///
    /// # Errors
    ///
    /// Why the table cannot be read exactly, and what to do.
    fn files<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<TableFile>, String>>;
}

/// A Parquet file of a table, as the log of the table describes it.
#[derive(Debug, Clone)]
pub struct TableFile {
    /// The name within the folder of the table, not encoded.
    pub path: String,
    /// The values of partition columns, by name; `None` is null.
    pub partitions: Vec<(String, Option<String>)>,
    /// The columns of the table. A file may have been written before a column was added.
    pub columns: Arc<[TableColumn]>,
    /// Whether each row of the file is left; `None` where all are.
    pub kept: Option<BooleanBuffer>,
}

/// A column of a table, or a field of its structs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// The name in the table; a field's name follows that of its struct and a dot.
    pub name: String,
    /// The names in the files, of the column and then of each field.
    pub stored: Vec<String>,
}

/// A table found in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableKind {
    Delta,
    Hudi,
    Iceberg,
}

impl TableKind {
    /// The kind of table that lies in a folder on a disk.
    pub(crate) fn of_folder(folder: &Path) -> Option<TableKind> {
        if folder.join("_delta_log").is_dir() {
            return Some(TableKind::Delta);
        }
        if folder.join(".hoodie").is_dir() {
            return Some(TableKind::Hudi);
        }
        let mut entries = std::fs::read_dir(folder.join("metadata")).ok()?.flatten();
        entries.any(|entry| iceberg_metadata(&entry.file_name().to_string_lossy())).then_some(TableKind::Iceberg)
    }

    /// The table that an object's name belongs to: its kind, and the prefix of its folder within `relative`.
    pub(crate) fn of_object(relative: &str) -> Option<(TableKind, &str)> {
        for (marker, kind) in [("_delta_log/", TableKind::Delta), (".hoodie/", TableKind::Hudi)] {
            let starts = relative.match_indices(marker).map(|(at, _)| at);
            if let Some(at) = starts.filter(|at| *at == 0 || relative[..*at].ends_with('/')).min() {
                return Some((kind, &relative[..at]));
            }
        }
        let (folder, name) = relative.rsplit_once('/')?;
        let table = folder.strip_suffix("metadata").filter(|table| table.is_empty() || table.ends_with('/'))?;
        iceberg_metadata(name).then_some((TableKind::Iceberg, table))
    }

    /// The kind as an error names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            TableKind::Delta => "a Delta table",
            TableKind::Hudi => "a Hudi table",
            TableKind::Iceberg => "an Iceberg table",
        }
    }

    /// Fails for a table that is never read.
    pub(crate) fn check(self, folder: &str) -> Result<(), Error> {
        match self {
            TableKind::Delta => Ok(()),
            _ => Err(Error::ForeignTable { folder: folder.to_owned(), kind: self.name() }),
        }
    }
}

fn iceberg_metadata(name: &str) -> bool {
    name.ends_with(".metadata.json") || name.ends_with(".metadata.json.gz")
}

/// The folders above `path` that may be the Delta table it lies in: that of a Parquet file, and those above
/// `key=value` folders.
pub(crate) fn tables_above(path: &Path) -> Vec<PathBuf> {
    let part = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.contains('=') || name.ends_with(".parquet")
    };
    let above = path.ancestors().take_while(|path| part(path)).filter_map(Path::parent);
    above.filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned).collect()
}

/// The folders of Delta tables found among the objects of a prefix.
#[derive(Debug, Default)]
pub(crate) struct TableFolders(BTreeSet<String>);

impl TableFolders {
    /// Notes the table that an object belongs to. Fails for a table that is never read.
    pub(crate) fn note(&mut self, address: &str, relative: &str) -> Result<(), Error> {
        let Some((kind, folder)) = TableKind::of_object(relative) else { return Ok(()) };
        // A Delta table may have the metadata of Iceberg beside its log (UniForm). `_delta_log` is listed first.
        if kind != TableKind::Iceberg || !self.0.contains(folder) {
            kind.check(format!("{}/{folder}", address.trim_end_matches('/')).trim_end_matches('/'))?;
        }
        if kind == TableKind::Delta {
            self.0.insert(folder.to_owned());
        }
        Ok(())
    }

    /// The folders, each ending in `/` or empty.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// What is known of the columns of a file besides the file itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownColumns {
    /// Columns that the folders of the file hold, or the log of its table.
    pub(crate) partitions: Partitions,
    /// The table that the file belongs to.
    pub(crate) table: Option<TablePart>,
}

impl KnownColumns {
    /// Whether the file has a column even where its bytes do not.
    pub(crate) fn has(&self, column: &str) -> bool {
        self.partitions.has(column) || self.table.as_ref().is_some_and(|table| table.has(column))
    }

    /// The name of a column that the file stores under these names; `None` if it is no column of the table.
    pub(crate) fn name(&self, stored: &[String]) -> Option<String> {
        match &self.table {
            Some(table) => table.name(stored).map(str::to_owned),
            None => Some(stored.join(".")),
        }
    }

    /// Whether each row of the file is left in its table; `None` where all are.
    pub(crate) fn kept(&self) -> Option<&BooleanBuffer> {
        self.table.as_ref().and_then(|table| table.kept.as_ref())
    }

    /// Feeds what is read to a hash, so that other columns or rows of the same bytes are another source. `foreign` are
    /// the columns of a mapping.
    pub(crate) fn feed(&self, foreign: &[String], hasher: &mut Xxh3) {
        for bytes in self.partitions.bytes(foreign) {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        if let Some(table) = &self.table {
            hasher.update(&table.bytes());
        }
    }
}

/// What a table says about the columns and rows of one of its files.
#[derive(Debug, Clone)]
pub(crate) struct TablePart {
    columns: Arc<[TableColumn]>,
    kept: Option<BooleanBuffer>,
}

impl TablePart {
    pub(crate) fn new(file: &TableFile) -> Self {
        Self { columns: file.columns.clone(), kept: file.kept.clone() }
    }

    /// The name in the table of a column of the file; `None` for a column that the table no longer has.
    fn name(&self, stored: &[String]) -> Option<&str> {
        self.columns.iter().find(|column| column.stored == stored).map(|column| column.name.as_str())
    }

    /// Whether the table has a column of that name.
    fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }

    /// What tells this part from another.
    fn bytes(&self) -> Vec<u8> {
        let names = self.columns.iter().flat_map(|column| [&column.name].into_iter().chain(&column.stored));
        let mut bytes: Vec<u8> = names.flat_map(|name| name.bytes().chain([0])).collect();
        if let Some(kept) = &self.kept {
            bytes.extend(kept.iter().map(u8::from));
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_tell_the_table_that_they_belong_to() {
        for (relative, expected) in [
            ("_delta_log/0.json", Some((TableKind::Delta, ""))),
            ("a/b/_delta_log/_last_checkpoint", Some((TableKind::Delta, "a/b/"))),
            ("a/.hoodie/hoodie.properties", Some((TableKind::Hudi, "a/"))),
            ("a/metadata/v1.metadata.json", Some((TableKind::Iceberg, "a/"))),
            ("metadata/00000-x.metadata.json.gz", Some((TableKind::Iceberg, ""))),
            ("a/metadata/x.parquet", None),
            ("a/my_delta_log/x.json", None),
            ("a/mymetadata/v1.metadata.json", None),
            ("a/part-0.parquet", None),
        ] {
            assert_eq!(TableKind::of_object(relative), expected, "{relative}");
        }
    }

    #[test]
    fn a_table_is_looked_for_above_the_folders_of_its_partitions() {
        let above = |path: &str| -> Vec<String> {
            tables_above(Path::new(path)).iter().map(|folder| folder.display().to_string()).collect()
        };
        assert_eq!(above("/t/date=1/hour=2"), ["/t/date=1", "/t"]);
        assert_eq!(above("/a/t/part-0.parquet"), ["/a/t"]);
        assert_eq!(above("/a/t/more"), [] as [&str; 0]);
        assert_eq!(above("/a/t/a.csv"), [] as [&str; 0]);
        assert_eq!(above("t/date=1/p.parquet"), ["t/date=1", "t"]);
        assert_eq!(above("p.parquet"), [] as [&str; 0]);
    }

    #[test]
    fn iceberg_metadata_beside_a_delta_log_is_no_iceberg_table() {
        let mut folders = TableFolders::default();
        assert!(folders.note("s3://b/x", "t/_delta_log/0.json").is_ok());
        assert!(folders.note("s3://b/x", "t/metadata/v1.metadata.json").is_ok());
        assert_eq!(folders.iter().collect::<Vec<_>>(), ["t/"]);
        let refused = folders.note("s3://b/x/", "u/metadata/v1.metadata.json").unwrap_err().to_string();
        assert!(refused.starts_with("`s3://b/x/u` is an Iceberg table"), "{refused}");
    }
}
