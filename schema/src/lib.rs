//! Every table of NetCrab, defined once.
//!
//! ```text
//! tables.rs ─▶ arrow.rs       schemas in flight and at rest
//!           ─▶ clickhouse.rs  CREATE TABLE
//!           ─▶ reference.rs   docs/tables.md
//! ```
//!
//! The meaning, unit and nullability of a column are stated here and nowhere else.
//!
//! Invariant: this crate does no IO and depends on no engine, only on the type names of Arrow.

pub mod arrow;
pub mod clickhouse;
pub mod events;
mod nearest;
pub mod packs;
pub mod reference;
pub mod session_key;
pub mod table;
pub mod tables;
mod who_acts;

pub use nearest::{nearest, nearest_clause};
pub use packs::RELEASED_TABLES;
pub use session_key::{SessionKey, SessionKeyRef};
pub use table::{Column, Engine, Fold, Table, Type};
pub use tables::{ALL, by_name};
pub use who_acts::WhoActs;

/// All tables: those of facts, and those of released packs.
pub fn all_tables() -> impl Iterator<Item = &'static Table> {
    ALL.iter().chain(RELEASED_TABLES).copied()
}
