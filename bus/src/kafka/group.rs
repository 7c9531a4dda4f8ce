//! Who works on the shards: the consumer group decides, and this tells the member.
//!
//!     the group's thread ─ poll ─▶ assigned ────────────────────▶ member
//!                              └─▶ revoked ─▶ member finishes ─▶ handed over, or the time is up
//!
//! The group's consumer reads no events: its partitions are paused. [`super::read`] reads them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::client::{LastProblem, fault};
use super::settings::KafkaSettings;
use crate::{Error, Handover, Membership, ShardAssignment, locked};

/// The consumer that is a member of the group.
pub(crate) type GroupConsumer = BaseConsumer<Rebalances>;

/// Passes the decisions of the group to the member.
pub(crate) struct Rebalances {
    last_problem: LastProblem,
    handover: Duration,
    // Each revocation waits for its handover before the next change, so the shards bound the length of this queue.
    changes: mpsc::UnboundedSender<Result<ShardAssignment, Error>>,
}

impl Rebalances {
    fn revoked(&self, shards: Vec<u32>, lost: bool) {
        let (done, finished) = std::sync::mpsc::channel();
        let handover = Handover { shards, lost, _done: Some(done) };
        if self.changes.send(Ok(ShardAssignment::Revoked(handover))).is_err() {
            return;
        }
        // The polling thread waits here. Another thread of the client sends the heartbeats meanwhile.
        if let Err(RecvTimeoutError::Timeout) = finished.recv_timeout(self.handover) {
            let waited_ms = self.handover.as_millis() as u64;
            warn!(waited_ms, "shards go to another member before they were handed over");
        }
    }
}

impl ClientContext for Rebalances {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.last_problem.log(level, facility, message);
    }

    fn error(&self, fault: KafkaError, reason: &str) {
        self.last_problem.error(fault, reason);
    }
}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let shards = shards(partitions);
            if !shards.is_empty() {
                self.revoked(shards, consumer.assignment_lost());
            }
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            if let Err(cause) = consumer.pause(partitions) {
                warn!(reason = %cause, "partitions of the group could not be paused");
            }
            let shards = shards(partitions);
            if !shards.is_empty() {
                info!(?shards, "shards assigned");
                let _ = self.changes.send(Ok(ShardAssignment::Assigned(shards)));
            }
        }
    }
}

fn shards(partitions: &TopicPartitionList) -> Vec<u32> {
    let mut shards: Vec<u32> = partitions.elements().iter().map(|element| element.partition() as u32).collect();
    shards.sort_unstable();
    shards
}

/// A member of the group.
pub(crate) struct Member {
    changes: mpsc::UnboundedReceiver<Result<ShardAssignment, Error>>,
    leaves: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    /// Joins the group. Puts the consumer into `joined`, where others find it to commit with.
    pub(crate) fn join(settings: KafkaSettings, joined: &Mutex<Weak<GroupConsumer>>) -> Result<Self, Error> {
        let (sender, changes) = mpsc::unbounded_channel();
        let last_problem = LastProblem::default();
        let context =
            Rebalances { last_problem: last_problem.clone(), handover: settings.handover(), changes: sender.clone() };
        let failed = |cause| fault(&settings, &last_problem, "join the group", cause);
        let consumer = GroupConsumer::from_config_and_context(&settings.consumer(), context).map_err(failed)?;
        consumer.subscribe(&[&settings.topic]).map_err(failed)?;
        let consumer = Arc::new(consumer);
        *locked(joined) = Arc::downgrade(&consumer);
        let leaves = Arc::new(AtomicBool::new(false));
        let (left, of_group) = (leaves.clone(), settings.group.clone());
        let poll = move || {
            while !left.load(Ordering::Acquire) {
                let Some(Err(cause)) = consumer.poll(Duration::from_millis(50)) else { continue };
                match fault(&settings, &last_problem, "stay in the group", cause.clone()) {
                    // The client retries by itself.
                    Error::Unavailable { .. } => {}
                    _ if cause.rdkafka_error_code() == Some(Code::AutoOffsetReset) => {}
                    refused => {
                        let _ = sender.send(Err(refused));
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("bus-group".to_owned()).spawn(poll);
        let thread = thread.map_err(Error::io("start a thread for the group", of_group.as_ref()))?;
        Ok(Self { changes, leaves, thread: Some(thread) })
    }
}

#[async_trait]
impl Membership for Member {
    async fn changed(&mut self) -> Result<ShardAssignment, Error> {
        self.changes.recv().await.unwrap_or(Err(Error::Ended))
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Member of a consumer group")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Nobody finishes any work, so the shards move at once.
        self.changes.close();
        while self.changes.try_recv().is_ok() {}
        self.leaves.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
