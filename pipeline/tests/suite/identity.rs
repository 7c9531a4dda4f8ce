//! Events keep their identity and their order: files that grow, times of whole seconds, tables of an earlier release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command_line::{answer, assert_same, derived, fail, netcrab, process, query, stderr, succeed, text};
use crate::example_files::{made, shared};

const LOG: &str = r#"
format = "access_log"
[constants]
org_id = "acme"
product_id = "site"
[hash]
user_hash = ["remote_addr", "user_agent"]
[time]
column = "time"
format = "log"
[route]
column = "path"
screen = true
[event]
column = "method"
[events.GET]
event_type = "navigation"
"#;

fn line(second: u32, path: &str) -> String {
    let (minute, second) = (second / 60, second % 60);
    format!(
        "198.51.100.7 - - [12/Nov/2026:10:{minute:02}:{second:02} +0000] \"GET {path} HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0\"\n"
    )
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("map.toml", LOG);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn run(&self, source: &Path, mapping: &Path) {
        succeed(&["run", text(source), "--mapping", text(mapping), "--tables", text(&self.path("tables"))]);
    }

    fn run_log(&self, source: &Path) {
        self.run(source, &self.path("map.toml"));
    }

    /// Rows of events_raw, events of sessions, sessions.
    fn counts(&self) -> String {
        let tables = self.path("tables");
        let count = |sql: &str| {
            let answer = answer(&tables, sql);
            answer.lines().nth(3).unwrap_or_default().trim_matches(['|', ' ']).to_owned()
        };
        let raw = count("SELECT count(*) FROM events_raw");
        let sessions = count("SELECT concat(sum(event_count), ' ', count(*)) FROM fact_sessions");
        format!("{raw} {sessions}")
    }
}

#[test]
fn the_log_of_a_case_that_grew_brings_its_old_rows_once() {
    let Some(case) = shared("cases/08-growing-log") else { return };
    let place = Place::new();
    for day in ["day1", "day2"] {
        place.run(&case.join(day).join("access.log"), &case.join("map.toml"));
    }
    assert_eq!(place.counts(), "6 6 2");
}

#[test]
fn a_log_that_grew_was_rotated_renamed_compressed_or_exported_again_brings_its_rows_once() {
    let place = Place::new();
    let rows = [line(0, "/a"), line(0, "/a"), line(1, "/b"), line(2, "/c")];
    place.run_log(&place.write("access.log", rows.concat()));
    assert_eq!(place.counts(), "4 4 1");
    // The same rows in another order, under another name, with other line ends. Those that stand further to the front
    // than before are stored again, because the smallest place counts.
    let again = [&rows[2], &rows[0], &rows[3], &rows[1]].map(|row| row.replace('\n', "\r\n"));
    place.run_log(&place.write("access.log.1", again.concat()));
    assert_eq!(place.counts(), "6 4 1");
    // Grown by a row, and by a third one of two that are equal already.
    place.run_log(&place.write("access.log", [&rows[..], &[line(0, "/a"), line(60, "/d")]].concat().concat()));
    assert_eq!(place.counts(), "8 6 1");
    let packed = Command::new("gzip").arg("-kf").arg(place.path("access.log")).status().unwrap();
    assert!(packed.success());
    place.run_log(&place.path("access.log.gz"));
    assert_eq!(place.counts(), "8 6 1");
    // The head was rotated away.
    place.run_log(&place.write("access.log", [line(60, "/d"), line(61, "/e")].concat()));
    assert_eq!(place.counts(), "10 7 1");
}

const HEADER: &str = "org_id,product_id,session_id,user_hash,ts,event_type,screen_id,task_type,task_phase\n";

fn row(session: &str, screen: &str, task: &str) -> String {
    let kind = if task == "," { "navigation" } else { "custom" };
    format!("acme,crm,{session},u1,2026-10-01 10:00:00,{kind},{screen},{task}\n")
}

#[test]
fn rows_of_an_overlapping_export_keep_one_order_whatever_is_run_later() {
    let place = Place::new();
    let run = |name: &str, rows: &[String]| {
        let path = place.write(name, [HEADER, &rows.concat()].concat());
        succeed(&["run", text(&path), "--tables", text(&place.path("tables"))]);
    };
    let before: Vec<String> = (0..9).map(|n| row(&format!("other{n}"), "home", ",")).collect();
    run("k1.csv", &[&before[..], &[row("s1", "ship", "buy,start")]].concat());
    run("k2.csv", &[row("s1", "ship", "buy,start"), row("s1", "pay", "buy,complete")]);
    let session = "SELECT session_key, abandoned_tasks, event_count FROM fact_sessions WHERE session_id = 's1'";
    let after_two = answer(&place.path("tables"), session);
    assert!(after_two.contains("| 0               | 2           |"), "{after_two}");
    run("k3.csv", &[row("unrelated", "home", ",")]);
    assert_eq!(answer(&place.path("tables"), session), after_two);
}

