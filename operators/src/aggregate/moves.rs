//! The moves of a session between screens: what it adds to fact_flows.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{Field, Fields};
use datafusion::common::Result;
use netcrab_schema::Type;
use netcrab_schema::arrow::in_flight_type;

use super::score;
use super::sessions::Facts;
use crate::detect::{Events, Scan};
use crate::session::list_column;
use crate::symbols;

/// The additive columns, in order, as whole numbers; scores in units of [`score::UNIT`].
pub const ADDITIVE: [&str; 3] = ["moves", "sessions", "frustration_units"];

/// Code of the entry and of the exit, until [`Moves::into_column`] gives them one in the dictionary.
const OUTSIDE: i32 = -1;

/// The moves of all sessions of a batch.
#[derive(Default)]
pub struct Moves {
    from: Vec<i32>,
    to: Vec<i32>,
    count: Vec<i64>,
    ends: Vec<usize>,
    of_session: Vec<(i32, i32)>,
}

impl Moves {
    /// Adds a scanned session.
    pub fn push(&mut self, scan: &Scan) {
        self.of_session.clear();
        let mut from = OUTSIDE;
        for visit in &scan.visits {
            self.of_session.push((from, visit.screen));
            from = visit.screen;
        }
        if from != OUTSIDE {
            self.of_session.push((from, OUTSIDE));
        }
        self.of_session.sort_unstable();
        for moves in self.of_session.chunk_by(|a, b| a == b) {
            self.from.push(moves[0].0);
            self.to.push(moves[0].1);
            self.count.push(moves.len() as i64);
        }
        self.ends.push(self.from.len());
    }

    /// The list column `moves`, given the facts of each session.
    ///
    /// # Errors
    /// Where an event column is missing, or the columns do not fit the list.
    pub fn into_column(self, events: &Events<'_>, facts: &[Facts]) -> Result<ArrayRef> {
        let screens = events.symbols("screen_id")?.values().as_string::<i32>();
        // The entry and the exit are the empty text, which is first in the dictionary.
        let texts = std::iter::once(Some("")).chain(screens.iter());
        let dictionary: ArrayRef = Arc::new(texts.collect::<StringArray>());
        let symbol = |codes: Vec<i32>| -> ArrayRef {
            Arc::new(symbols::column(codes.into_iter().map(|code| code + 1).collect(), &dictionary))
        };
        let mut units = Vec::with_capacity(self.from.len());
        let mut lengths = Vec::with_capacity(self.ends.len());
        let mut start = 0;
        for (&end, facts) in self.ends.iter().zip(facts) {
            units.extend(std::iter::repeat_n(score::units(facts.frustration_score), end - start));
            lengths.push(end - start);
            start = end;
        }
        let rows = self.from.len();
        let columns: Vec<ArrayRef> = vec![
            symbol(self.from),
            symbol(self.to),
            Arc::new(Int64Array::from(self.count)),
            Arc::new(Int64Array::from(vec![1; rows])),
            Arc::new(Int64Array::from(units)),
        ];
        list_column(move_fields(), lengths.into_iter(), columns)
    }
}

/// The fields of a move.
pub fn move_fields() -> Fields {
    let field = |name: &str, kind| Field::new(name, in_flight_type(kind), false);
    let symbols = ["from_screen", "to_screen"].map(|name| field(name, Type::Symbol));
    symbols.into_iter().chain(ADDITIVE.map(|name| field(name, Type::Int64))).collect()
}
