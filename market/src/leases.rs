//! One builder at a time: a name that one holder has until an instant.
//!
//! A holder that dies loses the name when its time is up; one that lives takes it again before.

use crate::{Error, Market, bounds, rows};

impl Market {
    /// Takes the lease `name` for `holder` until `until_ms`: where it is free, has expired at `now_ms`, or is the
    /// holder's own, which then ends at `until_ms` instead. False where somebody else has it.
    pub async fn lease(&self, name: &str, holder: &str, until_ms: i64, now_ms: i64) -> Result<bool, Error> {
        bounds::text("the lease", name)?;
        bounds::text("the holder", holder)?;
        let take = sqlx::query(include_str!("sql/lease.sql")).bind(name).bind(holder).bind(until_ms).bind(now_ms);
        let taken = take.execute(&self.pool).await.map_err(Error::doing("take a lease"))?;
        Ok(taken.rows_affected() == 1)
    }

    /// Gives the lease `name` back; nothing happens where `holder` does not have it.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<(), Error> {
        let release = sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2")
            .bind(rows::sought(name))
            .bind(rows::sought(holder));
        release.execute(&self.pool).await.map_err(Error::doing("release a lease"))?;
        Ok(())
    }
}
