//! What can go wrong in the operational database, and who must act.

use netcrab_schema::WhoActs;

use crate::status::Status;

/// An error of the operational database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database.
    #[error("the database is named as `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, but {fault}")]
    Url {
        /// What is wrong with it; the URL itself may hold a password.
        fault: &'static str,
    },
    /// The file cannot be opened, created or written.
    #[error(
        "could not open the database file `{path}`; this user must be able to write the file and its folder, and the \
         file must be one that netcrab made"
    )]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: sqlx::Error,
    },
    /// The server cannot be reached, or refuses the connection.
    #[error(
        "could not connect to PostgreSQL at `{server}`; check that it runs, that the database exists, and the user and \
         password"
    )]
    Server {
        /// `host:port/database`.
        server: String,
        /// What the server says.
        source: sqlx::Error,
    },
    /// A later release has written the database.
    #[error(
        "the database `{database}` has schema {found}, and this release knows schema {known} at most; use the release \
         that wrote it, or a later one"
    )]
    Newer {
        /// The file, or `host:port/database`.
        database: String,
        /// The schema that was found.
        found: i64,
        /// The newest schema of this release.
        known: i64,
    },
    /// Another writer had the database locked for 30 seconds.
    #[error(
        "could not {doing}: another process has had the database locked for 30 s; wait until it is done, then try again"
    )]
    Busy {
        /// What was asked.
        doing: &'static str,
    },
    /// The database failed.
    #[error("could not {doing}; check that the database runs and its disk is not full, then try again")]
    Database {
        /// What was asked.
        doing: &'static str,
        /// What the database says.
        source: sqlx::Error,
    },
    /// A stored value that this crate never writes.
    #[error("table `{table}` holds {column} `{value}`, which netcrab does not write; restore the row from a backup")]
    Stored {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The value.
        value: String,
    },

    /// A text that must be there is empty.
    #[error("{what} is empty; give one")]
    Empty {
        /// What the text is.
        what: &'static str,
    },
    /// A text is too long.
    #[error("{what} has {bytes} bytes, at most {max} are allowed; shorten it")]
    TooLong {
        /// What the text is.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A text has a NUL, which PostgreSQL does not store.
    #[error("{what} has a NUL character; remove it")]
    Nul {
        /// What the text is.
        what: &'static str,
    },
    /// A list is too long.
    #[error("{entries} {what} are given, at most {max} are allowed; give fewer")]
    TooMany {
        /// What the list holds.
        what: &'static str,
        /// Its length.
        entries: usize,
        /// The bound.
        max: usize,
    },
    /// An organisation without a vertical cannot opt in.
    #[error("organisation `{org_id}` has no vertical yet; set its vertical, then opt in")]
    NoVertical {
        /// The organisation.
        org_id: String,
    },

    /// The version is not `major.minor`.
    #[error("version `{version}` is not made of its numbers; write `{major}.{minor}`, both zero or more")]
    VersionNumbers {
        /// The version as given.
        version: String,
        /// Its major number.
        major: i64,
        /// Its minor number.
        minor: i64,
    },
    /// The version is stored already.
    #[error("pack `{pack_id}` has a version {version} already, and versions never change; store it as a new one")]
    VersionExists {
        /// The pack.
        pack_id: String,
        /// The version.
        version: String,
    },
    /// A version was made from exactly this input.
    #[error("version {version} of pack `{pack_id}` was made from exactly this input; use that version")]
    InputExists {
        /// The pack.
        pack_id: String,
        /// The version made from it.
        version: String,
    },
    /// There is no such version.
    #[error("pack `{pack_id}` has no version {version}; choose one of its list of versions")]
    NoVersion {
        /// The pack.
        pack_id: String,
        /// The version.
        version: String,
    },
    /// The status may not follow the current one.
    #[error("version {version} of pack `{pack_id}` is {from} and cannot become {to}; {}", from.ways())]
    Transition {
        /// The pack.
        pack_id: String,
        /// The version.
        version: String,
        /// The current status.
        from: Status,
        /// The status that was asked for.
        to: Status,
    },
    /// A spend or a budget that is negative or not finite.
    #[error("{what} of {unit} in {period} is {value}; it must be a finite number, zero or more")]
    Amount {
        /// `rho`, `delta`, `rho budget` or `delta budget`.
        what: &'static str,
        /// The unit of privacy.
        unit: String,
        /// The period.
        period: String,
        /// The value.
        value: f64,
    },
    /// A spend would exceed its budget.
    #[error(transparent)]
    OverBudget(Box<OverBudget>),
    /// A contribution of a negative number of sessions.
    #[error("organisation `{org_id}` contributes {sessions} sessions; give zero or more")]
    Sessions {
        /// The organisation.
        org_id: String,
        /// The sessions as given.
        sessions: i64,
    },
    /// An organisation contributes twice to the same version.
    #[error("an organisation is given twice among the contributions to version {version}; add its sessions up")]
    ContributionTwice {
        /// The version.
        version: String,
    },
}

