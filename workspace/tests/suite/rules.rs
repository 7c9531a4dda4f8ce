//! The rules of the workspace: who may use whom, and one version of what must match.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What the crate in `folder` names under `[dependencies]`.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let named = manifest.get("dependencies").and_then(|table| table.as_table());
    named.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn dependencies_point_one_way() {
    let forbidden: [(&str, &[&str]); 9] = [
        (
            "schema",
            &[
                "netcrab-sources",
                "netcrab-bus",
                "netcrab-operators",
                "netcrab-sinks",
                "netcrab-api",
                "netcrab-pipeline",
                "datafusion",
                "tokio",
            ],
        ),
        ("bus", &["netcrab-operators", "netcrab-sinks", "netcrab-api", "netcrab-pipeline", "datafusion", "deltalake"]),
        (
            "sources",
            &["netcrab-bus", "netcrab-operators", "netcrab-sinks", "netcrab-api", "netcrab-pipeline", "datafusion"],
        ),
        (
            "operators",
            &[
                "netcrab-sources",
                "netcrab-bus",
                "netcrab-packs",
                "netcrab-pack-build",
                "netcrab-sinks",
                "netcrab-api",
                "netcrab-pipeline",
                "tokio",
                "object_store",
                "jiff",
            ],
        ),
        // What leaves is decided without seeing a table.
        (
            "packs",
            &[
                "netcrab-sources",
                "netcrab-bus",
                "netcrab-operators",
                "netcrab-pack-build",
                "netcrab-sinks",
                "netcrab-market",
                "netcrab-api",
                "netcrab-pipeline",
                "datafusion",
                "deltalake",
                "object_store",
                "tokio",
                "jiff",
            ],
        ),
        (
            "pack-build",
            &[
                "netcrab-sources",
                "netcrab-bus",
                "netcrab-operators",
                "netcrab-sinks",
                "netcrab-market",
                "netcrab-api",
                "netcrab-pipeline",
                "deltalake",
                "object_store",
                "tokio",
                "jiff",
            ],
        ),
        ("market", &["netcrab-operators", "netcrab-sinks", "netcrab-api", "netcrab-pipeline", "datafusion", "jiff"]),
        ("sinks", &["netcrab-sources", "netcrab-operators", "netcrab-api", "netcrab-pipeline"]),
        ("api", &["netcrab-operators", "netcrab-pipeline"]),
    ];
    for (folder, names) in forbidden {
        let used = dependencies(folder);
        for name in names {
            assert!(!used.contains(*name), "{folder} must not depend on {name}; see docs/ARCHITECTURE.md");
        }
    }
}

#[test]
fn arrow_parquet_datafusion_and_object_store_have_one_version() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = toml::from_str(&lock).unwrap();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        versions.entry(name).or_default().insert(version);
    }
    let families = ["arrow", "parquet", "datafusion", "object_store"];
    let matched = versions
        .iter()
        .filter(|(name, _)| families.iter().any(|family| *name == family || name.starts_with(&format!("{family}-"))));
    for (name, versions) in matched {
        assert_eq!(versions.len(), 1, "{name} is in the tree as {versions:?}; align the versions in Cargo.toml");
    }
}

#[test]
fn nothing_is_named_common_util_helpers_or_core() {
    let banned = ["common", "util", "utils", "helpers", "core", "types", "manager"];
    let folders = [
        "schema",
        "sources",
        "bus",
        "operators",
        "packs",
        "pack-build",
        "sinks",
        "market",
        "api",
        "pipeline",
        "benches",
        "workspace",
    ];
    for folder in folders {
        walk(&root().join(folder), &mut |path| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            assert!(!banned.contains(&stem.as_str()), "{} says nothing; name what it is for", path.display());
        });
    }
}

fn walk(folder: &Path, see: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        see(&path);
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, see);
        }
    }
}
