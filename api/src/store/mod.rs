//! What the API asks of the place where the tables lie.
//!
//!     Scope ─▶ InsightStore ─▶ sums and rows ─▶ the arithmetic of `insights`
//!
//! A store answers with sums, counts and rows; means, rates, ranks and trends are computed from
//! them in one place, so two stores cannot differ in arithmetic. [`crate::DeltaStore`] reads Delta
//! tables; one over ClickHouse needs only these queries.
//!
//! Every method sees one organisation. Rows of another never leave a store.

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
