//! The operator for streams: open sessions in a hash table, closed by a watermark.
//!
//!     epoch n     events ─▶ open sessions ──┐
//!                              ▲   │        ├─ watermark ─▶ order ─▶ fold ─▶ closed sessions
//!     epoch n+1   events ──────┘   └────────┘
//!
//! Input   the events of an epoch, any order
//! Output  session batches of the sessions that the watermark closed, like those of the [`batch`](super::batch) operator
//! State   [`OpenSessions`]: all open events, packed; between epochs it stays with the shard
//!
//! **When a session closes.** A watermark W promises that events before W arrive late if they still arrive. So a session
//! closes when no event from W on could join it: when W > its last ts + gap, or W ≥ its first ts + length.
//! W = `i64::MAX` closes everything, as a batch does. The output of all epochs together equals what the batch operator
//! gives for all events at once, wherever the epochs are cut.
//!
//! **Late events.** An event is late when the last closed session of its key closed at a watermark above the event's ts:
//! it belongs before or into a session that was emitted already. The operator does not admit it. It counts the event
//! and reports it ([`OpenSessions::take_late`]), so that the key can be repaired from events_raw from that ts on. An
//! event below the watermark is not late where no session of its key closed above its ts. While a key is being
//! repaired, none of its sessions closes ([`OpenSessions::hold`]).
//!
//! **Repeats.** `order` counts an event_id once among the open events of its key. A repeat of an event whose session is
//! closed is late or, where its ts is far from the first one's, opens a session. The deduplication window at the
//! ingestion keeps such repeats away.
//!
//! **What grows.** Symbols and tuples are stored once, for as long as the state lives. They grow with what is distinct in
//! the stream (screens, labels, versions), not with its events. A key with closed sessions keeps its slot and its head,
//! some 140 bytes, until [`OpenSessions::forget`]. [`OpenSessions::memory`] counts all of this. An epoch that finds the
//! memory pool full fails and undoes nothing: drop its state, and read it again from the last committed epoch.

pub mod blocks;
mod checkpoint;
mod checkpoint_bytes;
mod close;
mod exec;
pub mod keys;
mod open;
pub mod timers;

pub use checkpoint_bytes::CheckpointError;
pub use close::{Closing, OpenSessionsView};
pub use exec::StreamingSessionizeExec;
pub use keys::closes_at;
pub use open::{Counts, Late, OpenSessions};
