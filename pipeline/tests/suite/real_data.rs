//! The worked examples of docs/mapping.md, end to end, on data nobody here wrote.

use std::path::{Path, PathBuf};

use crate::command_line::{answer, succeed, text};

/// A file of the shared data, or `None` and a line that says so.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join(name);
    if !path.exists() {
        println!("not run: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

fn mapping(name: &str) -> String {
    format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_shop_has_its_events_and_sessions() {
    let Some(shop) = shared("ecom/ecom.csv.gz") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables");
    succeed(&["run", text(&shop), "--mapping", &mapping("mapping-ecom.toml"), "--tables", text(&tables), "--strict"]);
    let events = answer(&tables, "SELECT count(*) AS n FROM events_raw");
    assert!(events.contains("31106"), "{events}");
    let screens = answer(
        &tables,
        "SELECT screen_id, sum(sessions) AS s, round(sum(frustration_sum) / sum(sessions), 2) AS friction \
         FROM fact_screen_hotspots GROUP BY 1 HAVING sum(sessions) > 20 ORDER BY 3 DESC, 1 LIMIT 5",
    );
    println!("{screens}");
    assert!(screens.contains("error_page") || screens.contains("payment"), "{screens}");
}

#[test]
fn the_log_has_its_404s_and_its_one_bad_line() {
    let Some(log) = shared("weblog/apache_logs.gz") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables");
    let said = succeed(&["run", text(&log), "--mapping", &mapping("mapping-weblog.toml"), "--tables", text(&tables)]);
    assert!(said.contains("1 rejected"), "{said}");
    let errors = answer(
        &tables,
        "SELECT error_code, count(*) AS n FROM events_raw WHERE error_code IS NOT NULL GROUP BY 1 ORDER BY 2 DESC",
    );
    println!("{errors}");
    assert!(errors.contains("404"), "{errors}");
}
