//! What the database stores of a version: all that its files and rows are made of.

use netcrab_market::{Market, Version};
use netcrab_packs::{Definition, PackRelease};
use serde::{Deserialize, Serialize};

use super::error::Error;

/// A release with what it was built by, as the database stores it in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredRelease {
    /// The definition that it was built by.
    pub definition: Definition,
    /// The version of the method, see [`netcrab_packs::method::METHOD`].
    pub method: u32,
    /// The first and the last day of the window, as `2026-10-01`.
    pub window: (String, String),
    /// When it was built, in ms since 1970 UTC.
    pub built_at_ms: i64,
    /// What the gate released.
    pub release: PackRelease,
}

impl StoredRelease {
    /// Reads the release of a version from the database.
    ///
    /// # Errors
    ///
    /// [`Error::NoResult`] and [`Error::OtherRelease`] when the database holds none, or one that this release of
    /// netcrab cannot read; [`Error::Market`] when the database does not answer.
    pub async fn read(market: &Market, version: &Version) -> Result<Self, Error> {
        let named = || (version.pack_id.clone(), version.version.clone());
        let Some(bytes) = market.result(&version.pack_id, &version.version).await? else {
            let (pack_id, version) = named();
            return Err(Error::NoResult { pack_id, version });
        };
        serde_json::from_slice(&bytes).map_err(|source| {
            let (pack_id, version) = named();
            Error::OtherRelease { pack_id, version, source }
        })
    }

    /// The days of the window as the column of a row has them: `2026-10-01/2026-10-31`.
    pub fn window_text(&self) -> String {
        format!("{}/{}", self.window.0, self.window.1)
    }
}
