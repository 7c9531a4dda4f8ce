//! Settings of the API.

mod ingest;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

pub use ingest::IngestSettings;

/// Settings of the API; table `[api]` of `netcrab.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Address to listen on. Default: 127.0.0.1:7878, which only this machine reaches.
    pub listen: SocketAddr,
    /// The store that answers questions. Default: `delta`.
    pub store: StoreKind,
    /// Who may read what. Default: none, and then every question about an organisation is answered 401.
    pub keys: Vec<ApiKey>,
    /// Who may send events. Default: none, and then every batch is answered 401.
    pub agent_keys: Vec<AgentKey>,
    /// Bounds on requests; table `[api.limits]`.
    pub limits: ApiLimits,
    /// Bounds on ingestion; table `[api.ingest]`.
    pub ingest: IngestSettings,
    /// Certificates of the listener; table `[api.tls]`.
    pub tls: TlsSettings,
}

/// A store that answers questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// The Delta tables, read by this process.
    #[default]
    Delta,
    /// ClickHouse, as `[clickhouse]` names it.
    Clickhouse,
}

/// A key of `[[api.keys]]`, and the organisation whose data it reads.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The key as it is sent, `nc_…`, or `sha256:` and the 64 hex digits of its SHA-256, so that the file need not contain it.
    pub key: String,
    /// The organisation.
    pub org_id: String,
}

/// A key of `[[api.agent_keys]]`, and what it may write.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentKey {
    /// The key as it is sent, `nc_agent_…`, or `sha256:` and the 64 hex digits of its SHA-256.
    pub key: String,
    /// The organisation it writes for. A batch with an event of another organisation is answered 403.
    pub org_id: String,
    /// The products it writes for; an event of another product is rejected. Default: empty, which is every product of
    /// the organisation.
    #[serde(default)]
    pub products: Vec<String>,
}

/// TLS of the listener; table `[api.tls]`. The files are PEM and are read once, at start.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// The server's certificate, followed by its intermediate certificates. Default: empty, and then the listener
    /// speaks plain HTTP.
    pub cert: PathBuf,
    /// The private key of that certificate. Set it together with `cert`.
    pub key: PathBuf,
    /// Authorities of client certificates. Default: empty, and then no client certificate is asked for. Otherwise a
    /// client without a certificate from one of them is refused.
    pub client_ca: PathBuf,
}

/// Bounds on requests; table `[api.limits]`. A request beyond a bound is answered with a `code`; none waits in a
/// queue that grows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiLimits {
    /// Most rows of one answer; a larger `limit` is answered 400. Default: 1000.
    pub rows_max: usize,
    /// Most days from `from` to `to`; more are answered 400. Default: 366.
    pub period_days_max: u32,
    /// Longest that a request may take, in milliseconds; then it is stopped and answered 504. Default: 30_000.
    pub request_timeout_ms: u64,
    /// Most requests at once that read data, over all organisations; one more is answered 503 with Retry-After.
    /// Default: 256.
    pub requests_max: usize,
    /// Longest that open requests may take to finish after a shutdown signal, in milliseconds; then they are cut off.
    /// Default: 10_000.
    pub drain_ms: u64,
    /// Most connections at once; one more waits until another ends. Default: 4096.
    pub connections_max: usize,
    /// Longest that a connection may take for its TLS handshake or for the head of its next request, idle
    /// time included, in milliseconds; then it is closed. Default: 15_000.
    pub head_timeout_ms: u64,
    /// Longest that a client may leave an answer unread, in milliseconds; then its connection is closed. Default: 15_000.
    pub answer_timeout_ms: u64,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7878)),
            store: StoreKind::default(),
            keys: Vec::new(),
            agent_keys: Vec::new(),
            limits: ApiLimits::default(),
            ingest: IngestSettings::default(),
            tls: TlsSettings::default(),
        }
    }
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            rows_max: 1000,
            period_days_max: 366,
            request_timeout_ms: 30_000,
            requests_max: 256,
            drain_ms: 10_000,
            connections_max: 4096,
            head_timeout_ms: 15_000,
            answer_timeout_ms: 15_000,
        }
    }
}

// A key must not reach a log through `{:?}`.
impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("org_id", &self.org_id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("AgentKey");
        shown.field("org_id", &self.org_id).field("products", &self.products).finish_non_exhaustive()
    }
}
