//! Events that arrive in several runs give what one run over all of them gives.

use crate::command_line::{answer, derived, succeed, text, traffic};

#[test]
fn two_runs_equal_one_run_over_both_in_either_order() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::create_dir_all(&first).unwrap();
    std::fs::create_dir_all(&second).unwrap();
    // Same days and organisations, so keys, days and screens overlap; the second repeats the first in part.
    let one = traffic(&first, "one.parquet", "4000", "1");
    let two = traffic(&second, "two.parquet", "6000", "1");
    let tables = |name: &str| folder.path().join(name);
    succeed(&["run", text(&one), text(&two), "--tables", text(&tables("both"))]);
    succeed(&["run", text(&one), "--tables", text(&tables("forth"))]);
    succeed(&["run", text(&two), "--tables", text(&tables("forth"))]);
    succeed(&["run", text(&two), "--tables", text(&tables("back"))]);
    succeed(&["run", text(&one), "--tables", text(&tables("back"))]);
    let both = derived(&tables("both"));
    assert!(both == derived(&tables("forth")), "one then two differs from both");
    assert!(both == derived(&tables("back")), "two then one differs from both");
    let again = succeed(&["run", text(&one), "--tables", text(&tables("forth"))]);
    assert!(answer(&tables("forth"), "SELECT count(*) AS n FROM events_raw").contains("10000"), "{again}");
    assert!(both == derived(&tables("forth")));
}
