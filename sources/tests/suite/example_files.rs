//! The files that docs/mapping.md takes as examples: made ones, which are always there, and real ones.

use std::path::{Path, PathBuf};

use super::skipped;

/// A file made for the tests, which is in the repository.
pub(crate) fn made(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sources/tests/data")).join(name)
}

/// A file of `../shared/data`, which is not in the repository. `None` skips the test, and fails it in CI.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join(name);
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("../shared/data/{name} does not exist"));
    None
}
