//! Makes realistic traffic, the same for the same seed: for demos, benches and tests.
//!
//!     minute by minute  ─▶ visits begin ─▶ their events ─▶ wait for arrival ─▶ batches
//!     day, week, bursts     visit.rs       ts              received_at         in arrival order
//!
//! State   the events that have not arrived yet; its size follows the rate of traffic, not its length
//!
//! One event in a hundred arrives twice, one in a hundred arrives minutes or hours late. The first
//! product of the first organisation has two screens that are clearly the worst, and one of them
//! becomes worse with release 2.3.0.

mod arrivals;
mod columns;
mod event;
mod json;
mod plan;
mod population;
mod products;
mod settings;
mod traffic;
mod visit;
mod world;
mod write;

pub use settings::GenerateSettings;
pub use traffic::Traffic;
pub use write::{FileLayout, WrittenFiles, write_ndjson, write_parquet};
