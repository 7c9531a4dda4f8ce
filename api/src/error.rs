//! What keeps the API from starting or going on.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::store::StoreError;

/// What keeps the API from starting or going on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator must act.
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
    /// The operator must act.
    #[error("key {number} of `{setting}` stands there twice; a key belongs to one organisation")]
    RepeatedKey {
        /// Its place in the list, from 1.
        number: usize,
        /// The list.
        setting: &'static str,
    },
    /// The operator must act.
    #[error("setting `api.ingest.{setting}` is {found}; expected {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What was given.
        found: String,
        /// What would be taken.
        expected: &'static str,
    },
    /// The operator must act.
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
    /// The operator must act.
    #[error("could not listen on {listen}; is another process there? set `api.listen` to a free address")]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The operator must act.
    #[error("`{location}` is not a folder or an object store URL of tables")]
    Location {
        /// What was given.
        location: String,
    },
    /// A retry may help.
    #[error("the server stopped")]
    Serve(#[source] std::io::Error),
    /// The tables could not be opened at all.
    #[error(transparent)]
    Store(#[from] StoreError),
}
