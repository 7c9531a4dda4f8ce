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

mod asked;
pub mod clickhouse;
mod config;
mod cursor;
pub mod delta;
mod first_look;
mod gate;
mod ingest;
mod insights;
mod keys;
pub mod live;
mod metrics;
mod no_tables;
mod openapi;
mod operations;
mod params;
mod period;
mod problem;
mod routes;
mod server;
mod state;
pub mod store;
mod tls;

pub use clickhouse::ClickHouseStore;
pub use config::{AgentKey, ApiKey, Config, Error, Limits, StoreKind, Tls};
pub use delta::{DeltaLimits, DeltaStore};
pub use ingest::{Rejected, Rejects, Settings as IngestSettings};
pub use no_tables::NoTables;
pub use openapi::document as openapi_document;
pub use period::{Day, Period};
pub use problem::Problem;
pub use routes::router;
pub use server::{Server, serve};
pub use state::{AppState, Companion};
pub use store::{InsightStore, StoreError};
