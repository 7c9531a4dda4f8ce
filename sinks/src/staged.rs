//! Files that were written and that no table references yet, and what a run of a batch does with them.

use serde::{Deserialize, Serialize};

/// Names a run: the same input under the same rules is the same run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunId(String);

impl RunId {
    /// The run with this fingerprint.
    pub fn new(fingerprint: u128) -> Self {
        Self(format!("{fingerprint:032x}"))
    }

    /// The epoch of a shard with this fingerprint. The name of a file tells which shard wrote it.
    pub fn of_shard(shard: u32, fingerprint: u128) -> Self {
        Self(format!("s{shard:04}-{fingerprint:032x}"))
    }

    /// The text that the names of its files contain.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which rows of a table a commit replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// None: the rows are added.
    Nothing,
    /// All of them.
    All,
    /// Those of these dates, in days since 1970, both included.
    Dates(i32, i32),
}

impl Replace {
    /// Whether rows of `date` are replaced.
    pub fn covers(self, date: i32) -> bool {
        match self {
            Replace::Nothing => false,
            Replace::All => true,
            Replace::Dates(from, to) => (from..=to).contains(&date),
        }
    }
}

/// Rows staged for one table.
#[derive(Debug, Clone, Default)]
pub struct StagedTable {
    /// Its files; batches in the memory sink.
    pub files: Vec<StagedFile>,
}

impl StagedTable {
    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A staged file: rows of one date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Its path within the table; the Delta log will reference it by this path.
    pub path: String,
    /// The date of its rows, in days since 1970; none where the table is not partitioned by date.
    pub date: Option<i32>,
    /// How many rows.
    pub rows: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Per-file statistics of the Delta protocol, as JSON.
    pub stats: String,
    /// Whether the table had its rows before, in other files: compaction merged them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
}
