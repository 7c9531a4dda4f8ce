//! The operational database: opened, brought up to date, written by one transaction at a time.

use sqlx::{Any, AnyPool, Executor, Transaction};

use crate::connect::{self, Address, Engine};
use crate::error::Error;
use crate::migrate;

/// The operational database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Market {
    pub(crate) pool: AnyPool,
    engine: Engine,
}

impl Market {
    /// Opens the database that `url` names and brings its tables up to date.
    ///
    /// `sqlite:PATH` is a file. The file and the folders above it are created where they are missing; a relative path
    /// starts at the working directory. `postgres://USER:PASSWORD@HOST:PORT/DATABASE` is a database that exists already.
    /// Several processes may open the same database at once.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::File`], [`Error::Server`]; [`Error::Newer`] where a later release has written the
    /// database; [`Error::Busy`] and [`Error::Database`] where its tables cannot be brought up to date.
    pub async fn open(url: &str) -> Result<Self, Error> {
        let address = Address::parse(url)?;
        let market = Self { pool: connect::pool(&address).await?, engine: address.engine };
        migrate::bring_up_to_date(&market.pool, market.engine, &address.name).await?;
        Ok(market)
    }

    /// Closes all connections, also those of clones. SQLite then moves its write-ahead log into the file, unless another
    /// process is reading it; without this the last commits may be in the `-wal` file beside it.
    pub async fn close(&self) {
        if self.engine == Engine::Sqlite {
            // Connections that close at the same time each leave the checkpoint to the other. A checkpoint that fails
            // here is done by the next process.
            let _ = self.pool.execute("PRAGMA wal_checkpoint(PASSIVE)").await;
        }
        self.pool.close().await;
    }

    /// Begins a transaction that writes. All processes together have one at a time; others wait for it.
    pub(crate) async fn write(&self, doing: &'static str) -> Result<Transaction<'static, Any>, Error> {
        connect::begin_write(&self.pool, self.engine).await.map_err(Error::doing(doing))
    }
}
