//! Where the rows of a batch stand in their file.

/// The numbers of the rows of a batch within their file, from 1.
#[derive(Debug, Clone)]
pub(crate) enum Lines {
    /// All rows from this one on.
    From(u64),
    /// These rows: others of the file are no longer in its table.
    Only(Vec<u64>),
}

impl Lines {
    /// The number of a row of the batch.
    pub(crate) fn of(&self, row: usize) -> u64 {
        match self {
            Lines::From(first) => first + row as u64,
            Lines::Only(lines) => lines.get(row).copied().unwrap_or_default(),
        }
    }
}
