//! Reads ranges of partitions, through a few connections that keep their position.
//!
//!     range ─▶ a connection that is at its beginning, or the one idle longest ─▶ records ─▶ batches
//!                                                                                     └──▶ faults

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netcrab_sources::record;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::{LastProblem, fault};
use super::settings::KafkaSettings;
use crate::{Error, Fault, Fetched, locked};

/// How long a connection may be silent before the end of its range until its partition is assigned again.
const SILENCE_MAX: Duration = Duration::from_millis(200);

impl ConsumerContext for LastProblem {}

/// A range to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) shard: u32,
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
    pub(crate) bytes_max: usize,
}

/// The connections.
pub(crate) struct Readers {
    settings: KafkaSettings,
    sources: netcrab_sources::SourceSettings,
    seed: u128,
    free: Arc<Semaphore>,
    /// In the order of their last use.
    idle: Mutex<Vec<Reader>>,
}

struct Reader {
    consumer: BaseConsumer<LastProblem>,
    last_problem: LastProblem,
    /// The shard that is assigned to it, and the next offset.
    at: Option<(u32, u64)>,
}

impl Readers {
    pub(crate) fn new(settings: KafkaSettings, sources: netcrab_sources::SourceSettings, seed: u128) -> Self {
        let free = Arc::new(Semaphore::new(settings.readers_max));
        Self { settings, sources, seed, free, idle: Mutex::default() }
    }

    /// A permit to read; waits until one of the connections is free.
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.free.clone().acquire_owned().await.map_err(|_| Error::Ended)
    }

    /// Reads a range. Blocks; the caller must have a permit.
    pub(crate) fn read(&self, range: Range) -> Result<Fetched, Error> {
        let mut reader = self.reader(range)?;
        let result = reader.read(self, range);
        if result.is_err() {
            reader.at = None;
        }
        locked(&self.idle).push(reader);
        result
    }

    fn reader(&self, range: Range) -> Result<Reader, Error> {
        let mut idle = locked(&self.idle);
        let wanted = Some((range.shard, range.from));
        if let Some(place) = idle.iter().position(|reader| reader.at == wanted) {
            return Ok(idle.remove(place));
        }
        if !idle.is_empty() && idle.len() + 1 >= self.settings.readers_max {
            return Ok(idle.remove(0));
        }
        let last_problem = LastProblem::default();
        let made = BaseConsumer::from_config_and_context(&self.settings.consumer(), last_problem.clone());
        let consumer = made.map_err(|cause| fault(&self.settings, &last_problem, "connect", cause))?;
        Ok(Reader { consumer, last_problem, at: None })
    }
}

