//! Stores a built version with all that belongs to it, or nothing.
//!
//!     lock ─▶ known? ─▶ pack_versions ─▶ within budget? ─▶ privacy_ledger ─▶ pack_org_membership ─▶ commit
//!
//! Only one transaction writes at a time, so the ledger that it reads does not change until it commits: two processes
//! never spend the same remainder of a budget. A process that dies before the commit has stored and spent nothing. One
//! that dies during it finds its version by the input ([`Market::version_of_input`]), or stores it again.

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::database::Market;
use crate::error::Error;
use crate::ledger::{self, Spend};
use crate::new_version::{Contribution, NewVersion, check, check_contributions};
use crate::rows;

const STORE: &str = "store a version";
const READ: &str = "read the contributions to a version";

/// Most contributions of one insert, far below the number of parameters that SQLite and PostgreSQL allow.
const INSERT_ROWS_MAX: usize = 500;

impl Market {
    /// Stores a version as a draft, with its contributions and what it spends, in one transaction.
    ///
    /// Each spend is added to what the pack's versions have spent for the same unit and period, and compared with its
    /// budget.
    ///
    /// # Errors
    /// [`Error::VersionExists`], [`Error::InputExists`], [`Error::OverBudget`], [`Error::Busy`] and those of values out of
    /// bounds: nothing is stored then. After [`Error::Database`] it may be stored, see [`Market::version_of_input`].
    pub async fn store(
        &self,
        version: &NewVersion,
        spends: &[Spend],
        contributions: &[Contribution],
    ) -> Result<(), Error> {
        check(version)?;
        ledger::check(spends)?;
        check_contributions(contributions)?;
        let mut write = self.write(STORE).await?;
        refuse_known(&mut write, version).await?;
        insert(&mut write, version).await?;
        for spend in spends {
            ledger::add(&mut write, version, spend, STORE).await?;
        }
        for some in contributions.chunks(INSERT_ROWS_MAX) {
            insert_contributions(&mut write, version, some).await?;
        }
        write.commit().await.map_err(Error::doing(STORE))
    }

    /// The contributions to a version, sorted by organisation; empty where there is no such version.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn contributions(&self, pack_id: &str, version: &str) -> Result<Vec<Contribution>, Error> {
        let query = "SELECT org_id, sessions FROM pack_org_membership WHERE pack_id = $1 AND version = $2";
        let found =
            sqlx::query(query).bind(rows::sought(pack_id)).bind(rows::sought(version)).fetch_all(&self.pool).await;
        let found = found.map_err(Error::doing(READ))?;
        let contributions = found.iter().map(|row| {
            Ok(Contribution {
                org_id: rows::value(row, "org_id", READ)?,
                sessions: rows::value(row, "sessions", READ)?,
            })
        });
        let mut contributions = contributions.collect::<Result<Vec<_>, Error>>()?;
        contributions.sort_by(|a, b| a.org_id.cmp(&b.org_id));
        Ok(contributions)
    }
}

async fn refuse_known(write: &mut Transaction<'static, Any>, version: &NewVersion) -> Result<(), Error> {
    let query = "SELECT version FROM pack_versions WHERE pack_id = $1 AND (version = $2 OR input = $3)";
    let known = sqlx::query_scalar(query).bind(&*version.pack_id).bind(&*version.version).bind(&*version.input);
    let known: Vec<String> = known.fetch_all(&mut **write).await.map_err(Error::doing(STORE))?;
    let pack_id = version.pack_id.clone();
    if known.contains(&version.version) {
        return Err(Error::VersionExists { pack_id, version: version.version.clone() });
    }
    known.into_iter().next().map_or(Ok(()), |version| Err(Error::InputExists { pack_id, version }))
}

async fn insert(write: &mut Transaction<'static, Any>, version: &NewVersion) -> Result<(), Error> {
    let insert = sqlx::query(include_str!("sql/store.sql"))
        .bind(&*version.pack_id)
        .bind(&*version.version)
        .bind(version.major)
        .bind(version.minor)
        .bind(&*version.kind)
        .bind(&*version.definition)
        .bind(&*version.schema)
        .bind(&*version.method)
        .bind(&*version.input)
        .bind(&*version.window_from)
        .bind(&*version.window_to)
        .bind(&*version.result)
        .bind(version.created_at_ms);
    insert.execute(&mut **write).await.map_err(Error::doing(STORE))?;
    Ok(())
}

async fn insert_contributions(
    write: &mut Transaction<'static, Any>,
    version: &NewVersion,
    contributions: &[Contribution],
) -> Result<(), Error> {
    let places = (0..contributions.len()).map(|row| format!("($1, $2, ${}, ${})", 2 * row + 3, 2 * row + 4));
    let places = places.collect::<Vec<_>>().join(", ");
    let insert = format!("INSERT INTO pack_org_membership (pack_id, version, org_id, sessions) VALUES {places}");
    // The text has numbers of parameters only; the values are bound.
    let mut query = sqlx::query(AssertSqlSafe(insert)).bind(&*version.pack_id).bind(&*version.version);
    for Contribution { org_id, sessions } in contributions {
        query = query.bind(&**org_id).bind(*sessions);
    }
    query.execute(&mut **write).await.map_err(|fault| {
        match fault.as_database_error().is_some_and(|fault| fault.is_unique_violation()) {
            true => Error::ContributionTwice { version: version.version.clone() },
            false => Error::doing(STORE)(fault),
        }
    })?;
    Ok(())
}
