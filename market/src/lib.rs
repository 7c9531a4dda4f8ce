//! Organisations, what they opted into, and what was released and spent: the operational database.
//!
//!     set_vertical, opt_in ─▶ org_settings, pack_opt_ins ─▶ contributors of a build
//!     lease                ─▶ leases                     ─▶ one builder at a time
//!     store                ─▶ pack_versions, pack_org_membership, privacy_ledger ─▶ what may still be spent
//!
//! One [`Market`] over SQLite, a file beside the tables, or over PostgreSQL, which several machines share. Both give
//! the same answers; one contract suite, `tests/suite`, holds for both.
//!
//! Invariant: a stored version never changes, but for its status. Its result, what it spent and who contributed are
//! in the database together or not at all.
//! Invariant: what is spent never exceeds its budget, whoever stores at the same time: writers of the ledger take
//! turns ([`Market::store`]).
//!
//! Time comes from the caller, in milliseconds since 1970 UTC; the crate reads no clock.

mod bounds;
mod connect;
mod error;
mod leases;
mod ledger;
mod migrate;
mod opt_ins;
mod rows;
mod store;
mod versions;

use sqlx::{Any, AnyPool, Executor, Transaction};

pub use bounds::{
    CONTRIBUTIONS_MAX, LIST_ENTRIES_MAX, ORG_ID_BYTES_MAX, PATH_BYTES_MAX, RESULT_BYTES_MAX, TEXT_BYTES_MAX,
};
pub use error::{Error, OverBudget};
pub use ledger::{Spend, Spent};
pub use opt_ins::{Contributor, OptIn, Organisation};
pub use store::{Contribution, NewVersion};
pub use versions::{Status, Version};

use connect::{Address, Engine};

/// The operational database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Market {
    pool: AnyPool,
    engine: Engine,
}

impl Market {
    /// Opens the database that `url` names and brings its tables up to date.
    ///
    /// `sqlite:PATH` is a file; it and the folders above it are made where they are missing, and relative paths count
    /// from the working directory. `postgres://USER:PASSWORD@HOST:PORT/DATABASE` is a database that exists already.
    /// Several processes may open the same one at once.
    ///
    /// Errors: [`Error::Url`], [`Error::File`], [`Error::Server`], and [`Error::Newer`] where a later release has
    /// written the database.
    pub async fn open(url: &str) -> Result<Self, Error> {
        let address = Address::parse(url)?;
        let market = Self { pool: connect::pool(&address).await?, engine: address.engine };
        migrate::bring_up_to_date(&market, &address.name).await?;
        Ok(market)
    }

    /// Ends all connections, also those of clones. What SQLite's log holds is in the file itself then, unless another
    /// process reads it just now; without this the last commits may lie in the `-wal` file beside it.
    pub async fn close(&self) {
        if self.engine == Engine::Sqlite {
            // Connections that end at the same time each leave it to the other. What is not done now is done later.
            let _ = self.pool.execute("PRAGMA wal_checkpoint(PASSIVE)").await;
        }
        self.pool.close().await;
    }

    /// Begins a transaction that writes. There is one at a time, in all processes; others wait for it.
    async fn write(&self, doing: &'static str) -> Result<Transaction<'static, Any>, Error> {
        connect::begin_write(&self.pool, self.engine).await.map_err(Error::doing(doing))
    }
}
