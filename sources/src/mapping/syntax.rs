//! A mapping as its TOML file states it, before names are resolved.

use std::collections::{BTreeMap, BTreeSet};

use netcrab_schema::nearest_clause;
use serde::Deserialize;
use toml::{Table, Value as Toml};

use crate::Format;

const TABLES: [&str; 16] = [
    "format",
    "delimiter",
    "encoding",
    "optional",
    "constants",
    "columns",
    "hash",
    "time",
    "route",
    "device",
    "user_agent",
    "event",
    "events",
    "error",
    "skip",
    "extra",
];

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    pub(super) format: Format,
    pub(super) delimiter: Option<String>,
    pub(super) encoding: Option<String>,
    #[serde(default)]
    pub(super) optional: BTreeSet<String>,
    #[serde(default)]
    pub(super) constants: BTreeMap<String, Toml>,
    #[serde(default)]
    pub(super) columns: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) hash: RawHash,
    pub(super) time: RawTime,
    pub(super) route: Option<RawRoute>,
    pub(super) device: Option<RawDevice>,
    pub(super) user_agent: Option<RawUserAgent>,
    pub(super) event: Option<RawEvent>,
    #[serde(default)]
    pub(super) events: BTreeMap<String, BTreeMap<String, Toml>>,
    pub(super) error: Option<RawError>,
    #[serde(default)]
    pub(super) skip: Vec<RawSkip>,
    #[serde(default)]
    pub(super) extra: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RawHash {
    pub(super) salt: Option<String>,
    pub(super) salt_env: Option<String>,
    #[serde(flatten)]
    pub(super) columns: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTime {
    pub(super) column: String,
    #[serde(default = "iso")]
    pub(super) format: String,
    pub(super) offset: Option<String>,
}

fn iso() -> String {
    "iso".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoute {
    pub(super) column: String,
    #[serde(default)]
    pub(super) screen: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDevice {
    pub(super) column: String,
    #[serde(default)]
    pub(super) values: BTreeMap<String, String>,
    pub(super) default: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUserAgent {
    pub(super) column: String,
    #[serde(default)]
    pub(super) skip_bots: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEvent {
    pub(super) column: String,
    pub(super) default: Option<BTreeMap<String, Toml>>,
    #[serde(default)]
    pub(super) skip: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawError {
    pub(super) column: String,
    pub(super) from: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSkip {
    pub(super) column: String,
    #[serde(default)]
    pub(super) values: BTreeSet<String>,
    #[serde(default)]
    pub(super) endings: Vec<String>,
    #[serde(default)]
    pub(super) contains: Vec<String>,
}

/// Parses the text of a mapping. The error names the nearest valid key.
pub(super) fn parse(text: &str) -> Result<Raw, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string().trim_end().to_owned())?;
    for key in table.keys() {
        known(key, &TABLES, "")?;
    }
    keys_of(&table, "time", &["column", "format", "offset"])?;
    keys_of(&table, "route", &["column", "screen"])?;
    keys_of(&table, "device", &["column", "values", "default"])?;
    keys_of(&table, "user_agent", &["column", "skip_bots"])?;
    keys_of(&table, "event", &["column", "default", "skip"])?;
    keys_of(&table, "error", &["column", "from"])?;
    toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
}

pub(super) fn known(key: &str, valid: &[&str], table: &str) -> Result<(), String> {
    if valid.contains(&key) {
        return Ok(());
    }
    let inside = if table.is_empty() { String::new() } else { format!(" in `[{table}]`") };
    let nearest = nearest_clause(key, valid.iter().copied());
    Err(format!("`{key}`{inside} is not known{nearest}; valid are {}", valid.join(", ")))
}

fn keys_of(table: &Table, name: &str, valid: &[&str]) -> Result<(), String> {
    let inner = table.get(name).and_then(Toml::as_table);
    inner.map_or(Ok(()), |inner| inner.keys().try_for_each(|key| known(key, valid, name)))
}
