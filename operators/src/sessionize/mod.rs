//! Groups a visitor's events into sessions.
//!
//!     events    e1 e2 e3 ······ gap ······ e4          ─▶ event time
//!     sessions  [   s1  ]                  [ s2
//!
//! Input   events in any order, `netcrab_schema::arrow::event_in_flight` or a projection of it
//! Output  session batches: each closed session with its events, in order
//!
//! The shell [`batch`] takes bounded input in any order, scatters it by the hash of the session
//! key, and sorts within; it spills under its memory limit. The shell [`streaming`] takes a stream epoch by
//! epoch, and keeps open sessions between them. Both end in the same [`order`] and [`fold`].
//!
//!     events ─▶ scatter ─▶ (spill) ────────▶ order ─▶ fold ─▶ session batches        sorted
//!     events ─▶ open sessions ─▶ closed ───▶ order ─▶ fold ─▶ session batches        hash

pub mod action_dictionary;
pub mod batch;
pub mod bytes;
pub mod dictionaries;
pub mod encoded_batch;
pub mod fold;
pub mod head;
pub mod layout;
pub mod order;
pub mod packed;
pub mod packer;
pub mod rows;
pub mod selection;
pub mod streaming;
pub mod text;
pub mod unpack;
pub mod visitor;
