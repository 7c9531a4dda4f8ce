//! Groups a visitor's events into sessions.
//!
//!     events    e1 e2 e3 ······ gap ······ e4          ─▶ event time
//!     sessions  [   s1  ]                  [ s2
//!
//! Input   events in any order, `netcrab_schema::arrow::event_in_flight` or a projection of it
//! Output  session batches: each closed session with its events, in order
//!
//! A *session key* (`netcrab_schema::SessionKey`) is an organisation, a product, and a session_id or, where that is
//! empty, a user_hash. The events of one session key are cut into sessions.
//!
//! There are two operators. The batch operator ([`batch`]) takes bounded input in any order, partitions it by the hash
//! of the session key, and sorts each partition; it spills beyond its memory limit. The streaming operator
//! ([`streaming`]) takes a stream epoch by epoch and keeps open sessions between epochs. Both end in the same
//! [`order`] and [`fold`].
//!
//!     events ─▶ hash partitioning ─▶ (spill) ─▶ order ─▶ fold ─▶ session batches        batch
//!     events ─▶ open sessions ─▶ closed ──────▶ order ─▶ fold ─▶ session batches        streaming

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
