//! What keeps a store from answering.

/// What keeps a store from answering.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A retry helps.
    #[error("every place for a query is taken and {waiting} more wait")]
    Busy {
        /// How many wait already.
        waiting: usize,
    },
    /// The asker must ask for less, or the operator allow more.
    #[error("the query needs more than it may have: {reason}")]
    TooLarge {
        /// Which bound was reached.
        reason: String,
    },
    /// The operator must act.
    #[error("table `{table}` cannot be read: {reason}")]
    Table {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The operator must act.
    #[error("query `{query}` went wrong")]
    Query {
        /// The `.sql` file.
        query: &'static str,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
