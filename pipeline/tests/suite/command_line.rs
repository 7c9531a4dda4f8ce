//! Runs the binary and reads its tables back.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use netcrab_pipeline::config::RunSettings;
use netcrab_sinks::delta::DeltaSink;

/// The binary with these arguments.
pub(crate) fn netcrab(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netcrab"));
    command.args(arguments).env("NETCRAB_RUN__MEMORY_MIB", "256");
    command
}

/// The same bringing events to `tables`, in short epochs.
pub(crate) fn process(tables: &str) -> Command {
    let mut command = netcrab(&["process", "--tables", tables]);
    for (name, value) in [("EPOCH_MS", "20"), ("STATE_EVENTS_MIN", "400"), ("LATENESS_MS", "0"), ("REPAIR_MS", "300")] {
        command.env(format!("NETCRAB_STREAM__{name}"), value);
    }
    command
}

/// Runs it; panics with what it said where it fails.
pub(crate) fn succeed(arguments: &[&str]) -> String {
    let output = netcrab(arguments).output().unwrap();
    assert!(output.status.success(), "netcrab {arguments:?} failed: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs it, expecting failure; gives what it said.
pub(crate) fn fail(arguments: &[&str]) -> String {
    let output = netcrab(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "netcrab {arguments:?}: {}", stderr(&output));
    stderr(&output)
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The tables in a folder.
pub(crate) fn sink(tables: &Path) -> DeltaSink {
    DeltaSink::new(netcrab_pipeline::tables::address(text(tables)).unwrap())
}

/// The answer to a query over the tables in a folder.
pub(crate) fn query(tables: &Path, sql: &str) -> Vec<RecordBatch> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let session = netcrab_pipeline::tables::session(&sink(tables), &RunSettings::default()).await.unwrap();
        session.sql(sql).await.unwrap().collect().await.unwrap()
    })
}

/// The same as a table of text.
pub(crate) fn answer(tables: &Path, sql: &str) -> String {
    pretty_format_batches(&query(tables, sql)).unwrap().to_string()
}

/// A folder with generated events.
pub(crate) fn traffic(folder: &Path, name: &str, events: &str, seed: &str) -> PathBuf {
    let path = folder.join(name);
    succeed(&["generate", text(&path), "--events", events, "--seed", seed, "--days", "3"]);
    path
}

/// The derived tables, and what their rows are ordered by.
pub(crate) const DERIVED: [(&str, &str); 7] = [
    ("fact_sessions", "session_key"),
    ("fact_incidents", "incident_id"),
    ("fact_tasks", "session_key, task_no"),
    ("fact_screen_hotspots", "org_id, product_id, date, screen_id"),
    ("fact_flows", "org_id, product_id, date, from_screen, to_screen"),
    ("dim_task_types", "org_id, product_id, task_type"),
    ("dim_releases", "org_id, product_id, version_tag"),
];

/// Every derived table, row by row, in a stable order; rows that add up are folded.
pub(crate) fn derived(tables: &Path) -> Vec<String> {
    let rows = |(name, order): &(&str, &str)| {
        let table = netcrab_schema::by_name(name).unwrap();
        answer(tables, &format!("{} ORDER BY {order}", table.folded(name)))
    };
    DERIVED.iter().map(rows).collect()
}

/// Fails with the first lines that differ: whole tables are too long to read.
pub(crate) fn assert_same(ours: &[String], theirs: &[String]) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        let (mut left, mut right) = (ours.lines(), theirs.lines());
        let head = left.by_ref().zip(right.by_ref()).take(3).map(|(line, _)| line).collect::<Vec<_>>().join("\n");
        let differ: Vec<_> = left.zip(right).filter(|(a, b)| a != b).take(4).collect();
        let lengths = (ours.lines().count(), theirs.lines().count());
        assert!(ours == theirs, "lines {lengths:?} of\n{head}\ndiffer first in {differ:#?}");
    }
}

#[test]
fn every_command_has_help_with_examples() {
    for command in [
        "run",
        "rerun",
        "sql",
        "explain",
        "generate",
        "serve",
        "ingest",
        "process",
        "status",
        "vacuum",
        "backfill",
        "verify",
        "demo",
        "completions",
    ] {
        let help = succeed(&[command, "--help"]);
        assert!(help.contains(&format!("netcrab {command}")) && help.contains("Examples:"), "{command}: {help}");
    }
}

