//! What every bus keeps.

use std::time::Duration;

use futures::future::join_all;
use netcrab_bus::{Error, ShardAssignment, split};

use super::{events, held, ids, read_all, rows, shard_of_session, subjects};

#[tokio::test]
async fn events_come_back_as_they_were_given_and_in_order() {
    for subject in subjects(1).await {
        let bus = &subject.bus;
        let (first, second) = (events("s1", 0..100), events("s2", 100..130));
        bus.append(vec![(0, first.clone()), (0, second.clone())]).await.unwrap();
        bus.append(vec![(0, events("s3", [7]))]).await.unwrap();
        let found = read_all(&**bus, 0, bus.bounds(0).await.unwrap().start, 1 << 20).await.unwrap();
        let given = rows(&[first, second, events("s3", [7])]);
        assert_eq!(rows(&found.batches), given, "{}", subject.name);
        assert!(found.faults.is_empty());
        for batch in &found.batches {
            assert_eq!(batch.schema(), netcrab_schema::arrow::event_in_flight(), "{}", subject.name);
        }
    }
}

#[tokio::test]
async fn a_range_gives_the_same_events_in_whatever_steps_it_is_read() {
    for subject in subjects(1).await {
        let bus = &*subject.bus;
        for n in 0..40 {
            bus.append(vec![(0, events("s", n * 10..n * 10 + 10))]).await.unwrap();
        }
        let bounds = bus.bounds(0).await.unwrap();
        let (from, to) = (bounds.start + 7, bounds.end - 5);
        let mut seen = Vec::new();
        for bytes_max in [1, 5_000, 20_000, 1 << 30] {
            let (mut next, mut found) = (from, Vec::new());
            while next < to {
                let fetched = bus.read(0, next, Some(to), bytes_max).await.unwrap();
                assert!(fetched.next > next && fetched.next <= to, "{}", subject.name);
                found.extend(ids(&fetched.batches));
                next = fetched.next;
            }
            seen.push(found);
        }
        // More is appended, and the range stays what it was.
        bus.append(vec![(0, events("later", 0..10))]).await.unwrap();
        seen.push(ids(&bus.read(0, from, Some(to), 1 << 30).await.unwrap().batches));
        assert!(!seen[0].is_empty());
        for other in &seen[1..] {
            assert_eq!(other, &seen[0], "{}", subject.name);
        }
    }
}

#[tokio::test]
async fn an_empty_range_is_empty_and_one_beyond_the_end_is_an_error() {
    for subject in subjects(1).await {
        let bus = &*subject.bus;
        let end = bus.bounds(0).await.unwrap().end;
        let nothing = bus.read(0, end, None, 1000).await.unwrap();
        assert_eq!((nothing.next, nothing.rows()), (end, 0), "{}", subject.name);
        bus.append(vec![(0, events("s", 0..3)), (0, events("s", 0..0))]).await.unwrap();
        let bounds = bus.bounds(0).await.unwrap();
        assert!(bounds.end > end);
        let nothing = bus.read(0, bounds.start, Some(bounds.start), 1000).await.unwrap();
        assert_eq!((nothing.next, nothing.rows()), (bounds.start, 0), "{}", subject.name);
        let beyond = bus.read(0, bounds.end + 1, None, 1000).await.unwrap_err();
        assert!(matches!(beyond, Error::Beyond { .. }), "{}: {beyond}", subject.name);
        assert!(beyond.to_string().contains("checkpoint"));
    }
}

#[tokio::test]
async fn a_shard_that_is_not_there_is_named() {
    for subject in subjects(2).await {
        let bus = &*subject.bus;
        let said = "there is no shard 2; the shards are 0 to 1";
        assert_eq!(bus.append(vec![(2, events("s", [1]))]).await.unwrap_err().to_string(), said);
        assert_eq!(bus.read(2, 0, None, 1).await.unwrap_err().to_string(), said);
        assert_eq!(bus.bounds(2).await.unwrap_err().to_string(), said);
        assert_eq!(bus.release(2, 0).await.unwrap_err().to_string(), said);
        assert_eq!(bus.changed(&[(2, 0)]).await.unwrap_err().to_string(), said);
    }
}

#[tokio::test]
async fn a_batch_with_other_columns_is_refused_by_name_and_nothing_of_the_append_is_kept() {
    for subject in subjects(1).await {
        let good = events("s", 0..3);
        let without = good.project(&(1..good.num_columns()).collect::<Vec<_>>()).unwrap();
        let fault = subject.bus.append(vec![(0, good), (0, without)]).await.unwrap_err();
        assert!(fault.to_string().starts_with("column `org_id` is missing"), "{}: {fault}", subject.name);
        assert!(held(&*subject.bus, 0).await.is_empty());
    }
}

