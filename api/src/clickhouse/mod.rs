//! The tables in ClickHouse.
//!
//!     request ─▶ a `.sql` file, its values bound by the server ─▶ Arrow ─▶ the rows that the Delta store reads
//!
//! Values of a request are bound (`{org:String}`), never written into a statement. A statement is the text of its
//! file; a condition that is not asked for has NULL as its value, and ClickHouse drops it. ClickHouse computes sums and orders rows; means, ranks and
//! trends are computed where they are for every store.

mod insights;
mod statements;
mod store;

pub use store::ClickHouseStore;
