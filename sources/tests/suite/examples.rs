//! The examples of `docs/mapping.md`, over made files that are always there and over real files where they are; and
//! what a mapping refuses.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use netcrab_sources::{Mapping, SourceSettings};
use parquet::arrow::ArrowWriter;

use super::example_files::{made, shared};
use super::{Read, fault, file, folder, read_with};

fn mapping(name: &str) -> Mapping {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    Mapping::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn tally(read: &Read, column: &str) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for value in read.column(column) {
        *tally.entry(value).or_insert(0) += 1;
    }
    tally
}

fn counts<'a>(pairs: impl IntoIterator<Item = (&'a str, usize)>) -> BTreeMap<String, usize> {
    pairs.into_iter().map(|(value, count)| (value.to_owned(), count)).collect()
}

/// Reads `path` with a mapping of `docs/`.
fn mapped(path: &Path, name: &str) -> Read {
    read_with(path, Some(mapping(name)), SourceSettings::default(), 1).unwrap()
}

#[test]
fn the_made_shop_is_an_event_for_each_row() {
    let read = mapped(&made("ecom"), "mapping-ecom.toml");
    assert_eq!((read.events.num_rows(), read.rejects.len(), read.skipped), (36, 0, 0));
    assert_eq!(tally(&read, "event_type"), counts([("click", 3), ("custom", 5), ("navigation", 28)]));
    assert_eq!(
        tally(&read, "error_code"),
        counts([("-", 31), ("checkout_bug", 1), ("error_page", 2), ("payment_error", 2)])
    );
    assert_eq!(tally(&read, "task_phase"), counts([("-", 30), ("complete", 2), ("start", 4)]));
    assert_eq!(tally(&read, "device_type"), counts([("desktop", 21), ("mobile", 5), ("tablet", 10)]));
    assert_eq!(tally(&read, "segment"), counts([("loyal", 8), ("new", 16), ("returning", 12)]));
    assert_eq!((tally(&read, "session_id").len(), tally(&read, "user_hash").len()), (6, 4));
    assert_eq!(tally(&read, "event_id").len(), 36);
    assert_eq!(read.column("ts")[35], "2024-03-10T00:00:00Z");
    assert_eq!(read.column("route")[2], "/product_view");
    assert_eq!(read.column("extra")[12], r#"{"acquisition_channel":"ads, paid","user_cohort":"2024-02"}"#);
    assert_eq!(read.column("extra")[35], "-");
    assert!(!read.column("user_hash").contains(&"user_01".to_owned()));
}

#[test]
fn the_made_log_rejects_the_line_that_is_cut_short() {
    let read = mapped(&made("weblog"), "mapping-weblog.toml");
    assert_eq!((read.events.num_rows(), read.skipped), (10, 4));
    assert_eq!(read.faults(), ["14 not_a_log_line -"]);
    assert_eq!(tally(&read, "event_type"), counts([("custom", 2), ("navigation", 8)]));
    assert_eq!(tally(&read, "event_name"), counts([("-", 8), ("request_HEAD", 1), ("request_POST", 1)]));
    assert_eq!(tally(&read, "error_code"), counts([("-", 8), ("404", 1), ("500", 1)]));
    assert_eq!(tally(&read, "browser"), counts([("-", 3), ("Firefox", 3), ("Safari", 2), ("bot", 2)]));
    assert_eq!(tally(&read, "device_type"), counts([("desktop", 3), ("mobile", 2), ("unknown", 5)]));
    assert_eq!(
        tally(&read, "screen_id"),
        counts([
            ("/", 1),
            ("/articles/:id", 4),
            ("/blog", 1),
            ("/login", 1),
            ("/missing", 1),
            ("/robots.txt", 1),
            ("/users/:id/settings", 1)
        ])
    );
    assert_eq!(read.column("route"), read.column("screen_id"));
    assert_eq!(read.count("session_id", ""), 10);
    assert_eq!(tally(&read, "user_hash").len(), 6);
}

#[test]
fn the_real_shop_is_an_event_for_each_row() {
    let Some(path) = shared("ecom") else { return };
    let read = mapped(&path, "mapping-ecom.toml");
    assert_eq!((read.events.num_rows(), read.rejects.len(), read.skipped), (31_106, 0, 0));
    assert_eq!(
        tally(&read, "event_type"),
        counts([("click", 1346 + 812), ("custom", 470 + 119 + 44), ("navigation", 28_315)])
    );
    assert_eq!(
        tally(&read, "error_code"),
        counts([("-", 31_106 - 439), ("checkout_bug", 44), ("error_page", 276), ("payment_error", 119)])
    );
    assert_eq!(tally(&read, "task_phase"), counts([("-", 31_106 - 958 - 470), ("complete", 470), ("start", 958)]));
    assert_eq!(tally(&read, "device_type"), counts([("desktop", 16_146), ("mobile", 11_353), ("tablet", 3607)]));
    assert_eq!(tally(&read, "segment"), counts([("loyal", 7136), ("new", 7646), ("returning", 16_324)]));
    assert_eq!(tally(&read, "session_id").len(), 3605);
    assert_eq!(tally(&read, "user_hash").len(), 600);
    assert_eq!(tally(&read, "event_id").len(), 31_106);
    assert_eq!(read.column("ts")[0], "2024-03-13T10:21:14Z");
    assert_eq!(read.column("route")[2], "/product_view");
    assert_eq!(read.column("extra")[0], r#"{"acquisition_channel":"email","user_cohort":"2024-01"}"#);
    assert!(!read.column("user_hash").contains(&"user_0000".to_owned()));
}

#[test]
fn the_real_log_rejects_the_line_that_is_cut_short() {
    let Some(path) = shared("weblog") else { return };
    let read = mapped(&path, "mapping-weblog.toml");
    assert_eq!(read.faults(), ["8899 not_a_log_line -"]);
    assert_eq!((read.events.num_rows(), read.skipped), (4593, 5406));
    // 220 requests failed; 50 of them were for images, styles and scripts.
    assert_eq!(tally(&read, "error_code"), counts([("-", 4423), ("403", 2), ("404", 163), ("416", 2), ("500", 3)]));
    assert_eq!(
        tally(&read, "event_name"),
        counts([("-", 4553), ("request_HEAD", 34), ("request_OPTIONS", 1), ("request_POST", 5)])
    );
    assert_eq!(read.count("browser", "bot"), 2324);
    assert_eq!(tally(&read, "user_hash").len(), 1423);
    assert_eq!(read.count("session_id", ""), 4593);
    assert!(read.column("route").iter().all(|route| !route.contains('?')));
}

#[test]
fn the_same_mapping_reads_json_and_parquet() {
    let folder = folder();
    let lines = "{\"user\":{\"id\":7},\"what\":\"buy\",\"at\":1790848800.25,\"n\":1.5,\"list\":[1]}\n{\"what\":\"buy\"}\n{\"user\":{\"id\":7},\"what\":\"look\",\"at\":\"x\"}\n7\n{";
    let text = |format: &str, user: &str| {
        format!(
            "format = \"{format}\"\n[constants]\norg_id = \"a\"\nproduct_id = \"p\"\ndevice_type = \"desktop\"\nscreen_id = \"s\"\n[columns]\nlatency_ms = \"n\"\n\
             [hash]\nsalt = \"pepper\"\nuser_hash = [\"{user}\"]\n[time]\ncolumn = \"at\"\nformat = \"epoch_s\"\n[event]\ncolumn = \"what\"\n\
             [events.buy]\nevent_type = \"click\"\nelement_type = \"{{value}}\""
        )
    };
    let path = file(&folder, "a.ndjson", lines);
    let json =
        read_with(&path, Some(Mapping::parse(&text("ndjson", "user.id")).unwrap()), SourceSettings::default(), 1)
            .unwrap();
    assert_eq!(json.column("ts"), ["2026-10-01T10:00:00.250Z"]);
    assert_eq!(
        (json.column("element_type"), json.column("route"), json.column("latency_ms")),
        (vec!["buy".into()], vec!["/s".into()], vec!["1.5".into()])
    );
    assert_eq!(json.faults(), ["2 missing_field ts", "3 bad_time ts", "4 not_an_object -", "5 not_json -"]);

    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![7, 7]))),
        ("what", Arc::new(StringArray::from(vec!["buy", "look"]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1_790_848_800_250_000; 2]))),
        ("n", Arc::new(Int64Array::from(vec![1, 2]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let path = folder.path().join("a.parquet");
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let rows =
        read_with(&path, Some(Mapping::parse(&text("parquet", "id")).unwrap()), SourceSettings::default(), 1).unwrap();
    assert_eq!((rows.column("ts"), rows.faults()), (json.column("ts"), vec!["2 unmapped_event what".to_owned()]));
    assert_eq!(rows.column("user_hash"), json.column("user_hash"));
    let other = Mapping::parse(&text("parquet", "id").replace("pepper", "salt")).unwrap();
    assert_ne!(
        read_with(&path, Some(other), SourceSettings::default(), 1).unwrap().column("user_hash"),
        json.column("user_hash")
    );
    let wrong = Mapping::parse(&text("parquet", "ids")).unwrap();
    assert!(
        fault(read_with(&path, Some(wrong), SourceSettings::default(), 1))
            .ends_with("has no column `ids`; nearest is `id`; correct the mapping, or the file")
    );
}

#[test]
fn a_mapping_at_fault_names_the_nearest_valid_name() {
    let good =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mapping-weblog.toml")).unwrap();
    let message = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        fault(Mapping::parse(&good.replacen(from, to, 1)))
    };
    assert_eq!(
        message("[constants]", "[constant]"),
        "mapping: `constant` is not known; nearest is `constants`; valid are format, delimiter, encoding, optional, constants, columns, hash, time, route, device, user_agent, event, events, error, skip, extra"
    );
    assert_eq!(message("org_id =", "org ="), "mapping: `org` in `[constants]` is no event column; nearest is `org_id`");
    assert_eq!(
        message("column = \"path\"", "column = \"url_path\""),
        "mapping: an access log has no field `url_path`; it has remote_addr, time, method, path, status, bytes, referer, user_agent, vhost"
    );
    assert_eq!(
        message("column = \"time\"", "column = \"timestamp\""),
        "mapping: an access log has no field `timestamp`; nearest is `time`; it has remote_addr, time, method, path, status, bytes, referer, user_agent, vhost"
    );
    assert!(message("product_id = \"website\"", "").starts_with("mapping: nothing gives `product_id`"));
    assert!(
        message("user_hash = [\"remote_addr\", \"user_agent\"]", "").starts_with("mapping: nothing gives `user_hash`")
    );
    assert!(message("event_type = \"navigation\"", "event_type = \"navigate\"").contains("nearest is `navigation`"));
    assert!(message("format = \"log\"", "format = \"clf\"").contains("time format `clf`"));
    assert!(
        message("[constants]", "[columns]\nuser_hash = \"remote_addr\"\n[constants]").contains("put it under `[hash]`")
    );
    assert!(message("screen = true", "screan = true").contains("nearest is `screen`"));
    assert!(fault(Mapping::parse("format = ")).starts_with("mapping: "));
    assert!(fault(Mapping::parse("format = \"csv\"")).contains("time"));
    let env = message("[hash]", "[hash]\nsalt_env = \"NETCRAB_NO_SUCH_SALT\"");
    assert_eq!(env, "mapping: `salt_env` names `NETCRAB_NO_SUCH_SALT`, which is not set; set it, or use `salt`");
}
