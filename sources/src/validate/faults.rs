//! The faults of a batch.

use netcrab_schema::events::EVENT;

use crate::reject::Reason;

/// The first fault of each row of a batch, in table order.
pub(super) struct BatchFaults {
    pub(super) rows: Vec<Option<(usize, Reason, &'static str)>>,
    pub(super) count: usize,
    pub(super) length: usize,
}

impl BatchFaults {
    /// The faults of one column, by row.
    pub(super) fn extend(&mut self, faults: Vec<(usize, Reason)>, field: &'static str) {
        for (row, reason) in faults {
            self.push(row, reason, field);
        }
    }

    pub(super) fn push(&mut self, row: usize, reason: Reason, field: &'static str) {
        // The columns of a row are validated one by one before they are compared with each other.
        let place = if reason == Reason::TaskIncomplete { usize::MAX } else { column_index(field) };
        if self.rows.is_empty() {
            self.rows = vec![None; self.length];
        }
        match &mut self.rows[row] {
            Some(first) if first.0 <= place => {}
            Some(first) => *first = (place, reason, field),
            none => {
                *none = Some((place, reason, field));
                self.count += 1;
            }
        }
    }
}

fn column_index(field: &str) -> usize {
    EVENT.iter().position(|column| column.name == field).unwrap_or(EVENT.len())
}
