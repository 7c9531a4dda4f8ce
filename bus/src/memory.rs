//! The reference implementation: events in memory, lost with the process.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{Bus, Error, Fetched, Membership, ShardAssignment, events, locked};

/// A bus in memory. An offset is a batch.
#[derive(Debug)]
pub struct Memory {
    shards: Mutex<Vec<Shard>>,
    count: u32,
    bytes_max: u64,
    appended: watch::Sender<()>,
    owner: Arc<Semaphore>,
}

#[derive(Debug, Clone, Default)]
struct Shard {
    first: u64,
    batches: Vec<RecordBatch>,
    released: u64,
}

impl Shard {
    fn end(&self) -> u64 {
        self.first + self.batches.len() as u64
    }
}

impl Memory {
    /// A bus of `shards` shards that holds at most `bytes_max` bytes, as counted in memory.
    pub fn new(shards: u32, bytes_max: u64) -> Self {
        let count = shards.max(1);
        let shards = Mutex::new(vec![Shard::default(); count as usize]);
        Self { shards, count, bytes_max, appended: watch::Sender::new(()), owner: Arc::new(Semaphore::new(1)) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shard>> {
        locked(&self.shards)
    }

    fn check(&self, shard: u32) -> Result<usize, Error> {
        let shards = self.count;
        if shard < shards { Ok(shard as usize) } else { Err(Error::NoShard { shard, shards }) }
    }
}

fn bytes(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum()
}

#[async_trait]
impl Bus for Memory {
    fn shards(&self) -> u32 {
        self.count
    }

    async fn append(&self, events: Vec<(u32, RecordBatch)>) -> Result<(), Error> {
        for (shard, batch) in &events {
            self.check(*shard)?;
            events::check(batch)?;
        }
        let mut shards = self.lock();
        let new: u64 = events.iter().map(|(_, batch)| batch.get_array_memory_size() as u64).sum();
        let held = |shards: &[Shard]| shards.iter().map(|shard| bytes(&shard.batches)).sum::<u64>();
        if held(&shards) + new > self.bytes_max {
            for shard in shards.iter_mut() {
                let released = shard.released.min(shard.end());
                shard.batches.drain(..released.saturating_sub(shard.first) as usize);
                shard.first = shard.first.max(released);
            }
        }
        if held(&shards) + new > self.bytes_max {
            let (bytes_max, retry_after) = (self.bytes_max, Duration::from_secs(1));
            return Err(Error::Full { what: "the bus", bytes_max, retry_after, mend: "see that its reader goes on" });
        }
        for (shard, batch) in events.into_iter().filter(|(_, batch)| batch.num_rows() > 0) {
            shards[shard as usize].batches.push(batch);
        }
        drop(shards);
        self.appended.send_replace(());
        Ok(())
    }

    async fn read(&self, shard: u32, from: u64, to: Option<u64>, bytes_max: usize) -> Result<Fetched, Error> {
        let at = self.check(shard)?;
        let held = &self.lock()[at];
        let (oldest, end) = (held.first, held.end());
        if from > end {
            return Err(Error::Beyond { shard, from, end });
        }
        if from < oldest {
            return Err(Error::Gone { shard, from, oldest });
        }
        let stop = to.map_or(end, |to| to.min(end));
        let mut fetched = Fetched { next: from, ..Fetched::default() };
        let mut taken = 0;
        while fetched.next < stop {
            let batch = &held.batches[(fetched.next - oldest) as usize];
            taken += batch.get_array_memory_size();
            if taken > bytes_max && !fetched.batches.is_empty() {
                break;
            }
            fetched.batches.push(batch.clone());
            fetched.next += 1;
        }
        Ok(fetched)
    }

    async fn bounds(&self, shard: u32) -> Result<Range<u64>, Error> {
        let at = self.check(shard)?;
        let held = &self.lock()[at];
        Ok(held.first..held.end())
    }

    async fn changed(&self, seen: &[(u32, u64)]) -> Result<(), Error> {
        let mut appended = self.appended.subscribe();
        loop {
            appended.borrow_and_update();
            for (shard, seen) in seen {
                if self.bounds(*shard).await?.end > *seen {
                    return Ok(());
                }
            }
            appended.changed().await.map_err(|_| Error::Ended)?;
        }
    }

    async fn release(&self, shard: u32, before: u64) -> Result<(), Error> {
        let at = self.check(shard)?;
        let released = &mut self.lock()[at].released;
        *released = before.max(*released);
        Ok(())
    }

    async fn join(&self) -> Result<Box<dyn Membership>, Error> {
        Ok(Box::new(Member { shards: self.count, owner: self.owner.clone(), held: None }))
    }
}

/// A member. It owns all shards from `Assigned` until it is dropped.
#[derive(Debug)]
struct Member {
    shards: u32,
    owner: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

#[async_trait]
impl Membership for Member {
    async fn changed(&mut self) -> Result<ShardAssignment, Error> {
        if self.held.is_some() {
            return std::future::pending().await;
        }
        self.held = Some(self.owner.clone().acquire_owned().await.map_err(|_| Error::Ended)?);
        Ok(ShardAssignment::Assigned((0..self.shards).collect()))
    }
}
