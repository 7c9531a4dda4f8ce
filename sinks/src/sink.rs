//! What every sink does.

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use netcrab_schema::Table;

use crate::change::{Position, TableChange};
use crate::error::Error;
use crate::staged::{Replace, RunId, StagedTable};

/// A store of tables.
///
/// # Errors
/// Every method fails where the store cannot be read or written; [`Error::who_acts`] says who must act.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Writes `rows`, sorted by date, where readers do not see them yet.
    ///
    /// # Errors
    /// Also those of the stream `rows`. What was written until then is removed.
    async fn stage(
        &self,
        table: &'static Table,
        run: &RunId,
        rows: SendableRecordBatchStream,
    ) -> Result<StagedTable, Error>;

    /// Adds staged rows to the table and removes those that `replace` names, in one transaction.
    /// Returns false, and changes nothing, where the table already holds this run.
    async fn commit(
        &self,
        table: &'static Table,
        run: &RunId,
        staged: &StagedTable,
        replace: Replace,
    ) -> Result<bool, Error>;

    /// Makes staged files durable (fsync), so that a later [`Self::apply`] finds them also after a power cut.
    async fn sync(&self, table: &'static Table, staged: &StagedTable) -> Result<(), Error>;

    /// Makes a change in one transaction, which is durable when this returns. Returns false, and changes nothing,
    /// where the table already has the transaction `position` of this writer, or a later one.
    async fn apply(&self, table: &'static Table, position: &Position, change: &TableChange) -> Result<bool, Error>;

    /// The number of the last transaction of `writer` that the table has.
    async fn position(&self, table: &'static Table, writer: &str) -> Result<Option<i64>, Error>;

    /// Removes the files of a stage that will not be committed.
    async fn discard(&self, table: &'static Table, staged: &StagedTable) -> Result<(), Error>;

    /// Whether the table already holds this run.
    async fn holds(&self, table: &'static Table, run: &RunId) -> Result<bool, Error> {
        Ok(self.position(table, run.as_str()).await?.is_some())
    }

    /// Whether the table exists and has rows.
    async fn has_rows(&self, table: &'static Table) -> Result<bool, Error>;
}
