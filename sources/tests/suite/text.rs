//! Text files: lines, compression, CSV, folders.

use std::io::Write;

use netcrab_sources::{Mapping, SourceSettings};

use super::{event, fault, file, folder, open, read, read_with};

const HEADER: &str = "org_id,productId,user_hash,ts,event_type,screen_id,route,device_type,latency_ms,extra";
const ROW: &str = "acme,crm,u1,2026-10-01T10:00:00Z,click,leads,/leads/42,desktop,12.5,\"{\"\"a\"\":1}\"";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn csv_columns_may_have_table_or_wire_names() {
    let folder = folder();
    let path = file(&folder, "a.csv", format!("\u{feff}{HEADER}\r\n{ROW}\r\n\r\n{}\r\n", ROW.replace("12.5", "")));
    let read = read(&path).unwrap();
    assert_eq!(read.faults(), Vec::<String>::new());
    assert_eq!(read.column("latency_ms"), ["12.5", "-"]);
    assert_eq!(read.column("extra"), [r#"{"a":1}"#, r#"{"a":1}"#]);
    assert_eq!(read.column("session_id"), ["", ""]);
    assert_eq!(read.bytes, std::fs::metadata(&path).unwrap().len());
}

#[test]
fn csv_rows_that_do_not_fit_are_rejected_by_line() {
    let folder = folder();
    let rows = [
        ROW.to_owned(),
        ROW.replace("12.5", "NaN"),
        ROW.replace("12.5", "fast"),
        ROW.replace("2026-10-01T10:00:00Z", "soon"),
        format!("{ROW},x"),
        ROW.replace("leads,", "\"two\nlines\","),
        ROW.replace("crm", "c\u{e9}"),
        format!("\"{}", &ROW[..20]),
        ROW[..ROW.len() - r#""{""a"":1}""#.len()].to_owned(),
    ];
    let path = file(&folder, "a.csv", format!("{HEADER}\n{}\n", rows.join("\n")));
    let read = read(&path).unwrap();
    assert_eq!(
        read.faults(),
        [
            "3 not_finite latency_ms",
            "4 not_a_number latency_ms",
            "5 bad_time ts",
            "6 wrong_field_count -",
            "9 bad_identifier product_id",
            "10 unclosed_quote -"
        ]
    );
    assert_eq!(read.column("screen_id"), ["leads", "two\nlines", "leads"]);
}

#[test]
fn a_header_that_is_no_event_header_is_an_error_with_a_hint() {
    let folder = folder();
    let header =
        |header: &str| fault(read(&file(&folder, "a.csv", header))).replace(folder.path().to_str().unwrap(), "…");
    let required = "org_id,product_id,user_hash,ts,event_type,screen_id,route,device_type";
    assert_eq!(
        header(&format!("{required},screan")),
        "`…/a.csv` has a column `screan`, which no event has; nearest is `screen_id`; rename it, leave it out, or give a mapping (docs/mapping.md)"
    );
    assert_eq!(
        header(&required.replace("product_id,", "")),
        "`…/a.csv` has no column `product_id`, which every event needs; add it, or give a mapping that does (docs/mapping.md)"
    );
    assert_eq!(
        header("org_id,email"),
        "`…/a.csv` has a column `email`, which reads like personal data; leave it out, or hash it with a mapping"
    );
    assert_eq!(header("org_id,orgId"), "`…/a.csv` has the column `orgId` more than once; keep one");
}

#[test]
fn a_foreign_header_is_told_whole_with_the_way_to_a_mapping() {
    let folder = folder();
    let header = |header: &str| fault(read(&file(&folder, "a.csv", header)));
    for (columns, unknown, missing) in [
        ("time,user,action,page", "`time`", "org_id, product_id, user_hash, ts, event_type, screen_id"),
        ("org_id,product_id,timestamp,user_id,page_url", "`user_id` (nearest is `user_hash`)", "user_hash, ts"),
        ("org_id", "", "product_id, user_hash, ts, event_type, screen_id"),
        ("org_id,screen", "`screen` (nearest is `screen_id`)", "product_id, user_hash"),
        (",id,Uhrzeit", "`(no name)`", "org_id, product_id"),
    ] {
        let said = header(columns);
        assert!(said.contains(unknown) && said.contains("; it lacks "), "{columns}: {said}");
        for missing in missing.split(", ") {
            assert!(said.contains(missing), "{columns}: {said}");
        }
        assert!(said.contains("--mapping") && said.contains("docs/mapping.md"), "{columns}: {said}");
    }
    let wide: Vec<String> = (0..40).map(|column| format!("c{column:02}")).collect();
    let said = header(&wide.join(","));
    assert!(said.contains("`c11`") && said.contains("or 28 more") && !said.contains("c12"), "{said}");
    // The header is missing: what stands in its place is not echoed.
    let said = header("jane@example.com,2026-11-01T00:00:00Z,click");
    assert!(said.contains("is the header missing?") && !said.contains("jane"), "{said}");
    let long = format!("{},x", "y".repeat(10_000));
    assert!(header(&long).len() < 1500);
}

#[test]
fn gzip_and_zstd_are_undone_also_in_several_members() {
    let folder = folder();
    let line = event("") + "\n";
    file(&folder, "a.ndjson.gz", [gzip(line.as_bytes()), gzip(line.as_bytes())].concat());
    file(&folder, "b.jsonl.zst", zstd::stream::encode_all(line.as_bytes(), 1).unwrap());
    file(&folder, "sub/deeper/c.json", &line);
    file(&folder, "_temporary/0.json", "{}");
    file(&folder, ".hidden/a.ndjson", "{}");
    file(&folder, "README.md", "no events");
    let read = read(folder.path()).unwrap();
    assert_eq!((read.events.num_rows(), read.rejects.len()), (4, 0));
}

#[test]
fn a_long_line_is_rejected_and_the_next_is_read() {
    let folder = folder();
    let long = format!(r#"{{"orgId":"{}"}}"#, "x".repeat(10 << 20));
    let path = file(&folder, "a.ndjson", format!("{}\n{long}\n{}", event(""), event("")));
    let read = read(&path).unwrap();
    assert_eq!((read.events.num_rows(), read.faults()), (2, vec!["2 line_too_long -".to_owned()]));

    let exact = |length: usize| {
        let rest = event("").len() + r#","extra":{"a":""}"#.len();
        let path = file(&folder, "b.ndjson", event(&format!(r#","extra":{{"a":"{}"}}"#, "x".repeat(length - rest))));
        let settings = SourceSettings { line_bytes_max: 1024, ..SourceSettings::default() };
        read_with(&path, None, settings, 1).unwrap().faults()
    };
    assert_eq!(exact(1024), Vec::<String>::new());
    assert_eq!(exact(1025), ["1 line_too_long -"]);
}

#[test]
fn a_gzip_bomb_is_read_as_it_comes() {
    let folder = folder();
    let path = file(&folder, "a.ndjson.gz", gzip(&vec![b'x'; 40 << 20]));
    assert_eq!(read(&path).unwrap().faults(), ["1 line_too_long -"]);
}

#[test]
fn bytes_that_are_not_utf8_are_rejected() {
    let folder = folder();
    let path =
        file(&folder, "a.ndjson", [event("").as_bytes(), b"\n{\"orgId\":\"\xff\"}\n", event("").as_bytes()].concat());
    assert_eq!(read(&path).unwrap().faults(), ["2 not_utf8 -"]);
}

#[test]
fn streams_that_are_not_what_their_ending_says_are_errors_after_the_good_lines() {
    let folder = folder();
    let line = event("") + "\n";
    let cut = |name: &str, bytes: Vec<u8>| {
        let path = file(&folder, name, bytes);
        fault(read(&path)).replace(folder.path().to_str().unwrap(), "…")
    };
    let lines = line.repeat(20_000);
    let whole = gzip(lines.as_bytes());
    let message = cut("a.ndjson.gz", whole[..whole.len() - 20].to_vec());
    assert!(message.starts_with("`…/a.ndjson.gz` stops being readable as gzip after line "), "{message}");
    assert!(message.ends_with("; copy it again, or correct its ending"), "{message}");
    let message = cut("b.ndjson.gz", b"\0\x01\x02".to_vec());
    assert!(message.starts_with("`…/b.ndjson.gz` stops being readable as gzip after line 0"), "{message}");
    let message = cut("c.ndjson.zst", b"\0\x01\x02".to_vec());
    assert!(message.starts_with("`…/c.ndjson.zst` stops being readable as zstd after line 0"), "{message}");
}

#[test]
fn nothing_to_read_is_said_so() {
    let folder = folder();
    let here = folder.path().to_str().unwrap().to_owned();
    let message =
        |name: &str| fault(open(&[&folder.path().join(name)], None, SourceSettings::default())).replace(&here, "…");
    let endings = ".parquet, .ndjson, .jsonl, .json, .csv, .tsv or .log, the text formats also with .gz or .zst";
    assert_eq!(
        message(""),
        format!("no event files in `…/`; expected names ending in {endings}, or a mapping that says the format")
    );
    assert_eq!(message("none.csv"), "`…/none.csv` does not exist; give a file, a folder or `s3://bucket/prefix`");
    file(&folder, "a.txt", "x");
    assert_eq!(
        message("a.txt"),
        format!("`…/a.txt` does not say its format; expected a name ending in {endings}, or a mapping with `format`")
    );
    file(&folder, "a.log", "x");
    assert_eq!(
        message("a.log"),
        "`…/a.log` is an access log, which needs a mapping; start from docs/mapping-weblog.toml"
    );
    let ftp = fault(super::runtime().block_on(netcrab_sources::Source::open(
        &["ftp://x/y".to_owned()],
        None,
        SourceSettings::default(),
    )));
    assert_eq!(
        ftp,
        "`ftp://x/y` is not an address of events (only s3:// and file:// are understood); expected a path or `s3://bucket/prefix`"
    );
    assert!(
        fault(open(&[folder.path()], None, SourceSettings { batch_rows: 0, ..SourceSettings::default() }))
            .contains("batch_rows")
    );
}

#[test]
fn an_empty_file_has_no_events() {
    let folder = folder();
    let read = read(&file(&folder, "a.ndjson", "")).unwrap();
    assert_eq!((read.events.num_rows(), read.rejects.len()), (0, 0));
}

#[test]
fn folders_that_lead_back_into_themselves_end() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("a")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        file(&folder, "a/events.ndjson", event(""));
        std::fs::create_dir(folder.path().join("b")).unwrap();
        symlink(folder.path(), folder.path().join("a/back")).unwrap();
        symlink(folder.path().join("a"), folder.path().join("b/one")).unwrap();
        symlink(folder.path().join("b"), folder.path().join("a/two")).unwrap();
        let source = open(&[folder.path()], None, SourceSettings::default()).unwrap();
        let left_out = source.left_out().iter().map(|left| (left.file.rsplit('/').next().unwrap(), left.why.name()));
        assert_eq!(
            left_out.collect::<Vec<_>>(),
            [("back", "loop"), ("one", "loop"), ("back", "loop"), ("two", "loop")]
        );
    }
}

#[test]
fn the_fingerprint_follows_the_bytes_not_the_folder() {
    let (one, two) = (folder(), folder());
    let settings = SourceSettings::default;
    for folder in [&one, &two] {
        file(folder, "a.ndjson", event("") + "\n");
        file(folder, "b/c.ndjson", event(",\"segment\":\"x\"") + "\n");
    }
    let of = |folder: &tempfile::TempDir| open(&[folder.path()], None, settings()).unwrap().fingerprint();
    let first = of(&one);
    assert_eq!(first, of(&two));
    file(&two, "b/c.ndjson", event(",\"segment\":\"y\"") + "\n");
    assert_ne!(first, of(&two));
    let mapping = Mapping::parse(&std::fs::read_to_string("../docs/mapping-ecom.toml").unwrap()).unwrap();
    assert_ne!(first, open(&[one.path()], Some(mapping), settings()).unwrap().fingerprint());
}

#[test]
fn a_projection_has_only_its_columns_in_table_order() {
    let folder = folder();
    let path = file(&folder, "a.ndjson", event(""));
    let source = std::sync::Arc::new(open(&[&path], None, SourceSettings::default()).unwrap());
    let mut reader = source.readers(1, Some(vec!["ts", "org_id"])).remove(0);
    let events = reader.next().unwrap().unwrap().events;
    assert_eq!(
        events.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["org_id", "ts"]
    );
    assert!(reader.next().is_none());
}
