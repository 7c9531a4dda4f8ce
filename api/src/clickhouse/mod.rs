//! The tables in ClickHouse.
//!
//!     request ─▶ a `.sql` file, its values bound by the server ─▶ Arrow ─▶ the rows that the Delta store reads
//!
//! Values of a request are bound (`{org:String}`), never written into a statement. What a filter adds is a condition
//! out of the list below, in place of a mark in the file. ClickHouse computes sums and orders rows; means, ranks and
//! trends are computed where they are for every store.

mod insights;
mod statements;
mod store;

pub use store::ClickHouseStore;
