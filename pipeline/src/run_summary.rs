//! What a run did, and why it may have taken no event.

use std::collections::BTreeMap;
use std::time::Duration;

use netcrab_sources::{LeftOut, Source};

/// What a run did.
#[derive(Debug, Default, Clone)]
pub struct RunSummary {
    /// Whether the tables already contained this run.
    pub already_stored: bool,
    /// Events read: of the source, and of events_raw where the tables are derived from both.
    pub events: u64,
    /// Events of the source; `None` where events_raw already contained them.
    pub taken: Option<u64>,
    /// Events of the source that events_raw contained already, and that were not stored again.
    pub repeated: u64,
    /// Rows of the source that the mapping skipped.
    pub skipped: u64,
    /// Rejected rows by reason.
    pub rejects: BTreeMap<String, u64>,
    /// Rows and bytes of each table written; of `rejects`, the rows of this run.
    pub tables: Vec<(&'static str, u64, u64)>,
    /// Files of the source of which nothing was read, at most [`netcrab_sources::LEFT_OUT_MAX`].
    pub left_out: Vec<LeftOut>,
    /// How many such files there are.
    pub left_out_count: usize,
    /// How long reading, deriving and staging took.
    pub stage_time: Duration,
    /// How long committing took.
    pub commit_time: Duration,
    /// The plans with their metrics, where requested.
    pub explained: Vec<ExplainedPlan>,
}

/// The plan of a table with the metrics of its operators.
#[derive(Debug, Default, Clone)]
pub struct ExplainedPlan {
    /// The table.
    pub table: &'static str,
    /// An operator a line, indented below the one that reads it.
    pub text: String,
    /// The same in PostgreSQL's JSON: `[{"Plan": {"Node Type": …, "Plans": […]}}]`.
    pub json: String,
}

impl RunSummary {
    /// The summary of a run that has done nothing yet.
    pub(crate) fn of(source: &Source) -> Self {
        let (left_out, left_out_count) = (source.left_out().to_vec(), source.left_out_count());
        Self { left_out, left_out_count, ..Self::default() }
    }

    /// Rejected rows in all.
    pub fn rejected(&self) -> u64 {
        self.rejects.values().sum()
    }

    /// Why the source gave no event at all; `None` where it gave some, or had given them before.
    pub fn no_event(&self) -> Option<NoEvent> {
        if self.taken != Some(0) {
            return None;
        }
        Some(match (self.rejected(), self.skipped) {
            (0, 0) => NoEvent::NoRows,
            (rejected, 0) => NoEvent::AllRejected { rejected },
            (0, skipped) => NoEvent::AllSkipped { skipped },
            (rejected, skipped) => NoEvent::RejectedAndSkipped { rejected, skipped },
        })
    }
}

/// Why a source gave no event; the text says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEvent {
    /// The files have no rows.
    #[error("there are no rows in the files; check that they are the right ones (a header alone is no row)")]
    NoRows,
    /// Every row was rejected.
    #[error(
        "all rows were rejected ({rejected}); the table rejects has file, line and reason, docs/sources.md says what \
         to do about each; columns with other names need a --mapping, see docs/mapping.md"
    )]
    AllRejected {
        /// How many.
        rejected: u64,
    },
    /// The mapping skipped every row.
    #[error("the mapping skips all rows ({skipped}); check its [[skip]] and event.skip, see docs/mapping.md")]
    AllSkipped {
        /// How many.
        skipped: u64,
    },
    /// Some rows were rejected, and the mapping skipped the others.
    #[error(
        "rows were rejected ({rejected}), and the mapping skips the others ({skipped}); the table rejects has file, \
         line and reason; check [[skip]] and event.skip of the mapping, see docs/mapping.md"
    )]
    RejectedAndSkipped {
        /// How many were rejected.
        rejected: u64,
        /// How many were skipped.
        skipped: u64,
    },
}

impl NoEvent {
    /// The stable name, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            NoEvent::NoRows => "no_rows",
            NoEvent::AllRejected { .. } => "all_rejected",
            NoEvent::AllSkipped { .. } => "all_skipped",
            NoEvent::RejectedAndSkipped { .. } => "rejected_and_skipped",
        }
    }
}
