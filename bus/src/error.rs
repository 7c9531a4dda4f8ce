//! What can go wrong on the bus, and who must act.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::DataType;
use netcrab_schema::WhoActs;

/// Why the bus could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A queue or the log is full. The sender tries again after `retry_after`.
    #[error("{what} is full at {bytes_max} bytes; send again in {} s, {mend}", .retry_after.as_secs_f32())]
    Full {
        /// What is full.
        what: &'static str,
        /// Its bound, in bytes.
        bytes_max: u64,
        /// When to try again.
        retry_after: Duration,
        /// What to do when it stays so.
        mend: &'static str,
    },
    /// The disk is full; nothing of the append was stored. The sender tries again after `retry_after`.
    #[error(
        "no space is left on the disk of `{}`; make room, or lower `bytes_max`; appending goes on by itself", .path.display()
    )]
    DiskFull {
        /// A file on that disk.
        path: PathBuf,
        /// When to try again.
        retry_after: Duration,
    },
    /// The append is larger than a bound allows, so a retry cannot succeed.
    #[error("{what} of {bytes} bytes is larger than {bytes_max}; send less at once, or raise `{setting}`")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
        /// The setting.
        setting: &'static str,
    },
    /// The batch does not have the columns of events in flight.
    #[error("column `{column}` is {found}, expected {expected}; give batches of `schema::arrow::event_in_flight`")]
    Schema {
        /// The event column.
        column: String,
        /// What is there.
        found: String,
        /// What should.
        expected: String,
    },
    /// No such shard.
    #[error("there is no shard {shard}; the shards are 0 to {}", .shards - 1)]
    NoShard {
        /// The shard asked for.
        shard: u32,
        /// How many there are.
        shards: u32,
    },
    /// The range is no longer retained.
    #[error(
        "shard {shard} is retained from offset {oldest} on, and {from} was asked for; \
         go on from {oldest} and re-run the days between from their source, or retain more (`age_max_ms`, `bytes_max`)"
    )]
    Gone {
        /// The shard.
        shard: u32,
        /// The offset asked for.
        from: u64,
        /// The oldest offset that is retained.
        oldest: u64,
    },
    /// The range begins after the end.
    #[error(
        "shard {shard} ends at offset {end}, and {from} was asked for; \
         is this the bus the checkpoint was made with? restore it, or start from a fresh checkpoint"
    )]
    Beyond {
        /// The shard.
        shard: u32,
        /// The offset asked for.
        from: u64,
        /// The durable end.
        end: u64,
    },
    /// Another process writes this log.
    #[error("`{}` is open in another process; stop it, or give this one its own folder", .path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The log was opened for reading.
    #[error("the log in `{}` was opened for reading; append through the process that writes it", .path.display())]
    ReadOnly {
        /// The log's folder.
        path: PathBuf,
    },
    /// Stored bytes are not what was written.
    #[error("`{}` is damaged at byte {byte} ({cause}); {mend}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        byte: u64,
        /// What is wrong.
        cause: &'static str,
        /// What to do.
        mend: &'static str,
    },
    /// The log has another layout than the settings say.
    #[error("the log in `{}` has {found}, and the settings say {expected}; {mend}", .path.display())]
    Layout {
        /// The log's folder.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What was asked for.
        expected: String,
        /// What to do.
        mend: &'static str,
    },
    /// A write or a flush failed. What is on the disk is unknown until the log is opened again.
    #[error("the log stopped writing ({cause}); check the disk of `{}`, then restart", .path.display())]
    Stopped {
        /// The file that could not be written.
        path: PathBuf,
        /// Why.
        cause: Arc<io::Error>,
    },
    /// Kafka did not answer, or not in time. The sender tries again after `retry_after`.
    #[error(
        "could not {what} with Kafka at `{servers}` ({cause}); see that it runs and can be reached, then try again"
    )]
    Unavailable {
        /// What was tried.
        what: &'static str,
        /// Its bootstrap servers.
        servers: String,
        /// What the client said.
        cause: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// Kafka refused, and a retry would be refused again.
    #[error("Kafka at `{servers}` refuses to {what} ({cause}); {mend}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// Its bootstrap servers.
        servers: String,
        /// What the client said.
        cause: String,
        /// What to do.
        mend: &'static str,
    },
    /// The topic has another number of partitions than the settings say.
    #[error("topic `{topic}` has {found} partitions, and the settings say {expected}; {mend}")]
    Partitions {
        /// The topic.
        topic: String,
        /// How many it has.
        found: usize,
        /// How many were asked for.
        expected: u32,
        /// What to do.
        mend: &'static str,
    },
    /// Events could not be encoded as JSON or decoded, although they are valid.
    #[error("could not {what} records of events ({cause})")]
    Records {
        /// What was tried.
        what: &'static str,
        /// Why.
        cause: String,
    },
    /// A setting out of its bounds.
    #[error("setting `{setting}` is {found}; expected {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What was given.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The disk failed.
    #[error("could not {what} `{}`", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// Arrow refused a batch.
    #[error("could not {what} a batch of events")]
    Arrow {
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        source: Arc<arrow::error::ArrowError>,
    },
    /// A task of the bus ended, which only happens after a panic.
    #[error("a task of the bus ended; restart, and report what it said")]
    Ended,
}

