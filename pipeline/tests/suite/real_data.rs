//! The examples of docs/mapping.md, end to end: over made files that are always there, and over real files where they
//! are.

use std::path::Path;

use crate::command_line::{answer, succeed, text};
use crate::example_files::{made, shared};

/// Runs the chain over `input` with a mapping of `docs/`, which rejects `rejected`, and compares the answer to each query.
fn check(input: &Path, mapping: &str, rejected: &str, queries: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables");
    let mapping = format!("{}/../docs/{mapping}", env!("CARGO_MANIFEST_DIR"));
    let run = ["run", text(input), "--mapping", &mapping, "--tables", text(&tables)];
    match rejected {
        "" => drop(succeed(&[&run[..], &["--strict"]].concat())),
        _ => assert!(succeed(&run).contains(rejected)),
    }
    for (query, expected) in queries {
        let answer = answer(&tables, query);
        let rows = answer.lines().filter(|line| line.starts_with('|')).skip(1);
        let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned());
        assert_eq!(cells.collect::<Vec<_>>().join(", "), *expected, "{query}");
    }
}

const EVENTS: &str = "SELECT count(*), count(DISTINCT user_hash) FROM events_raw";
const SESSIONS: &str = "SELECT count(*), sum(event_count), sum(tasks_completed), sum(error_events) FROM fact_sessions";
const INCIDENTS: &str = "SELECT kind, count(*) FROM fact_incidents GROUP BY 1 ORDER BY 1";
const ERRORS: &str =
    "SELECT error_code, count(*) FROM events_raw WHERE error_code IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1";
const REJECTS: &str = "SELECT line, reason FROM rejects";
/// The worst screens of more than 20 sessions, with their mean frustration in hundredths.
const SCREENS: &str = "
    SELECT screen_id, sessions, CAST(100 * frustration / sessions + 0.5 AS BIGINT) AS hundredths
    FROM (
        SELECT screen_id, sum(sessions) AS sessions, sum(frustration_sum) AS frustration
        FROM fact_screen_hotspots GROUP BY screen_id
    )
    WHERE sessions > 20 ORDER BY hundredths DESC, screen_id LIMIT 5";

#[test]
fn the_made_shop_has_its_sessions_and_incidents() {
    let expected = [
        (EVENTS, "36 4"),
        (SESSIONS, "6 36 2 5"),
        (INCIDENTS, "abandoned_task 2, backtrack 5"),
        (ERRORS, "error_page 2, payment_error 2, checkout_bug 1"),
        (REJECTS, ""),
    ];
    check(&made("ecom"), "mapping-ecom.toml", "", &expected);
}

#[test]
fn the_made_log_has_its_errors_and_its_bad_line() {
    let expected = [
        (EVENTS, "10 6"),
        (SESSIONS, "6 10 0 2"),
        (INCIDENTS, ""),
        (ERRORS, "404 1, 500 1"),
        (REJECTS, "14 not_a_log_line"),
    ];
    check(&made("weblog"), "mapping-weblog.toml", "1 rejected", &expected);
}

#[test]
fn the_real_shop_has_its_sessions_and_incidents() {
    let Some(shop) = shared("ecom/ecom.csv.gz") else { return };
    let screens =
        "shipping_details 798 25, support_chat 241 25, payment_details 632 23, error_page 261 22, cart 1022 21";
    let expected = [
        (EVENTS, "31106 600"),
        (SESSIONS, "3605 31106 470 439"),
        (INCIDENTS, "abandoned_task 697, backtrack 377"),
        (ERRORS, "error_page 276, payment_error 119, checkout_bug 44"),
        (REJECTS, ""),
        (SCREENS, screens),
    ];
    check(&shop, "mapping-ecom.toml", "", &expected);
}

#[test]
fn the_real_log_has_its_errors_and_its_bad_line() {
    let Some(log) = shared("weblog/apache_logs.gz") else { return };
    let expected = [
        (EVENTS, "4593 1423"),
        (SESSIONS, "2607 4593 0 170"),
        (INCIDENTS, "backtrack 32"),
        (ERRORS, "404 163, 500 3, 403 2, 416 2"),
        (REJECTS, "8899 not_a_log_line"),
    ];
    check(&log, "mapping-weblog.toml", "1 rejected", &expected);
}
