//! The store over ClickHouse.
//!
//!     query ─▶ a `.sql` file, its values bound by the server ─▶ Arrow ─▶ the records of every store
//!
//! Values of a request are bound (`{org:String}`), never written into a statement. A condition that a request does not
//! use has NULL as its value, and ClickHouse drops it. ClickHouse computes sums and sorts rows; means, ranks and trends
//! are computed in `insights`, as for every store.

mod insights;
mod statements;
mod store;

pub use store::ClickHouseStore;
