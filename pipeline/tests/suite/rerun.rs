//! A rule changes, and history is made anew.

use crate::command_line::{answer, derived, fail, succeed, text, traffic};

const STRICTER: &str = "[detect]\nrule_version = \"2\"\n[detect.backtrack]\nstay_ms = 60000\n";

#[test]
fn a_rerun_with_a_new_rule_equals_a_run_with_it_and_a_dry_run_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let events = traffic(folder.path(), "events.parquet", "6000", "5");
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, STRICTER).unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    succeed(&["run", text(&events), "--tables", text(&old)]);
    succeed(&["--config", text(&rules), "run", text(&events), "--tables", text(&new)]);
    let before = derived(&old);
    let all = ["--from", "2026-09-01", "--to", "2026-11-30", "--rules", text(&rules)];
    let dry = succeed(&[&["rerun", "--tables", text(&old), "--dry-run"], &all[..]].concat());
    assert!(dry.contains("--dry-run"), "{dry}");
    assert!(derived(&old) == before, "a dry run changed a table");
    let said = succeed(&[&["--json", "rerun", "--tables", text(&old)], &all[..]].concat());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(said["changes"][0]["changed"].as_i64().unwrap() > 0, "{said}");
    assert!(derived(&old) == derived(&new), "the re-run differs from a run with the new rules");
}

#[test]
fn a_rerun_of_one_product_and_day_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let events = traffic(folder.path(), "events.parquet", "6000", "5");
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, STRICTER).unwrap();
    let tables = folder.path().join("tables");
    succeed(&["run", text(&events), "--tables", text(&tables)]);
    let first = answer(&tables, "SELECT min(org_id) AS org_id FROM fact_sessions");
    let org = first.lines().nth(3).unwrap().trim_matches(['|', ' ']).to_owned();
    let others = format!(
        "SELECT * FROM fact_incidents WHERE NOT (org_id = '{org}' AND date = '2026-10-02') ORDER BY incident_id"
    );
    let before = answer(&tables, &others);
    succeed(&[
        "rerun",
        "--tables",
        text(&tables),
        "--from",
        "2026-10-02",
        "--to",
        "2026-10-02",
        "--org",
        &org,
        "--rules",
        text(&rules),
    ]);
    assert!(before == answer(&tables, &others), "rows outside the scope changed");
    let versions =
        format!("SELECT DISTINCT rule_version FROM fact_incidents WHERE org_id = '{org}' AND date = '2026-10-02'");
    let versions = answer(&tables, &versions);
    assert!(versions.contains("| 2 ") && !versions.contains("| 1 "), "{versions}");
}

#[test]
fn a_rerun_without_events_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables");
    let fault = fail(&["rerun", "--tables", text(&tables), "--from", "2026-10-02", "--to", "2026-10-02"]);
    assert!(fault.contains("netcrab run"), "{fault}");
}
