//! Leases, so that one builder works at a time: a holder has a name until the lease expires.
//!
//! A holder that lives renews its lease before it expires; the lease of one that dies expires.

use crate::database::Market;
use crate::error::Error;
use crate::{bounds, rows};

impl Market {
    /// Takes or renews the lease `name` for `holder` until `until_ms`. Returns false where another holder has a lease that
    /// has not expired at `now_ms`.
    ///
    /// # Errors
    /// Those of names out of their bounds; [`Error::Busy`] and [`Error::Database`].
    pub async fn lease(&self, name: &str, holder: &str, until_ms: i64, now_ms: i64) -> Result<bool, Error> {
        bounds::text("the lease", name)?;
        bounds::text("the holder", holder)?;
        let take = sqlx::query(include_str!("sql/lease.sql")).bind(name).bind(holder).bind(until_ms).bind(now_ms);
        let taken = take.execute(&self.pool).await.map_err(Error::doing("take a lease"))?;
        Ok(taken.rows_affected() == 1)
    }

    /// Releases the lease `name`. Does nothing where `holder` does not have it.
    ///
    /// # Errors
    /// [`Error::Busy`] and [`Error::Database`].
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<(), Error> {
        let release = sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2")
            .bind(rows::sought(name))
            .bind(rows::sought(holder));
        release.execute(&self.pool).await.map_err(Error::doing("release a lease"))?;
        Ok(())
    }
}
