//! The wire format: what is accepted, what is refused, and both sides of each border.

use netcrab_sources::SourceSettings;
use netcrab_sources::wire::BatchDecoder;

use super::{event, file, folder, read, texts};

/// Reads one line; returns its rejects, without line numbers.
fn faults(line: &str) -> Vec<String> {
    let folder = folder();
    let path = file(&folder, "a.ndjson", line);
    read(&path).unwrap().faults().into_iter().map(|fault| fault[2..].to_owned()).collect()
}

fn check(more: &str, expected: &str) {
    let expected: Vec<&str> = if expected.is_empty() { vec![] } else { vec![expected] };
    assert_eq!(faults(&event(more)), expected, "{more}");
}

#[test]
fn an_event_becomes_a_row_and_its_route_a_template() {
    let folder = folder();
    let more = r#","elementLabelHash":"abc","latencyMs":12.5,"taskType":"t","taskPhase":"start","taskSuccess":null,"appName":"","extra":{"b":1,"a":"x"}"#;
    let path = file(&folder, "a.ndjson", event(more) + "\n\n" + &event(""));
    let read = read(&path).unwrap();
    assert_eq!(read.faults(), Vec::<String>::new());
    assert_eq!(read.column("route"), ["/leads/:id", "/leads/:id"]);
    assert_eq!(read.column("ts"), ["2026-10-01T10:00:00Z", "2026-10-01T10:00:00Z"]);
    assert_eq!(read.column("extra"), [r#"{"a":"x","b":1}"#, "-"]);
    assert_eq!(read.column("app_name"), ["-", "-"]);
    assert_eq!(read.column("latency_ms"), ["12.5", "-"]);
    assert_eq!(read.column("element_label_h"), ["abc", "-"]);
    assert_eq!(read.column("reaction_observed"), ["false", "false"]);
    assert_eq!(read.column("received_at"), ["-", "-"]);
}

#[test]
fn keys_are_known_once_and_not_personal() {
    check(r#","sreenId":1"#, "unknown_key sreenId (nearest: screenId)");
    check(r#","receivedAt":1"#, "unknown_key receivedAt");
    check(r#","email":"x""#, "denied_key email");
    check(r#","extra":{"user_phone":"x"}"#, "denied_key user_phone");
    check(r#","route":"/x""#, "duplicate_key route");
    check(r#","extra":{"a":1,"a":1}"#, "duplicate_key a");
    check(r#","ann@example.org":1"#, "unknown_key (unprintable key)");
}

#[test]
fn values_are_of_their_type_and_in_range() {
    check(r#","latencyMs":"12""#, "wrong_type latency_ms");
    check(r#","latencyMs":1e39"#, "not_finite latency_ms");
    check(r#","latencyMs":1e999"#, "not_json -");
    check(r#","latencyMs":NaN"#, "not_json -");
    check(r#","appName":{"a":1}"#, "wrong_type app_name");
    check(r#","reactionObserved":1"#, "wrong_type reaction_observed");
    check(r#","taskType":"t""#, "task_incomplete task_phase");
    check(r#","taskPhase":"start""#, "task_incomplete task_type");
    check(r#","taskType":"t","taskPhase":"begin""#, "unknown_value task_phase");
    let with = |from: &str, to: &str| faults(&event("").replace(from, to));
    assert_eq!(with("\"acme\"", "\"a b\""), ["bad_identifier org_id"]);
    assert_eq!(with("\"acme\"", &format!("\"{}\"", "a".repeat(64))), Vec::<String>::new());
    assert_eq!(with("\"acme\"", &format!("\"{}\"", "a".repeat(65))), ["bad_identifier org_id"]);
    assert_eq!(with("\"u1\"", "\"\""), ["missing_field user_hash"]);
    assert_eq!(with("\"u1\"", "null"), ["missing_field user_hash"]);
    assert_eq!(with("\"s1\"", "null"), Vec::<String>::new());
    assert_eq!(with("\"click\"", "\"tap\""), ["unknown_value event_type"]);
}

#[test]
fn times_lie_between_2000_and_2100() {
    let with = |ts: &str| faults(&event("").replace("\"2026-10-01T10:00:00Z\"", ts));
    for good in ["946684800000", "4102444799999", "\"2000-01-01T00:00:00Z\"", "\"2026-10-01T12:00:00.5+02:00\""] {
        assert_eq!(with(good), Vec::<String>::new(), "{good}");
    }
    for absurd in [
        "946684799999",
        "4102444800000",
        "\"0001-01-01T00:00:00Z\"",
        "\"9999-12-31T23:59:59Z\"",
        "1e300",
        "-5",
        "18446744073709551615",
    ] {
        assert_eq!(with(absurd), ["ts_out_of_range ts"], "{absurd}");
    }
    assert_eq!(with("\"NaN\""), ["bad_time ts"]);
    assert_eq!(with("\"10000-01-01T00:00:00Z\""), ["bad_time ts"]);
}

#[test]
fn personal_data_is_refused_and_never_repeated() {
    check(r#","segment":"ann@example.org""#, "email segment");
    check(r#","extra":{"a":"4111 1111 1111 1111"}"#, "card_number a");
    check(r#","eventName":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln""#, "jwt event_name");
    assert_eq!(faults(&event("").replace("\"u1\"", "\"ann@example.org\"")), ["email user_hash"]);
    // A path may have an e-mail address: templating removes it, so nothing is left to refuse.
    assert_eq!(faults(&event("").replace("/leads/42", "/u/ann@example.org")), Vec::<String>::new());
}

#[test]
fn lines_that_are_no_events() {
    assert_eq!(faults("[1,2]"), ["not_an_object -", "not_an_object -"]);
    assert_eq!(faults("\"x\""), ["not_an_object -"]);
    assert_eq!(faults("{\"orgId\":"), ["not_json -"]);
    assert_eq!(faults("orgId"), ["not_json -"]);
    assert_eq!(faults("{}"), ["missing_field org_id"]);
    assert_eq!(faults(&(event("") + " x")), ["not_json -"]);
    assert_eq!(
        faults(&event(&format!(r#","extra":{}1{}"#, "{\"a\":".repeat(100), "}".repeat(100)))),
        ["extra_nested a"]
    );
    assert_eq!(faults(&"[".repeat(100_000)), ["not_json -"]);
    assert_eq!(faults(&format!("{}1{}", "{\"extra\":".repeat(100_000), "}".repeat(100_000))), ["extra_too_long extra"]);
}

#[test]
fn a_batch_on_a_line_is_its_events() {
    let folder = folder();
    let good = event("").replace("\"e1\"", "\"e2\"");
    let line = format!(
        r#"{{"agentId":"a","sdkVersion":"1","sentAt":1,"events":[{},{},{good}]}}"#,
        event(""),
        event(",\"x\":1")
    );
    let path =
        file(&folder, "a.ndjson", format!("{}\n{line}\n{{\"events\":[],\"foo\":1}}\n{{\"agentId\":\"a\"}}", event("")));
    let read = read(&path).unwrap();
    assert_eq!(read.column("event_id"), ["e1", "e1", "e2"]);
    assert_eq!(
        read.faults(),
        ["2 unknown_key x", "3 unknown_key agentId, sdkVersion, sentAt, events", "4 missing_field events"]
    );
}

#[test]
fn an_absent_event_id_is_made_of_the_content_and_of_equal_rows_before() {
    let folder = folder();
    let line = event("").replace(r#""eventId":"e1","#, "");
    let path = file(&folder, "a.ndjson", format!("{line}\n{line}"));
    let first = read(&path).unwrap().column("event_id");
    assert_ne!(first[0], first[1]);
    assert!(first.iter().all(|id| id.len() == 36 && &id[14..15] == "7"));
    let moved = file(&folder, "elsewhere/b.ndjson", format!("{line}\n{line}"));
    assert_eq!(read(&moved).unwrap().column("event_id"), first);
    let other = event(r#","segment":"pro""#).replace(r#""eventId":"e1","#, "");
    let grown = file(&folder, "c.ndjson", format!("{other}\n{line}\n\n{line}\n{line}\n"));
    let ids = read(&grown).unwrap().column("event_id");
    assert_eq!(ids[1..3], first[..]);
    assert!(!first.contains(&ids[0]) && !first.contains(&ids[3]));
}

#[test]
fn the_api_corrects_skew_and_keeps_the_time_as_sent() {
    let mut decoder = BatchDecoder::new(SourceSettings::default());
    let sent = 1_790_848_800_000i64;
    for (skew_ms, ts, extra) in [
        (1000, "2026-10-01T10:00:00Z", "-"),
        (1001, "2026-10-01T10:00:01.001Z", r#"{"ts_client":1790848800000}"#),
        (-1001, "2026-10-01T09:59:58.999Z", r#"{"ts_client":1790848800000}"#),
    ] {
        let body = format!(r#"{{"agentId":"a","sdkVersion":"1","sentAt":{sent},"events":[{},{{}}]}}"#, event(""));
        let batch = decoder.batch(body.as_bytes(), sent + skew_ms, 1000, 7).unwrap();
        assert_eq!(texts(&batch.events, "ts"), [ts]);
        assert_eq!(texts(&batch.events, "extra"), [extra]);
        assert_eq!((batch.indexes, batch.faults.len(), batch.faults[0].0), (vec![0], 1, 1));
        assert_eq!(batch.agent_id.as_deref(), Some("a"));
    }
}

#[test]
fn a_row_has_one_id_in_every_format_and_whatever_its_route_was_before() {
    let folder = folder();
    let line = event("").replace(r#""eventId":"e1","#, "");
    let mut ids = std::collections::BTreeSet::new();
    for (at, route) in ["/leads/42", "/leads/43?tab=notes", "/leads/:id"].into_iter().enumerate() {
        let line = line.replace("/leads/42", route);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let value = value.as_object().unwrap();
        let cell = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let header = value.keys().cloned().collect::<Vec<_>>().join(",");
        let cells = value.values().map(cell).collect::<Vec<_>>().join(",");
        for (name, content) in [("ndjson", line.clone()), ("csv", format!("{header}\n{cells}\n"))] {
            ids.extend(read(&file(&folder, &format!("{at}.{name}"), content)).unwrap().column("event_id"));
        }
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn an_event_ahead_of_its_receipt_gets_the_time_of_receipt() {
    let mut decoder = BatchDecoder::new(SourceSettings::default());
    let sent = 1_790_848_800_000i64;
    let kept = r#"{"ts_client":1790848800000}"#;
    for (late_ms, ts, extra, ahead) in [
        (600_000, "2026-10-01T10:00:00Z", "-", 0),
        (600_001, "2026-10-01T09:49:59.999Z", kept, 1),
        (31_536_000_000, "2025-10-01T10:00:00Z", kept, 1),
    ] {
        let body = format!(r#"{{"events":[{}]}}"#, event(""));
        for decode in [BatchDecoder::batch, BatchDecoder::batch_by_serde] {
            let batch = decode(&mut decoder, body.as_bytes(), sent - late_ms, 1000, 7).unwrap();
            assert_eq!(texts(&batch.events, "ts"), [ts]);
            assert_eq!((texts(&batch.events, "extra"), batch.ahead), (vec![extra.to_owned()], ahead));
        }
    }
}

#[test]
fn a_clock_far_off_is_corrected_by_the_time_of_sending() {
    let mut decoder = BatchDecoder::new(SourceSettings::default());
    let received = 1_790_848_800_000i64;
    for at in ["1970-01-01T00:10:00Z", "1980-01-06T00:00:00Z", "2150-01-01T00:00:00Z"] {
        let event = event("").replace("2026-10-01T10:00:00Z", at);
        let with = format!(r#"{{"sentAt":"{at}","events":[{event}]}}"#);
        let without = format!(r#"{{"events":[{event}]}}"#);
        for decode in [BatchDecoder::batch, BatchDecoder::batch_by_serde] {
            let batch = decode(&mut decoder, with.as_bytes(), received, 1000, 7).unwrap();
            assert_eq!((texts(&batch.events, "ts"), batch.ahead), (vec!["2026-10-01T10:00:00Z".to_owned()], 0), "{at}");
            let batch = decode(&mut decoder, without.as_bytes(), received, 1000, 7).unwrap();
            match at.starts_with('2') {
                true => assert_eq!((texts(&batch.events, "ts")[0].as_str(), batch.ahead), ("2026-10-01T10:00:00Z", 1)),
                false => assert_eq!(batch.faults[0].1.reason.name(), "ts_out_of_range"),
            }
        }
    }
}

#[test]
fn what_a_sender_leaves_out_has_a_default() {
    let mut decoder = BatchDecoder::new(SourceSettings::default());
    let bare = r#"{"orgId":"acme","productId":"crm","userHash":"u","eventId":"e1","ts":1790848800000,"eventType":"click","screenId":"leads"}"#;
    let counted = bare.replace("e1", "e2").replace(r#""screenId""#, r#""seq":7,"deviceType":null,"screenId""#);
    let body = format!(r#"{{"events":[{bare},{counted},{}]}}"#, bare.replace(r#""click""#, r#""click","seq":-1"#));
    for decode in [BatchDecoder::batch, BatchDecoder::batch_by_serde] {
        let batch = decode(&mut decoder, body.as_bytes(), 1_790_848_800_000, 1000, 7).unwrap();
        assert_eq!(texts(&batch.events, "route"), ["/leads", "/leads"]);
        assert_eq!(texts(&batch.events, "device_type"), ["unknown", "unknown"]);
        assert_eq!(texts(&batch.events, "seq"), ["0", "7"]);
        assert_eq!(batch.faults[0].1.reason.name(), "seq_out_of_range");
    }
}

#[test]
fn the_api_takes_as_many_events_as_it_allows() {
    let mut decoder = BatchDecoder::new(SourceSettings::default());
    let body = format!(r#"{{"events":[{0},{0},{0}]}}"#, event(""));
    let batch = decoder.batch(body.as_bytes(), 1_790_848_800_000, 2, 7).unwrap();
    assert_eq!(batch.events.num_rows(), 2);
    assert_eq!(batch.faults[0].1.reason.name(), "too_many_events");
    let refused = decoder.batch(b"{\"events\":", 0, 2, 7).unwrap_err().to_string();
    assert_eq!(
        refused,
        "the body is not a batch of events (not_json); write whole JSON objects, without comments or trailing commas"
    );
    let refused = decoder.batch(b"\xff", 0, 2, 7).unwrap_err();
    assert_eq!(refused.who_acts(), netcrab_schema::WhoActs::Sender);
}
