//! The HTTP API: answers questions about the tables, and takes events in.
//!
//!     request ─▶ gate ─▶ insight request ─▶ handler ─▶ InsightStore ─▶ answer
//!                key      organisation       query,      Delta tables    JSON, or
//!                limits   period, filters    compute     or ClickHouse   problem+json
//!     events  ─▶ gate ─▶ ingest ──────────────────────▶ event bus ────▶ answer
//!
//! `routes.rs` lists every route with its path, access rule, parameters and answer. The router, the gate and the
//! OpenAPI document are built from this list, so they cannot disagree.
//!
//! Invariant: a handler sees a request only after the gate has checked its key, its organisation and its parameters.
//! Invariant: a request never reads a Delta log; see `delta`.

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