impl Error {
    /// When a sender should try again, if that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Full { retry_after, .. }
            | Error::DiskFull { retry_after, .. }
            | Error::Unavailable { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// Who must act before the operation can succeed. Every error with a [`Self::retry_after`] is
    /// [`WhoActs::Retry`], and no other.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            Error::Full { .. } | Error::DiskFull { .. } | Error::Unavailable { .. } => WhoActs::Retry,
            Error::TooLarge { .. } | Error::Schema { .. } => WhoActs::Sender,
            Error::NoShard { .. }
            | Error::Gone { .. }
            | Error::Beyond { .. }
            | Error::Locked { .. }
            | Error::ReadOnly { .. }
            | Error::Damaged { .. }
            | Error::Layout { .. }
            | Error::Stopped { .. }
            | Error::Refused { .. }
            | Error::Partitions { .. }
            | Error::Records { .. }
            | Error::Setting { .. }
            | Error::Io { .. }
            | Error::Arrow { .. }
            | Error::Ended => WhoActs::Operator,
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { what, path, source: Arc::new(source) }
    }

    pub(crate) fn arrow(what: &'static str) -> impl FnOnce(arrow::error::ArrowError) -> Error {
        move |source| Error::Arrow { what, source: Arc::new(source) }
    }

    pub(crate) fn column(name: &str, found: Option<&DataType>, expected: &DataType) -> Error {
        let found = found.map_or("missing".to_owned(), DataType::to_string);
        Error::Schema { column: name.to_owned(), found, expected: expected.to_string() }
    }

    pub(crate) fn setting(setting: &'static str, found: impl ToString, expected: &'static str) -> Error {
        Error::Setting { setting, found: found.to_string(), expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_with_a_time_to_retry_is_one_that_a_retry_helps() {
        let retry_after = Duration::from_secs(1);
        let path = PathBuf::from("/bus");
        let full = Error::Full { what: "the log", bytes_max: 1, retry_after, mend: "raise `bytes_max`" };
        let unavailable =
            Error::Unavailable { what: "read", servers: "k:9092".to_owned(), cause: "down".to_owned(), retry_after };
        let too_large = Error::TooLarge { what: "an event", bytes: 2, bytes_max: 1, setting: "frame_bytes_max" };
        for (error, who) in [
            (full, WhoActs::Retry),
            (Error::DiskFull { path: path.clone(), retry_after }, WhoActs::Retry),
            (unavailable, WhoActs::Retry),
            (too_large, WhoActs::Sender),
            (Error::Gone { shard: 0, from: 1, oldest: 2 }, WhoActs::Operator),
            (Error::Locked { path }, WhoActs::Operator),
            (Error::Ended, WhoActs::Operator),
        ] {
            assert_eq!(error.who_acts(), who, "{error}");
            assert_eq!(error.retry_after().is_some(), who == WhoActs::Retry, "{error}");
        }
    }
}
