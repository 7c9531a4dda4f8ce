//! What can go wrong in a sink, and who must act.

use netcrab_schema::WhoActs;

/// Why a sink could not read or write a table.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk is full.
    #[error(
        "no space left for `{table}` in {place}; free some space and run the same command again, nothing was changed"
    )]
    Full {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
    },
    /// The tables' folder may not be written.
    #[error(
        "`{table}` cannot be written in {place}: permission denied; choose another --tables folder or make this one writable"
    )]
    ReadOnly {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
    },
    /// Another release or program made the table.
    #[error("`{table}` in {place} has another schema; move it away, or use the release of netcrab that wrote it")]
    Schema {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
    },
    /// Rows do not have the columns of their table.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// ClickHouse refuses, and would again until somebody does what `mend` says.
    #[error("ClickHouse: {reason}; {mend}")]
    ClickHouseRefuses {
        /// What is wrong.
        reason: String,
        /// What to do about it.
        mend: &'static str,
    },
    /// A request to ClickHouse failed on every host.
    #[error("ClickHouse: {doing} failed")]
    ClickHouse {
        /// What was being done.
        doing: String,
        /// What went wrong.
        #[source]
        source: Box<::clickhouse::error::Error>,
    },
    /// The plan that makes the rows failed.
    #[error(transparent)]
    Rows(#[from] datafusion::error::DataFusionError),
    /// The Delta log could not be read or written.
    #[error(
        "the Delta log of `{table}` in {place} could not be used; where it is damaged, put the table back from a backup \
         or, unless it is events_raw, remove its folder and derive it again: with `netcrab run`, or with `netcrab stream \
         repair` where a stream writes it"
    )]
    Delta {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
        /// What went wrong.
        #[source]
        source: Box<deltalake::DeltaTableError>,
    },
    /// The object store did not answer, or refused; `mend` says what to do.
    #[error("`{table}` in {place} could not be reached; {mend}")]
    Store {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
        /// What to do.
        mend: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be written.
    #[error("a file of `{table}` in {place} could not be written")]
    File {
        /// The table.
        table: &'static str,
        /// Where it lies.
        place: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Who must act before the operation can succeed.
    ///
    /// Rows come from NetCrab's own plans, never from a sender, so [`WhoActs::Sender`] is never the answer.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            // A full disk is the operator's to empty, and then the same operation succeeds without a restart.
            Error::Full { .. }
            | Error::ClickHouse { .. }
            | Error::Store { .. }
            | Error::Delta { .. }
            | Error::File { .. } => WhoActs::Retry,
            Error::ReadOnly { .. }
            | Error::Schema { .. }
            | Error::Arrow(_)
            | Error::ClickHouseRefuses { .. }
            | Error::Rows(_) => WhoActs::Operator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_retried_and_the_rest_is_the_operators() {
        let (table, place) = ("fact_sessions", "file:///tables/".to_owned());
        assert_eq!(Error::Full { table, place: place.clone() }.who_acts(), WhoActs::Retry);
        assert_eq!(Error::ReadOnly { table, place: place.clone() }.who_acts(), WhoActs::Operator);
        assert_eq!(Error::Schema { table, place: place.clone() }.who_acts(), WhoActs::Operator);
        let refuses = Error::ClickHouseRefuses { reason: "no host".to_owned(), mend: "set one" };
        assert_eq!(refuses.who_acts(), WhoActs::Operator);
        let source = Box::new(std::io::Error::other("reset"));
        assert_eq!(Error::Store { table, place, mend: "try again", source }.who_acts(), WhoActs::Retry);
        let source = Box::new(::clickhouse::error::Error::TimedOut);
        assert_eq!(Error::ClickHouse { doing: "`SELECT 1 …`".to_owned(), source }.who_acts(), WhoActs::Retry);
    }
}
