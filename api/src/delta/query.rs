//! Runs the `.sql` files on DataFusion.
//!
//!     query ─▶ permit (or wait, or busy) ─▶ threads of its own ─▶ plan, execute, bounded rows
//!
//! Queries have threads and limits of their own, so that answers from the cache stay fast while a year of events is
//! read. All queries share one memory pool; a query that needs more spills to disk or is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::files::TableFiles;
use super::limits::DeltaLimits;
use crate::store::StoreError;

/// A `.sql` file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql {
    /// The file's name, for the log.
    pub name: &'static str,
    /// The statement.
    pub text: &'static str,
}

/// Values bound to a statement's `$names`.
pub(super) type Params = Vec<(&'static str, ScalarValue)>;

/// The engine, its threads and its limits.
pub(super) struct Queries {
    runtime: Option<Runtime>,
    env: Arc<RuntimeEnv>,
    config: SessionConfig,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    limits: DeltaLimits,
}

impl Queries {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// [`StoreError::Query`] where the threads or the engine cannot be started.
    pub(super) fn new(limits: &DeltaLimits) -> Result<Self, StoreError> {
        let threads = limits.query_threads.max(1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("netcrab-query")
            .enable_all()
            .build()
            .map_err(|source| StoreError::Query { query: "threads", source: Box::new(source) })?;
        let env = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.query_memory_bytes_max)))
            .with_metadata_cache_limit(limits.metadata_cache_bytes_max)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory))
            .with_max_temp_directory_size(limits.query_spill_bytes_max)
            .build_arc()
            .map_err(|error| wrong("engine", error))?;
        let mut config = SessionConfig::new().with_target_partitions(threads).with_information_schema(false);
        // A Parquet page has rows of many sessions and a query needs few of them: filter while decoding.
        config.options_mut().execution.parquet.pushdown_filters = true;
        config.options_mut().execution.parquet.reorder_filters = true;
        Ok(Self {
            runtime: Some(runtime),
            env,
            config,
            permits: Arc::new(Semaphore::new(limits.queries_max)),
            waiting: AtomicUsize::new(0),
            limits: limits.clone(),
        })
    }

    /// A context in which every table has these files.
    pub(super) fn context(&self, tables: &[Arc<TableFiles>]) -> Result<SessionContext, StoreError> {
        let context = SessionContext::new_with_config_rt(self.config.clone(), self.env.clone());
        for files in tables {
            if let Some((url, store)) = &files.store {
                context.register_object_store(url.as_ref(), store.clone());
            }
            context.register_table(files.table.name, files.clone()).map_err(|error| wrong("tables", error))?;
        }
        Ok(context)
    }

    /// Runs a statement for a request. It needs a permit, and waits for one among at most `queries_waiting_max`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] where too many wait, [`StoreError::TooLarge`] where a bound is reached,
    /// [`StoreError::Query`] where the engine fails.
    pub(super) async fn ask(
        &self,
        context: &SessionContext,
        sql: Sql,
        params: Params,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let _permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        self.spawn(context, sql, params, self.limits.query_rows_max).await
    }

    async fn wait(&self) -> Result<tokio::sync::OwnedSemaphorePermit, StoreError> {
        let waiting = Waiting::enter(&self.waiting);
        if waiting.others >= self.limits.queries_waiting_max {
            return Err(StoreError::Busy { waiting: waiting.others });
        }
        let permit = self.permits.clone().acquire_owned().await;
        permit.map_err(|source| StoreError::Query { query: "permits", source: Box::new(source) })
    }

    /// Runs a statement for the store itself: at once, and with any number of rows.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`], but never busy.
    pub(super) async fn run(
        &self,
        context: &SessionContext,
        sql: Sql,
        params: Params,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        self.spawn(context, sql, params, usize::MAX).await
    }

    async fn spawn(
        &self,
        context: &SessionContext,
        sql: Sql,
        params: Params,
        rows_max: usize,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let handle = self.runtime.as_ref().map(Runtime::handle).ok_or(StoreError::Busy { waiting: 0 })?;
        // A dropped set stops its task, so a request that timed out does not go on reading.
        let mut task = JoinSet::new();
        task.spawn_on(collect(context.clone(), sql, params, rows_max), handle);
        match task.join_next().await {
            Some(Ok(rows)) => rows,
            Some(Err(source)) => Err(StoreError::Query { query: sql.name, source: Box::new(source) }),
            None => Ok(Vec::new()),
        }
    }
}

// Dropping a runtime waits for its threads, which must not happen inside another runtime.
impl Drop for Queries {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn collect(
    context: SessionContext,
    sql: Sql,
    params: Params,
    rows_max: usize,
) -> Result<Vec<RecordBatch>, StoreError> {
    let wrong = |error| wrong(sql.name, error);
    let select_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(sql.text, select_only).await.map_err(wrong)?;
    let frame = frame.with_param_values(params).map_err(wrong)?;
    let mut stream = frame.execute_stream().await.map_err(wrong)?;
    let (mut batches, mut rows) = (Vec::new(), 0);
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(wrong)?;
        rows += batch.num_rows();
        if rows > rows_max {
            return Err(StoreError::TooLarge { reason: format!("more than {rows_max} rows") });
        }
        batches.push(batch);
    }
    Ok(batches)
}

fn wrong(query: &'static str, error: DataFusionError) -> StoreError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => StoreError::TooLarge { reason: "the memory for queries".to_owned() },
        _ => StoreError::Query { query, source: Box::new(error) },
    }
}

/// Counts a query that waits, until it is dropped.
struct Waiting<'a> {
    counter: &'a AtomicUsize,
    others: usize,
}

impl<'a> Waiting<'a> {
    fn enter(counter: &'a AtomicUsize) -> Self {
        Self { counter, others: counter.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Ordering::Relaxed);
    }
}
