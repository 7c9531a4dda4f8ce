//! Follows the logs of the tables and swaps in one snapshot after another.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use arrow::array::RecordBatch;
use netcrab_schema::Table;
use netcrab_schema::tables::{
    DIM_RELEASES, EVENTS_SESSIONIZED, FACT_FLOWS, FACT_INCIDENTS, FACT_SCREEN_HOTSPOTS, FACT_SESSIONS,
};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use url::Url;

use super::limits::DeltaLimits;
use super::log::LogFollower;
use super::query::{Params, Queries, Sql};
use super::snapshot::Snapshot;
use crate::error::Error;
use crate::store::{StoreError, TableStatus};

/// The tables that are read.
static READ: &[&Table] =
    &[&EVENTS_SESSIONIZED, &FACT_SESSIONS, &FACT_INCIDENTS, &FACT_SCREEN_HOTSPOTS, &FACT_FLOWS, &DIM_RELEASES];

/// The store over the Delta tables `<location>/<table>`.
pub struct DeltaStore {
    inner: Arc<Inner>,
    refresher: AbortHandle,
}

struct Inner {
    queries: Queries,
    limits: DeltaLimits,
    followers: Mutex<Vec<LogFollower>>,
    current: RwLock<Arc<Current>>,
}

struct Current {
    snapshot: Arc<Snapshot>,
    tables: Vec<TableStatus>,
}

impl DeltaStore {
    /// Opens the tables in a local folder, which need not exist yet, and follows their logs from then on.
    ///
    /// # Errors
    ///
    /// [`Error::Location`] for a path that is no folder of tables, [`Error::Store`] where the tables cannot be loaded.
    pub async fn open(tables_dir: &Path, limits: DeltaLimits) -> Result<Self, Error> {
        let location = || Error::Location { location: tables_dir.display().to_string() };
        let absolute = std::path::absolute(tables_dir).map_err(|_| location())?;
        let url = Url::from_directory_path(absolute).map_err(|()| location())?;
        Self::open_url(&url, limits).await
    }

    /// Opens the tables under any URL that deltalake has an object store for.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub async fn open_url(tables_url: &Url, limits: DeltaLimits) -> Result<Self, Error> {
        let followers = READ.iter().map(|table| LogFollower::new(table, tables_url)).collect::<Result<Vec<_>, _>>();
        let followers = followers.map_err(|_| Error::Location { location: tables_url.to_string() })?;
        let queries = Queries::new(&limits)?;
        let empty = Current { snapshot: Arc::new(Snapshot::empty(&queries, READ)?), tables: Vec::new() };
        let current = RwLock::new(Arc::new(empty));
        let inner = Arc::new(Inner { queries, limits, followers: Mutex::new(followers), current });
        inner.refresh().await?;
        let refresher = tokio::spawn(follow(Arc::downgrade(&inner))).abort_handle();
        Ok(Self { inner, refresher })
    }

    /// Polls the logs now instead of after `refresh_ms`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where a new version cannot be loaded; the last one stays in use.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.inner.refresh().await
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.snapshot()
    }

    pub(super) fn statuses(&self) -> Vec<TableStatus> {
        self.inner.current().tables.clone()
    }

    pub(super) async fn ask(
        &self,
        snapshot: &Snapshot,
        sql: Sql,
        params: Params,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        self.inner.queries.ask(&snapshot.context, sql, params).await
    }
}

impl Drop for DeltaStore {
    fn drop(&mut self) {
        self.refresher.abort();
    }
}

async fn follow(store: Weak<Inner>) {
    while let Some(inner) = store.upgrade() {
        let pause = Duration::from_millis(inner.limits.refresh_ms.max(10));
        if let Err(error) = inner.refresh().await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "new table versions could not be loaded; the last ones stay in use");
        }
        drop(inner);
        tokio::time::sleep(pause).await;
    }
}

impl Inner {
    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.current().snapshot.clone()
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let mut followers = self.followers.lock().await;
        let mut changed = Vec::new();
        for follower in followers.iter_mut() {
            changed.extend(follower.poll().await);
        }
        let before = self.snapshot();
        let snapshot = if changed.is_empty() {
            before
        } else {
            match before.next(changed, &self.queries, &self.limits).await {
                Ok(next) => Arc::new(next),
                Err(error) => {
                    // The followers have moved on; the next poll reads the logs from the beginning.
                    followers.iter_mut().for_each(LogFollower::forget);
                    return Err(error);
                }
            }
        };
        let states = followers.iter().map(|follower| follower.state);
        let tables = snapshot.tables.iter().zip(states).map(|(files, state)| TableStatus {
            table: files.table.name,
            state,
            version: files.version,
            committed_at_ms: files.committed_at_ms,
            files: files.files.len(),
            rows: files.files.iter().map(|file| file.rows).sum(),
            cached_bytes: snapshot.cached_bytes(files.table),
        });
        let current = Arc::new(Current { tables: tables.collect(), snapshot: snapshot.clone() });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }
}
