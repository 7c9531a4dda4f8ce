//! Where the results of the pipeline are sent, beside the tables.

use std::fmt::Debug;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use crate::Error;

/// The kinds of results; each may go to a topic of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Results {
    /// The events of closed sessions.
    Sessionized,
    /// Incidents.
    Incidents,
    /// Facts.
    Analytics,
}

/// Sends results to those who listen for them. Only Kafka has one; with the other buses results go to the tables alone.
#[async_trait]
pub trait ResultSink: Debug + Send + Sync {
    /// Whether these results are sent anywhere.
    fn sends(&self, results: Results) -> bool;

    /// Sends rows of `table`, one JSON object each; does nothing where [`Self::sends`] is false. They are durable when
    /// this returns `Ok`. A repeat sends them again.
    ///
    /// # Errors
    /// [`Error::Full`] and [`Error::Unavailable`], which a retry may help; [`Error::TooLarge`]; [`Error::Refused`].
    async fn publish(&self, results: Results, table: &str, rows: &RecordBatch) -> Result<(), Error>;
}
