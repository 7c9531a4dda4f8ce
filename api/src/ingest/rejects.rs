//! Rejected events that wait to be stored in the table `rejects`: the place and the reason of each, never its values.
//!
//!     batch ─ reject ─▶ │ at most rejects_max, the oldest go first │ ─ take ─▶ pipeline ─▶ rejects
//!
//! The column `file` names the organisation of the batch, as `ingest/acme`; `line` is the event's place in it, from 1.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use netcrab_sources::reject::{self, Fault, Reason};
use tokio::sync::Notify;

/// An event that was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Whose key sent it.
    pub org_id: Arc<str>,
    /// When, ms since 1970 UTC.
    pub received_at_ms: i64,
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why.
    pub reason: Reason,
    /// The column or key at fault; never its value.
    pub field: Option<Cow<'static, str>>,
}

/// Rejected events that wait to be stored.
#[derive(Debug)]
pub struct Rejects {
    waiting: Mutex<Waiting>,
    rejects_max: usize,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    rejected: VecDeque<Rejected>,
    lost: u64,
}

impl Rejects {
    pub(super) fn new(rejects_max: usize) -> Self {
        Self { waiting: Mutex::default(), rejects_max, arrived: Notify::new() }
    }

    pub(super) fn push(&self, org_id: &Arc<str>, received_at_ms: i64, faults: &[(usize, Fault)]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, fault) in faults {
            if waiting.rejected.len() >= self.rejects_max {
                waiting.rejected.pop_front();
                waiting.lost += 1;
            }
            waiting.rejected.push_back(Rejected {
                org_id: org_id.clone(),
                received_at_ms,
                index: *index,
                reason: fault.reason,
                field: fault.field.clone(),
            });
        }
        waiting.rejected.truncate(self.rejects_max);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Waits until there is an event to take. Only one caller may wait at a time.
    pub async fn arrived(&self) {
        while self.is_empty() {
            self.arrived.notified().await;
        }
    }

    /// Removes the oldest, at most `rows_max` of them. The caller stores them.
    pub fn take(&self, rows_max: usize) -> Vec<Rejected> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = waiting.rejected.len().min(rows_max);
        waiting.rejected.drain(..rows).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).rejected.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were dropped because more came than were taken.
    pub fn lost(&self) -> u64 {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).lost
    }
}

impl Rejected {
    /// Rejected events as rows of the table `rejects`, in its schema in flight.
    ///
    /// # Errors
    ///
    /// Arrow's, should the columns not match the schema.
    pub fn rows(rejected: &[Self]) -> Result<RecordBatch, arrow::error::ArrowError> {
        let files: Vec<String> = rejected.iter().map(|event| format!("ingest/{}", event.org_id)).collect();
        reject::rows(
            rejected.iter().zip(&files).map(|(event, file)| {
                (file.as_str(), event.index as u64 + 1, event.reason.name(), event.field.as_deref())
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use netcrab_schema::tables::REJECTS;

    use super::*;

    fn faults(indexes: std::ops::Range<usize>) -> Vec<(usize, Fault)> {
        indexes.map(|index| (index, Fault::field(Reason::Email, "segment"))).collect()
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let rejects = Rejects::new(3);
        rejects.push(&"acme".into(), 7, &faults(0..5));
        assert_eq!((rejects.len(), rejects.lost()), (3, 2));
        let taken = rejects.take(2);
        assert_eq!(taken.iter().map(|event| event.index).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(rejects.len(), 1);
        let rows = Rejected::rows(&taken).expect("the table's schema");
        assert_eq!((rows.num_rows(), rows.schema()), (2, REJECTS.in_flight()));
    }
}
