//! Hostile bodies: each is refused with a code, none panics, and the answer repeats nothing of them.

use std::io::Write;

use netcrab_api::IngestSettings;

use super::{ACME, Inlet, batch, event, events};

#[tokio::test]
async fn a_bomb_is_undone_up_to_the_bound_and_no_further() {
    let inlet = Inlet::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..256 {
        gzip.write_all(&vec![b' '; 1 << 20]).expect("memory");
    }
    let gzip = gzip.finish().expect("memory");
    assert!(gzip.len() < 1 << 20);
    let mut zstd = zstd::stream::Encoder::new(Vec::new(), 19).expect("memory");
    for _ in 0..256 {
        zstd.write_all(&vec![b' '; 1 << 20]).expect("memory");
    }
    let zstd = zstd.finish().expect("memory");
    for (encoding, bomb) in [("gzip", gzip), ("zstd", zstd)] {
        let refused = inlet.send_with(ACME, &[("content-encoding", encoding)], bomb).await;
        assert_eq!(refused.problem(), (413, "body_too_large", false), "{encoding}");
    }
}

#[tokio::test]
async fn deep_nesting_and_huge_numbers_refuse_their_event_or_the_body() {
    let inlet = Inlet::new();
    let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let odd = [
        (event("e0", &format!(r#","extra":{}"#, deep(200))), "extra_nested a"),
        (event("e0", &format!(r#","extra":{}"#, deep(100_000))), "extra_too_long extra"),
        (event("e0", &format!(r#","appName":{}"#, deep(100))), "wrong_type app_name"),
        (event("e0", r#","latencyMs":1e999"#), "not_json -"),
        (event("e0", r#","latencyMs":1e39"#), "not_finite latency_ms"),
        (event("e0", &format!(r#","latencyMs":{}"#, "9".repeat(400))), "not_json -"),
        (event("e0", r#","route":"/x""#), "duplicate_key route"),
        (event("e0", r#","route":"/x""#), "duplicate_key route"),
        (event("e0", &format!(r#","{}":1"#, "k".repeat(5000))), "unknown_key (unprintable key)"),
    ];
    for (event_at_fault, fault) in odd {
        let sent = inlet.send(ACME, batch(&[event_at_fault, event("good", "")])).await;
        assert_eq!(sent.verdict(), format!("partial 1 1; 0 {fault}"));
    }
    let half = event("e0", r#","appName":"half \ud83d""#);
    let sent = inlet.send(ACME, batch(&[half, event("good", "")])).await;
    assert!(sent.verdict().starts_with("ok 2 0"), "half a character is replaced: {}", sent.verdict());
    let nested = format!(r#"{{"events":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    let sent = inlet.send(ACME, nested).await;
    assert_eq!(sent.verdict(), "rejected 0 1; 0 not_an_object -");
    let open = format!(r#"{{"events":{}"#, "[".repeat(500_000));
    assert_eq!(inlet.send(ACME, open).await.problem(), (400, "malformed_batch", false));
}

#[tokio::test]
async fn nothing_of_what_was_sent_comes_back() {
    let inlet = Inlet::with(IngestSettings { events_max: 2, ..IngestSettings::default() });
    let marked = |more: &str| event("zanzibar", more);
    for body in [
        batch(&[marked(r#","segment":"zanzibar@example.org""#)]),
        batch(&[marked(r#","eventName":"4111 1111 1111 1111 zanzibar""#)]),
        batch(&[marked("").replace("acme", "zanzibar")]),
        batch(&[marked("").replace("crm", "zanzi bar")]),
        batch(&[marked("").replace("click", "zanzibar")]),
        batch(&[marked(r#","zanzibar bar":1"#)]),
        batch(&[marked(r#","taskPhase":"zanzibar","taskType":"t""#)]),
        batch(&[marked(""), marked(""), marked("")]),
        format!(r#"{{"agentId":"zanzibar","sentAt":"zanzibar","events":[{}]}}"#, marked("")),
        "zanzibar".to_owned(),
        r#"{"zanzibar":[]}"#.to_owned(),
    ] {
        let answer = inlet.send(ACME, body.clone()).await;
        let named = answer.text.contains("zanzibar") || answer.text.contains("4111");
        // An answer may name a key, so that its sender finds it, but never a value.
        let key = body.contains(r#""zanzibar":"#);
        assert!(!named || key, "{body}\n{}", answer.text);
    }
    for key in ["zanzibar", "nc_agent_zanzibar"] {
        let answer = inlet.send(key, events(1)).await;
        assert!(answer.status == 401 && !answer.text.contains("zanzibar"), "{}", answer.text);
    }
}
