//! Versions of packs as they stand, and the one thing about them that changes: their status.
//!
//!     draft ─▶ active ─▶ deprecated ─▶ revoked
//!       │        └──────────────────────▲
//!       └───────────────────────────────┘

use std::fmt;

use sqlx::any::AnyRow;

use crate::{Error, Market, rows};

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Stored, not yet offered.
    Draft,
    /// Offered.
    Active,
    /// Served to those who have it, offered to nobody.
    Deprecated,
    /// Served to nobody.
    Revoked,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Active, Self::Deprecated, Self::Revoked];

    /// The status as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Revoked => "revoked",
        }
    }

    /// What a version of this status may become.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::Draft => &[Self::Active, Self::Revoked],
            Self::Active => &[Self::Deprecated, Self::Revoked],
            Self::Deprecated => &[Self::Revoked],
            Self::Revoked => &[],
        }
    }

    /// What may be done instead, for an error.
    pub(crate) fn ways(self) -> String {
        let next: Vec<_> = self.next().iter().map(|status| status.name()).collect();
        if next.is_empty() {
            return format!("{self} is final, store a new version instead");
        }
        format!("from {self} it may become {}", next.join(" or "))
    }

    fn parse(name: String) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|status| status.name() == name);
        known.ok_or(Error::Stored { table: "pack_versions", column: "status", value: name })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A stored version, without its result, which may be large: see [`Market::result`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The pack.
    pub pack_id: String,
    /// `major.minor`.
    pub version: String,
    /// Changes with the schema.
    pub major: i64,
    /// Changes with the method, its parameters or the window.
    pub minor: i64,
    /// The kind of pack.
    pub kind: String,
    /// Digest of the definition.
    pub definition: String,
    /// Digest of the schema.
    pub schema: String,
    /// Digest of the method.
    pub method: String,
    /// Digest of all that the result was made from.
    pub input: String,
    /// First day of the window, ISO.
    pub window_from: String,
    /// Last day of the window, ISO.
    pub window_to: String,
    /// Size of the result.
    pub result_bytes: i64,
    /// Where it is in its life.
    pub status: Status,
    /// When it was stored.
    pub created_at_ms: i64,
    /// When it became active.
    pub activated_at_ms: Option<i64>,
    /// When it became deprecated.
    pub deprecated_at_ms: Option<i64>,
    /// When it was revoked.
    pub revoked_at_ms: Option<i64>,
}

/// Versions of the pack `$1`.
const VERSIONS: &str = include_str!("sql/versions.sql");
const READ: &str = "read the versions of a pack";
const CHANGE: &str = "change the status of a version";

impl Market {
    /// The versions of a pack, oldest first, which is by number.
    pub async fn versions(&self, pack_id: &str) -> Result<Vec<Version>, Error> {
        let query = format!("{VERSIONS} ORDER BY major, minor");
        let found = sqlx::query(&query).bind(rows::sought(pack_id)).fetch_all(&self.pool).await;
        found.map_err(Error::doing(READ))?.iter().map(version_of).collect()
    }

    /// One version.
    pub async fn version(&self, pack_id: &str, version: &str) -> Result<Option<Version>, Error> {
        self.one_version("version", pack_id, version).await
    }

    /// The version made from exactly this input: a build that is done again finds it.
    pub async fn version_of_input(&self, pack_id: &str, input: &str) -> Result<Option<Version>, Error> {
        self.one_version("input", pack_id, input).await
    }

    async fn one_version(&self, column: &str, pack_id: &str, value: &str) -> Result<Option<Version>, Error> {
        let query = format!("{VERSIONS} AND {column} = $2");
        let found =
            sqlx::query(&query).bind(rows::sought(pack_id)).bind(rows::sought(value)).fetch_optional(&self.pool).await;
        found.map_err(Error::doing(READ))?.as_ref().map(version_of).transpose()
    }

    /// The result of a version, byte by byte as it was stored.
    pub async fn result(&self, pack_id: &str, version: &str) -> Result<Option<Vec<u8>>, Error> {
        let result = sqlx::query_scalar("SELECT result FROM pack_versions WHERE pack_id = $1 AND version = $2");
        let result = result.bind(rows::sought(pack_id)).bind(rows::sought(version)).fetch_optional(&self.pool).await;
        result.map_err(Error::doing("read the result of a version"))
    }

    /// The packs that have a version, sorted.
    pub async fn pack_ids(&self) -> Result<Vec<String>, Error> {
        let found = sqlx::query_scalar("SELECT DISTINCT pack_id FROM pack_versions").fetch_all(&self.pool).await;
        let mut pack_ids: Vec<String> = found.map_err(Error::doing("read the packs"))?;
        pack_ids.sort();
        Ok(pack_ids)
    }

    /// Moves a version on in its life ([`Status::next`]) and notes when.
    ///
    /// Errors: [`Error::NoVersion`]; [`Error::Transition`] where `status` does not follow from the one that stands,
    /// the same one included.
    pub async fn set_status(&self, pack_id: &str, version: &str, status: Status, now_ms: i64) -> Result<(), Error> {
        let mut write = self.write(CHANGE).await?;
        let stands = sqlx::query_scalar("SELECT status FROM pack_versions WHERE pack_id = $1 AND version = $2");
        let stands = stands.bind(rows::sought(pack_id)).bind(rows::sought(version)).fetch_optional(&mut *write).await;
        let (pack, name) = (pack_id.to_owned(), version.to_owned());
        let Some(stands) = stands.map_err(Error::doing(CHANGE))? else {
            return Err(Error::NoVersion { pack_id: pack, version: name });
        };
        let from = Status::parse(stands)?;
        if !from.next().contains(&status) {
            return Err(Error::Transition { pack_id: pack, version: name, from, to: status });
        }
        let set = sqlx::query(include_str!("sql/set_status.sql"));
        let set = set.bind(pack_id).bind(version).bind(status.name()).bind(now_ms);
        set.execute(&mut *write).await.map_err(Error::doing(CHANGE))?;
        write.commit().await.map_err(Error::doing(CHANGE))
    }
}

fn version_of(row: &AnyRow) -> Result<Version, Error> {
    Ok(Version {
        pack_id: rows::value(row, "pack_id", READ)?,
        version: rows::value(row, "version", READ)?,
        major: rows::value(row, "major", READ)?,
        minor: rows::value(row, "minor", READ)?,
        kind: rows::value(row, "kind", READ)?,
        definition: rows::value(row, "definition", READ)?,
        schema: rows::value(row, "schema_digest", READ)?,
        method: rows::value(row, "method", READ)?,
        input: rows::value(row, "input", READ)?,
        window_from: rows::value(row, "window_from", READ)?,
        window_to: rows::value(row, "window_to", READ)?,
        result_bytes: rows::value(row, "result_bytes", READ)?,
        status: Status::parse(rows::value(row, "status", READ)?)?,
        created_at_ms: rows::value(row, "created_at_ms", READ)?,
        activated_at_ms: rows::value(row, "activated_at_ms", READ)?,
        deprecated_at_ms: rows::value(row, "deprecated_at_ms", READ)?,
        revoked_at_ms: rows::value(row, "revoked_at_ms", READ)?,
    })
}
