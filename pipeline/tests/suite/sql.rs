//! What `netcrab sql` says about a query that it cannot answer: once, with the nearest name.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use crate::command_line::{fail, netcrab, succeed, text, traffic};

fn tables() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (events, tables) = (traffic(folder.path(), "events.parquet", "500", "1"), folder.path().join("tables"));
    succeed(&["run", text(&events), "--tables", text(&tables), "--only", "fact_sessions,fact_flows,fact_incidents"]);
    (folder, tables)
}

#[test]
fn an_error_is_said_once_with_the_nearest_name() {
    let (_folder, tables) = tables();
    for (query, said) in [
        ("SELECT * FROM fact_sesions", "there is no table `fact_sesions`; did you mean `fact_sessions`?"),
        ("SELECT * FROM main.fact_flow", "there is no table `fact_flow`; did you mean `fact_flows`?"),
        ("SELECT * FROM zzz", "there is no table `zzz`; there are fact_flows, fact_incidents, fact_sessions"),
        ("SELECT * FROM fact_tasks", "the table `fact_tasks` is not in this folder, which has fact_flows"),
        ("SELECT rage_click FROM fact_sessions", "there is no column `rage_click`; did you mean `rage_clicks`?"),
        ("SELECT s.duration FROM fact_sessions s", "there is no column `duration`; did you mean `duration_ms`?"),
        ("SELECT f.moves FROM fact_flows AS flows", "nothing in the query is called `f`; did you mean `flows`?"),
        ("SELECT route FROM fact_sessions", "there is no column `route` here; it is one of"),
        (
            "SELECT * FROM fact_incidents WHERE kind = \"rage_click\"",
            "there is no column `rage_click`; a text stands in single quotes: 'rage_click'",
        ),
        ("SELECT 1 FROM fact_sessions WHERE device_type = \"desktop\"", "text stands in single quotes: 'desktop'"),
        ("SELECT 1 FROM fact_sessions WHERE os = \"rage_click\"", "`rage_clicks`? A text stands in single quotes"),
        ("SELECT x", "there is no column `x`; there is no FROM"),
        ("SELECT a.os FROM fact_sessions a, fact_sessions b WHERE os = 'x'", "mbiguous reference"),
        ("SELECT sun(moves) FROM fact_flows", "there is no function `sun`; did you mean `sum`?"),
        ("SELECT kind FORM fact_incidents GROUP BY 1", "syntax error at line 1, column"),
        ("SELECT 1 +", "syntax error"),
        ("SELECT screen_id,\nFROM (", "syntax error"),
        ("SELECT 'it", "syntax error"),
        ("SELECT kind FROM fact_incidents GROUP BY 2", "position 2 in SELECT"),
        ("SELECT count(*) FROM fact_flows WHERE moves / 0 > 1", "ivide by zero"),
    ] {
        let fault = fail(&["sql", "--tables", text(&tables), query]);
        let fault = fault.trim_end();
        assert!(fault.starts_with("error: ") && fault.contains(said), "{query}: {fault}");
        let words = said.split(';').next().unwrap();
        assert_eq!(fault.matches(words).count(), 1, "{query} is said twice: {fault}");
        assert!(fault.lines().count() <= 3, "{query}: {fault}");
    }
    let fault = fail(&["sql", "--tables", text(&tables), "SELECT kind\nFORM fact_incidents GROUP BY 1"]);
    assert!(fault.contains("at line 2, column 6") && fault.contains("\n  FORM fact_incidents"), "{fault}");
    assert!(fault.ends_with("\n       ^\n"), "{fault}");
}

#[test]
fn a_folder_without_tables_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("tabels");
    let fault = fail(&["sql", "--tables", text(&missing), "SELECT 1"]);
    assert!(fault.contains("tabels does not exist; check the path given to --tables"), "{fault}");
    let fault = fail(&["sql", "--tables", text(folder.path()), "SELECT * FROM fact_sessions"]);
    assert!(fault.contains("there are no tables in") && fault.contains("netcrab run SOURCE --tables"), "{fault}");
}

#[test]
fn the_prompt_says_the_same_and_goes_on() {
    let (_folder, tables) = tables();
    let mut prompt = netcrab(&["sql", "--tables", text(&tables)]);
    let mut prompt = prompt
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("HOME", &tables)
        .spawn()
        .unwrap();
    let lines = "SELECT * FROM fact_sesions;\nSELECT 40 + 2 AS answer;\n\\q\n";
    prompt.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = prompt.wait_with_output().unwrap();
    let (said, fault) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("| 42 "), "{said}{fault}");
    assert_eq!(fault.matches("did you mean `fact_sessions`?").count(), 1, "{fault}");
}

#[test]
fn no_statement_writes_but_copy_into_the_folder_that_is_allowed() {
    let (folder, tables) = tables();
    let (out, elsewhere) = (folder.path().join("out"), folder.path().join("elsewhere"));
    std::fs::create_dir_all(out.join("sub")).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, out.join("link")).unwrap();
    let file = |name: &str| text(&out.join(name)).to_owned();
    let copy = |to: &str| format!("COPY (SELECT kind FROM fact_incidents) TO '{to}'");
    for statement in [
        "INSERT INTO fact_flows SELECT * FROM fact_flows",
        "DELETE FROM fact_flows",
        "UPDATE fact_flows SET moves = 0",
        "DROP TABLE fact_flows",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        &format!("CREATE EXTERNAL TABLE t (a INT) STORED AS CSV LOCATION '{}'", file("t.csv")),
        &format!("EXPLAIN ANALYZE {}", copy(&file("a.parquet"))),
        &copy(&file("a.parquet")),
    ] {
        let fault = fail(&["sql", "--tables", text(&tables), statement]);
        assert!(fault.contains("only queries run here") || fault.contains("--allow-write"), "{statement}: {fault}");
    }
    for (target, said) in [
        (text(&elsewhere.join("a.parquet")), "lies outside of"),
        (&file("../elsewhere/a.parquet"), "lies outside of"),
        (&file("link/a.parquet"), "lies outside of"),
        (&file("nowhere/a.parquet"), "is not there; make it first"),
        ("s3://bucket/a.parquet", "on this machine only"),
        ("file:///tmp/a.parquet", "on this machine only"),
    ] {
        let fault = fail(&["sql", "--tables", text(&tables), "--allow-write", text(&out), &copy(target)]);
        assert!(fault.contains(said), "{target}: {fault}");
    }
    let dropped = fail(&["sql", "--tables", text(&tables), "--allow-write", text(&out), "DROP TABLE fact_flows"]);
    assert!(dropped.contains("only queries run here"), "{dropped}");
    for name in ["a.parquet", "sub/b.csv"] {
        let written = succeed(&["sql", "--tables", text(&tables), "--allow-write", text(&out), &copy(&file(name))]);
        assert!(written.contains("count"), "{written}");
        assert!(out.join(name).exists());
    }
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    let nothing = succeed(&["sql", "--tables", text(&tables), "SELECT * FROM fact_flows WHERE moves < 0"]);
    assert_eq!(nothing, "no rows\n");
}
