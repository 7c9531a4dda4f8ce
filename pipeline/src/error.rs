//! What can stop a run, a re-run, a stream or a copy to ClickHouse, and who must act.

use datafusion::error::DataFusionError;
use netcrab_operators::sessionize::streaming::CheckpointError;
use netcrab_schema::WhoActs;

use crate::checkpoints;
use crate::checkpoints::folder;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation of the pipeline that was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the stream's epochs.
    #[error(transparent)]
    Checkpoints(#[from] checkpoints::Error),
    /// A file beside the tables.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// A table.
    #[error(transparent)]
    Sink(#[from] netcrab_sinks::Error),
    /// The event bus.
    #[error(transparent)]
    Bus(#[from] netcrab_bus::Error),
    /// The file of open sessions, or the events pushed into them.
    #[error(transparent)]
    OpenSessions(#[from] CheckpointError),
    /// The view of open sessions in the API.
    #[error(transparent)]
    Store(#[from] netcrab_api::StoreError),
    /// A plan.
    #[error(transparent)]
    Plan(#[from] DataFusionError),
    /// A batch.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// The log of a Delta table.
    #[error(transparent)]
    Delta(#[from] deltalake::DeltaTableError),
    /// A document that NetCrab wrote itself.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A task ended early, which only a panic does.
    #[error("a background task of NetCrab ended; please report what it said")]
    Task(#[from] tokio::task::JoinError),
    /// Something that only a defect of NetCrab can cause.
    #[error("defect of NetCrab: {what}; please report it")]
    Defect {
        /// What is wrong.
        what: String,
    },
    /// A file of the feed of open sessions that is cut short, as a power cut may leave it.
    #[error("the file {0}")]
    FeedFile(&'static str),
    /// A run or re-run into tables that a stream feeds.
    #[error(
        "these tables are fed by a stream; send it the events (netcrab serve, netcrab ingest), or choose another \
         --tables"
    )]
    FedByStream,
    /// The last day of a re-run lies before its first.
    #[error("--to {to} lies before --from {from}; swap them")]
    DaysSwapped {
        /// The first day.
        from: jiff::civil::Date,
        /// The last day.
        to: jiff::civil::Date,
    },
    /// A re-run without stored events.
    #[error("there are no events in events_raw to recompute from; load some with `netcrab run SOURCE --tables DIR`")]
    NoStoredEvents,
    /// events_raw cannot be read as a source.
    #[error("events_raw could not be read back")]
    StoredEvents(#[source] netcrab_sources::Error),
    /// The folder for spilled data cannot be used.
    #[error("could not prepare the folder for spilled data; check `run.spill_dir`")]
    SpillFolder(#[source] DataFusionError),
    /// The address of the tables cannot be understood.
    #[error("`{address}` is not {expected}")]
    Address {
        /// The address as given.
        address: String,
        /// What it should be.
        expected: &'static str,
        /// Why it is not, where something says so.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A path that is not Unicode, which object stores need.
    #[error("the folder of the tables has a name that is not Unicode; choose another --tables")]
    PathNotUnicode,
    /// A backfill without tables.
    #[error("there are no tables with rows in {tables}; check the path given to --tables")]
    NoTables {
        /// The address of the tables.
        tables: String,
    },
    /// A backfill beside a stream that runs.
    #[error("a stream is running on these tables; stop `netcrab serve` and `netcrab process` first")]
    StreamRuns,
    /// A backfill into a ClickHouse with other rows.
    #[error("ClickHouse is not empty: `{table}` has rows{of}; give --replace to empty it first")]
    ClickHouseNotEmpty {
        /// The table.
        table: String,
        /// ` of …, which these tables do not have`, or empty.
        of: String,
    },
    /// ClickHouse lacks epochs of a shard: the stream ran without it.
    #[error(
        "ClickHouse has the tables of shard {shard} up to epoch {inserted}, Delta up to {applied}; stop the stream and \
         run `netcrab backfill --to clickhouse`"
    )]
    ClickHouseBehind {
        /// The shard.
        shard: u32,
        /// The last epoch in ClickHouse.
        inserted: i64,
        /// The last epoch in the Delta tables.
        applied: u64,
    },
    /// State, tables and bus of a shard are not of one history: one of them was put back from a copy, or lost.
    #[error(
        "the state of shard {shard} does not fit the tables or the bus: {what}; put back all three from one backup, or \
         stop the stream and run `netcrab stream repair`, which recomputes the tables and the state from events_raw"
    )]
    StateDisagrees {
        /// The shard.
        shard: u32,
        /// What the state says, and what the others say.
        what: String,
    },
    /// A manifest names a table of another release.
    #[error("an epoch names the table `{table}`, which this release does not know")]
    UnknownTable {
        /// The table.
        table: String,
    },
    /// Epochs that a restart needs are gone.
    #[error("epochs before {before} of shard {shard} are gone and its open sessions were never written")]
    EpochsMissing {
        /// The shard.
        shard: u32,
        /// The oldest epoch that is there.
        before: u64,
    },
    /// The bus lacks events that a restart needs.
    #[error("the bus has no events from {from} of shard {shard}, which epoch {epoch} read")]
    BusLacksEpoch {
        /// The shard.
        shard: u32,
        /// The first offset that is missing.
        from: u64,
        /// The epoch that read it.
        epoch: u64,
    },
    /// events_raw lacks the events of a session that a repair takes back.
    #[error("events_raw has no events of session {session_key} of {org_id}")]
    NoEventsOfSession {
        /// The session.
        session_key: String,
        /// Its organisation.
        org_id: String,
    },
    /// The open sessions could not be rebuilt.
    #[error(
        "the open sessions could not be read back; mend what the cause names, put the files of _stream back from a \
         backup, or stop the stream and run `netcrab stream repair`"
    )]
    Restore {
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// Late events could not be merged into their sessions at the end of a stream.
    #[error("late events could not be merged into their sessions")]
    Repair {
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// A shard stopped.
    #[error("shard {shard} cannot go on")]
    Shard {
        /// The shard.
        shard: u32,
        /// Why.
        #[source]
        source: Box<Error>,
    },
}

impl Error {
    /// Who must act before the same operation can succeed.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            Self::Checkpoints(error) => error.who_acts(),
            Self::Folder(error) => error.who_acts(),
            Self::Sink(error) => error.who_acts(),
            Self::Bus(error) => error.who_acts(),
            Self::StoredEvents(error) => error.who_acts(),
            Self::OpenSessions(error) => error.who_acts(),
            Self::Store(error) => error.who_acts(),
            Self::Delta(_) | Self::FeedFile(_) => WhoActs::Retry,
            Self::Plan(_)
            | Self::Arrow(_)
            | Self::Json(_)
            | Self::Task(_)
            | Self::Defect { .. }
            | Self::FedByStream
            | Self::DaysSwapped { .. }
            | Self::NoStoredEvents
            | Self::SpillFolder(_)
            | Self::Address { .. }
            | Self::PathNotUnicode
            | Self::NoTables { .. }
            | Self::StreamRuns
            | Self::ClickHouseNotEmpty { .. }
            | Self::ClickHouseBehind { .. }
            | Self::StateDisagrees { .. }
            | Self::UnknownTable { .. }
            | Self::EpochsMissing { .. }
            | Self::BusLacksEpoch { .. }
            | Self::NoEventsOfSession { .. } => WhoActs::Operator,
            Self::Restore { source } | Self::Repair { source } | Self::Shard { source, .. } => source.who_acts(),
        }
    }

    /// Whether a stream stops on this error. It retries every other one for as long as it takes, also those that wait
    /// for the operator, such as a folder that is read-only: what was accepted stays on the bus meanwhile.
    pub fn stops_a_stream(&self) -> bool {
        match self {
            Self::Checkpoints(error) => !matches!(error, checkpoints::Error::File(_)),
            Self::OpenSessions(error) => !matches!(error, CheckpointError::Read(_) | CheckpointError::Damaged),
            Self::Sink(error) => matches!(error, netcrab_sinks::Error::Schema { .. }),
            Self::Bus(error) => matches!(error, netcrab_bus::Error::Gone { .. }),
            Self::Restore { source } | Self::Repair { source } | Self::Shard { source, .. } => source.stops_a_stream(),
            other => matches!(other, Self::ClickHouseBehind { .. } | Self::StateDisagrees { .. }),
        }
    }

    /// The error for something that only a defect of NetCrab can cause.
    pub(crate) fn defect(what: impl Into<String>) -> Self {
        Self::Defect { what: what.into() }
    }

    /// The error for a column that a batch of NetCrab's own lacks.
    pub(crate) fn no_column(name: &str) -> Self {
        Self::defect(format!("no column `{name}`"))
    }

    /// The error with its causes, for one line of a log.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: Error, who_acts: WhoActs, stops_a_stream: bool) {
        assert_eq!((error.who_acts(), error.stops_a_stream()), (who_acts, stops_a_stream), "{error}");
    }

    #[test]
    fn a_stream_retries_what_a_disk_or_a_right_costs_and_stops_for_what_no_retry_mends() {
        let place = || "./tables".to_owned();
        let full = netcrab_sinks::Error::Full { table: "events_raw", place: place() };
        check(full.into(), WhoActs::Retry, false);
        let read_only = netcrab_sinks::Error::ReadOnly { table: "events_raw", place: place() };
        check(read_only.into(), WhoActs::Operator, false);
        let schema = netcrab_sinks::Error::Schema { table: "events_raw", place: place() };
        check(schema.into(), WhoActs::Operator, true);
        check(checkpoints::Error::ShardTaken { shard: 1, epoch: 2 }.into(), WhoActs::Operator, true);
        check(Error::ClickHouseBehind { shard: 0, inserted: 1, applied: 2 }, WhoActs::Operator, true);
        check(netcrab_bus::Error::Gone { shard: 0, from: 1, oldest: 2 }.into(), WhoActs::Operator, true);
        check(CheckpointError::Version.into(), WhoActs::Operator, true);
        check(CheckpointError::Damaged.into(), WhoActs::Operator, false);
        check(Error::EpochsMissing { shard: 0, before: 7 }, WhoActs::Operator, false);
    }

    #[test]
    fn a_cause_decides_for_what_wraps_it() {
        let lost = || Box::new(Error::from(checkpoints::Error::ShardTaken { shard: 1, epoch: 2 }));
        check(Error::Restore { source: lost() }, WhoActs::Operator, true);
        let restore = Error::Restore { source: lost() };
        check(Error::Shard { shard: 1, source: Box::new(restore) }, WhoActs::Operator, true);
    }

    #[test]
    fn a_chain_names_every_cause_in_one_line() {
        let error = Error::Restore { source: Box::new(Error::EpochsMissing { shard: 0, before: 7 }) };
        let line = "the open sessions could not be read back; mend what the cause names, put the files of _stream back \
                    from a backup, or stop the stream and run `netcrab stream repair`: epochs before 7 of shard 0 are \
                    gone and its open sessions were never written";
        assert_eq!(error.chain(), line);
    }
}
