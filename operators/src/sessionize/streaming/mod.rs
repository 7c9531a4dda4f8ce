//! The shell for streams: open sessions in a hash table, closed by a watermark.
//!
//!     epoch n     events ─▶ open sessions ──┐
//!                              ▲   │        ├─ watermark ─▶ order ─▶ fold ─▶ closed sessions
//!     epoch n+1   events ──────┘   └────────┘
//!
//! Input   the events of an epoch, any order
//! Output  session batches of what the watermark closed, as the [`batch`](super::batch) shell gives them
//! State   [`OpenSessions`]: all open events, packed; between epochs it stays with the shard
//!
//! **When a session closes.** A watermark W promises that no event before W is still to come in time.
//! So a session is closed when no event from W on could join it: when W > its last ts + gap, or
//! W ≥ its first ts + length. W = `i64::MAX` closes everything, which is a batch. What comes out of
//! all epochs together is then what the sorted shell makes of all events at once, whatever the epochs.
//!
//! **Late events.** An event is late when its key's last closed session closed at a watermark above
//! its ts: it belongs before or into a session that is gone. It is not admitted but counted and handed
//! back ([`OpenSessions::take_late`]), so that the key is repaired from events_raw from that instant on. An
//! event below the watermark that no closed session is concerned with is as good as any. While a key is
//! repaired none of its sessions closes ([`OpenSessions::hold`]).
//!
//! **Repeats.** `order` counts an event_id once among the open events of its key. A repeat of an event
//! whose session is closed is late, or opens a session where its ts differs by as much: that such a
//! repeat does not come here is the business of the window of event_ids at the ingestion.
//!
//! **What grows.** Symbols and shapes are kept once, for as long as the state lives: they grow with
//! what is distinct in the stream (screens, labels, versions), not with its events. A key with closed
//! sessions keeps a slot and its head (some 140 bytes) until [`OpenSessions::forget`]. All of it is
//! counted by [`OpenSessions::memory`], and an epoch that finds the memory pool full fails with nothing
//! taken back: its state must be dropped and read anew from the last epoch that was committed.

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
pub use open::{Counts, Late, OpenSessions, Visit};
