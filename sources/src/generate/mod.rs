//! Generates realistic traffic for demos, benchmarks and tests. The same seed gives the same traffic.
//!
//! ```text
//! minute by minute  ─▶ visits begin ─▶ their events ─▶ wait for arrival ─▶ batches
//! day, week, bursts     visit.rs       ts              received_at         in arrival order
//! ```
//!
//! State   the events that have not arrived yet; its size follows the rate of traffic, not its length
//!
//! One event in a hundred arrives twice, and one in a hundred arrives minutes or hours late. Two screens of the first
//! product of the first organisation are clearly the worst, and release 2.3.0 makes one of them worse still.

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
