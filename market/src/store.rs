//! A built version into the database, with all that belongs to it, or nothing.
//!
//!     writers' turn ─▶ known? ─▶ pack_versions ─▶ budget bears it? ─▶ privacy_ledger ─▶ pack_org_membership ─▶ commit
//!
//! Writers take turns, so what one has read of the ledger is true until it commits: two that store at the same time
//! never spend the same rest of a budget. A process that dies before the commit has stored and spent nothing; one
//! that dies during it finds its version by the input ([`Market::version_of_input`]), or stores it again.

use sqlx::{Any, Transaction};

use crate::{Error, Market, Spend, bounds, ledger, rows};

/// A version as it was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersion {
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
    /// Digest of all that the result was made from: definition, window, contributors and data.
    pub input: String,
    /// First day of the window, ISO.
    pub window_from: String,
    /// Last day of the window, ISO.
    pub window_to: String,
    /// The noisy result, in whatever form the builder reads again; at most [`crate::RESULT_BYTES_MAX`] bytes.
    pub result: Vec<u8>,
    /// When it was built.
    pub created_at_ms: i64,
}

/// What an organisation gave to a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The organisation.
    pub org_id: String,
    /// Its sessions in the result.
    pub sessions: i64,
}

const STORE: &str = "store a version";
const READ: &str = "read the contributions to a version";

/// Contributions of one insert: far below the parameters that SQLite and PostgreSQL take.
const INSERT_ROWS_MAX: usize = 500;

impl Market {
    /// Stores a version as a draft, with its contributions and what it spends, in one transaction.
    ///
    /// Spends are held against their budgets one after the other, on top of all that the pack's versions have spent
    /// about the same unit in the same period.
    ///
    /// Errors, and nothing is stored: [`Error::VersionExists`], [`Error::InputExists`], [`Error::OverBudget`], and
    /// those of values out of bounds.
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

    /// Who contributed to a version, and how many sessions; sorted, empty where there is no such version.
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
    let mut query = sqlx::query(&insert).bind(&*version.pack_id).bind(&*version.version);
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

fn check(version: &NewVersion) -> Result<(), Error> {
    bounds::text("the pack", &version.pack_id)?;
    bounds::text("the version", &version.version)?;
    bounds::text("the kind of the pack", &version.kind)?;
    bounds::text("the digest of the definition", &version.definition)?;
    bounds::text("the digest of the schema", &version.schema)?;
    bounds::text("the digest of the method", &version.method)?;
    bounds::text("the digest of the input", &version.input)?;
    bounds::text("the first day of the window", &version.window_from)?;
    bounds::text("the last day of the window", &version.window_to)?;
    bounds::bytes("the result", version.result.len(), bounds::RESULT_BYTES_MAX)?;
    let NewVersion { major, minor, .. } = *version;
    if major < 0 || minor < 0 || version.version != format!("{major}.{minor}") {
        return Err(Error::VersionNumbers { version: version.version.clone(), major, minor });
    }
    Ok(())
}

fn check_contributions(contributions: &[Contribution]) -> Result<(), Error> {
    bounds::entries("contributions", contributions.len(), bounds::CONTRIBUTIONS_MAX)?;
    for Contribution { org_id, sessions } in contributions {
        bounds::org_id(org_id)?;
        if *sessions < 0 {
            return Err(Error::Sessions { org_id: org_id.clone(), sessions: *sessions });
        }
    }
    Ok(())
}
