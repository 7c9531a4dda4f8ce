//! Packs, from facts to released files and tables.
//!
//!     window ─▶ eligible products ─▶ build: contributions, bounding, gate ─▶ version in the database ─┬─▶ files
//!                                                                                                    └─▶ mp_* tables
//!
//! Noise is drawn once for a version. The database stores the noisy result together with the privacy that it spent,
//! and files and tables are written from what is stored. So a build that is repeated, on any machine, gives the same
//! bytes, and after an interrupted build the same command completes it.

pub mod build;
mod digest;
mod eligibility;
mod encode;
pub mod error;
pub mod files;
pub mod lease;
mod manifest;
mod report_page;
mod report_sources;
pub mod schedule;
pub mod stored;
pub mod tables;
pub mod window;

pub use encode::as_json;
pub use error::Error;
