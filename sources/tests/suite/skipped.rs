//! What a test does that cannot run here. Suites of other crates include this file.

use std::io::Write;

/// Prints that the calling test is skipped, even where the output of tests is captured; fails it in CI.
pub(crate) fn skipped(reason: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    std::io::stderr().lock().write_all(format!("skipped: {name}: {reason}\n").as_bytes()).unwrap();
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} was skipped: {reason}");
}
