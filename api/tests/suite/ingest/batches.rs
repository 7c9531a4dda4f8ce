//! Which events and batches are accepted, and what the answer says: both sides of every bound.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use netcrab_api::{IngestSettings, Rejected};
use netcrab_bus::memory::Memory;
use netcrab_bus::{Bus, Error, Fetched, Membership};

use super::{ACME, ACME_CRM, Inlet, NOW_MS, RIVAL, batch, config, event, events};

#[tokio::test]
async fn events_are_on_the_bus_when_the_answer_says_so() {
    let inlet = Inlet::new();
    let sent = inlet.send(ACME, events(3)).await;
    assert_eq!(sent.text, r#"{"status":"ok","accepted":3,"rejected":0,"errors":[]}"#);
    assert_eq!(inlet.kept("event_id").await, ["e0", "e1", "e2"]);
    assert_eq!(inlet.kept("route").await, ["/leads/:id"; 3]);
    assert_eq!(inlet.kept("received_at").await, ["2026-10-01T10:00:00Z"; 3]);
    assert_eq!(inlet.send(ACME, r#"{"events":[]}"#).await.verdict(), "ok 0 0");
    assert_eq!(inlet.send(ACME, event("single", "")).await.verdict(), "ok 1 0");
}

#[tokio::test]
async fn an_event_at_fault_is_left_out_and_named_without_its_value() {
    let inlet = Inlet::new();
    let mixed = batch(&[
        event("e0", r#","segment":"ann@example.org""#),
        event("e1", ""),
        event("e2", r#","userEmail":"x""#),
        "17".to_owned(),
        event("e4", r#","latencyMs":"fast""#),
    ]);
    let sent = inlet.send(ACME, mixed).await;
    let faults = "0 email segment; 2 denied_key userEmail; 3 not_an_object -; 4 wrong_type latency_ms";
    assert_eq!(sent.verdict(), format!("partial 1 4; {faults}"));
    assert!(!sent.text.contains("ann@") && !sent.text.contains("fast"), "{}", sent.text);
    assert_eq!(inlet.kept("event_id").await, ["e1"]);

    let nothing = inlet.send(ACME, batch(&[event("e5", r#","x":1"#)])).await;
    assert_eq!(nothing.verdict(), "rejected 0 1; 0 unknown_key x");
}

#[tokio::test]
async fn at_most_so_many_errors_are_listed_and_all_are_counted_and_kept_for_the_table() {
    let inlet = Inlet::with(IngestSettings { errors_max: 2, rejects_max: 3, ..IngestSettings::default() });
    let bad: Vec<String> = (0..4).map(|number| event(&format!("e{number}"), r#","segment":"a@b.de""#)).collect();
    let sent = inlet.send(ACME, batch(&bad)).await;
    assert_eq!(sent.verdict(), "rejected 0 4; 0 email segment; 1 email segment");
    let rejects = inlet.state.rejects().expect("a state that takes events");
    rejects.arrived().await;
    assert_eq!((rejects.len(), rejects.lost()), (3, 1));
    let rows = Rejected::rows(&rejects.take(10)).expect("rows");
    assert_eq!((rows.num_rows(), rejects.is_empty()), (3, true));
    let metrics = inlet.metrics().await;
    for line in [
        r#"netcrab_ingest_rejected_total{org_id="acme",reason="email"} 4"#,
        r#"netcrab_ingest_events_total{org_id="acme",outcome="accepted"} 0"#,
        "netcrab_ingest_batch_events_count 1",
        "netcrab_ingest_rejects_lost_total 1",
        "netcrab_ingest_body_bytes 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn another_organisation_refuses_the_batch_and_another_product_only_its_event() {
    let inlet = Inlet::new();
    let forged = event("e1", "").replace("acme", "rival");
    let sent = inlet.send(ACME, batch(&[event("e0", ""), forged.clone()])).await;
    assert_eq!(sent.problem(), (403, "wrong_org", false));
    assert!(!sent.text.contains("rival"), "{}", sent.text);
    assert_eq!(inlet.kept("event_id").await, Vec::<String>::new(), "nothing of the batch was kept");
    assert_eq!(inlet.send(RIVAL, batch(std::slice::from_ref(&forged))).await.verdict(), "ok 1 0");
    // An event with a fault has no organisation.
    let faulty = forged.replace("\"u1\"", "\"\"");
    assert_eq!(
        inlet.send(ACME, batch(&[event("e2", ""), faulty])).await.verdict(),
        "partial 1 1; 1 missing_field user_hash"
    );

    let erp = event("e3", "").replace("crm", "erp");
    let mixed = batch(&[erp, event("e4", ""), "{}".to_owned()]);
    let sent = inlet.send(ACME_CRM, mixed.clone()).await;
    assert_eq!(sent.verdict(), "partial 1 2; 0 forbidden_product product_id; 2 missing_field org_id");
    assert_eq!(inlet.send(ACME, mixed).await.verdict(), "partial 2 1; 2 missing_field org_id");
}

#[tokio::test]
async fn a_key_is_taken_as_bearer_as_header_and_as_user_name() {
    let inlet = Inlet::new();
    // printf 'nc_agent_acme:' | base64
    for headers in [
        &[("authorization", "bearer nc_agent_acme")][..],
        &[("authorization", ""), ("x-netcrab-key", ACME)],
        &[("authorization", "Basic bmNfYWdlbnRfYWNtZTo=")],
    ] {
        assert_eq!(inlet.send_with("", headers, events(1)).await.verdict(), "ok 1 0", "{headers:?}");
    }
    for (headers, code) in [
        (&[("authorization", "")][..], "key_required"),
        (&[("authorization", "Digest x")], "key_required"),
        (&[("authorization", "Basic %%%")], "key_required"),
        (&[("authorization", "Bearer nc_agent_nobody")], "key_unknown"),
        (&[("authorization", "Bearer nc_agent_acm")], "key_unknown"),
        (&[("authorization", "Basic bm9ib2R5Og==")], "key_unknown"),
    ] {
        assert_eq!(inlet.send_with("", headers, events(1)).await.problem(), (401, code, false), "{headers:?}");
    }
}

#[tokio::test]
async fn a_body_is_json_plain_gzipped_or_in_zstd() {
    let inlet = Inlet::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(events(2).as_bytes()).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let zstd = zstd::encode_all(events(2).as_bytes(), 3).expect("memory");
    assert_eq!(inlet.send_with(ACME, &[("content-encoding", "gzip")], gzip.clone()).await.verdict(), "ok 2 0");
    assert_eq!(inlet.send_with(ACME, &[("content-encoding", "zstd")], zstd).await.verdict(), "ok 2 0");
    let plain = [("content-type", "text/plain;charset=UTF-8")];
    assert_eq!(inlet.send_with(ACME, &plain, events(2)).await.verdict(), "ok 2 0");

    let refused = inlet.send_with(ACME, &[("content-encoding", "br")], gzip.clone()).await;
    assert_eq!(refused.problem(), (415, "unsupported_content_encoding", false));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(inlet.send_with(ACME, &form, events(1)).await.problem(), (415, "unsupported_content_type", false));
    assert_eq!(inlet.send(ACME, gzip).await.problem(), (400, "malformed_batch", false), "no Content-Encoding");
}

#[tokio::test]
async fn sizes_are_refused_one_byte_and_one_event_beyond_the_bound() {
    let body = events(3);
    let settings = |body_bytes_max| IngestSettings { body_bytes_max, events_max: 3, ..IngestSettings::default() };
    let inlet = Inlet::with(settings(2048));
    assert!(body.len() < 2048);
    let padded = |length: usize| format!("{body}{}", " ".repeat(length - body.len()));
    assert_eq!(inlet.send(ACME, padded(2048)).await.verdict(), "ok 3 0");
    assert_eq!(inlet.send(ACME, padded(2049)).await.problem(), (413, "body_too_large", false));
    let zstd = |length| zstd::encode_all(padded(length).as_bytes(), 3).expect("memory");
    let encoded = [("content-encoding", "zstd")];
    assert_eq!(inlet.send_with(ACME, &encoded, zstd(2048)).await.verdict(), "ok 3 0");
    assert_eq!(inlet.send_with(ACME, &encoded, zstd(2049)).await.problem(), (413, "body_too_large", false));

    let refused = inlet.send(ACME, batch(&(0..4).map(|n| event(&format!("n{n}"), "")).collect::<Vec<_>>())).await;
    assert_eq!(refused.problem(), (413, "too_many_events", false));
    assert_eq!(inlet.kept("event_id").await, ["e0", "e1", "e2"], "nothing of a batch that is too large");
}

#[tokio::test]
async fn what_is_no_batch_is_400_and_says_what_one_is() {
    let inlet = Inlet::new();
    for body in ["", "{", "[]x", r#"{"events":[}"#, r#"{"events":[{},]}"#, r#"{"events":[]} x"#, "nonsense"] {
        assert_eq!(inlet.send(ACME, body).await.problem(), (400, "malformed_batch", false), "{body}");
    }
    for (body, detail) in [
        (r#"{"events":{}}"#, "wrong_type at events"),
        (r#"{"agentId":"secret","evnts":[]}"#, "unknown_key at events"),
        (r#"{"agentId":"secret"}"#, "missing_field at events"),
        (r#"{"events":[],"events":[]}"#, "duplicate_key at events"),
        (r#"{"sentAt":"secret","events":[]}"#, "bad_time at sentAt"),
    ] {
        let refused = inlet.send(ACME, body).await;
        assert_eq!(refused.problem().0, 400, "{body}");
        assert_eq!(refused.body["detail"], format!("the body is no batch of events: {detail}"), "{body}");
        assert!(!refused.text.contains("secret"));
    }
    assert_eq!(inlet.send(ACME, &b"{\"events\":[\xff]}"[..]).await.problem(), (400, "malformed_batch", false));
}

#[tokio::test]
async fn times_are_corrected_by_the_senders_clock() {
    let inlet = Inlet::new();
    let sent_at = NOW_MS - 60_000;
    let late = format!(r#"{{"sentAt":{sent_at},"events":[{}]}}"#, event("e0", ""));
    assert_eq!(inlet.send(ACME, late).await.verdict(), "ok 1 0");
    assert_eq!(inlet.kept("ts").await, ["2026-10-01T10:01:00Z"]);
    assert_eq!(inlet.kept("extra").await, [format!(r#"{{"ts_client":{NOW_MS}}}"#)]);
}

#[tokio::test]
async fn an_event_without_an_id_is_given_one() {
    let inlet = Inlet::new();
    let nameless = event("e0", "").replace(r#""eventId":"e0","#, "");
    assert_eq!(inlet.send(ACME, batch(&[nameless.clone(), nameless])).await.verdict(), "ok 2 0");
    let ids = inlet.kept("event_id").await;
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 36 && &id[14..15] == "7"), "{ids:?}");
}

#[tokio::test]
async fn a_key_that_sends_too_much_waits_and_others_do_not() {
    let inlet = Inlet::with(IngestSettings { events_per_s_max: 10, ..IngestSettings::default() });
    assert_eq!(inlet.send(ACME, events(35)).await.verdict(), "ok 35 0");
    let refused = inlet.send(ACME, events(1)).await;
    assert_eq!(refused.problem(), (429, "rate_limited", true));
    assert_eq!(refused.headers["retry-after"], "3");
    assert_eq!(inlet.send(ACME_CRM, events(1)).await.verdict(), "ok 1 0");
}

#[tokio::test]
async fn bodies_beyond_the_room_of_a_key_are_429_and_beyond_that_of_all_503() {
    let large = || {
        let (sender, body) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
        sender.unbounded_send(Ok(vec![b' '; 900_000])).expect("open");
        (sender, axum::body::Body::from_stream(body))
    };
    for (key_bytes_max, bytes_max, key, expected) in
        [(1 << 20, 1 << 30, ACME, (429, "rate_limited", true)), (1 << 30, 1 << 20, RIVAL, (503, "busy", true))]
    {
        let inlet = Arc::new(Inlet::with(IngestSettings { key_bytes_max, bytes_max, ..IngestSettings::default() }));
        let (open, body) = large();
        let (first, other) = (inlet.clone(), inlet.clone());
        let first = tokio::spawn(async move { first.send(ACME, body).await });
        while !other.metrics().await.contains("netcrab_ingest_body_bytes 901120") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (_second, body) = large();
        assert_eq!(inlet.send(key, body).await.problem(), expected);
        open.unbounded_send(Ok(events(1).into_bytes())).expect("open");
        drop(open);
        assert_eq!(first.await.expect("no panic").verdict(), "ok 1 0");
        assert!(inlet.metrics().await.contains("netcrab_ingest_body_bytes 0"), "all room is given back");
    }
}

/// A bus that refuses every append.
#[derive(Debug)]
struct Refusing(Error, u64);

#[async_trait]
impl Bus for Refusing {
    fn shards(&self) -> u32 {
        1
    }

    async fn append(&self, _: Vec<(u32, RecordBatch)>) -> Result<(), Error> {
        tokio::time::sleep(Duration::from_millis(self.1)).await;
        Err(self.0.clone())
    }

    async fn read(&self, _: u32, _: u64, _: Option<u64>, _: usize) -> Result<Fetched, Error> {
        Ok(Fetched::default())
    }

    async fn bounds(&self, _: u32) -> Result<std::ops::Range<u64>, Error> {
        Ok(0..0)
    }

    async fn changed(&self, _: &[(u32, u64)]) -> Result<(), Error> {
        Ok(())
    }

    async fn release(&self, _: u32, _: u64) -> Result<(), Error> {
        Ok(())
    }

    async fn join(&self) -> Result<Box<dyn Membership>, Error> {
        Err(self.0.clone())
    }
}

fn full() -> Error {
    Error::Full { what: "the queue", bytes_max: 1, retry_after: Duration::from_millis(1500), mend: "wait" }
}

#[tokio::test]
async fn a_bus_that_is_full_broken_or_slow_is_503_with_a_time_to_try_again() {
    let broken = Error::NoShard { shard: 3, shards: 1 };
    for (error, delay_ms, code, retry_after) in
        [(full(), 0, "bus_full", "2"), (broken, 0, "bus_unavailable", "5"), (full(), 5000, "bus_unavailable", "5")]
    {
        let settings = config(IngestSettings { append_timeout_ms: 50, ..IngestSettings::default() });
        let inlet = Inlet::over(settings, Arc::new(Refusing(error, delay_ms)));
        for _ in 0..2 {
            let refused = inlet.send(ACME, events(1)).await;
            assert_eq!(refused.problem(), (503, code, true), "not taken for a repeat, either");
            assert_eq!(refused.headers["retry-after"], retry_after);
        }
    }
}

#[tokio::test]
async fn a_bus_in_memory_that_is_full_says_so_too() {
    let inlet = Inlet::over(config(IngestSettings::default()), Arc::new(Memory::new(1, 1)));
    assert_eq!(inlet.send(ACME, events(1)).await.problem(), (503, "bus_full", true));
}

#[tokio::test]
async fn a_server_without_a_bus_takes_no_events() {
    let state = netcrab_api::AppState::new(&config(IngestSettings::default()), Arc::new(netcrab_api::NoTables));
    let state = state.expect("a sound configuration");
    let inlet = Inlet { app: netcrab_api::router(state.clone()), state, ..Inlet::new() };
    assert_eq!(inlet.send(ACME, events(1)).await.problem(), (503, "not_taking_events", true));
}
