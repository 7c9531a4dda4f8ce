//! Where accepted events wait for the pipeline: durable, ordered within a shard, read by ranges.
//!
//!     append (shard, batch) ─▶ │ shard 0  ▓▓▓▓▓▓▓▓│ ─▶ read [from, to) ─▶ the same events, every time
//!                              │ shard 1  ▓▓▓▓▓   │
//!                                 ▲ retained   ▲ durable end
//!
//! What travels are batches of [`netcrab_schema::arrow::event_in_flight`]. A shard is the unit of order
//! and of ownership; [`shard_of`] keeps all events of a session key in one. Offsets count whatever the
//! implementation stores (batches in the built-in log, events in Kafka): they grow, may leave gaps, and
//! mean nothing but a place in their shard.
//!
//! [`memory`] is the reference, [`log`] the built-in log, `kafka` (a feature) Kafka. One contract suite,
//! `tests/suite.rs`, holds for all.

mod error;
mod events;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod log;
pub mod memory;
mod shard;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use arrow::array::RecordBatch;
use async_trait::async_trait;

pub use error::Error;
pub use shard::{SessionKeyColumns, shard_of, split};

/// Milliseconds since 1970 UTC, whenever asked.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// An event bus.
#[async_trait]
pub trait Bus: Debug + Send + Sync {
    /// How many shards there are; fixed while the bus lives.
    fn shards(&self) -> u32;

    /// Adds events, each batch to its shard ([`split`] makes these pairs). Events of one batch, and of the
    /// batches of one shard, keep their order.
    ///
    /// Returns `Ok` when all are durable. On an error any part may be durable or become so, also when the
    /// future is dropped: the sender tries again, and event ids make the repeats harmless. The bus never
    /// holds more than its queue: beyond it the answer is [`Error::Full`].
    async fn append(&self, events: Vec<(u32, RecordBatch)>) -> Result<(), Error>;

    /// The durable events of `shard` from offset `from` on, up to but without offset `to`, or to the
    /// durable end where that comes first or `to` is `None`. Does not wait for more.
    ///
    /// Stops where `bytes_max` bytes as stored are reached, which one batch or record may exceed, but
    /// gives something where there is something; `next` is where to go on. A range gives the same events in the same order for ever, in whatever steps it is
    /// read, until it is no longer retained: then the error is [`Error::Gone`].
    async fn read(&self, shard: u32, from: u64, to: Option<u64>, bytes_max: usize) -> Result<Fetched, Error>;

    /// The oldest offset that is retained, and the durable end.
    async fn bounds(&self, shard: u32) -> Result<Range<u64>, Error>;

    /// Waits until the durable end of one of these shards lies beyond the offset given with it; an end
    /// that already does returns at once, so nothing is missed between a read and this.
    async fn changed(&self, seen: &[(u32, u64)]) -> Result<(), Error>;

    /// Says that events of `shard` before offset `before` need not be kept. The built-in log may delete
    /// them; Kafka is told, for information. An offset below an earlier one changes nothing.
    async fn release(&self, shard: u32, before: u64) -> Result<(), Error>;

    /// Whether [`Self::publish`] sends these results anywhere.
    fn publishes(&self, _to: Results) -> bool {
        false
    }

    /// Sends result rows of `table`, one JSON object each, to those who listen for them. Durable when `Ok`; a
    /// repeat sends them again.
    async fn publish(&self, _to: Results, _table: &str, _rows: &RecordBatch) -> Result<(), Error> {
        Ok(())
    }

    /// Asks for shards to work on. Of all who join (here and in other processes) each shard belongs to one
    /// at a time.
    async fn join(&self) -> Result<Box<dyn Membership>, Error>;
}

/// Where results go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Results {
    /// The events of closed sessions.
    Sessionized,
    /// Incidents.
    Incidents,
    /// Facts.
    Analytics,
}

/// What [`Bus::read`] found.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// The events, in order. How they are cut into batches may differ from read to read.
    pub batches: Vec<RecordBatch>,
    /// Where to go on; the `from` given where there was nothing.
    pub next: u64,
    /// What stands in the range and is no event, in order.
    pub faults: Vec<Fault>,
}

impl Fetched {
    /// How many events.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// The name of a fault that stands for events the bus no longer has; `netcrab_sources::Reason` lists it.
pub const LOST: &str = "lost_on_bus";

/// Something in a range that is no event: a record that does not decode, or offsets that were lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The shard.
    pub shard: u32,
    /// The offsets concerned.
    pub offsets: Range<u64>,
    /// The stable name of what is wrong: a reason of the table `rejects`.
    pub name: &'static str,
    /// The column or key at fault, where one is.
    pub field: Option<String>,
    /// Why, in words that repeat no value of the record.
    pub reason: String,
}

/// Being one of those who work on the shards. Dropping it gives up all of them.
#[async_trait]
pub trait Membership: Debug + Send {
    /// Waits for the next change of the shards that this member owns. The future may be dropped and the method called
    /// again.
    ///
    /// # Errors
    /// What the bus cannot do: reach Kafka, or open its lock file.
    async fn changed(&mut self) -> Result<ShardAssignment, Error>;
}

/// A change of the shards that a member owns.
#[derive(Debug)]
pub enum ShardAssignment {
    /// This member owns these shards from now on.
    Assigned(Vec<u32>),
    /// These shards move to another member.
    Revoked(Handover),
}

/// Shards that are to go. They go when this is dropped, or after a while without it: until then the holder
/// finishes or abandons what it does with them.
#[derive(Debug)]
pub struct Handover {
    /// The shards.
    pub shards: Vec<u32>,
    /// Another member may hold them already (this one was silent for too long): abandon, do not finish.
    pub lost: bool,
    _done: Option<mpsc::Sender<()>>,
}

/// Locks, also after a panic elsewhere: what the bus guards is whole between its statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
