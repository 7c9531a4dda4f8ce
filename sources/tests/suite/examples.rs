//! The worked examples of `docs/mapping.md`, over real files; and what a mapping refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use netcrab_sources::{Mapping, SourceSettings};
use parquet::arrow::ArrowWriter;

use super::{Read, fault, file, folder, read_with};

/// A real input, or `None` with a word about it.
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/data/{name} is not here");
    None
}

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

#[test]
fn the_shop_example_makes_an_event_of_every_row() {
    let Some(path) = data("ecom") else { return };
    let read = read_with(&path, Some(mapping("mapping-ecom.toml")), SourceSettings::default(), 1).unwrap();
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
fn the_weblog_example_rejects_the_one_line_that_does_not_parse() {
    let Some(path) = data("weblog") else { return };
    let read = read_with(&path, Some(mapping("mapping-weblog.toml")), SourceSettings::default(), 1).unwrap();
    assert_eq!(read.events.num_rows() + read.rejects.len() + read.skipped as usize, 10_000);
    assert_eq!(read.faults(), ["8899 not_a_log_line -"]);
    assert_eq!((read.events.num_rows(), read.skipped), (4593, 5406));
    // 220 requests failed; 50 of them were for what a page loads by itself.
    assert_eq!(read.events.num_rows() - read.count("error_code", "-"), 170);
    assert_eq!(read.count("session_id", ""), read.events.num_rows());
    assert!(read.column("route").iter().all(|route| !route.contains('?')));
}

#[test]
fn the_same_mapping_reads_json_and_parquet() {
    let folder = folder();
    let lines = "{\"user\":{\"id\":7},\"what\":\"buy\",\"at\":1790848800.25,\"n\":1.5,\"list\":[1]}\n{\"what\":\"buy\"}\n{\"user\":{\"id\":7},\"what\":\"look\",\"at\":\"x\"}\n[]\n{";
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
    let said = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        fault(Mapping::parse(&good.replacen(from, to, 1)))
    };
    assert_eq!(
        said("[constants]", "[constant]"),
        "mapping: `constant` is not known; nearest is `constants`; valid are format, delimiter, constants, columns, hash, time, route, device, user_agent, event, events, error, skip, extra"
    );
    assert_eq!(said("org_id =", "org ="), "mapping: `org` in `[constants]` is no event column; nearest is `org_id`");
    assert_eq!(
        said("column = \"path\"", "column = \"url_path\""),
        "mapping: an access log has no field `url_path`; it has remote_addr, time, method, path, status, bytes, referer, user_agent"
    );
    assert_eq!(
        said("column = \"time\"", "column = \"timestamp\""),
        "mapping: an access log has no field `timestamp`; nearest is `time`; it has remote_addr, time, method, path, status, bytes, referer, user_agent"
    );
    assert!(said("product_id = \"website\"", "").starts_with("mapping: nothing gives `product_id`"));
    assert!(
        said("user_hash = [\"remote_addr\", \"user_agent\"]", "").starts_with("mapping: nothing gives `user_hash`")
    );
    assert!(said("event_type = \"navigation\"", "event_type = \"navigate\"").contains("nearest is `navigation`"));
    assert!(said("format = \"log\"", "format = \"clf\"").contains("time format `clf`"));
    assert!(
        said("[constants]", "[columns]\nuser_hash = \"remote_addr\"\n[constants]").contains("put it under `[hash]`")
    );
    assert!(said("screen = true", "screan = true").contains("nearest is `screen`"));
    assert!(fault(Mapping::parse("format = ")).starts_with("mapping: "));
    assert!(fault(Mapping::parse("format = \"csv\"")).contains("time"));
    let env = said("[hash]", "[hash]\nsalt_env = \"NETCRAB_NO_SUCH_SALT\"");
    assert_eq!(env, "mapping: `salt_env` names `NETCRAB_NO_SUCH_SALT`, which is not set; set it, or use `salt`");
}
