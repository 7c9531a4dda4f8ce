//! Reads the stored versions of packs, and changes their status.

use sqlx::any::AnyRow;

use crate::database::Market;
use crate::error::Error;
use crate::rows;
use crate::status::Status;

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
    /// First day of the window, such as `2026-10-01`.
    pub window_from: String,
    /// Last day of the window, included.
    pub window_to: String,
    /// Size of the result, in bytes.
    pub result_bytes: i64,
    /// Its status.
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

/// All versions of the pack `$1`, its version `$2`, and its version that was made from the input `$2`.
const VERSIONS: &str = concat!(include_str!("sql/versions.sql"), " ORDER BY major, minor");
const VERSION: &str = concat!(include_str!("sql/versions.sql"), " AND version = $2");
const VERSION_OF_INPUT: &str = concat!(include_str!("sql/versions.sql"), " AND input = $2");
const READ: &str = "read the versions of a pack";
const CHANGE: &str = "change the status of a version";

impl Market {
    /// The versions of a pack, sorted by number, which is the oldest first.
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::Stored`] where a row has an unknown status.
    pub async fn versions(&self, pack_id: &str) -> Result<Vec<Version>, Error> {
        let found = sqlx::query(VERSIONS).bind(rows::sought(pack_id)).fetch_all(&self.pool).await;
        found.map_err(Error::doing(READ))?.iter().map(version_of).collect()
    }

    /// One version; `None` where there is no such version.
    ///
    /// # Errors
    /// As [`Self::versions`].
    pub async fn version(&self, pack_id: &str, version: &str) -> Result<Option<Version>, Error> {
        self.one_version(VERSION, pack_id, version).await
    }

    /// The version that was made from exactly this input. A repeated build finds its version by it.
    ///
    /// # Errors
    /// As [`Self::versions`].
    pub async fn version_of_input(&self, pack_id: &str, input: &str) -> Result<Option<Version>, Error> {
        self.one_version(VERSION_OF_INPUT, pack_id, input).await
    }

    async fn one_version(&self, query: &'static str, pack_id: &str, value: &str) -> Result<Option<Version>, Error> {
        let found =
            sqlx::query(query).bind(rows::sought(pack_id)).bind(rows::sought(value)).fetch_optional(&self.pool).await;
        found.map_err(Error::doing(READ))?.as_ref().map(version_of).transpose()
    }

    /// The result of a version, as it was stored; `None` where there is no such version.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn result(&self, pack_id: &str, version: &str) -> Result<Option<Vec<u8>>, Error> {
        let result = sqlx::query_scalar("SELECT result FROM pack_versions WHERE pack_id = $1 AND version = $2");
        let result = result.bind(rows::sought(pack_id)).bind(rows::sought(version)).fetch_optional(&self.pool).await;
        result.map_err(Error::doing("read the result of a version"))
    }

    /// The packs that have a version, sorted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn pack_ids(&self) -> Result<Vec<String>, Error> {
        let found = sqlx::query_scalar("SELECT DISTINCT pack_id FROM pack_versions").fetch_all(&self.pool).await;
        let mut pack_ids: Vec<String> = found.map_err(Error::doing("read the packs"))?;
        pack_ids.sort();
        Ok(pack_ids)
    }

    /// Changes the status of a version and stores the time, `now_ms`.
    ///
    /// # Errors
    /// [`Error::NoVersion`]; [`Error::Transition`] where `status` may not follow the current one ([`Status::next`]),
    /// also where it is the same; [`Error::Busy`] and [`Error::Database`].
    pub async fn set_status(&self, pack_id: &str, version: &str, status: Status, now_ms: i64) -> Result<(), Error> {
        let mut write = self.write(CHANGE).await?;
        let current = sqlx::query_scalar("SELECT status FROM pack_versions WHERE pack_id = $1 AND version = $2");
        let current = current.bind(rows::sought(pack_id)).bind(rows::sought(version)).fetch_optional(&mut *write).await;
        let (pack, name) = (pack_id.to_owned(), version.to_owned());
        let Some(current) = current.map_err(Error::doing(CHANGE))? else {
            return Err(Error::NoVersion { pack_id: pack, version: name });
        };
        let from = parse_status(current)?;
        if !from.next().contains(&status) {
            return Err(Error::Transition { pack_id: pack, version: name, from, to: status });
        }
        let set = sqlx::query(include_str!("sql/set_status.sql"));
        let set = set.bind(pack_id).bind(version).bind(status.name()).bind(now_ms);
        set.execute(&mut *write).await.map_err(Error::doing(CHANGE))?;
        write.commit().await.map_err(Error::doing(CHANGE))
    }
}

fn parse_status(name: String) -> Result<Status, Error> {
    let known = Status::ALL.into_iter().find(|status| status.name() == name);
    known.ok_or(Error::Stored { table: "pack_versions", column: "status", value: name })
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
        status: parse_status(rows::value(row, "status", READ)?)?,
        created_at_ms: rows::value(row, "created_at_ms", READ)?,
        activated_at_ms: rows::value(row, "activated_at_ms", READ)?,
        deprecated_at_ms: rows::value(row, "deprecated_at_ms", READ)?,
        revoked_at_ms: rows::value(row, "revoked_at_ms", READ)?,
    })
}
