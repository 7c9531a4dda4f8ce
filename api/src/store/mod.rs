//! Stores: where the tables are, and the queries that every store answers.
//!
//!     Scope ─▶ InsightStore ─▶ sums and rows ─▶ the arithmetic of `insights`
//!
//! A store answers with sums, counts and rows. Means, rates, ranks and trends are computed from them in `insights`, so
//! two stores cannot differ in arithmetic. [`crate::DeltaStore`] and [`crate::ClickHouseStore`] answer from tables,
//! [`crate::open_sessions::StoreWithOpenSessions`] adds open sessions, [`crate::NoTables`] is empty.
//!
//! Every query is about one organisation. Rows of another organisation never leave a store.

mod columns;
mod error;
mod insight_store;
mod records;
pub(crate) mod rows;
mod scope;
mod status;
pub(crate) mod sums;

pub(crate) use columns::{Columns, dates, plain_text, wrong};
pub use error::StoreError;
pub use insight_store::InsightStore;
pub use records::{Incident, MoveSums, Product, ProductRelease, ScreenSums, Session, SessionDay, TimelineEvent};
pub use scope::{Filter, IncidentFilter, IncidentPosition, Scope, SessionLookup, SessionPosition};
pub use status::{TableState, TableStatus};
