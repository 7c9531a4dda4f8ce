//! Kafka: what the contract does not say, against a real broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use netcrab_bus::kafka::{Kafka, KafkaSettings, Sasl, Secret, Security};
use netcrab_bus::{Bus, Error, ResultSink, Results, ShardAssignment};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::broker::{open, own, shared};
use super::{Time, events, held, ids, read_all, shard_of_session};

fn producer(settings: &KafkaSettings, properties: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.servers);
    for (property, value) in properties {
        config.set(*property, *value);
    }
    config.create().unwrap()
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, payloads: &[&[u8]]) {
    for payload in payloads {
        producer.send(BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(payload)).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// Everything of a topic of one partition, as key and value.
fn consumed(settings: &KafkaSettings, topic: &str, count: usize) -> Vec<(Option<String>, String, Option<String>)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.servers).set("group.id", "look").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&place).unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        let message = consumer.poll(Duration::from_secs(20)).unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let header =
            message.headers().and_then(|headers| headers.iter().next()).and_then(|header| header.value.map(text));
        found.push((message.key().map(text), text(message.payload().unwrap()), header));
    }
    found
}

#[tokio::test]
async fn a_record_is_keyed_by_its_visit_and_holds_the_event_as_wire_json() {
    let Some(broker) = shared() else { return };
    let settings = broker.settings(1);
    let bus = open(settings.clone()).await;
    bus.append(vec![(0, events("s1", [1]))]).await.unwrap();
    let records = consumed(&settings, &settings.topic, 1);
    assert_eq!(records[0].0.as_deref(), Some("acme/crm/s1"));
    assert_eq!(
        records[0].1,
        r#"{"orgId":"acme","productId":"crm","sessionId":"s1","userHash":"u1","eventId":"s1-1","ts":1790000000001,"receivedAt":1790000100000,"eventType":"click","seq":0,"screenId":"leads","route":"/leads","deviceType":"desktop"}"#
    );
}

#[tokio::test]
async fn records_that_are_no_events_are_faults_and_what_stands_around_them_is_read() {
    let Some(broker) = shared() else { return };
    let settings = broker.settings(2);
    let bus = open(settings.clone()).await;
    bus.append(vec![(1, events("s1", 0..2))]).await.unwrap();
    let foreign = producer(&settings, &[]);
    let secret = br#"{"orgId":"acme","email":"jane.doe@example.com"}"#;
    send(&foreign, &settings.topic, 1, &[b"not json", secret, b"\xff\xfe", b""]);
    let whole = br#"{"orgId":"acme","productId":"crm","userHash":"u9","ts":1790000000000,"eventType":"click","screenId":"a","route":"/a","deviceType":"desktop"}"#;
    send(&foreign, &settings.topic, 1, &[whole]);
    bus.append(vec![(1, events("s1", 2..4))]).await.unwrap();
    let read = bus.read(1, 0, None, 1 << 20).await.unwrap();
    assert_eq!((read.rows(), read.next), (5, 9));
    let found = ids(&read.batches);
    assert_eq!((&found[..2], &found[3..]), (&ids(&[events("s1", 0..2)])[..], &ids(&[events("s1", 2..4)])[..]));
    let offsets: Vec<u64> = read.faults.iter().map(|fault| fault.offsets.start).collect();
    assert_eq!(offsets, [2, 3, 4, 5]);
    let reasons: Vec<&str> = read.faults.iter().map(|fault| fault.reason.as_str()).collect();
    assert!(reasons[0].contains("not_json") && reasons[1].contains("denied_key"), "{reasons:?}");
    assert!(!format!("{:?}", read.faults).contains("jane"), "{reasons:?}");
    // The id that the sender left out is the same each time.
    assert_eq!(ids(&bus.read(1, 0, None, 1 << 20).await.unwrap().batches), found);
}

