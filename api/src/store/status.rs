//! The status of the tables of a store.

use serde::Serialize;
use utoipa::ToSchema;

/// How a table stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableStatus {
    /// Its name.
    pub table: &'static str,
    /// Whether it can be read.
    pub state: TableState,
    /// Version that is read.
    pub version: Option<u64>,
    /// When that version was committed, in milliseconds since 1970.
    pub committed_at_ms: Option<i64>,
    /// Data files.
    pub files: usize,
    /// Rows, where the table's log counts them.
    pub rows: Option<u64>,
    /// Bytes held in memory.
    #[serde(rename = "heldBytes")]
    pub cached_bytes: usize,
}

/// Whether a table can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableState {
    /// It is read.
    Present,
    /// It has not been written yet; questions about it have empty answers.
    Missing,
    /// It is there and its newest version cannot be read; the last good one is used where there is one.
    Unreadable,
}
