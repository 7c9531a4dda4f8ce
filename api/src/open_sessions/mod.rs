//! Sessions that are still open, beside those in the tables.
//!
//!     pipeline ─ each epoch: what changed ─▶ OpenSessionsView ─┐
//!     tables ─▶ InsightStore ──────────────────────┴─▶ StoreWithOpenSessions ─▶ lists, sessions, counts by day
//!
//! An open session is shown within an epoch, with the numbers it has so far, and leaves here when its
//! closed row is in the tables. Hotspots, flows and answers with their arithmetic are of closed sessions.
//!
//! Lists never miss a session that closes while they are read. Counts by day are of two looks, so such a
//! session may be missing from them for an instant.
//!
//! Bounded: at most `sessions_max` sessions; one that finds no room is shown once it is closed. Their events
//! stay where they are, and are asked for when somebody looks at one session.

mod opened;
mod store;
mod view;

pub use opened::{OpenSessionEvents, OpenSessionRows};
pub use store::StoreWithOpenSessions;
pub use view::OpenSessionsView;
