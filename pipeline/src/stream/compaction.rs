//! Chooses which small files of short epochs to compact.
//!
//!     64 KiB × 16 ─▶ 1 MiB × 16 ─▶ 16 MiB × 16 ─▶ 128 MiB, final
//!
//! Files of a table and date are compacted once 16 of one size class exist. So a row is rewritten once per class, not
//! once per epoch. Rows of additive tables are folded.

use std::collections::{BTreeMap, BTreeSet};

use netcrab_schema::Table;
use netcrab_sinks::StagedFile;

use super::table_files::TableFiles;

/// Fewest files of one size class that are compacted.
pub const FILES_MIN: usize = 16;

/// The largest file of the smallest size class, bytes.
const SMALL_BYTES: u64 = 64 << 10;

/// The largest file of a class is this many times that of the class before.
const CLASS_FACTOR: u64 = 16;

/// Files of this size are not compacted again, and one compaction reads at most this much, bytes.
const LARGE_BYTES: u64 = 128 << 20;

/// Files to compact.
#[derive(Debug, Clone)]
pub struct Compaction {
    /// The table.
    pub table: &'static Table,
    /// The files.
    pub parts: Vec<StagedFile>,
}

/// What to compact next: the most files of one class, of one table and date; none of the tables in `without`.
pub fn next(files: &TableFiles, without: &BTreeSet<&str>) -> Option<Compaction> {
    let groups = files.all().filter(|(name, ..)| !without.contains(name));
    let groups = groups.filter_map(|(name, _, parts)| Some((netcrab_schema::by_name(name)?, fullest(parts)?)));
    let (table, parts) = groups.max_by_key(|(_, parts)| parts.len())?;
    Some(Compaction { table, parts })
}

/// The fullest size class, where it is full.
fn fullest(parts: &[StagedFile]) -> Option<Vec<StagedFile>> {
    let mut classes: BTreeMap<u32, Vec<StagedFile>> = BTreeMap::new();
    for part in parts.iter().filter(|part| part.bytes < LARGE_BYTES) {
        classes.entry(class(part.bytes)).or_default().push(part.clone());
    }
    let mut fullest = classes.into_values().filter(|parts| parts.len() >= FILES_MIN).max_by_key(Vec::len)?;
    fullest.sort_by(|a, b| a.path.cmp(&b.path));
    let mut bytes = 0;
    let mut fits = |part: &StagedFile| {
        bytes += part.bytes;
        bytes <= LARGE_BYTES
    };
    let together = fullest.iter().cloned().map_while(|part| fits(&part).then_some(part)).collect::<Vec<_>>();
    (together.len() > 1).then_some(together)
}

fn class(bytes: u64) -> u32 {
    let mut class = 0;
    let mut largest = SMALL_BYTES;
    while bytes > largest {
        largest = largest.saturating_mul(CLASS_FACTOR);
        class += 1;
    }
    class
}

#[cfg(test)]
mod tests {
    use netcrab_schema::tables::{FACT_FLOWS, FACT_SESSIONS};
    use netcrab_sinks::TableChange;

    use super::*;

    fn files(tables: &[(&'static Table, i32, usize, u64)]) -> TableFiles {
        let mut files = TableFiles::default();
        for (place, &(table, date, count, bytes)) in tables.iter().enumerate() {
            let part = |file: usize| StagedFile {
                path: format!("date={date}/{place}-{file:03}"),
                date: Some(date),
                rows: 1,
                bytes,
                stats: String::new(),
                moved: false,
            };
            let added = (0..count).map(part).collect();
            files.apply(&BTreeMap::from([(table.name.to_owned(), TableChange { added, ..TableChange::default() })]));
        }
        files
    }

    fn next_of(files: TableFiles) -> Option<Compaction> {
        next(&files, &BTreeSet::new())
    }

    #[test]
    fn fifteen_files_stay_and_sixteen_are_brought_together() {
        assert!(next_of(files(&[(&FACT_FLOWS, 1, 15, 10)])).is_none());
        let next = next_of(files(&[(&FACT_FLOWS, 1, 16, 10), (&FACT_SESSIONS, 1, 15, 10)])).unwrap();
        assert_eq!((next.table.name, next.parts.len()), ("fact_flows", 16));
    }

    #[test]
    fn files_of_two_dates_or_two_classes_do_not_come_together() {
        assert!(next_of(files(&[(&FACT_FLOWS, 1, 8, 10), (&FACT_FLOWS, 2, 8, 10)])).is_none());
        assert!(next_of(files(&[(&FACT_FLOWS, 1, 8, SMALL_BYTES), (&FACT_FLOWS, 1, 8, SMALL_BYTES + 1)])).is_none());
    }

    #[test]
    fn large_files_are_left_alone_and_no_more_than_a_large_file_is_made() {
        assert!(next_of(files(&[(&FACT_FLOWS, 1, 20, LARGE_BYTES)])).is_none());
        let next = next_of(files(&[(&FACT_FLOWS, 1, 20, 20 << 20)])).unwrap();
        assert_eq!(next.parts.len(), 6);
    }
}