impl Reader {
    fn read(&mut self, readers: &Readers, range: Range) -> Result<Fetched, Error> {
        let (settings, Range { shard, from, .. }) = (&readers.settings, range);
        let (oldest, end) = self.bounds_around(settings, shard, from)?;
        let stop = range.to.map_or(end, |to| to.min(end));
        let mut taken = RecordsRead::new(readers, range);
        if from >= stop {
            return taken.finish();
        }
        let mut fresh = self.at != Some((shard, from));
        if fresh {
            self.assign(settings, shard, from)?;
        }
        let (started, mut heard) = (Instant::now(), Instant::now());
        while taken.fetched.next < stop && taken.bytes < range.bytes_max.max(1) {
            match self.consumer.poll(Duration::from_millis(20)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let offset = message.offset().max(0) as u64;
                    if offset >= stop {
                        // The offsets between are no events: marks of transactions, or records compacted away.
                        taken.fetched.next = stop;
                        self.at = None;
                        return taken.finish();
                    }
                    taken.record(offset, message.payload())?;
                }
                // After a fresh assignment the end is the current one. Before it, it may be an outdated one.
                Some(Err(KafkaError::PartitionEOF(_))) if fresh => taken.fetched.next = stop,
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(cause)) => self.check_fault(settings, cause, shard, taken.fetched.next, oldest)?,
            }
            if !fresh && heard.elapsed() > SILENCE_MAX {
                self.assign(settings, shard, taken.fetched.next)?;
                fresh = true;
            }
            if heard.elapsed() > settings.timeout() || started.elapsed() > 10 * settings.timeout() {
                let timed_out = KafkaError::MessageConsumption(Code::OperationTimedOut);
                return Err(fault(settings, &self.last_problem, "read", timed_out));
            }
        }
        self.at = Some((shard, taken.fetched.next));
        taken.finish()
    }

    /// The oldest offset that is retained and the end; an error where `from` is not between them.
    fn bounds_around(&self, settings: &KafkaSettings, shard: u32, from: u64) -> Result<(u64, u64), Error> {
        let ends = self.consumer.fetch_watermarks(&settings.topic, shard as i32, settings.timeout());
        let (oldest, end) = ends.map_err(|cause| fault(settings, &self.last_problem, "read", cause))?;
        let (oldest, end) = (oldest.max(0) as u64, end.max(0) as u64);
        if from > end {
            return Err(Error::Beyond { shard, from, end });
        }
        if from < oldest {
            return Err(Error::Gone { shard, from, oldest });
        }
        Ok((oldest, end))
    }

    /// The error that ends a read at offset `from`; none where the client reconnects by itself.
    fn check_fault(
        &self,
        settings: &KafkaSettings,
        cause: KafkaError,
        shard: u32,
        from: u64,
        oldest: u64,
    ) -> Result<(), Error> {
        match cause.rdkafka_error_code() {
            Some(Code::OffsetOutOfRange | Code::AutoOffsetReset) => {
                Err(Error::Gone { shard, from, oldest: oldest.max(from + 1) })
            }
            Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve) => Ok(()),
            _ => Err(fault(settings, &self.last_problem, "read", cause)),
        }
    }

    fn assign(&mut self, settings: &KafkaSettings, shard: u32, from: u64) -> Result<(), Error> {
        let mut place = TopicPartitionList::new();
        let added = place.add_partition_offset(&settings.topic, shard as i32, Offset::Offset(from as i64));
        let assigned = added.and_then(|()| self.consumer.assign(&place));
        assigned.map_err(|cause| fault(settings, &self.last_problem, "read", cause))
    }
}

/// The records that were read so far.
struct RecordsRead {
    shard: u32,
    batch_rows: usize,
    decoder: record::RecordDecoder,
    fetched: Fetched,
    bytes: usize,
}

impl RecordsRead {
    fn new(readers: &Readers, range: Range) -> Self {
        let decoder = record::RecordDecoder::new(readers.sources.clone(), readers.seed);
        let fetched = Fetched { next: range.from, ..Fetched::default() };
        Self { shard: range.shard, batch_rows: readers.settings.batch_rows, decoder, fetched, bytes: 0 }
    }

    fn record(&mut self, offset: u64, payload: Option<&[u8]>) -> Result<(), Error> {
        let payload = payload.unwrap_or_default();
        if let Err(found) = self.decoder.push(payload, self.shard, offset) {
            let field = found.field.as_deref().map_or(String::new(), |field| format!(" ({field})"));
            let reason = format!("the record is no event: {}{field}; {}", found.reason.name(), found.reason.hint());
            let (shard, offsets, name) = (self.shard, offset..offset + 1, found.reason.name());
            self.fetched.faults.push(Fault {
                shard,
                offsets,
                rows: 1,
                name,
                field: found.field.map(Into::into),
                reason,
            });
        }
        self.bytes += payload.len();
        self.fetched.next = offset + 1;
        if self.decoder.rows() >= self.batch_rows {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.decoder.rows() > 0 {
            let batch = self.decoder.finish();
            let batch = batch.map_err(|cause| Error::Records { what: "read", cause: cause.to_string() })?;
            self.fetched.batches.push(batch);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Fetched, Error> {
        self.flush()?;
        Ok(self.fetched)
    }
}
