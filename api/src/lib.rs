//! The HTTP API: what the tables say, answered with a key, a limit and a contract; and the way in for events.
//!
//!     request ─▶ gate ─▶ asked ─▶ handler ─▶ InsightStore ─▶ answer
//!                key      period   ask,        Delta tables    JSON, or
//!                limits   filters  compute     (or others)     problem+json
//!     events  ─▶ gate ─▶ ingest ───────────▶ event bus ─────▶ answer
//!
//! `routes.rs` is the one page of routes: path, rule, parameters and answer of each. The OpenAPI
//! document, the gate and the router are made from it, so they cannot disagree.
//!
//! Invariant: a handler sees a request only after its key, its organisation and its parameters
//! have been checked. Invariant: a request never reads a Delta log; see `delta`.

pub mod clickhouse;
mod config;
mod cursor;
pub mod delta;
mod demo_page;
mod error;
mod gate;
mod ingest;
mod insight_request;
mod insights;
mod keys;
mod metrics;
mod no_tables;
pub mod open_sessions;
mod openapi;
mod operations;
mod params;
mod period;
mod problem;
mod route;
mod routes;
mod server;
mod state;
pub mod store;
mod tls;

pub use clickhouse::ClickHouseStore;
pub use config::{AgentKey, ApiConfig, ApiKey, ApiLimits, IngestSettings, StoreKind, TlsSettings};
pub use delta::{DeltaLimits, DeltaStore};
pub use error::Error;
pub use ingest::{Rejected, Rejects};
pub use metrics::Scrape;
pub use no_tables::NoTables;
pub use period::{Day, Period};
pub use problem::Problem;
pub use routes::{openapi_document, router};
pub use server::{Server, serve};
pub use state::{AppState, Companion};
pub use store::{InsightStore, StoreError};