/// A spend that was refused because it exceeds its budget. Nothing was stored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "version {version} of pack `{pack_id}` asks for {what} {asked} of {unit} in {period}, where {spent} of {budget} is \
     spent; wait for the next period, lower the definition's epsilon, or raise its budget"
)]
pub struct OverBudget {
    /// The pack.
    pub pack_id: String,
    /// The version that was to be stored.
    pub version: String,
    /// The unit of privacy.
    pub unit: String,
    /// The period.
    pub period: String,
    /// `rho` or `delta`.
    pub what: &'static str,
    /// What the version asks for.
    pub asked: f64,
    /// What earlier versions, and earlier spends of this one, have spent.
    pub spent: f64,
    /// The budget.
    pub budget: f64,
}

impl Error {
    /// Who must act before the operation can succeed.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            Error::Busy { .. } | Error::Database { .. } | Error::Server { .. } => WhoActs::Retry,
            Error::Url { .. } | Error::File { .. } | Error::Newer { .. } | Error::Stored { .. } => WhoActs::Operator,
            Error::Empty { .. }
            | Error::TooLong { .. }
            | Error::Nul { .. }
            | Error::TooMany { .. }
            | Error::NoVertical { .. }
            | Error::VersionNumbers { .. }
            | Error::VersionExists { .. }
            | Error::InputExists { .. }
            | Error::NoVersion { .. }
            | Error::Transition { .. }
            | Error::Amount { .. }
            | Error::OverBudget(_)
            | Error::Sessions { .. }
            | Error::ContributionTwice { .. } => WhoActs::Sender,
        }
    }

    /// The error for a failure of the database while `doing`, which reads after "could not".
    pub(crate) fn doing(doing: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| match busy(&source) {
            true => Self::Busy { doing },
            false => Self::Database { doing, source },
        }
    }
}

/// Whether another writer had the database locked for too long.
pub(crate) fn busy(fault: &sqlx::Error) -> bool {
    let code = fault.as_database_error().and_then(|fault| fault.code());
    // SQLITE_BUSY and its kinds; PostgreSQL's lock_not_available.
    code.is_some_and(|code| ["5", "261", "517", "55P03"].contains(&&*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_database_is_retried_and_a_wrong_value_is_the_senders() {
        for (error, who) in [
            (Error::Busy { doing: "store a version" }, WhoActs::Retry),
            (Error::Database { doing: "store a version", source: sqlx::Error::WorkerCrashed }, WhoActs::Retry),
            (Error::Newer { database: "market.db".to_owned(), found: 2, known: 1 }, WhoActs::Operator),
            (Error::Url { fault: "it names no file" }, WhoActs::Operator),
            (Error::NoVertical { org_id: "acme".to_owned() }, WhoActs::Sender),
            (Error::Empty { what: "the pack" }, WhoActs::Sender),
        ] {
            assert_eq!(error.who_acts(), who, "{error}");
        }
    }
}
