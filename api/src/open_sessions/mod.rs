//! Open sessions: a view of them, and a store that adds them to the closed ones in the tables.
//!
//!     pipeline ─ each epoch: what changed ─▶ OpenSessionsView ─┐
//!     tables ─▶ InsightStore ──────────────────────────────────┴─▶ StoreWithOpenSessions ─▶ lists, sessions, counts
//!
//! The pipeline's open-session feed writes to the view. An open session appears there within an epoch, with its numbers
//! so far, and leaves when its closed row is in the tables. Hotspots and flows are of closed sessions only.
//!
//! A list never misses a session that closes while the list is read. Counts by day read the tables and the view one
//! after the other, so for an instant they may miss such a session.
//!
//! Bounded: the view has at most `sessions_max` sessions; a session beyond that appears once it is closed. Events stay in
//! the pipeline, and are read from there for the timeline of one session.

mod opened;
mod store;
mod view;

pub use opened::{OpenSessionEvents, OpenSessionRows};
pub use store::StoreWithOpenSessions;
pub use view::OpenSessionsView;
