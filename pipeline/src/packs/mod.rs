//! Packs, from facts to sealed files.
//!
//!     definition, window ─▶ contributors ─▶ contributions ─▶ bound ─▶ gate ─▶ version in the database ─▶ files
//!
//! Noise is drawn once, for the version: it is stored in the database together with what it spends, and files are
//! written out of what is stored. So a build that is done again, on whatever machine, gives the same bytes, and a
//! build that was interrupted goes on where it was.

pub mod build;
pub mod files;
pub mod reports;
pub mod schedule;
pub mod tables;
pub mod window;
