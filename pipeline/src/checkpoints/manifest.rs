//! What an epoch was: all that is needed to apply it again, and to go on after it.
//!
//! Nothing of the clock or the machine is in it: the same events in the same epochs give the same bytes.

use std::collections::BTreeMap;

use netcrab_schema::SessionKey;
use netcrab_sinks::TableChange;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// The form that this release writes and reads.
pub const FORMAT: u32 = 2;

/// Keys with late events, and the ts of the first of each, ms.
pub type LateKeys = BTreeMap<SessionKey, i64>;

/// The watermark of a shard that saw no event yet.
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
    /// The open sessions after it, where they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateFile>,
    /// Sessions that late events opened again in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened: Option<StateFile>,
    /// LateKeys events that came in it, to be brought to their sessions.
    #[serde(default, with = "pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub late: LateKeys,
    /// LateKeys events that waited before it; said where the open sessions are written, and else by the epochs before.
    #[serde(default, with = "pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub late_before: LateKeys,
    /// LateKeys events whose repair had begun before it; said where the open sessions are written.
    #[serde(default, with = "pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub repairing_before: LateKeys,
    /// Whether a repair begins with it, of the first that waited before it ([`super::repair::first`]): from its end
    /// on none of their sessions closes.
    #[serde(default, rename = "begins", skip_serializing_if = "std::ops::Not::not")]
    pub repair_begins: bool,
    /// Whether it brought the late events whose repair had begun to their sessions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repaired: bool,
    /// What it changes in each table.
    pub tables: BTreeMap<String, TableChange>,
    /// Digest of the rules it derived with.
    pub rules: String,
    /// Sessions that closed at a watermark up to this may have been derived with other rules, ms.
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
    /// The bytes that are kept.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// A name for bytes: 32 hex digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// A map whose keys are no texts, as a list of pairs.
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
