//! An event that is sent again is accepted and stored once; one whose append failed is not lost.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use netcrab_api::IngestSettings;
use netcrab_bus::memory::Memory;
use netcrab_bus::{Bus, Error, Fetched, Membership};
use tokio::sync::Semaphore;

use super::{ACME, Inlet, batch, config, event, events};

#[tokio::test]
async fn a_batch_sent_twice_is_accepted_twice_and_kept_once() {
    let inlet = Inlet::new();
    assert_eq!(inlet.send(ACME, events(3)).await.verdict(), "ok 3 0");
    assert_eq!(inlet.send(ACME, events(4)).await.verdict(), "ok 4 0");
    assert_eq!(inlet.kept("event_id").await, ["e0", "e1", "e2", "e3"]);
    let metrics = inlet.metrics().await;
    assert!(metrics.contains(r#"netcrab_ingest_events_total{org_id="acme",outcome="accepted"} 7"#), "{metrics}");
    assert!(metrics.contains(r#"netcrab_ingest_events_total{org_id="acme",outcome="repeated"} 3"#), "{metrics}");
}

#[tokio::test]
async fn an_id_repeats_only_within_its_visit() {
    let inlet = Inlet::new();
    let same = event("e0", "");
    let others = [
        same.clone(),
        same.replace("\"s1\"", "\"s2\""),
        same.replace("crm", "erp"),
        // Without a session id the session key has the user's hash; with one the user's hash does not matter.
        same.replace("\"s1\"", "\"\""),
    ];
    for other in &others {
        assert_eq!(inlet.send(ACME, batch(std::slice::from_ref(other))).await.verdict(), "ok 1 0");
    }
    assert_eq!(inlet.kept("event_id").await.len(), others.len());
    assert_eq!(inlet.send(ACME, batch(&[same.replace("\"u1\"", "\"u2\"")])).await.verdict(), "ok 1 0");
    assert_eq!(inlet.kept("event_id").await.len(), others.len());
}

#[tokio::test]
async fn which_of_two_in_one_batch_counts_is_for_the_sessions_to_say() {
    let inlet = Inlet::new();
    assert_eq!(inlet.send(ACME, batch(&[event("e0", ""), event("e0", "")])).await.verdict(), "ok 2 0");
    assert_eq!(inlet.kept("event_id").await, ["e0", "e0"]);
    assert_eq!(inlet.send(ACME, events(1)).await.verdict(), "ok 1 0");
    assert_eq!(inlet.kept("event_id").await, ["e0", "e0"]);
}

/// A bus whose appends wait for a permit, and fail while `broken`.
#[derive(Debug)]
struct Gated {
    memory: Memory,
    gate: Semaphore,
    broken: AtomicBool,
    appends: AtomicUsize,
}

#[async_trait]
impl Bus for Gated {
    fn shards(&self) -> u32 {
        self.memory.shards()
    }

    async fn append(&self, events: Vec<(u32, RecordBatch)>) -> Result<(), Error> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.expect("an open gate").forget();
        if self.broken.load(Ordering::SeqCst) {
            let retry_after = Duration::from_secs(1);
            return Err(Error::Full { what: "the disk", bytes_max: 0, retry_after, mend: "wait" });
        }
        self.memory.append(events).await
    }

    async fn read(&self, shard: u32, from: u64, to: Option<u64>, bytes_max: usize) -> Result<Fetched, Error> {
        self.memory.read(shard, from, to, bytes_max).await
    }

    async fn bounds(&self, shard: u32) -> Result<Range<u64>, Error> {
        self.memory.bounds(shard).await
    }

    async fn changed(&self, seen: &[(u32, u64)]) -> Result<(), Error> {
        self.memory.changed(seen).await
    }

    async fn release(&self, shard: u32, before: u64) -> Result<(), Error> {
        self.memory.release(shard, before).await
    }

    async fn join(&self) -> Result<Box<dyn Membership>, Error> {
        self.memory.join().await
    }
}

fn gated() -> (Arc<Inlet>, Arc<Gated>) {
    let bus = Arc::new(Gated {
        memory: Memory::new(2, 1 << 30),
        gate: Semaphore::new(0),
        broken: AtomicBool::new(false),
        appends: AtomicUsize::new(0),
    });
    (Arc::new(Inlet::over(config(IngestSettings::default()), bus.clone())), bus)
}

fn send(inlet: &Arc<Inlet>, body: String) -> tokio::task::JoinHandle<super::Answer> {
    let inlet = inlet.clone();
    tokio::spawn(async move { inlet.send(ACME, body).await })
}

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the condition did not become true in 5 s");
}

#[tokio::test]
async fn of_two_copies_at_once_one_is_written_and_both_are_answered_when_it_is_durable() {
    let (inlet, bus) = gated();
    let first = send(&inlet, events(3));
    until(|| bus.appends.load(Ordering::SeqCst) == 1).await;
    let second = send(&inlet, events(3));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!first.is_finished() && !second.is_finished(), "nothing is durable yet");
    bus.gate.add_permits(1);
    assert_eq!(first.await.expect("no panic").verdict(), "ok 3 0");
    assert_eq!(second.await.expect("no panic").verdict(), "ok 3 0");
    assert_eq!(bus.appends.load(Ordering::SeqCst), 1);
    assert_eq!(inlet.kept("event_id").await, ["e0", "e1", "e2"]);
}

#[tokio::test]
async fn when_the_first_of_two_copies_fails_the_second_is_written() {
    let (inlet, bus) = gated();
    let first = send(&inlet, events(3));
    until(|| bus.appends.load(Ordering::SeqCst) == 1).await;
    let second = send(&inlet, events(4));
    until(|| bus.appends.load(Ordering::SeqCst) == 2).await;
    bus.broken.store(true, Ordering::SeqCst);
    bus.gate.add_permits(1);
    assert_eq!(first.await.expect("no panic").problem(), (503, "bus_full", true));
    bus.broken.store(false, Ordering::SeqCst);
    bus.gate.add_permits(2);
    assert_eq!(second.await.expect("no panic").verdict(), "ok 4 0");
    assert_eq!(inlet.kept("event_id").await, ["e0", "e1", "e2", "e3"]);
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_nothing_half_done() {
    let (inlet, bus) = gated();
    let first = send(&inlet, events(2));
    until(|| bus.appends.load(Ordering::SeqCst) == 1).await;
    first.abort();
    assert!(first.await.is_err_and(|ended| ended.is_cancelled()));
    let again = send(&inlet, events(2));
    bus.gate.add_permits(2);
    assert_eq!(again.await.expect("no panic").verdict(), "ok 2 0");
    assert_eq!(inlet.kept("event_id").await, ["e0", "e1"]);
    assert_eq!(bus.appends.load(Ordering::SeqCst), 1, "the first was written to its end");
}
