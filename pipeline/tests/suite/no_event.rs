//! A run that takes no event says so, and ends with a code of its own.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::command_line::{answer, netcrab, stderr};

const EVENT: &str = r#"{"orgId":"acme","productId":"crm","sessionId":"s","userHash":"u","eventId":"e1","ts":1760000000000,"eventType":"click","screenId":"home","route":"/","deviceType":"desktop"}"#;

const HEADER: &str = "org_id,product_id,user_hash,ts,event_type,screen_id,route,device_type\n";

/// Skips every row whose page is an image.
const MAPPING: &str = r#"
format = "csv"
[constants]
org_id = "acme"
product_id = "shop"
event_type = "navigation"
[columns]
screen_id = "page"
[hash]
user_hash = ["user"]
[time]
column = "at"
[device]
column = "user"
default = "desktop"
[[skip]]
column = "page"
endings = [".png"]
"#;

fn run(folder: &Path, files: &[(&str, &str)], options: &[&str]) -> Output {
    fs::write(folder.join("m.toml"), MAPPING).unwrap();
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
    let mut command = netcrab(&[&["run", "--tables", "tables"], options].concat());
    command.args(files.iter().map(|(name, _)| name)).current_dir(folder).output().unwrap()
}

/// Runs the files twice: nothing is taken either time, for this reason, and the tables stay without an event.
fn check(files: &[(&str, &str)], options: &[&str], reason: &str, said: &str) {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = run(folder.path(), files, options);
        assert_eq!(output.status.code(), Some(3), "{files:?}: {}", stderr(&output));
        let error = stderr(&output);
        assert!(error.contains("error: no event was taken from") && error.contains(said), "{files:?}: {error}");
        assert!(error.contains(files[0].0), "{error}");
    }
    let output = run(folder.path(), files, &[options, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(3));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["noEvent"], &summary["taken"]), (&reason.into(), &0.into()), "{summary}");
    assert_eq!(summary["alreadyHeld"], false, "{summary}");
}

#[test]
fn a_run_that_takes_no_event_says_why() {
    check(&[("empty.ndjson", "")], &[], "no_rows", "no rows in the files");
    check(&[("blank.ndjson", "\n\n\n")], &[], "no_rows", "no rows in the files");
    check(&[("header.csv", HEADER)], &[], "no_rows", "a header alone is no row");
    check(&[("a.ndjson", ""), ("b.csv", HEADER)], &[], "no_rows", "no rows in the files");
    check(&[("bad.ndjson", "{\"bad\":1}\nnot json\n")], &[], "all_rejected", "all rows were rejected (2)");
    check(&[("bad.ndjson", "x\n"), ("none.csv", HEADER)], &["--strict"], "all_rejected", "docs/sources.md");
    let mapping = ["--mapping", "m.toml"];
    let images = "at,user,page\n2026-01-01T00:00:00Z,u,/a.png\n2026-01-01T00:00:01Z,u,/b.png\n";
    check(&[("images.csv", images)], &mapping, "all_skipped", "the mapping skips all rows (2)");
    let mixed = format!("{images}not a time,u,/c\n");
    check(&[("mixed.csv", &mixed)], &mapping, "rejected_and_skipped", "rows were rejected (1), and");
    check(&[("bad.ndjson", "x\n")], &["--only", "fact_sessions"], "all_rejected", "all rows were rejected (1)");
    check(&[("bad.ndjson", "x\n")], &["--only", "rejects"], "all_rejected", "all rows were rejected (1)");
}

