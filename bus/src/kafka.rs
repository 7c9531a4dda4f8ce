//! The bus in Kafka: a shard is a partition, an offset is an event.
//!
//!     append ─▶ `events.raw`, a record for each event ─▶ read [from, to)
//!               key `org/product/session or user`, partition by `shard_of`, value the event as wire JSON
//!
//! Records are written so that any tool reads them and others may write them; what does not decode is a
//! fault of the range, not the end of it. Only records of committed transactions count. Ownership is
//! that of the consumer group; offsets are committed there for others to see, and never read back: the
//! epochs of the pipeline say where to go on.

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

pub use settings::{Sasl, Secret, Security, Settings};

use crate::{Bus, Clock, Error, Fetched, Membership, Results, events, locked};
use append::Appender;
use client::{Complaint, fault};
use group::{GroupConsumer, Member};
use read::Readers;

/// The bus in Kafka, open.
pub struct Kafka {
    settings: Settings,
    appender: Appender,
    readers: Arc<Readers>,
    /// Asks for ends, and commits where this process is no member of the group.
    asking: Arc<Asking>,
    joined: Mutex<Weak<GroupConsumer>>,
}

struct Asking {
    settings: Settings,
    complaint: Complaint,
    consumer: BaseConsumer<Complaint>,
}

impl Kafka {
    /// Connects; makes the topic where it does not exist. `clock` dates the records, `sources` judges them
    /// when they are read.
    pub async fn open(
        settings: Settings,
        clock: Clock,
        sources: netcrab_sources::SourceSettings,
    ) -> Result<Self, Error> {
        settings.check()?;
        let complaint = Complaint::default();
        let consumer = BaseConsumer::from_config_and_context(&settings.consumer(), complaint.clone());
        let consumer = consumer.map_err(|cause| fault(&settings, &complaint, "connect", cause))?;
        let asking = Arc::new(Asking { settings: settings.clone(), complaint, consumer });
        let appender = Appender::new(settings.clone(), clock)?;
        let seed = xxh3_128(settings.topic.as_bytes());
        let readers = Arc::new(Readers::new(settings.clone(), sources, seed));
        let found = asking.topic(&settings.topic).await?;
        if found != settings.shards as usize {
            let mend = "set `shards` to what it has, or name another topic";
            return Err(Error::Partitions { topic: settings.topic, found, expected: settings.shards, mend });
        }
        for results in [Results::Sessionized, Results::Incidents, Results::Analytics] {
            let topic = settings.topic_of(results);
            if !topic.is_empty() && asking.topic(topic).await? == 0 {
                return Err(Error::Unavailable {
                    what: "find the topic of results",
                    servers: settings.servers.clone(),
                    cause: format!("`{topic}` was made and is not known to the broker"),
                    retry_after: settings.retry_after(),
                });
            }
        }
        Ok(Self { settings, appender, readers, asking, joined: Mutex::default() })
    }

    fn check(&self, shard: u32) -> Result<(), Error> {
        let shards = self.settings.shards;
        if shard < shards { Ok(()) } else { Err(Error::NoShard { shard, shards }) }
    }
}

impl Asking {
    fn fault(&self, what: &'static str, cause: rdkafka::error::KafkaError) -> Error {
        fault(&self.settings, &self.complaint, what, cause)
    }

    /// Hears what the client has to say, so that it does not pile up.
    fn listen(&self) {
        while let Some(Err(_)) = self.consumer.poll(std::time::Duration::ZERO) {}
    }

    /// How many partitions `topic` has, which is made where it does not exist.
    async fn topic(self: &Arc<Self>, topic: &str) -> Result<usize, Error> {
        match self.partitions_of(topic).await? {
            0 => {
                self.make_topic(topic).await?;
                self.await_topic(topic).await
            }
            found => Ok(found),
        }
    }

    async fn partitions_of(self: &Arc<Self>, topic: &str) -> Result<usize, Error> {
        let topic = topic.to_owned();
        blocking(self, move |asking| asking.partitions(&topic)).await
    }

    /// How many partitions `topic` has; 0 where it does not exist.
    fn partitions(&self, topic: &str) -> Result<usize, Error> {
        let metadata = self.consumer.fetch_metadata(Some(topic), self.settings.timeout());
        self.listen();
        let metadata = metadata.map_err(|cause| self.fault("connect", cause))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.map_or(0, |found| found.partitions().len()))
    }

    async fn make_topic(&self, topic: &str) -> Result<(), Error> {
        let admin = AdminClient::from_config_and_context(&self.settings.producer(), self.complaint.clone());
        let admin = admin.map_err(|cause| self.fault("connect", cause))?;
        let topic = NewTopic::new(topic, self.settings.shards as i32, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().operation_timeout(Some(self.settings.timeout()));
        let made =
            admin.create_topics([&topic], &options).await.map_err(|cause| self.fault("make the topic", cause))?;
        for result in made {
            match result {
                // Another process may have been first.
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    return Err(self.fault("make the topic", rdkafka::error::KafkaError::AdminOp(code)));
                }
            }
        }
        Ok(())
    }

    /// Waits until the topic that was made is known to the broker that is asked; gives its partitions.
    async fn await_topic(self: &Arc<Self>, topic: &str) -> Result<usize, Error> {
        let asked = tokio::time::Instant::now();
        loop {
            let found = self.partitions_of(topic).await?;
            if found > 0 || asked.elapsed() > self.settings.timeout() {
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

/// Asks without holding up the others.
async fn blocking<T: Send + 'static>(
    asking: &Arc<Asking>,
    ask: impl FnOnce(&Asking) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let asking = asking.clone();
    tokio::task::spawn_blocking(move || ask(&asking)).await.unwrap_or(Err(Error::Ended))
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
        let turn = readers.turn().await?;
        let range = read::Range { shard, from, to, bytes_max };
        // The turn goes with the work, not with the one who waits for it.
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            readers.read(range)
        });
        reading.await.unwrap_or(Err(Error::Ended))
    }

    async fn bounds(&self, shard: u32) -> Result<Range<u64>, Error> {
        self.check(shard)?;
        blocking(&self.asking, move |asking| asking.bounds(shard)).await
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
        added.map_err(|cause| self.asking.fault("commit an offset", cause))?;
        let committed = match locked(&self.joined).upgrade() {
            Some(member) => member.commit(&place, CommitMode::Async),
            None => self.asking.consumer.commit(&place, CommitMode::Async),
        };
        // It informs whoever looks at the group, and decides nothing.
        if let Err(cause) = committed {
            debug!(reason = %cause, shard, before, "an offset was not committed");
        }
        Ok(())
    }

    fn publishes(&self, to: Results) -> bool {
        !self.settings.topic_of(to).is_empty()
    }

    async fn publish(&self, to: Results, table: &str, rows: &RecordBatch) -> Result<(), Error> {
        self.appender.publish(to, table, rows).await
    }

    async fn join(&self) -> Result<Box<dyn Membership>, Error> {
        Ok(Box::new(Member::join(self.settings.clone(), &self.joined)?))
    }
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("settings", &self.settings).finish()
    }
}
