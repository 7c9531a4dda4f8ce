//! What keeps a store from answering.

use netcrab_schema::WhoActs;

/// What keeps a store from answering.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// As many queries run, and as many wait, as may.
    #[error("every place for a query is taken and {waiting} more wait")]
    Busy {
        /// How many wait already.
        waiting: usize,
    },
    /// The query reaches a bound on its rows or its memory. A smaller question has an answer.
    #[error("the query needs more than it may have: {reason}")]
    TooLarge {
        /// Which bound was reached.
        reason: String,
    },
    /// A table cannot be read.
    #[error("table `{table}` cannot be read: {reason}")]
    Table {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine could not run a statement, or its answer is not what the statement promises.
    #[error("query `{query}` went wrong")]
    Query {
        /// The name of the `.sql` file.
        query: &'static str,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Who must act before the same question can be answered.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            Self::Busy { .. } => WhoActs::Retry,
            Self::TooLarge { .. } => WhoActs::Sender,
            Self::Table { .. } | Self::Query { .. } => WhoActs::Operator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_who_acts() {
        let reason = || "a reason".to_owned();
        assert_eq!(StoreError::Busy { waiting: 3 }.who_acts(), WhoActs::Retry);
        assert_eq!(StoreError::TooLarge { reason: reason() }.who_acts(), WhoActs::Sender);
        assert_eq!(StoreError::Table { table: "fact_flows", reason: reason() }.who_acts(), WhoActs::Operator);
        let source = Box::new(std::fmt::Error);
        assert_eq!(StoreError::Query { query: "moves", source }.who_acts(), WhoActs::Operator);
    }
}
