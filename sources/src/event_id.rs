//! Makes an id and a place for events whose sender gave none.
//!
//! ```text
//! id of a file's row = UUIDv7( 48 bits of ts · 74 bits of XXH3-128(content, number of equal rows before it) )
//! ```
//!
//! The content is what the row says as an event, so a row keeps its id when its file grows, is rotated, renamed,
//! compressed or exported again. Rows are equal when they say the same, the instant included. Of a row that comes
//! again after more than [`EQUAL_ROWS_MAX`] other rows, the earlier ones may be forgotten: it then is the same event.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use netcrab_schema::Column;
use netcrab_schema::events::SEQ_MAX;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// How many different rows are remembered at least, to count equal ones.
pub(crate) const EQUAL_ROWS_MAX: usize = 1 << 18;

/// How many bits of a `seq` are the line; the others are the number of the file.
const LINE_BITS: u32 = 32;

/// The last file whose rows stand after those of the files before.
const FILES_MAX: u64 = (1 << 21) - 1;

/// Makes ids and places for the events of one file, batch or topic.
#[derive(Debug)]
pub(crate) enum EventIds {
    /// The rows of a file, in order.
    Rows(Mutex<Rows>),
    /// The rows of the table events_raw: what they lack is not made again.
    Stored,
    /// The events of a batch that this number identifies.
    Batch(u128),
    /// The records of a topic that this number identifies.
    Topic(u128),
}

/// What is known of the rows of a file so far.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// For the hash of each recent row, how many equal rows came before it.
    recent: HashMap<u64, u32>,
    /// The same for rows before those.
    before: HashMap<u64, u32>,
    last_line: u64,
    /// The places of the files before.
    before_file: u64,
}

impl EventIds {
    /// For the rows of file number `file` of a source, from 0, in the order of their names.
    pub(crate) fn of_rows(file: usize) -> Self {
        let before = (file as u64).min(FILES_MAX) << LINE_BITS;
        EventIds::Rows(Mutex::new(Rows { before_file: before, ..Rows::default() }))
    }

    /// The id of the event that happened at `ts_ms` and stands at `line`; `at` is its index among the events of that
    /// line. `content` is a hash of all that the event says.
    pub(crate) fn make(&self, ts_ms: i64, line: u64, at: u32, content: impl FnOnce() -> u128) -> uuid::fmt::Hyphenated {
        let mut key = [0; 28];
        let (identity, number, at) = match self {
            EventIds::Rows(rows) => {
                let content = content();
                (content, u64::from(lock(rows).equal_before(content as u64)), 0)
            }
            EventIds::Stored => (content(), line, at),
            EventIds::Batch(identity) | EventIds::Topic(identity) => (*identity, line, at),
        };
        key[..16].copy_from_slice(&identity.to_le_bytes());
        key[16..24].copy_from_slice(&number.to_le_bytes());
        key[24..].copy_from_slice(&at.to_le_bytes());
        uuid_v7(ts_ms, xxh3_128(&key))
    }

    /// The `seq` of the event at `line` and `at`: its line or, where a line has many events, a later number, and 2³² for
    /// each file before; the index in its batch; the offset of its record.
    pub(crate) fn seq(&self, line: u64, at: u32) -> Option<i64> {
        let place = match self {
            EventIds::Rows(rows) => {
                let mut rows = lock(rows);
                rows.last_line = line.max(rows.last_line + 1);
                rows.before_file + rows.last_line.min((1 << LINE_BITS) - 1)
            }
            EventIds::Stored => return None,
            EventIds::Batch(_) => at.into(),
            EventIds::Topic(_) => line,
        };
        i64::try_from(place).ok().filter(|place| *place <= SEQ_MAX)
    }
}

fn lock(rows: &Mutex<Rows>) -> std::sync::MutexGuard<'_, Rows> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rows {
    /// How many rows with this hash came before; counts this one.
    fn equal_before(&mut self, content: u64) -> u32 {
        if let Some(equal) = self.recent.get_mut(&content) {
            *equal = equal.saturating_add(1);
            return *equal;
        }
        let equal = self.before.get(&content).map_or(0, |equal| equal.saturating_add(1));
        if self.recent.len() == EQUAL_ROWS_MAX {
            self.before = std::mem::take(&mut self.recent);
        }
        self.recent.insert(content, equal);
        equal
    }
}

/// Hashes what an event says, column by column, in table order.
#[derive(Default)]
pub(crate) struct Content(Xxh3);

