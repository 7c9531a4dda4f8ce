//! Brings an empty or older database to the tables of this release.
//!
//! Each migration runs in one transaction that also stores its number, so a process that dies leaves the database at one
//! schema or the next. Of two processes that open it at once, the second waits and finds the work done.
//! A released migration is never edited: a change is a new migration.

use sqlx::{AnyPool, Executor};

use crate::connect::{self, Engine};
use crate::error::Error;

/// The migrations in order, for SQLite and for PostgreSQL; the first is number 1.
const MIGRATIONS: [(&str, &str); 1] =
    [(include_str!("migrations/sqlite/0001.sql"), include_str!("migrations/postgres/0001.sql"))];

const DOING: &str = "bring the database up to date";

/// Applies the missing migrations. Refuses a database that has more of them than this release.
pub(crate) async fn bring_up_to_date(pool: &AnyPool, engine: Engine, database: &str) -> Result<(), Error> {
    while apply_next(pool, engine, database).await? {}
    Ok(())
}

/// Applies one migration; false where none is missing.
async fn apply_next(pool: &AnyPool, engine: Engine, database: &str) -> Result<bool, Error> {
    let mut write = connect::begin_write(pool, engine).await.map_err(Error::doing(DOING))?;
    let numbers = "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT PRIMARY KEY)";
    write.execute(numbers).await.map_err(Error::doing(DOING))?;
    let found = sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) FROM schema_migrations");
    let found: i64 = found.fetch_one(&mut *write).await.map_err(Error::doing(DOING))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(Error::Newer { database: database.to_owned(), found, known });
    }
    let next = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found));
    let Some((sqlite, postgres)) = next else {
        return Ok(false);
    };
    let migration = match engine {
        Engine::Sqlite => sqlite,
        Engine::Postgres => postgres,
    };
    write.execute(*migration).await.map_err(Error::doing(DOING))?;
    let note = sqlx::query("INSERT INTO schema_migrations (number) VALUES ($1)").bind(found + 1);
    note.execute(&mut *write).await.map_err(Error::doing(DOING))?;
    write.commit().await.map_err(Error::doing(DOING))?;
    Ok(true)
}
