//! Settings of the API, and what can be wrong with them.

use std::net::SocketAddr;

use serde::Deserialize;

/// Settings of the API; table `[api]` of `netcrab.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address to listen on. Default: 127.0.0.1:7878, so nothing outside this machine is served unless asked for.
    pub listen: SocketAddr,
    /// Who may read what. Default: none, and then every question about an organisation is 401.
    pub keys: Vec<ApiKey>,
    /// How much one process takes on; table `[api.limits]`.
    pub limits: Limits,
}

/// A bearer key and the organisation whose data it reads.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The key as it is sent, `nc_…`, or `sha256:` and the 64 hex digits of its SHA-256, so that the file need not hold it.
    pub key: String,
    /// The organisation.
    pub org_id: String,
}

/// Bounds on requests. Reaching one is an answer with a `code`, never a growing queue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most rows of one answer; a larger `limit` is 400. Default: 1000.
    pub rows_max: usize,
    /// Most days between `from` and `to`; more is 400. Default: 366.
    pub period_days_max: u32,
    /// Longest a request may take, in milliseconds; then it is stopped and answered 504. Default: 30_000.
    pub request_timeout_ms: u64,
    /// Most requests at work at once; one more is 503 with Retry-After. Default: 256.
    pub requests_max: usize,
    /// Longest that open requests may take to finish after a shutdown signal, in milliseconds. Default: 10_000.
    pub drain_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7878)), keys: Vec::new(), limits: Limits::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows_max: 1000, period_days_max: 366, request_timeout_ms: 30_000, requests_max: 256, drain_ms: 10_000 }
    }
}

// A key must not reach a log through `{:?}`.
impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("org_id", &self.org_id).finish_non_exhaustive()
    }
}

/// What keeps the API from starting or going on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator must act.
    #[error(
        "key {number} of `api.keys` is neither `nc_…` nor `sha256:` with 64 hex digits; correct it in netcrab.toml"
    )]
    Key {
        /// Its place in the list, from 1.
        number: usize,
    },
    /// The operator must act.
    #[error("key {number} of `api.keys` stands there twice; a key belongs to one organisation")]
    RepeatedKey {
        /// Its place in the list, from 1.
        number: usize,
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
    Store(#[from] crate::store::StoreError),
}
