//! Accepted events wait here for the pipeline: durable, ordered within a shard, read by ranges.
//!
//!     append (shard, batch) ─▶ │ shard 0  ▓▓▓▓▓▓▓▓│ ─▶ read [from, to) ─▶ the same events, every time
//!                              │ shard 1  ▓▓▓▓▓   │
//!                                 ▲ retained   ▲ durable end
//!
//! Events travel as batches of [`netcrab_schema::arrow::event_in_flight`]. A shard is the unit of order and of
//! ownership; [`shard_of`] puts all events of a session key into one shard. An offset is a place in its shard and means
//! nothing else: offsets grow and may have gaps. They count batches in the built-in log, and events in Kafka.
//!
//! [`memory`] is the reference implementation, [`log`] the built-in log, `kafka` (a feature) Kafka. One contract suite,
//! `tests/suite.rs`, holds for all of them.

mod error;
mod events;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod log;
pub mod memory;
mod results;
mod shard;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use arrow::array::RecordBatch;
use async_trait::async_trait;

pub use error::Error;
pub use results::{ResultSink, Results};
pub use shard::{SessionKeyColumns, shard_of, split};

/// Gives the time in milliseconds since 1970 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// An event bus.
#[async_trait]
pub trait Bus: Debug + Send + Sync {
    /// How many shards there are. The number does not change while the bus is open.
    fn shards(&self) -> u32;

    /// Adds events, each batch to its shard; [`split`] makes these pairs. Events of one batch, and of the batches of one
    /// shard, keep their order. Returns `Ok` when all of them are durable.
    ///
    /// On an error, or when the future is dropped, any part of the events may be durable or become so. The sender tries
    /// again; event ids make the repeats harmless. The bus never takes more memory than its queue may have.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::DiskFull`] and [`Error::Unavailable`], after which the sender tries again;
    /// [`Error::TooLarge`], [`Error::Schema`] and [`Error::NoShard`] for events that are never taken;
    /// [`Error::ReadOnly`], [`Error::Stopped`] and [`Error::Refused`], which need the operator.
    async fn append(&self, events: Vec<(u32, RecordBatch)>) -> Result<(), Error>;

    /// The durable events of `shard` from offset `from` up to, and without, offset `to`. Ends at the durable end where
    /// that comes first or `to` is `None`. Does not wait for more events.
    ///
    /// Stops when it has read `bytes_max` bytes as stored, but always returns at least one batch or record where there is
    /// one; `next` is where to go on. A range gives the same events in the same order for ever, in whatever steps it is
    /// read, as long as it is retained.
    ///
    /// # Errors
    /// [`Error::Gone`] where the range is no longer retained; [`Error::Beyond`] where `from` is after the end;
    /// [`Error::NoShard`]; [`Error::Damaged`], [`Error::Io`] and [`Error::Unavailable`] where it cannot be read.
    async fn read(&self, shard: u32, from: u64, to: Option<u64>, bytes_max: usize) -> Result<Fetched, Error>;

    /// The oldest offset that is retained, and the durable end.
    ///
    /// # Errors
    /// [`Error::NoShard`], or where the bus cannot be read.
    async fn bounds(&self, shard: u32) -> Result<Range<u64>, Error>;

    /// Waits until the durable end of one of these shards is after the offset given with it. Returns at once where one
    /// already is, so that no event is missed between a read and this.
    ///
    /// # Errors
    /// [`Error::NoShard`], or where the bus cannot be read.
    async fn changed(&self, seen: &[(u32, u64)]) -> Result<(), Error>;

    /// Says that the pipeline no longer needs the events of `shard` before offset `before`. The built-in log may delete
    /// them; Kafka stores the offset for people to see. An offset below an earlier one changes nothing.
    ///
    /// # Errors
    /// [`Error::NoShard`], or where the offset cannot be stored.
    async fn release(&self, shard: u32, before: u64) -> Result<(), Error>;

    /// Joins those who work on the shards, in this process and in others. Each shard belongs to one member at a time.
    ///
    /// # Errors
    /// Where the group of members cannot be reached.
    async fn join(&self) -> Result<Box<dyn Membership>, Error>;
}

/// What [`Bus::read`] found.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// The events, in order. Another read may split them into other batches.
    pub batches: Vec<RecordBatch>,
    /// Where to go on; the `from` given where there was nothing.
    pub next: u64,
    /// What the range has in place of events, in order.
    pub faults: Vec<Fault>,
}

impl Fetched {
    /// How many events.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// The name of the fault of events that the bus lost; `netcrab_sources::Reason` lists it.
pub const LOST: &str = "lost_on_bus";

/// A place of a range that has no event: a record that does not decode, or offsets whose events were lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The shard.
    pub shard: u32,
    /// The offsets.
    pub offsets: Range<u64>,
    /// How many events they are, where the bus still knows it; else one for each offset.
    pub rows: u64,
    /// The name of the reason in the table `rejects`; it never changes.
    pub name: &'static str,
    /// The column or JSON key that is wrong, if one is.
    pub field: Option<String>,
    /// The reason in words, without any value of the record.
    pub reason: String,
}

/// A member of those who work on the shards. Dropping it gives up all its shards.
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

/// Shards that move to another member. They move when this is dropped, or after a time limit. Until then this member
/// finishes or abandons its work on them.
#[derive(Debug)]
pub struct Handover {
    /// The shards.
    pub shards: Vec<u32>,
    /// Whether another member may have them already, because this one was silent for too long: then it must abandon its
    /// work, not finish it.
    pub lost: bool,
    _done: Option<mpsc::Sender<()>>,
}

/// Locks, also after a panic in another thread: what the bus guards is consistent after each statement.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
