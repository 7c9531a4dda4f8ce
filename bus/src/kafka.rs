//! The bus in Kafka: a shard is a partition, an offset is an event.
//!
//!     append ─▶ `events.raw`, a record for each event ─▶ read [from, to)
//!               key `org/product/session or user`, partition by `shard_of`, value the event as wire JSON
//!
//! The records are plain JSON: any tool can read them, and other programs may write them. A record that does not decode
//! is a fault of its range, and reading goes on after it. Only records of committed transactions count.
//!
//! The consumer group decides who owns which shard. Offsets are committed to the group for people to see and are never
//! read back: the epochs of the pipeline say where to go on.

mod append;
mod client;
mod group;
mod read;
mod settings;

use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use tracing::debug;
use xxhash_rust::xxh3::xxh3_128;

pub use settings::{KafkaSettings, Sasl, Secret, Security};

use crate::{Bus, Clock, Error, Fetched, Membership, ResultSink, Results, events, locked};
use append::Appender;
use client::{LastProblem, fault};
use group::{GroupConsumer, Member};
use read::Readers;

/// The bus in Kafka, open.
pub struct Kafka {
    settings: KafkaSettings,
    appender: Appender,
    readers: Arc<Readers>,
    /// Reads metadata and ends, and commits offsets where this process is no member of the group.
    metadata: Arc<MetadataClient>,
    joined: Mutex<Weak<GroupConsumer>>,
}

struct MetadataClient {
    settings: KafkaSettings,
    last_problem: LastProblem,
    consumer: BaseConsumer<LastProblem>,
}

