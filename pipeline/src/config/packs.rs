//! Settings of packs.

use std::path::PathBuf;

use serde::Deserialize;

/// Settings of packs; table `[packs]` of `netcrab.toml`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PackSettings {
    /// Folder of the definitions. Default: `packs/definitions`.
    pub definitions: PathBuf,
    /// Where released versions are written: a folder, or `s3://bucket/prefix`. Default: `released`.
    pub released: String,
    /// The operational database, `sqlite:FILE` or `postgres://…`. Default: `sqlite:netcrab.db`.
    pub database: String,
    /// Most pairs of a cell and an organisation of one build, about 150 bytes each. A build with more fails.
    /// Default: 10_000_000.
    pub entries_max: usize,
    /// About how many tasks a build joins with their sessions at once. Default: 2_000_000.
    pub slice_tasks: u64,
}

impl std::fmt::Debug for PackSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { definitions, released, database, entries_max, slice_tasks } = self;
        // The URL may hold a password.
        let database = if database.contains('@') { "postgres://…" } else { database };
        f.debug_struct("PackSettings")
            .field("definitions", definitions)
            .field("released", released)
            .field("database", &database)
            .field("entries_max", entries_max)
            .field("slice_tasks", slice_tasks)
            .finish()
    }
}

impl Default for PackSettings {
    fn default() -> Self {
        Self {
            definitions: PathBuf::from("packs/definitions"),
            released: "released".to_owned(),
            database: "sqlite:netcrab.db".to_owned(),
            entries_max: 10_000_000,
            slice_tasks: 2_000_000,
        }
    }
}
