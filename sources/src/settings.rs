//! How events are read: bounds, batch size and privacy.

use netcrab_schema::events::{TS_END_MS, TS_MIN_MS};
use serde::Deserialize;

use crate::{Error, privacy};

/// Settings of reading events; table `[sources]` of `netcrab.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// Which keys and values are refused as personal data.
    pub privacy: privacy::PrivacySettings,
    /// Longest line of a text file, or JSON object in one, in bytes. A longer one is rejected as `line_too_long`; the
    /// reader skips it without holding it in memory. Default: 1_048_576 (1 MiB). At least 1024.
    pub line_bytes_max: usize,
    /// Longest text of one column, in bytes; `extra` has its own limit. A longer text is rejected as `too_long`.
    /// Default: 2048. At least 64.
    pub text_bytes_max: usize,
    /// Most rows of one batch. A batch of Parquet never crosses a row group. Default: 8192. From 1 to 1_048_576.
    pub batch_rows: usize,
    /// Earliest `ts` accepted, in ms since 1970 UTC. An earlier one is rejected as `ts_out_of_range`. Default:
    /// 2000-01-01.
    pub ts_min_ms: i64,
    /// First `ts` no longer accepted, in ms since 1970 UTC. Default: 2100-01-01.
    pub ts_end_ms: i64,
    /// Most files of one source; opening a source of more files fails. Default: 1_000_000.
    pub files_max: usize,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            privacy: privacy::PrivacySettings::default(),
            line_bytes_max: 1 << 20,
            text_bytes_max: 2048,
            batch_rows: 8192,
            ts_min_ms: TS_MIN_MS,
            ts_end_ms: TS_END_MS,
            files_max: 1_000_000,
        }
    }
}

impl SourceSettings {
    /// Checks that the settings are within their bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] names the first setting that is out of its bounds.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |setting, found: String, expected| Err(Error::Setting { setting, found, expected });
        if self.line_bytes_max < 1024 {
            return refuse("line_bytes_max", self.line_bytes_max.to_string(), "1024 or more");
        }
        if self.batch_rows == 0 || self.batch_rows > 1 << 20 {
            return refuse("batch_rows", self.batch_rows.to_string(), "1 to 1048576");
        }
        if self.text_bytes_max < 64 {
            return refuse("text_bytes_max", self.text_bytes_max.to_string(), "64 or more");
        }
        if self.ts_min_ms >= self.ts_end_ms {
            return refuse("ts_min_ms", self.ts_min_ms.to_string(), "less than ts_end_ms");
        }
        Ok(())
    }
}