#[tokio::test]
async fn appenders_at_once_keep_each_its_order_and_lose_nothing() {
    for subject in subjects(3).await {
        let bus = &*subject.bus;
        let appender = |name: u32| async move {
            for n in 0..20 {
                let visit = format!("v{name}");
                let shard = shard_of_session(&visit, 3);
                bus.append(vec![(shard, events(&visit, n * 5..n * 5 + 5))]).await.unwrap();
            }
        };
        join_all((0..8).map(appender)).await;
        let mut found = Vec::new();
        for shard in 0..3 {
            found.extend(held(bus, shard).await);
        }
        assert_eq!(found.len(), 800, "{}", subject.name);
        for name in 0..8 {
            let prefix = format!("v{name}-");
            let of_one: Vec<&str> = found.iter().filter_map(|id| id.strip_prefix(&prefix)).collect();
            let expected: Vec<String> = (0..100).map(|n| n.to_string()).collect();
            assert_eq!(of_one, expected, "{}", subject.name);
        }
    }
}

#[tokio::test]
async fn a_split_batch_reaches_its_shards_in_order() {
    for subject in subjects(4).await {
        let visits: Vec<String> = (0..16).map(|n| format!("visit-{n}")).collect();
        let parts: Vec<_> = visits.iter().map(|visit| events(visit, 0..4)).collect();
        let all = arrow::compute::concat_batches(&parts[0].schema(), &parts).unwrap();
        subject.bus.append(split(&all, 4).unwrap()).await.unwrap();
        for shard in 0..4 {
            let of_shard = visits.iter().filter(|visit| shard_of_session(visit, 4) == shard);
            let expected: Vec<String> =
                of_shard.flat_map(|visit| (0..4).map(move |n| format!("{visit}-{n}"))).collect();
            assert_eq!(held(&*subject.bus, shard).await, expected, "{} {shard}", subject.name);
        }
    }
}

#[test]
fn an_event_without_a_session_is_placed_by_its_user() {
    let event = r#"{"orgId":"acme","productId":"crm","userHash":"u1","eventId":"e","ts":1790000000000,"eventType":"click","screenId":"a","route":"/","deviceType":"desktop"}"#;
    let mut decoder = netcrab_sources::wire::BatchDecoder::new(netcrab_sources::SourceSettings::default());
    let batch = decoder.batch(event.as_bytes(), 1_790_000_100_000, 1, 1).unwrap().events;
    let parts = split(&batch, 1024).unwrap();
    assert_eq!((parts.len(), parts[0].0), (1, shard_of_session("u1", 1024)));
}

#[tokio::test]
async fn changed_waits_for_an_append_and_misses_none() {
    for subject in subjects(2).await {
        let bus = subject.bus.clone();
        let ends = [(0, bus.bounds(0).await.unwrap().end), (1, bus.bounds(1).await.unwrap().end)];
        let none = tokio::time::timeout(Duration::from_millis(50), bus.changed(&ends)).await;
        assert!(none.is_err(), "{}: nothing was appended", subject.name);
        let waiting = tokio::spawn({
            let bus = bus.clone();
            async move { bus.changed(&ends).await }
        });
        bus.append(vec![(1, events("s", 0..2))]).await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap().unwrap();
        // What was appended before is known at once.
        tokio::time::timeout(Duration::from_secs(20), bus.changed(&ends)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_shard_belongs_to_one_member_at_a_time() {
    for subject in subjects(2).await {
        let mut first = subject.bus.join().await.unwrap();
        let ShardAssignment::Assigned(shards) = first.changed().await.unwrap() else { panic!("{}", subject.name) };
        assert_eq!(shards, [0, 1], "{}", subject.name);
        let mut second = subject.bus.join().await.unwrap();
        if subject.name != "kafka" {
            let none = tokio::time::timeout(Duration::from_millis(50), second.changed()).await;
            assert!(none.is_err(), "{}: the first has all", subject.name);
        }
        drop(first);
        let gained = tokio::time::timeout(Duration::from_secs(60), second.changed()).await.unwrap().unwrap();
        let ShardAssignment::Assigned(shards) = gained else { panic!("{}", subject.name) };
        assert_eq!(shards, [0, 1], "{}", subject.name);
    }
}

#[tokio::test]
async fn releasing_more_than_once_or_too_much_harms_nothing() {
    for subject in subjects(1).await {
        let bus = &*subject.bus;
        bus.append(vec![(0, events("s", 0..10))]).await.unwrap();
        let before = held(bus, 0).await;
        let end = bus.bounds(0).await.unwrap().end;
        bus.release(0, end).await.unwrap();
        bus.release(0, 0).await.unwrap();
        bus.release(0, end + 100).await.unwrap();
        bus.append(vec![(0, events("s", 10..20))]).await.unwrap();
        let after = held(bus, 0).await;
        assert!(after.ends_with(&ids(&[events("s", 10..20)])), "{}", subject.name);
        assert!(after.starts_with(&before), "{}", subject.name);
    }
}