impl Kafka {
    /// Connects, and creates topics that do not exist. `clock` gives the timestamps of records; `sources` are the rules
    /// that records are decoded by.
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::Unavailable`] and [`Error::Refused`] by Kafka; [`Error::Partitions`] where the topic
    /// has another number of partitions.
    pub async fn open(
        settings: KafkaSettings,
        clock: Clock,
        sources: netcrab_sources::SourceSettings,
    ) -> Result<Self, Error> {
        settings.check()?;
        let last_problem = LastProblem::default();
        let consumer = BaseConsumer::from_config_and_context(&settings.consumer(), last_problem.clone());
        let consumer = consumer.map_err(|cause| fault(&settings, &last_problem, "connect", cause))?;
        let metadata = Arc::new(MetadataClient { settings: settings.clone(), last_problem, consumer });
        let appender = Appender::new(settings.clone(), clock)?;
        let seed = xxh3_128(settings.topic.as_bytes());
        let readers = Arc::new(Readers::new(settings.clone(), sources, seed));
        let found = metadata.topic(&settings.topic).await?;
        if found != settings.shards as usize {
            let mend = "set `shards` to what it has, or name another topic";
            return Err(Error::Partitions { topic: settings.topic, found, expected: settings.shards, mend });
        }
        for results in [Results::Sessionized, Results::Incidents, Results::Analytics] {
            let topic = settings.topic_of(results);
            if !topic.is_empty() && metadata.topic(topic).await? == 0 {
                return Err(Error::Unavailable {
                    what: "find the topic of results",
                    servers: settings.servers.clone(),
                    cause: format!("`{topic}` was created, and the broker does not know it yet"),
                    retry_after: settings.retry_after(),
                });
            }
        }
        Ok(Self { settings, appender, readers, metadata, joined: Mutex::default() })
    }

    fn check(&self, shard: u32) -> Result<(), Error> {
        let shards = self.settings.shards;
        if shard < shards { Ok(()) } else { Err(Error::NoShard { shard, shards }) }
    }
}

impl MetadataClient {
    fn fault(&self, what: &'static str, cause: rdkafka::error::KafkaError) -> Error {
        fault(&self.settings, &self.last_problem, what, cause)
    }

    /// Takes the events of the client, so that they do not accumulate.
    fn listen(&self) {
        while let Some(Err(_)) = self.consumer.poll(std::time::Duration::ZERO) {}
    }

    /// How many partitions `topic` has. Creates it where it does not exist.
    async fn topic(self: &Arc<Self>, topic: &str) -> Result<usize, Error> {
        match self.partitions_of(topic).await? {
            0 => {
                self.create_topic(topic).await?;
                self.await_topic(topic).await
            }
            found => Ok(found),
        }
    }

    async fn partitions_of(self: &Arc<Self>, topic: &str) -> Result<usize, Error> {
        let topic = topic.to_owned();
        blocking(self, move |client| client.partitions(&topic)).await
    }

    /// How many partitions `topic` has; 0 where it does not exist.
    fn partitions(&self, topic: &str) -> Result<usize, Error> {
        let fetched = self.consumer.fetch_metadata(Some(topic), self.settings.timeout());
        self.listen();
        let fetched = fetched.map_err(|cause| self.fault("connect", cause))?;
        let found = fetched.topics().iter().find(|found| found.name() == topic);
        Ok(found.map_or(0, |found| found.partitions().len()))
    }

    async fn create_topic(&self, topic: &str) -> Result<(), Error> {
        let admin = AdminClient::from_config_and_context(&self.settings.producer(), self.last_problem.clone());
        let admin = admin.map_err(|cause| self.fault("connect", cause))?;
        let topic = NewTopic::new(topic, self.settings.shards as i32, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().operation_timeout(Some(self.settings.timeout()));
        let created =
            admin.create_topics([&topic], &options).await.map_err(|cause| self.fault("create the topic", cause))?;
        for result in created {
            match result {
                // Another process may have created it at the same time.
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    return Err(self.fault("create the topic", rdkafka::error::KafkaError::AdminOp(code)));
                }
            }
        }
        Ok(())
    }

    /// Waits until the broker knows the topic that was created; gives its number of partitions.
    async fn await_topic(self: &Arc<Self>, topic: &str) -> Result<usize, Error> {
        let began = tokio::time::Instant::now();
        loop {
            let found = self.partitions_of(topic).await?;
            if found > 0 || began.elapsed() > self.settings.timeout() {
                return Ok(found);
            }
            tokio::time::sleep(self.settings.poll()).await;
        }
    }

    fn bounds(&self, shard: u32) -> Result<Range<u64>, Error> {
        let ends = self.consumer.fetch_watermarks(&self.settings.topic, shard as i32, self.settings.timeout());
        self.listen();
        let (oldest, end) = ends.map_err(|cause| self.fault("ask for the ends of a shard", cause))?;
        Ok(oldest.max(0) as u64..end.max(0) as u64)
    }
}

/// Runs a request of a client that blocks, on a thread for it.
async fn blocking<T: Send + 'static>(
    client: &Arc<MetadataClient>,
    request: impl FnOnce(&MetadataClient) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let client = client.clone();
    tokio::task::spawn_blocking(move || request(&client)).await.unwrap_or(Err(Error::Ended))
}

#[async_trait]
impl Bus for Kafka {
    fn shards(&self) -> u32 {
        self.settings.shards
    }

    async fn append(&self, events: Vec<(u32, RecordBatch)>) -> Result<(), Error> {
        for (shard, batch) in &events {
            self.check(*shard)?;
            events::check(batch)?;
        }
        self.appender.append(&events).await
    }

    async fn read(&self, shard: u32, from: u64, to: Option<u64>, bytes_max: usize) -> Result<Fetched, Error> {
        self.check(shard)?;
        let readers = self.readers.clone();
        let permit = readers.permit().await?;
        let range = read::Range { shard, from, to, bytes_max };
        // The permit belongs to the task that reads, also where the caller no longer waits for it.
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            readers.read(range)
        });
        reading.await.unwrap_or(Err(Error::Ended))
    }

    async fn bounds(&self, shard: u32) -> Result<Range<u64>, Error> {
        self.check(shard)?;
        blocking(&self.metadata, move |client| client.bounds(shard)).await
    }

    async fn changed(&self, seen: &[(u32, u64)]) -> Result<(), Error> {
        loop {
            for (shard, seen) in seen {
                if self.bounds(*shard).await?.end > *seen {
                    return Ok(());
                }
            }
            tokio::time::sleep(self.settings.poll()).await;
        }
    }

    async fn release(&self, shard: u32, before: u64) -> Result<(), Error> {
        self.check(shard)?;
        let mut place = TopicPartitionList::new();
        let offset = Offset::Offset(before.min(i64::MAX as u64) as i64);
        let added = place.add_partition_offset(&self.settings.topic, shard as i32, offset);
        added.map_err(|cause| self.metadata.fault("commit an offset", cause))?;
        let committed = match locked(&self.joined).upgrade() {
            Some(member) => member.commit(&place, CommitMode::Async),
            None => self.metadata.consumer.commit(&place, CommitMode::Async),
        };
        // The offset is for people who look at the group. Nothing depends on it.
        if let Err(cause) = committed {
            debug!(reason = %cause, shard, before, "an offset was not committed");
        }
        Ok(())
    }

    async fn join(&self) -> Result<Box<dyn Membership>, Error> {
        Ok(Box::new(Member::join(self.settings.clone(), &self.joined)?))
    }
}

#[async_trait]
impl ResultSink for Kafka {
    fn sends(&self, results: Results) -> bool {
        !self.settings.topic_of(results).is_empty()
    }

    async fn publish(&self, results: Results, table: &str, rows: &RecordBatch) -> Result<(), Error> {
        self.appender.publish(results, table, rows).await
    }
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("settings", &self.settings).finish()
    }
}
