//! Which keys of a mapping the rows of a source have, and which names they have instead.
//!
//! A CSV says its columns in the header. JSON says them row by row, and a row may lack a key, so only the whole source
//! shows that a mapping names a key that no row has.

use std::collections::BTreeSet;

use netcrab_schema::nearest_clause;

use crate::Error;
use crate::privacy::Privacy;

/// Rows of a file whose names are kept, to find the nearest one.
const ROWS_MAX: u64 = 1000;

/// Most names that are kept.
const NAMES_MAX: usize = 1000;

/// Longest name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What the rows read so far have.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeenKeys {
    rows: u64,
    /// For each foreign column of the mapping, whether a row has it.
    columns: Vec<bool>,
    /// How many of them no row has.
    missing: usize,
    names: BTreeSet<String>,
}

impl SeenKeys {
    /// No row so far, of a mapping of that many foreign columns.
    pub(crate) fn new(columns: usize) -> Self {
        Self { rows: 0, columns: vec![false; columns], missing: columns, names: BTreeSet::new() }
    }

    /// Counts a row.
    pub(crate) fn row(&mut self) {
        self.rows += 1;
    }

    /// The row has this column.
    pub(crate) fn saw(&mut self, column: usize) {
        if let Some(seen) = self.columns.get_mut(column).filter(|seen| !**seen) {
            *seen = true;
            self.missing -= 1;
        }
    }

    /// Whether names are still kept.
    pub(crate) fn keeps_names(&self) -> bool {
        self.missing > 0 && self.rows <= ROWS_MAX && self.names.len() < NAMES_MAX
    }

    /// The row has a key of this name at this path.
    pub(crate) fn name(&mut self, path: &str, key: &str) {
        if self.keeps_names() && path.len() + 1 + key.len() <= NAME_BYTES_MAX {
            self.names.insert(if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") });
        }
    }

    /// Adds what other rows have.
    pub(crate) fn add(&mut self, other: &SeenKeys) {
        self.rows += other.rows;
        self.columns.resize(self.columns.len().max(other.columns.len()), false);
        for (seen, other) in self.columns.iter_mut().zip(&other.columns) {
            *seen |= other;
        }
        self.missing = self.columns.iter().filter(|seen| !**seen).count();
        let room = NAMES_MAX - self.names.len().min(NAMES_MAX);
        self.names.extend(other.names.iter().take(room).cloned());
    }

    /// Fails if there are rows, and one of the `columns` is in none of them. The error repeats no name that is
    /// personal data.
    pub(crate) fn check(
        &self,
        columns: &[String],
        optional: &BTreeSet<String>,
        privacy: &Privacy,
    ) -> Result<(), Error> {
        if self.rows == 0 {
            return Ok(());
        }
        let missing = columns.iter().zip(&self.columns).find(|(column, seen)| !**seen && !optional.contains(*column));
        let Some((column, _)) = missing else { return Ok(()) };
        let names = self.names.iter().map(String::as_str).filter(|name| privacy.text(name).is_none());
        let nearest = nearest_clause(column, names);
        Err(Error::Mapping(format!(
            "no row of the source has `{column}`{nearest}; correct the mapping, or list `{column}` in `optional` if rows may lack it"
        )))
    }
}
