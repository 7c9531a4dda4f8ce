//! A batch that a reader returns, and the trait of its decoders.

use arrow::array::RecordBatch;

use super::seen::SeenKeys;
use crate::Error;

/// One batch of events, with the rejects of the same rows.
#[derive(Debug)]
pub struct ReadBatch {
    /// Events in the in-flight schema, or the selected columns of it; may have no rows.
    pub events: RecordBatch,
    /// Rows that did not become events, in the in-flight schema of `rejects`.
    pub rejects: Option<RecordBatch>,
    /// Bytes read for this batch, as stored. Their sum over all readers is about [`crate::Source::bytes`].
    pub bytes_read: u64,
    /// Rows that the mapping skips on purpose; neither events nor rejects.
    pub skipped: u64,
}

/// Decodes one unit of work.
pub(crate) trait UnitDecoder: Send {
    /// The next batch, or `None` at the end. Blocks.
    fn next(&mut self) -> Option<Result<ReadBatch, Error>>;

    /// Which keys of the mapping the rows so far have, where only the rows say it.
    fn seen(&self) -> Option<&SeenKeys> {
        None
    }
}
