//! What a unit of work gives, and how it is asked for it.

use arrow::array::RecordBatch;

use crate::Error;

/// Events and rejects, as they come.
#[derive(Debug)]
pub struct ReadBatch {
    /// Events in the in-flight schema, or those of its columns that were asked for; may have no rows.
    pub events: RecordBatch,
    /// Rows that did not become events, in the in-flight schema of `rejects`.
    pub rejects: Option<RecordBatch>,
    /// Bytes of the files that this took, as stored; their sum over all readers is about [`crate::Source::bytes`].
    pub bytes_read: u64,
    /// Rows that the mapping leaves out on purpose; neither events nor rejects.
    pub skipped: u64,
}

/// One unit of work being read.
pub(crate) trait UnitDecoder: Send {
    /// The next batch; blocks.
    fn next(&mut self) -> Option<Result<ReadBatch, Error>>;
}