#[tokio::test]
async fn only_committed_transactions_are_read_and_their_marks_are_passed_over() {
    let Some(broker) = shared() else { return };
    let settings = broker.settings(1);
    let bus = open(settings.clone()).await;
    let event = |id: &str| {
        format!(
            r#"{{"orgId":"acme","productId":"crm","userHash":"u9","eventId":"{id}","ts":1790000000000,"eventType":"click","screenId":"a","route":"/a","deviceType":"desktop"}}"#
        )
    };
    let transactional = producer(&settings, &[("transactional.id", &settings.topic)]);
    transactional.init_transactions(Duration::from_secs(20)).unwrap();
    for (id, commits) in [("yes1", true), ("no", false), ("yes2", true)] {
        transactional.begin_transaction().unwrap();
        send(&transactional, &settings.topic, 0, &[event(id).as_bytes()]);
        match commits {
            true => transactional.commit_transaction(Duration::from_secs(20)).unwrap(),
            false => transactional.abort_transaction(Duration::from_secs(20)).unwrap(),
        }
    }
    // Three records and three marks; the last mark comes a moment after the commit.
    for _ in 0..200 {
        if bus.bounds(0).await.unwrap().end == 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bus.bounds(0).await.unwrap(), 0..6);
    for bytes_max in [1, 1 << 20] {
        let all = read_all(&bus, 0, 0, bytes_max).await.unwrap();
        assert_eq!((ids(&all.batches), all.next), (vec!["yes1".to_owned(), "yes2".to_owned()], 6));
    }
    // An open transaction holds back what was written after it.
    transactional.begin_transaction().unwrap();
    send(&transactional, &settings.topic, 0, &[event("open").as_bytes()]);
    bus.append(vec![(0, events("s", 0..1))]).await.unwrap();
    assert_eq!(bus.bounds(0).await.unwrap().end, 6);
    transactional.commit_transaction(Duration::from_secs(20)).unwrap();
    bus.changed(&[(0, 6)]).await.unwrap();
    assert_eq!(held(&bus, 0).await, ["yes1", "yes2", "open", "s-0"]);
}

#[tokio::test]
async fn a_topic_with_other_partitions_is_refused() {
    let Some(broker) = shared() else { return };
    let settings = broker.settings(2);
    open(settings.clone()).await;
    let other = KafkaSettings { shards: 3, ..settings };
    let fault = Kafka::open(other, Time::default().clock(), Default::default()).await.unwrap_err().to_string();
    assert!(fault.contains("has 2 partitions, and the settings say 3; set `shards`"), "{fault}");
}

#[tokio::test]
async fn an_event_longer_than_a_record_may_be_is_refused_for_good() {
    let Some(broker) = shared() else { return };
    let settings = KafkaSettings { record_bytes_max: 1000, ..broker.settings(1) };
    let bus = open(settings).await;
    bus.append(vec![(0, events("s", 0..3))]).await.unwrap();
    let fault = bus.append(vec![(0, events(&"v".repeat(900), 0..1))]).await.unwrap_err();
    assert!(matches!(fault, Error::TooLarge { setting: "record_bytes_max", .. }), "{fault}");
    assert!(fault.retry_after().is_none());
}

#[tokio::test]
async fn one_logs_in_with_scram_over_tls_and_not_with_a_wrong_password() {
    let Some(broker) = shared() else { return };
    let security = Security {
        tls: true,
        sasl: Sasl::ScramSha256,
        username: "netcrab".to_owned(),
        password: Secret::new("netcrab-secret"),
        ca_file: Some(broker.folder.join("ca.pem")),
        ..Security::default()
    };
    let settings = KafkaSettings { servers: broker.sasl_servers(), security, timeout_ms: 5000, ..broker.settings(1) };
    let bus = open(KafkaSettings { timeout_ms: 30_000, ..settings.clone() }).await;
    bus.append(vec![(0, events("s", 0..3))]).await.unwrap();
    assert_eq!(held(&bus, 0).await, ids(&[events("s", 0..3)]));
    let wrong = Security { password: Secret::new("wrong"), ..settings.security.clone() };
    let wrong = KafkaSettings { security: wrong, ..settings };
    let fault = Kafka::open(wrong, Time::default().clock(), Default::default()).await.unwrap_err().to_string();
    assert!(fault.to_lowercase().contains("authentication"), "{fault}");
    assert!(!fault.contains("wrong"), "{fault}");
}