#[test]
fn rows_of_one_second_stand_in_the_order_of_the_files_of_a_source() {
    let place = Place::new();
    fs::create_dir(place.path("parts")).unwrap();
    for (part, screens) in [["a", "b", "c"], ["d", "e", "f"]].iter().enumerate() {
        let rows: Vec<String> = screens.iter().map(|screen| row("s1", screen, ",")).collect();
        place.write(&format!("parts/part-{part:05}.csv"), [HEADER, &rows.concat()].concat());
    }
    succeed(&["run", text(&place.path("parts")), "--tables", text(&place.path("tables"))]);
    let screens = "SELECT screen_id FROM events_sessionized ORDER BY position";
    let order = answer(&place.path("tables"), screens);
    let order: String = order.lines().filter(|line| line.starts_with("| ") && !line.contains("screen")).collect();
    assert_eq!(order.replace(['|', ' '], ""), "abcdef");
}

#[test]
fn a_query_writes_nothing() {
    let place = Place::new();
    place.run_log(&place.write("access.log", line(0, "/a")));
    let tables = place.path("tables");
    for query in [
        "INSERT INTO fact_flows SELECT * FROM fact_flows",
        "COPY (SELECT 1) TO 'x.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'x.csv'",
        "DROP TABLE fact_flows",
    ] {
        assert!(fail(&["sql", "--tables", text(&tables), query]).starts_with("error: "), "{query}");
    }
    assert!(answer(&tables, "SELECT count(*) AS n FROM fact_flows").contains("| 2 |"));
}

#[test]
fn a_limit_holds_whatever_is_selected() {
    let place = Place::new();
    place.run_log(&place.write("access.log", (0..9).map(|second| line(second, "/a")).collect::<String>()));
    for columns in ["date", "1 AS one", "screen_id", "date, screen_id"] {
        for limit in ["LIMIT 3", "WHERE date >= '2026-01-01' LIMIT 3", "LIMIT 3 OFFSET 2"] {
            let rows = query(&place.path("tables"), &format!("SELECT {columns} FROM events_raw {limit}"));
            assert_eq!(rows.iter().map(|rows| rows.num_rows()).sum::<usize>(), 3, "{columns} {limit}");
        }
    }
}

#[test]
fn rows_of_one_second_keep_the_order_of_the_file() {
    let Some(case) = shared("cases/33-same-second") else { return };
    let place = Place::new();
    place.run(&case.join("access.log"), &case.join("map.toml"));
    let sessions = "SELECT count(*) AS n FROM fact_sessions WHERE entry_screen = '/login' AND exit_screen = '/home'";
    assert!(answer(&place.path("tables"), sessions).contains("| 20 |"));
    let shop = Place::new();
    shop.run(&case.join("shop.csv"), &made("ecom").parent().unwrap().join("../../../docs/mapping-ecom.toml"));
    let tasks = "SELECT sum(tasks_completed) AS done, sum(abandoned_tasks) AS abandoned FROM fact_sessions";
    assert!(
        answer(&shop.path("tables"), tasks).contains("| 20   | 0         |"),
        "{}",
        answer(&shop.path("tables"), tasks)
    );
}

#[test]
fn tables_state_and_bus_of_the_release_before_go_on_in_the_middle_of_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/first-release.tar.gz");
    let unpacked = Command::new("tar").arg("xzf").arg(&packed).arg("-C").arg(folder.path()).status().unwrap();
    assert!(unpacked.success());
    let tables = folder.path().join("tables");
    for _ in 0..2 {
        let mut command = process(text(&tables));
        let output = command.arg("--finish").output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let batch = folder.path().join("batch");
    let parts: Vec<PathBuf> = (0..4).map(|part| folder.path().join(format!("part{part}.ndjson"))).collect();
    let mut arguments = vec!["run", "--tables", text(&batch)];
    arguments.extend(parts.iter().map(|part| text(part)));
    let output = netcrab(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same(&derived(&tables), &derived(&batch));
    let seqs = "SELECT count(*) AS rows, count(seq) AS seqs FROM events_raw";
    assert!(answer(&tables, seqs).contains("| 254  | 0    |"), "{}", answer(&tables, seqs));
}