#[test]
fn one_event_is_enough_and_events_that_are_stored_already_count() {
    let folder = tempfile::tempdir().unwrap();
    let files = [("a.ndjson", EVENT), ("b.ndjson", ""), ("c.ndjson", "not json\n")];
    let first = run(folder.path(), &files, &[]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let again = run(folder.path(), &files, &["--json"]);
    assert_eq!(again.status.code(), Some(0));
    let summary: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&summary["alreadyHeld"], &summary["noEvent"]), (&true.into(), &Value::Null), "{summary}");
    // The same event in another file, and a run of other rules.
    assert_eq!(run(folder.path(), &[("renamed.ndjson", EVENT)], &[]).status.code(), Some(0));
    assert_eq!(run(folder.path(), &files, &["--only", "fact_sessions,rejects"]).status.code(), Some(0));
    // A source without events leaves the tables of others as they were.
    let before = answer(&folder.path().join("tables"), "SELECT * FROM fact_sessions");
    assert_eq!(run(folder.path(), &[("none.ndjson", "x\n")], &[]).status.code(), Some(3));
    assert_eq!(answer(&folder.path().join("tables"), "SELECT * FROM fact_sessions"), before);
}

#[test]
fn a_file_that_gave_nothing_is_read_again_once_it_has_events() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), &[("a.ndjson", "")], &[]).status.code(), Some(3));
    assert!(answer(&folder.path().join("tables"), "SELECT count(*) AS n FROM fact_sessions").contains("| 0 |"));
    assert_eq!(run(folder.path(), &[("a.ndjson", EVENT)], &[]).status.code(), Some(0));
    assert!(answer(&folder.path().join("tables"), "SELECT count(*) AS n FROM fact_sessions").contains("| 1 |"));
}

#[test]
fn the_summary_counts_what_the_mapping_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let pages = "at,user,page\n2026-01-01T00:00:00Z,u,/a.png\n2026-01-01T00:00:01Z,u,/b\n";
    let output = run(folder.path(), &[("pages.csv", pages)], &["--mapping", "m.toml"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("1 skipped by the mapping"), "{said}{}", stderr(&output));
    let output = run(folder.path(), &[("pages2.csv", pages)], &["--mapping", "m.toml", "--json"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["skipped"], &summary["taken"], &summary["noEvent"]), (&1.into(), &1.into(), &Value::Null));
}

#[test]
fn the_summary_names_the_files_of_which_nothing_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let files = [("a.ndjson", EVENT), ("empty.csv", ""), ("head.csv", HEADER), ("notes.md", "x"), ("b.csv.bz2", "x")];
    for (name, content) in files {
        fs::write(data.join(name), content).unwrap();
    }
    let run = |options: &[&str]| {
        let mut command = netcrab(&[&["run", "data", "--tables", "tables"], options].concat());
        command.current_dir(folder.path()).output().unwrap()
    };
    // Also where the tables hold the events already.
    for _ in 0..2 {
        let output = run(&[]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", stderr(&output));
        for line in ["not read: data/b.csv.bz2: bzip2 is not read", "not read: data/notes.md: its name does not say"] {
            assert!(said.contains(line), "{said}");
        }
        assert!(said.contains("no rows: data/empty.csv") && said.contains("no rows: data/head.csv"), "{said}");
        assert!(!said.contains("a.ndjson"), "{said}");
    }
    let summary: Value = serde_json::from_slice(&run(&["--json"]).stdout).unwrap();
    assert_eq!(summary["notRead"][0]["file"], "data/b.csv.bz2");
    assert_eq!(summary["notRead"][0]["reason"], "compression");
    assert_eq!(summary["notRead"].as_array().map(Vec::len), Some(2));
    assert_eq!(summary["withoutRows"].as_array().map(Vec::len), Some(2));
    assert_eq!(summary["leftOut"], 4);
    for number in 0..120 {
        fs::write(data.join(format!("page{number:03}.html")), "x").unwrap();
    }
    let said = String::from_utf8(run(&[]).stdout).unwrap();
    assert!(said.contains("and 114 more files of which nothing was read") && !said.contains("page050"), "{said}");
    let summary: Value = serde_json::from_slice(&run(&["--json"]).stdout).unwrap();
    assert_eq!(summary["leftOut"], 124);
    assert!(summary["notRead"].as_array().unwrap().len() <= 100);
}