#[test]
fn vacuum_says_where_there_is_nothing_and_leaves_what_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = fail(&["vacuum", "--tables", text(&folder.path().join("nowhere"))]);
    assert!(nowhere.contains("there are no tables in") && nowhere.contains("--tables"), "{nowhere}");
    let soon = fail(&["vacuum", "--tables", text(folder.path()), "--keep-hours", "0"]);
    assert!(soon.contains("--keep-hours is 0; expected"), "{soon}");
    let (events, tables) = (traffic(folder.path(), "events.parquet", "2000", "1"), folder.path().join("tables"));
    succeed(&["run", text(&events), "--tables", text(&tables)]);
    let before = derived(&tables);
    let said: serde_json::Value =
        serde_json::from_str(&succeed(&["vacuum", "--tables", text(&tables), "--keep-hours", "0.02", "--json"]))
            .unwrap();
    assert!(said["tables"].as_array().unwrap().iter().all(|table| table["files"] == 0), "{said}");
    assert_eq!(derived(&tables), before);
}

#[test]
fn generated_events_become_tables_and_running_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let events = traffic(folder.path(), "events.parquet", "20000", "1");
    let tables = folder.path().join("tables");
    let first = succeed(&["run", text(&events), "--tables", text(&tables)]);
    assert!(first.contains("20,000 events"), "{first}");
    let before = derived(&tables);
    assert!(before[0].lines().count() > 500, "{}", before[0].lines().count());
    let again = succeed(&["run", text(&events), "--tables", text(&tables)]);
    assert!(again.contains("already holds"), "{again}");
    assert_eq!(derived(&tables), before);
}

#[test]
fn the_same_events_make_the_same_bytes_in_parquet_and_in_ndjson_in_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let events = traffic(folder.path(), "events.parquet", "5000", "3");
    let files = |threads: &str| {
        let tables = folder.path().join(format!("tables-{threads}"));
        let output = netcrab(&["run", text(&events), "--tables", text(&tables), "--quiet"])
            .env("NETCRAB_RUN__THREADS", threads)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let mut files = Vec::new();
        collect_files(&tables, &tables, &mut files);
        files.sort();
        files
    };
    let one = files("1");
    assert!(one.len() > 20, "{}", one.len());
    assert!(one == files("3"), "files differ between one and three threads");
}

fn collect_files(root: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(root, &path, files);
        } else if path.extension().is_some_and(|ending| ending == "parquet") {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn only_writes_what_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let events = traffic(folder.path(), "events.parquet", "1000", "1");
    let tables = folder.path().join("tables");
    succeed(&["run", text(&events), "--tables", text(&tables), "--only", "fact_sessions,fact_flows"]);
    let mut written: Vec<String> =
        std::fs::read_dir(&tables).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    written.sort();
    assert_eq!(written, ["fact_flows", "fact_sessions"]);
    let fault = fail(&["run", text(&events), "--tables", text(&tables), "--only", "fact_session"]);
    assert!(fault.contains("nearest is `fact_sessions`"), "{fault}");
}

#[test]
fn explain_shows_each_stage_with_rows_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let events = traffic(folder.path(), "events.parquet", "1000", "1");
    let arguments = ["explain", text(&events), "--only", "fact_sessions"];
    let json: serde_json::Value = serde_json::from_str(&succeed(&[&arguments[..], &["--json"]].concat())).unwrap();
    assert_eq!(json[0]["table"], "fact_sessions");
    assert_eq!(json[0]["plan"]["Node Type"], "SortRowsExec");
    assert!(json[0]["plan"]["Actual Rows"].as_u64().is_some_and(|rows| rows > 0), "{json}");
    let plan = succeed(&arguments);
    for stage in ["EventsExec", "BatchSessionizeExec", "DetectExec", "AggregateExec"] {
        let line = plan.lines().find(|line| line.contains(stage)).unwrap_or_else(|| panic!("no {stage} in {plan}"));
        assert!(line.contains("output_rows=") && line.contains("elapsed_compute="), "{line}");
    }
}

#[test]
fn results_are_json_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let events = traffic(folder.path(), "events.ndjson.zst", "500", "1");
    let tables = folder.path().join("tables");
    let summary = succeed(&["--json", "run", text(&events), "--tables", text(&tables)]);
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["events"], 500);
    let rows = succeed(&["--json", "sql", "--tables", text(&tables), "SELECT count(*) AS n FROM events_raw"]);
    assert_eq!(rows.trim(), r#"{"n":500}"#);
}