impl Content {
    /// An empty text says nothing.
    pub(crate) fn text(&mut self, column: &Column, text: &str) {
        if !text.is_empty() {
            self.part(column, text.as_bytes());
        }
    }

    pub(crate) fn whole(&mut self, column: &Column, number: i64) {
        self.part(column, &number.to_le_bytes());
    }

    pub(crate) fn number(&mut self, column: &Column, number: f32) {
        self.part(column, &number.to_le_bytes());
    }

    /// In a column that is never null, `false` is what rows say that do not state it.
    pub(crate) fn truth(&mut self, column: &Column, truth: bool) {
        if truth || column.nullable {
            self.part(column, &[truth.into()]);
        }
    }

    fn part(&mut self, column: &Column, value: &[u8]) {
        self.0.update(column.name.as_bytes());
        self.0.update(&(value.len() as u64).to_le_bytes());
        self.0.update(value);
    }

    pub(crate) fn hash(&self) -> u128 {
        self.0.digest128()
    }
}

/// A UUIDv7 with this instant and these random bits.
pub(crate) fn uuid_v7(ts_ms: i64, random: u128) -> uuid::fmt::Hyphenated {
    let ts = u128::from(ts_ms.max(0) as u64 & 0xffff_ffff_ffff) << 80;
    let bits = (random & !(0xffff_ffff_ffff << 80) & !(0xf << 76) & !(0x3 << 62)) | ts | (0x7 << 76) | (0x2 << 62);
    uuid::Uuid::from_u128(bits).hyphenated()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_version_7_uuid_of_its_instant() {
        let id = EventIds::Batch(7).make(1_700_000_000_000, 3, 0, || 0);
        assert_eq!(id.as_uuid().get_version_num(), 7);
        assert_eq!(id.as_uuid().get_variant(), uuid::Variant::RFC4122);
        assert_eq!(id.as_uuid().as_u128() >> 80, 1_700_000_000_000);
        let other = |identity, line, at| EventIds::Batch(identity).make(1_700_000_000_000, line, at, || 0);
        assert_eq!(id, other(7, 3, 0));
        assert_ne!(id, other(7, 4, 0));
        assert_ne!(id, other(7, 3, 1));
        assert_ne!(id, other(8, 3, 0));
    }

    #[test]
    fn a_row_has_the_id_of_its_content_wherever_it_stands() {
        let id = |ids: &EventIds, content| ids.make(1_700_000_000_000, 0, 0, || content).to_string();
        let (a, b) = (EventIds::of_rows(0), EventIds::of_rows(1));
        let (first, second) = (id(&a, 1), id(&a, 1));
        assert_ne!(first, second);
        assert_ne!(id(&b, 2), first);
        assert_eq!([id(&b, 1), id(&b, 3), id(&b, 1)], [first, id(&a, 3), second]);
    }

    #[test]
    fn equal_rows_are_counted_within_a_bound() {
        let mut rows = Rows::default();
        assert_eq!(rows.equal_before(0), 0);
        for other in 1..=EQUAL_ROWS_MAX as u64 {
            assert_eq!(rows.equal_before(other), 0);
        }
        assert_eq!(rows.equal_before(0), 1);
        for other in 0..2 * EQUAL_ROWS_MAX as u64 {
            rows.equal_before(u64::MAX - other);
        }
        assert_eq!(rows.equal_before(0), 0);
        assert!(rows.recent.len().max(rows.before.len()) <= EQUAL_ROWS_MAX);
    }

    #[test]
    fn a_place_is_the_line_and_grows_within_it() {
        let rows = EventIds::of_rows(0);
        assert_eq!(
            [(1, 0), (2, 0), (2, 1), (2, 2), (3, 0), (9, 0)].map(|(line, at)| rows.seq(line, at)),
            [Some(1), Some(2), Some(3), Some(4), Some(5), Some(9)]
        );
        assert_eq!(EventIds::of_rows(1).seq(1, 0), Some((1 << 32) + 1));
        assert_eq!(EventIds::of_rows(usize::MAX).seq(u64::MAX, 0), Some(SEQ_MAX));
        assert_eq!(EventIds::Batch(1).seq(0, 5), Some(5));
        assert_eq!(EventIds::Topic(1).seq(5, 0), Some(5));
        assert_eq!(EventIds::Stored.seq(5, 0), None);
    }
}
