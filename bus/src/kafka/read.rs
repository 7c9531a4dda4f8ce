//! Reads ranges of partitions, through a few connections that stay where they stopped.
//!
//!     range ─▶ a connection that stands at its beginning, or the one idle longest ─▶ records ─▶ batches
//!                                                                                         └──▶ faults

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netcrab_sources::record;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::{Complaint, fault};
use super::settings::Settings;
use crate::{Error, Fault, Fetched, locked};

/// How long a connection that goes on may be silent below the end before it is asked anew.
const SILENCE_MAX: Duration = Duration::from_millis(200);

impl ConsumerContext for Complaint {}

/// What is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) shard: u32,
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
    pub(crate) bytes_max: usize,
}

/// The connections.
pub(crate) struct Readers {
    settings: Settings,
    sources: netcrab_sources::SourceSettings,
    seed: u128,
    free: Arc<Semaphore>,
    /// The one that was used last stands last.
    idle: Mutex<Vec<Reader>>,
}

struct Reader {
    consumer: BaseConsumer<Complaint>,
    complaint: Complaint,
    /// The shard it is assigned, and the offset that comes next.
    at: Option<(u32, u64)>,
}

impl Readers {
    pub(crate) fn new(settings: Settings, sources: netcrab_sources::SourceSettings, seed: u128) -> Self {
        let free = Arc::new(Semaphore::new(settings.readers_max));
        Self { settings, sources, seed, free, idle: Mutex::default() }
    }

    /// A right to read; waits until one of the connections is free.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.free.clone().acquire_owned().await.map_err(|_| Error::Ended)
    }

    /// Reads a range; blocks, and needs a turn.
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
        let complaint = Complaint::default();
        let made = BaseConsumer::from_config_and_context(&self.settings.consumer(), complaint.clone());
        let consumer = made.map_err(|cause| fault(&self.settings, &complaint, "connect", cause))?;
        Ok(Reader { consumer, complaint, at: None })
    }
}

impl Reader {
    fn read(&mut self, readers: &Readers, range: Range) -> Result<Fetched, Error> {
        let (settings, Range { shard, from, .. }) = (&readers.settings, range);
        let failed = |cause| fault(settings, &self.complaint, "read", cause);
        let ends = self.consumer.fetch_watermarks(&settings.topic, shard as i32, settings.timeout());
        let (oldest, end) = ends.map_err(failed)?;
        let (oldest, end) = (oldest.max(0) as u64, end.max(0) as u64);
        if from > end {
            return Err(Error::Beyond { shard, from, end });
        }
        if from < oldest {
            return Err(Error::Gone { shard, from, oldest });
        }
        let stop = range.to.map_or(end, |to| to.min(end));
        let mut taken = Taken::new(readers, range);
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
                        // What lies between is not for readers: marks of transactions, or records compacted away.
                        taken.fetched.next = stop;
                        self.at = None;
                        return taken.finish();
                    }
                    taken.record(offset, message.payload())?;
                }
                // On a fresh assignment the end is that of now or later. Before, it may be one passed long ago.
                Some(Err(KafkaError::PartitionEOF(_))) if fresh => taken.fetched.next = stop,
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(cause)) => match cause.rdkafka_error_code() {
                    Some(Code::OffsetOutOfRange | Code::AutoOffsetReset) => {
                        let from = taken.fetched.next;
                        return Err(Error::Gone { shard, from, oldest: oldest.max(from + 1) });
                    }
                    // The client connects again by itself.
                    Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve) => {}
                    _ => return Err(fault(settings, &self.complaint, "read", cause)),
                },
            }
            if !fresh && heard.elapsed() > SILENCE_MAX {
                self.assign(settings, shard, taken.fetched.next)?;
                fresh = true;
            }
            if heard.elapsed() > settings.timeout() || started.elapsed() > 10 * settings.timeout() {
                let timed_out = KafkaError::MessageConsumption(Code::OperationTimedOut);
                return Err(fault(settings, &self.complaint, "read", timed_out));
            }
        }
        self.at = Some((shard, taken.fetched.next));
        taken.finish()
    }

    fn assign(&mut self, settings: &Settings, shard: u32, from: u64) -> Result<(), Error> {
        let mut place = TopicPartitionList::new();
        let added = place.add_partition_offset(&settings.topic, shard as i32, Offset::Offset(from as i64));
        let assigned = added.and_then(|()| self.consumer.assign(&place));
        assigned.map_err(|cause| fault(settings, &self.complaint, "read", cause))
    }
}

/// Records read so far.
struct Taken {
    shard: u32,
    batch_rows: usize,
    decoder: record::RecordDecoder,
    fetched: Fetched,
    bytes: usize,
}

impl Taken {
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
            self.fetched.faults.push(Fault { shard, offsets, name, field: found.field.map(Into::into), reason });
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