#[tokio::test]
async fn results_go_where_the_settings_say_keyed_by_their_session() {
    let Some(broker) = shared() else { return };
    let raw = broker.settings(1);
    let settings = KafkaSettings { incidents: format!("{}.incidents", raw.topic), ..raw };
    // The topic of results is made like any other, here by opening a bus on it.
    open(KafkaSettings { topic: settings.incidents.clone(), ..settings.clone() }).await;
    let bus = open(settings.clone()).await;
    let columns: [(&str, ArrayRef); 2] = [
        ("session_key", Arc::new(StringArray::from(vec![Some("k1"), None]))),
        ("event_count", Arc::new(Int64Array::from(vec![3, 4]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    bus.publish(Results::Incidents, "fact_incidents", &rows).await.unwrap();
    let table = Some("fact_incidents".to_owned());
    let expected = [
        (Some("k1".to_owned()), r#"{"sessionKey":"k1","eventCount":3}"#.to_owned(), table.clone()),
        (None, r#"{"eventCount":4}"#.to_owned(), table),
    ];
    assert_eq!(consumed(&settings, &settings.incidents, 2), expected);
    // Not configured: nowhere.
    bus.publish(Results::Analytics, "fact_sessions", &rows).await.unwrap();
}

#[tokio::test]
async fn what_is_released_is_committed_for_others_to_see() {
    let Some(broker) = shared() else { return };
    let settings = broker.settings(1);
    let bus = open(settings.clone()).await;
    bus.append(vec![(0, events("s", 0..5))]).await.unwrap();
    let committed = || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &settings.servers).set("group.id", &settings.group);
        let consumer: BaseConsumer = config.create().unwrap();
        let mut place = TopicPartitionList::new();
        place.add_partition(&settings.topic, 0);
        let found = consumer.committed_offsets(place, Duration::from_secs(20)).unwrap();
        found.elements()[0].offset()
    };
    bus.release(0, 2).await.unwrap();
    eventually(|| committed() == Offset::Offset(2)).await;
    // Also as a member of the group.
    let mut member = bus.join().await.unwrap();
    member.changed().await.unwrap();
    bus.release(0, 4).await.unwrap();
    eventually(|| committed() == Offset::Offset(4)).await;
}

async fn eventually(holds: impl Fn() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it does not hold after a while");
}

/// What two workers did with the shards: how far, and with which events, in order.
#[derive(Default)]
struct Work {
    next: HashMap<u32, u64>,
    events: HashMap<u32, Vec<String>>,
    by: HashMap<u32, Vec<&'static str>>,
}

/// Joins, and works through the shards it holds until told to stop. Between changes it reads an epoch of
/// each; an epoch is noted only as a whole, as a commit would.
async fn work(name: &'static str, bus: Arc<Kafka>, work: Arc<Mutex<Work>>, stop: tokio::sync::watch::Receiver<bool>) {
    let mut member = bus.join().await.unwrap();
    let mut owned: Vec<u32> = Vec::new();
    while !*stop.borrow() {
        match tokio::time::timeout(Duration::from_millis(20), member.changed()).await {
            Ok(change) => match change.unwrap() {
                ShardAssignment::Assigned(shards) => owned.extend(shards),
                ShardAssignment::Revoked(handover) => owned.retain(|shard| !handover.shards.contains(shard)),
            },
            Err(_) => {
                for shard in &owned {
                    let from = work.lock().unwrap().next.get(shard).copied().unwrap_or(0);
                    let epoch = bus.read(*shard, from, None, 2000).await.unwrap();
                    let mut work = work.lock().unwrap();
                    let next = work.next.insert(*shard, epoch.next).unwrap_or(0);
                    assert_eq!(next, from, "shard {shard} was read by two at a time");
                    work.events.entry(*shard).or_default().extend(ids(&epoch.batches));
                    work.by.entry(*shard).or_default().push(name);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_moves_to_a_second_worker_is_read_without_loss_or_repeat() {
    let Some(broker) = shared() else { return };
    let settings = broker.settings(4);
    let bus = Arc::new(open(settings.clone()).await);
    let done = Arc::new(Mutex::new(Work::default()));
    let (stop_first, first_stops) = tokio::sync::watch::channel(false);
    let (stop_second, second_stops) = tokio::sync::watch::channel(false);
    let append = |numbers: std::ops::Range<u32>| {
        let bus = bus.clone();
        async move {
            for number in numbers {
                let visits = (0..4)
                    .map(|shard| (0..).map(|n| format!("v{n}")).find(|visit| shard_of_session(visit, 4) == shard));
                let batches = visits.map(|visit| visit.unwrap());
                let batches =
                    batches.map(|visit| (shard_of_session(&visit, 4), events(&visit, number * 3..number * 3 + 3)));
                bus.append(batches.collect()).await.unwrap();
            }
        }
    };
    let first = tokio::spawn(work("first", bus.clone(), done.clone(), first_stops));
    append(0..20).await;
    // A second worker, as another process would be, takes some shards over, and at last all.
    let other = Arc::new(open(settings).await);
    let second = tokio::spawn(work("second", other, done.clone(), second_stops));
    append(20..60).await;
    let has = |name: &'static str| {
        let done = done.lock().unwrap();
        done.by.values().filter(|by| by.last() == Some(&name)).count()
    };
    eventually(|| has("first") == 2 && has("second") == 2).await;
    append(60..80).await;
    stop_first.send(true).unwrap();
    first.await.unwrap();
    append(80..100).await;
    eventually(|| has("second") == 4 && done.lock().unwrap().events.values().all(|found| found.len() >= 300)).await;
    stop_second.send(true).unwrap();
    second.await.unwrap();
    let done = done.lock().unwrap();
    for shard in 0..4 {
        let found = &done.events[&shard];
        let visit = found[0].split('-').next().unwrap();
        let expected: Vec<String> = (0..300).map(|number| format!("{visit}-{number}")).collect();
        assert_eq!(found, &expected, "shard {shard}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stops_and_starts_again_loses_nothing_that_was_acknowledged() {
    if shared().is_none() {
        return;
    }
    let broker = own().unwrap();
    let settings = broker.settings(2);
    // A broker that has just started takes its time.
    open(settings.clone()).await;
    let bus = Arc::new(open(KafkaSettings { timeout_ms: 3000, queue_bytes_max: 256 << 10, ..settings }).await);
    let (stop, stops) = tokio::sync::watch::channel(false);
    let appending = tokio::spawn({
        let bus = bus.clone();
        async move {
            let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
            for n in 0.. {
                if *stops.borrow() {
                    break;
                }
                let batch = events(&format!("s{n}"), 0..3);
                match bus.append(vec![(n % 2, batch.clone())]).await {
                    Ok(()) => acknowledged.push((n % 2, ids(&[batch]))),
                    Err(fault) => refused.push(fault),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (acknowledged, refused)
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::task::block_in_place(|| broker.stop());
    // Nobody takes anything: the queue fills, and what does not fit is refused at once.
    let many = (0..100).map(|n| {
        let bus = bus.clone();
        async move { bus.append(vec![(0, events(&format!("x{n}"), 0..40))]).await }
    });
    let answers = futures::future::join_all(many).await;
    assert!(answers.iter().any(|answer| matches!(answer, Err(Error::Full { .. }))));
    assert!(answers.iter().any(|answer| matches!(answer, Err(Error::Unavailable { .. }))));
    assert!(answers.iter().all(|answer| answer.as_ref().err().and_then(Error::retry_after).is_some()));
    tokio::task::block_in_place(|| broker.start());
    tokio::time::sleep(Duration::from_secs(4)).await;
    stop.send(true).unwrap();
    let (acknowledged, refused) = appending.await.unwrap();
    assert!(!refused.is_empty() && refused.iter().all(|fault| fault.retry_after().is_some()), "{refused:?}");
    // It went on after the start.
    bus.append(vec![(0, events("after", 0..3))]).await.unwrap();
    let found = [held(&*bus, 0).await, held(&*bus, 1).await];
    for (shard, batch) in &acknowledged {
        for id in batch {
            let times = found[*shard as usize].iter().filter(|found| *found == id).count();
            assert_eq!(times, 1, "{id} in shard {shard}");
        }
    }
}
