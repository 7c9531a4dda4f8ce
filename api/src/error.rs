//! What keeps the API from starting or from serving on.

use std::net::SocketAddr;
use std::path::PathBuf;

use netcrab_schema::WhoActs;

use crate::store::StoreError;

/// What keeps the API from starting or from serving on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key in the settings has no form that a key can have.
    #[error(
        "key {number} of `{setting}` is neither `{prefix}…` nor `sha256:` with 64 hex digits; correct it in netcrab.toml"
    )]
    Key {
        /// Its place in the list, from 1.
        number: usize,
        /// The list.
        setting: &'static str,
        /// How its keys begin.
        prefix: &'static str,
    },
    /// A key is listed twice.
    #[error("key {number} of `{setting}` stands there twice; a key belongs to one organisation")]
    RepeatedKey {
        /// Its place in the list, from 1.
        number: usize,
        /// The list.
        setting: &'static str,
    },
    /// A setting of `[api.ingest]` is out of its bounds.
    #[error("setting `api.ingest.{setting}` is {found}; expected {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What was given.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A certificate or key file cannot be used.
    #[error("`api.tls.{setting}` ({}) {wrong}; {mend}", .path.display())]
    Tls {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
        /// What to do.
        mend: &'static str,
    },
    /// The address cannot be listened on.
    #[error("could not listen on {listen}; is another process there? set `api.listen` to a free address")]
    Listen {
        /// The address in the settings.
        listen: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The location of the tables is neither a folder nor an object store URL.
    #[error("`{location}` is not a folder or an object store URL of tables")]
    Location {
        /// What was given.
        location: String,
    },
    /// The system no longer lets the server listen.
    #[error("the server stopped")]
    Serve(#[source] std::io::Error),
    /// The tables cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// Who must act before the API can start or serve on.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            Self::Key { .. }
            | Self::RepeatedKey { .. }
            | Self::Setting { .. }
            | Self::Tls { .. }
            | Self::Listen { .. }
            | Self::Location { .. } => WhoActs::Operator,
            Self::Serve(_) => WhoActs::Retry,
            Self::Store(error) => error.who_acts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_who_acts() {
        let path = PathBuf::from("server.pem");
        let io = || std::io::Error::other("a reason");
        let listen = SocketAddr::from(([127, 0, 0, 1], 7878));
        for error in [
            Error::Key { number: 1, setting: "api.keys", prefix: "nc_" },
            Error::RepeatedKey { number: 2, setting: "api.keys" },
            Error::Setting { setting: "events_max", found: "0".to_owned(), expected: "1 or more" },
            Error::Tls { setting: "cert", path, wrong: "is empty".to_owned(), mend: "give a file in PEM" },
            Error::Listen { listen, source: io() },
            Error::Location { location: "nowhere".to_owned() },
            Error::Store(StoreError::Table { table: "fact_flows", reason: "a reason".to_owned() }),
        ] {
            assert_eq!(error.who_acts(), WhoActs::Operator, "{error}");
        }
        assert_eq!(Error::Serve(io()).who_acts(), WhoActs::Retry);
        assert_eq!(Error::Store(StoreError::Busy { waiting: 0 }).who_acts(), WhoActs::Retry);
    }
}
