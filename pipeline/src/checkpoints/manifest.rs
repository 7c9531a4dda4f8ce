//! The manifest of an epoch: what a restart needs to apply the epoch again and to continue after it.
//!
//! It holds nothing of the clock or the machine, so the same events in the same epochs give the same bytes.

use std::collections::BTreeMap;

use netcrab_schema::SessionKey;
use netcrab_sinks::TableChange;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// The format version that this release writes and reads.
pub const FORMAT: u32 = 2;

/// The last epoch that changed each table, by the name of the table.
pub type LastChanges = BTreeMap<String, LastChange>;

/// The last epoch that changed a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastChange {
    /// The epoch.
    pub epoch: u64,
    /// [`history`] of its manifest; `None` where an earlier release wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<i64>,
}

/// Keys with late events, and the ts of the first of each, ms.
pub type LateKeys = BTreeMap<SessionKey, i64>;

/// The watermark of a shard that has seen no event.
pub const NO_WATERMARK: i64 = i64::MIN;

/// One epoch of one shard; `epoch-n.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The shard.
    pub shard: u32,
    /// The number of the epoch, from 1.
    pub epoch: u64,
    /// Digest of the manifest before; empty for the first.
    pub parent: String,
    /// First offset of the bus that is part of it.
    pub from: u64,
    /// The offset after the last one.
    pub to: u64,
    /// How many events these were.
    pub events: u64,
    /// The watermark that it closed sessions at, ms.
    pub watermark_ms: i64,
    /// The latest ts of any event so far, ms.
    pub latest_ms: i64,
    /// Up to which watermark closed sessions were forgotten, ms.
    pub forgotten_ms: i64,
    /// The state file after the epoch, where one was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateFile>,
    /// The sessions that a repair opened again in this epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened: Option<StateFile>,
    /// Keys whose late events arrived in this epoch and wait for a repair.
    #[serde(default, with = "pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub late: LateKeys,
    /// Keys that waited before this epoch; only beside a state file, for else the epochs before have them.
    #[serde(default, with = "pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub late_before: LateKeys,
    /// Keys under repair before this epoch; only beside a state file.
    #[serde(default, with = "pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub repairing_before: LateKeys,
    /// Whether a repair of the first keys that waited begins with the end of this epoch: from then on no session of
    /// these keys closes until the repair is committed.
    #[serde(default, rename = "begins", skip_serializing_if = "std::ops::Not::not")]
    pub repair_begins: bool,
    /// Whether this epoch commits the repair that was under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repaired: bool,
    /// What the epoch changes in each table.
    pub tables: BTreeMap<String, TableChange>,
    /// The last epoch before this one that changed each table; `None` in epochs of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<LastChanges>,
    /// The [`digest`] of the last event that any epoch has read, this one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<String>,
    /// Events that the bus lost, this epoch and all before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Digest of the rules in force.
    pub rules: String,
    /// Sessions that closed at or before this watermark may have been derived with other rules, ms.
    pub rules_since_ms: i64,
}

/// A file beside the manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// Its name in the folder of the shard.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

impl Manifest {
    /// The bytes of the file.
    ///
    /// # Errors
    /// None but a defect of the serializer.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The XXH3 digest of bytes, 32 hex digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// Names the history of a shard up to an epoch by the bytes of its manifest, which has the digest of the manifest before.
/// Two shards that went apart have other names from there on.
pub fn history(manifest: &[u8]) -> i64 {
    (xxh3_128(manifest) as u64).cast_signed()
}

/// A map whose keys are not strings, as a list of pairs.
mod pairs {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::LateKeys;

    pub(super) fn serialize<S: Serializer>(late: &LateKeys, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(late)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<LateKeys, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}
