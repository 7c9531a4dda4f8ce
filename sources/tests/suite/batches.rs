//! The fast decoder and the serde decoder give the same result for every batch.

use netcrab_sources::fuzz;
use proptest::prelude::*;
use proptest::sample::select;

use super::event;

/// Values as senders write them, and as they should not.
fn value() -> impl Strategy<Value = String> {
    let odd = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "12.50",
        "1e3",
        "1E+2",
        "1e999",
        "01",
        "1.",
        "NaN",
        "-",
        "123456789012345678",
        "1234567890123456789",
        "99999999999999999999",
        "0.1234567890123456789",
        "1e39",
        "1790848800000",
        "946684799999",
        "4102444800000.5",
        "1790848800000.999",
        "4111111111111111",
        "-4111111111111111",
        "\"\"",
        "\"a\"",
        "\"ä€𝄞\"",
        "\"a\\nb\"",
        "\"\\u0041\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"a\tb\"",
        "\"a\u{7f}b\"",
        "\"click\"",
        "\"start\"",
        "\"mobile\"",
        "\"2026-10-01T10:00:00Z\"",
        "\"2026-10-01T12:00:00.5+02:00\"",
        "\"1790848800000\"",
        "\" 2026-10-01 10:00:00 \"",
        "\"yesterday\"",
        "\"ann@example.org\"",
        "\"100%\"",
        "\"4111 1111 1111 1111\"",
        "\"keyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln\"",
        "\"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln\"",
        "\"/leads/42?x=1\"",
        "\"/leads/:id\"",
        "{}",
        "[]",
        "{\"a\":[1,{\"b\":null}]}",
        "[1,",
        "{\"a\":1}",
    ];
    prop_oneof![
        8 => select(odd.to_vec()).prop_map(str::to_owned),
        1 => any::<f64>().prop_map(|number| number.to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => "[a-z ]{0,20}".prop_map(|text| format!("\"{text}\"")),
        1 => Just(format!("\"{}\"", "x".repeat(2049))),
        2 => extra(),
    ]
}

fn extra() -> impl Strategy<Value = String> {
    let key = select(&["a", "b", "ts_client", "plan", "email", "userPhone", "ä", "a\\n", "ann@b.de", ""][..]);
    let scalar = select(
        &[
            "1",
            "-0",
            "-1.50",
            "1.0",
            "1e2",
            "null",
            "true",
            "\"x\"",
            "\"ä\\\"\"",
            "\"a@b.de\"",
            "[1]",
            "{}",
            "123456789012",
            "1234567890123",
        ][..],
    );
    prop::collection::vec((key, scalar), 0..5).prop_map(|members| {
        let members: Vec<String> = members.into_iter().map(|(key, value)| format!("\"{key}\" : {value}")).collect();
        format!("{{{}}}", members.join(" , "))
    })
}

/// An event with valid keys, most of whose values are valid.
fn random_event() -> impl Strategy<Value = String> {
    let keys = [
        "orgId",
        "productId",
        "sessionId",
        "userHash",
        "eventId",
        "ts",
        "eventType",
        "screenId",
        "route",
        "appName",
        "elementType",
        "elementLabelHash",
        "errorCode",
        "os",
        "browser",
        "deviceType",
        "latencyMs",
        "pageX",
        "pageY",
        "reactionMs",
        "reactionObserved",
        "eventName",
        "taskType",
        "taskPhase",
        "taskSuccess",
        "versionTag",
        "segment",
        "extra",
        "receivedAt",
        "received_at",
        "org\\u0049d",
        "email",
        "sreenId",
        "",
    ];
    let change = (select(keys.to_vec()), value(), any::<bool>());
    let space = select(&["", " ", "\n\t"][..]);
    (prop::collection::vec(change, 0..4), space, 0..8u8).prop_map(move |(changes, space, kind)| {
        let mut members = vec![
            ("orgId", "\"acme\"".to_owned()),
            ("productId", "\"crm\"".to_owned()),
            ("sessionId", "\"s1\"".to_owned()),
            ("userHash", "\"u1\"".to_owned()),
            ("eventId", "\"e1\"".to_owned()),
            ("ts", "1790848800000".to_owned()),
            ("eventType", "\"click\"".to_owned()),
            ("screenId", "\"leads\"".to_owned()),
            ("route", "\"/leads/42\"".to_owned()),
            ("deviceType", "\"desktop\"".to_owned()),
        ];
        for (key, value, append) in changes {
            match members.iter_mut().find(|(known, _)| *known == key) {
                Some(member) if !append => member.1 = value,
                _ => members.push((key, value)),
            }
        }
        if kind == 0 {
            members.remove(members.len() / 2);
        }
        let members: Vec<String> =
            members.into_iter().map(|(key, value)| format!("\"{key}\"{space}:{space}{value}{space}")).collect();
        match kind {
            1 => format!("{{{space}{},}}", members.join(",")),
            _ => format!("{{{space}{}}}", members.join(&format!(",{space}"))),
        }
    })
}

fn random_batch() -> impl Strategy<Value = String> {
    let element = prop_oneof![6 => random_event(), 2 => Just(event("")), 1 => value()];
    let sent_at =
        select(&["", "1790848800000", "1790848790000", "\"2026-10-01T10:05:00Z\"", "null", "\"x\"", "1.5"][..]);
    (prop::collection::vec(element, 0..7), sent_at, 0..10u8).prop_map(|(events, sent_at, order)| {
        let sent_at = if sent_at.is_empty() { String::new() } else { format!("\"sentAt\": {sent_at},") };
        let events = format!("\"events\" :[ {} ]", events.join(" , "));
        match order {
            0 => format!("{{{sent_at}{events},\"agentId\":\"a\"}}"),
            1 => format!("{{{events},{sent_at}\"agentId\":\"a\"}}"),
            2 => format!("{{\"agentId\":\"a\\u0041\",{sent_at}{events}}} "),
            3 => format!("{{\"agentId\":null,{events},{sent_at}\"x\":[1]}}"),
            4 => format!("{{{events},{sent_at}\"sdkVersion\":[1]}}"),
            5 => format!("{{{events},{sent_at}\"events\":[]}}"),
            _ => format!("{{\"agentId\":\"a\",\"sdkVersion\":\"1\",{sent_at}{events}}}"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn random_batches_are_read_alike(batch in random_batch()) {
        fuzz::batch(batch.as_bytes());
    }

    #[test]
    fn damaged_batches_are_read_alike(batch in random_batch(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = batch.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        fuzz::batch(&bytes);
        bytes.truncate(at);
        fuzz::batch(&bytes);
    }
}

#[test]
fn generated_traffic_is_read_alike_and_all_of_it_is_good() {
    use netcrab_sources::generate::{self, FileLayout};
    let folder = super::folder();
    let path = folder.path().join("a.ndjson");
    let settings = generate::GenerateSettings { events: 2000, ..generate::GenerateSettings::default() };
    generate::write_ndjson(&path, settings, &FileLayout::default(), &mut |_| {}).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    for lines in text.lines().collect::<Vec<_>>().chunks(5) {
        let batch = format!(r#"{{"sentAt":1790848800000,"events":[{}]}}"#, lines.join(","));
        fuzz::batch(batch.as_bytes());
        let mut decoder = netcrab_sources::wire::BatchDecoder::new(netcrab_sources::SourceSettings::default());
        assert_eq!(decoder.batch(batch.as_bytes(), 1_790_848_800_000, 5, 7).unwrap().indexes.len(), lines.len());
    }
}
