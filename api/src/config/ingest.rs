//! Settings of ingestion: bounds on a batch, on a sender, and on all senders together.

use serde::Deserialize;

use crate::error::Error;

/// Settings of ingestion; table `[api.ingest]` of `netcrab.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSettings {
    /// Largest body, in bytes, as sent and after decompression; a larger one is answered 413 and read no further.
    /// Default: 1_048_576 (1 MiB). At least 1024, at most 67_108_864 (64 MiB).
    pub body_bytes_max: usize,
    /// Most events of one batch; a larger batch is answered 413 and none of its events is stored. Default: 1000. At least 1.
    pub events_max: usize,
    /// Most errors listed in one answer; further ones are only counted. Default: 100.
    pub errors_max: usize,
    /// Origins whose pages may send from a browser, such as `https://app.example.org`; `*` is any.
    /// Default: none, and then no page of another origin can send.
    pub origins: Vec<String>,
    /// Most events that one key may send in a second, on average; a key that has sent more is answered 429 until its
    /// average is below this again. Default: 100_000. At least 1.
    pub events_per_s_max: u32,
    /// Most bytes of bodies of one key in memory at once; one more is answered 429. Default: 16_777_216 (16 MiB).
    pub key_bytes_max: usize,
    /// Most bytes of bodies of all keys in memory at once; one more is answered 503. Default: 67_108_864 (64 MiB).
    pub bytes_max: usize,
    /// Time before the rate of a body is checked, in milliseconds. Default: 5000.
    pub body_grace_ms: u64,
    /// Least rate of a body after that, in bytes a second, averaged over the whole body; a slower one is answered 408. Default: 16_384.
    pub body_bytes_per_s_min: u64,
    /// Longest that the event bus may take to make a batch durable, in milliseconds; then the answer is 503 and the
    /// sender sends the batch again. Default: 10_000.
    pub append_timeout_ms: u64,
    /// Deduplication window, in milliseconds: an event that is sent again within it is accepted and not stored twice.
    /// `sessionize` drops later repeats. Default: 600_000 (10 min).
    pub repeats_window_ms: i64,
    /// Most event ids in the deduplication window, at 20 to 39 bytes each; with more ids the window is shorter.
    /// Default: 4_000_000 (at most 156 MB). At least 1000.
    pub repeats_ids_max: usize,
    /// Most rejected events that wait to be stored in the table `rejects`; beyond it the oldest are dropped and counted. Default: 100_000.
    pub rejects_max: usize,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            events_max: 1000,
            errors_max: 100,
            origins: Vec::new(),
            events_per_s_max: 100_000,
            key_bytes_max: 16 << 20,
            bytes_max: 64 << 20,
            body_grace_ms: 5000,
            body_bytes_per_s_min: 16_384,
            append_timeout_ms: 10_000,
            repeats_window_ms: 600_000,
            repeats_ids_max: 4_000_000,
            rejects_max: 100_000,
        }
    }
}

impl IngestSettings {
    /// Refuses bounds with which no event could be accepted.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] names the first setting that is out of its bounds.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let least = |setting, found: u64, least: u64, expected| match found >= least {
            true => Ok(()),
            false => Err(Error::Setting { setting, found: found.to_string(), expected }),
        };
        least("body_bytes_max", self.body_bytes_max as u64, 1024, "1024 or more")?;
        if self.body_bytes_max > 64 << 20 {
            let found = self.body_bytes_max.to_string();
            return Err(Error::Setting { setting: "body_bytes_max", found, expected: "67108864 (64 MiB) or less" });
        }
        least("events_max", self.events_max as u64, 1, "1 or more")?;
        least("events_per_s_max", self.events_per_s_max.into(), 1, "1 or more")?;
        let body = self.body_bytes_max as u64;
        least("key_bytes_max", self.key_bytes_max as u64, body, "body_bytes_max or more")?;
        least("bytes_max", self.bytes_max as u64, body, "body_bytes_max or more")?;
        least("body_bytes_per_s_min", self.body_bytes_per_s_min, 1, "1 or more")?;
        least("repeats_window_ms", self.repeats_window_ms.max(0) as u64, 1, "1 or more")?;
        least("repeats_ids_max", self.repeats_ids_max as u64, 1000, "1000 or more")?;
        let odd = |origin: &&String| *origin != "*" && (!origin.contains("://") || origin.ends_with('/'));
        match self.origins.iter().find(odd) {
            Some(origin) => Err(Error::Setting {
                setting: "origins",
                found: origin.clone(),
                expected: "scheme and host, such as https://app.example.org, or *",
            }),
            None => Ok(()),
        }
    }
}
