//! What compaction and repairs read and write: the shard's files as rows, and new files of the same tables.
//!
//! They run in the background with a memory pool of their own, so that they never take memory from an epoch.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use netcrab_operators::rules::Rules;
use netcrab_schema::Table;
use netcrab_schema::arrow::to_store_type;
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{RunId, Sink, StagedFile};
use xxhash_rust::xxh3::xxh3_128;

use super::context::StreamContext;
use super::table_files::{self, TableFiles};
use crate::error::{Error, Result};
use crate::plans::table_order::in_table_order;

/// Memory of background work, bytes; beyond it, it spills.
const MEMORY_BYTES: usize = 384 << 20;

/// org_id, product_id and date.
pub(super) type ProductDay<'a> = (&'a str, &'a str, i32);

/// What one background task reads and writes.
pub struct MaintenanceContext<'a> {
    /// The tables.
    pub sink: &'a DeltaSink,
    /// The shard's files.
    pub files: &'a TableFiles,
    /// The DataFusion session of the task.
    pub session: SessionContext,
    /// The rules in force.
    pub rules: &'a Arc<Rules>,
    /// Identifies what the task does: another attempt at it has the same name.
    pub run: &'a str,
    /// The shard.
    pub shard: u32,
    /// Whether deleted rows are staged too, for ClickHouse.
    pub needs_deleted_rows: bool,
}

impl<'a> MaintenanceContext<'a> {
    /// The context of one task on `files`; `run` names what the task does.
    ///
    /// # Errors
    /// [`Error::Plan`] where the memory pool cannot be made.
    pub(super) fn new(
        stream: &'a StreamContext,
        files: &'a TableFiles,
        rules: &'a Arc<Rules>,
        run: &'a str,
        shard: u32,
    ) -> Result<Self> {
        let pool = Arc::new(FairSpillPool::new(MEMORY_BYTES));
        let runtime = RuntimeEnvBuilder::from_runtime_env(&stream.task.runtime_env()).with_memory_pool(pool);
        // One file after another, in its order.
        let mut config = stream.task.session_config().clone().with_target_partitions(1);
        // A merge of spilled rows needs room for some batches of each spill.
        config = config.with_sort_spill_reservation_bytes(MEMORY_BYTES / 4);
        // A view would pin, and count, all texts of the page that it comes from.
        config.options_mut().execution.parquet.schema_force_view_types = false;
        let session = SessionContext::new_with_config_rt(config, runtime.build_arc()?);
        let needs_deleted_rows = stream.clickhouse.is_some();
        Ok(Self { sink: &stream.sink, files, session, rules, run, shard, needs_deleted_rows })
    }

    pub(super) async fn rows(&self, table: &'static Table, parts: &[&StagedFile]) -> Result<Option<DataFrame>> {
        table_files::rows(&self.session, self.sink, table, parts).await
    }

    /// The rows of these days of products (`LeftSemi`), or all others (`LeftAnti`).
    pub(super) fn of_days<'d>(
        &self,
        rows: DataFrame,
        days: impl Iterator<Item = ProductDay<'d>> + Clone,
        kind: JoinType,
    ) -> Result<DataFrame> {
        let days = RecordBatch::try_from_iter([
            ("day_org_id", Arc::new(StringArray::from_iter_values(days.clone().map(|day| day.0))) as ArrayRef),
            ("day_product_id", Arc::new(StringArray::from_iter_values(days.clone().map(|day| day.1)))),
            ("day_date", Arc::new(days.map(|day| Some(day.2)).collect::<Date32Array>())),
        ])?;
        let (ours, theirs) = (["org_id", "product_id", "date"], ["day_org_id", "day_product_id", "day_date"]);
        Ok(rows.join(self.session.read_batch(days)?, kind, &ours, &theirs, None)?)
    }

    pub(super) fn register(&self, name: &str, rows: DataFrame) -> Result<()> {
        self.session.deregister_table(name)?;
        self.session.register_table(name, rows.into_view())?;
        Ok(())
    }

    pub(super) fn register_batch(&self, name: &str, batch: RecordBatch) -> Result<()> {
        self.session.deregister_table(name)?;
        self.session.register_batch(name, batch)?;
        Ok(())
    }

    /// Stages rows of `table`; `what` makes the name differ from others of the same task.
    pub(super) async fn stage(&self, table: &'static Table, rows: DataFrame, what: &str) -> Result<Vec<StagedFile>> {
        let plan = table_files::typed(rows, table, to_store_type)?.create_physical_plan().await?;
        self.stage_plan(table, plan, what).await
    }

    async fn stage_plan(
        &self,
        table: &'static Table,
        plan: Arc<dyn ExecutionPlan>,
        what: &str,
    ) -> Result<Vec<StagedFile>> {
        let rows = in_table_order(table, plan)?.execute(0, self.session.task_ctx())?;
        self.stage_rows(table, rows, what).await
    }

    /// Stages rows that are in the table's order.
    pub(super) async fn stage_rows(
        &self,
        table: &'static Table,
        rows: SendableRecordBatchStream,
        what: &str,
    ) -> Result<Vec<StagedFile>> {
        let name = format!("{} {what} {}", self.run, table.name);
        let run = RunId::of_shard(self.shard, xxh3_128(name.as_bytes()));
        Ok(self.sink.stage(table, &run, rows).await?.files)
    }

    /// The rows of a file that are of `sessions`, or all others, in the order of the file.
    ///
    /// `sessions` may have thousands of entries, so they are a hash set and not a filter expression, which would be
    /// planned for each file.
    pub(super) async fn filter_file(
        &self,
        table: &'static Table,
        part: &StagedFile,
        sessions: &Arc<HashSet<String>>,
        of_them: bool,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.rows(table, &[part]).await?.ok_or_else(|| Error::defect("a file without rows"))?;
        let rows = table_files::typed(rows, table, to_store_type)?.execute_stream().await?;
        let (schema, sessions) = (rows.schema(), Arc::clone(sessions));
        let picked = rows.map(move |batch| {
            let batch = batch?;
            let mask = mask(&batch, &sessions, of_them)?;
            Ok(arrow::compute::filter_record_batch(&batch, &mask)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, picked)))
    }

    /// Whether a file has rows of these sessions.
    pub(super) async fn contains_any(
        &self,
        table: &'static Table,
        part: &StagedFile,
        sessions: &HashSet<String>,
    ) -> Result<bool> {
        let Some(rows) = self.rows(table, &[part]).await? else { return Ok(false) };
        let mut keys = rows.select_columns(&["session_key"])?.execute_stream().await?;
        while let Some(batch) = keys.next().await {
            if mask(&batch?, sessions, true)?.has_true() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Which rows are of `sessions`, or of others.
fn mask(batch: &RecordBatch, sessions: &HashSet<String>, of_them: bool) -> Result<BooleanArray, ArrowError> {
    let keys =
        batch.column_by_name("session_key").ok_or_else(|| ArrowError::SchemaError("no session_key".to_owned()))?;
    let keys = arrow::compute::cast(keys, &DataType::Utf8)?;
    let keys = keys.as_string::<i32>();
    Ok(keys.iter().map(|key| Some(key.is_some_and(|key| sessions.contains(key)) == of_them)).collect())
}

/// Marks files as rewritten: their rows were in the table before.
pub(super) fn rewritten(mut parts: Vec<StagedFile>) -> Vec<StagedFile> {
    parts.iter_mut().for_each(|part| part.moved = true);
    parts
}
