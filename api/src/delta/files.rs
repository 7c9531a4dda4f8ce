//! The data files of one version of a Delta table, as a table that DataFusion can scan.
//!
//!     log ─▶ TableFiles ─▶ scan(filters) ─▶ files of the days in the filters ─▶ Parquet reader
//!                                            row groups, pages and rows by statistics, bloom
//!                                            filters and the filters themselves
//!
//! deltalake's own provider replays the log at every scan. This one keeps the list of files, so a request reads data
//! files only. A table with a feature that it does not support (deletion vectors, column mapping) is refused when it is
//! opened.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, DFSchema, Result, ScalarValue, Statistics, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use netcrab_schema::Table;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::period::Day;

const DATE: &str = "date";

/// One Parquet file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataFile {
    /// Its path, relative to the table's folder.
    pub path: Path,
    /// Its size.
    pub bytes: u64,
    /// Its day; `None` in a table that is not split by day.
    pub day: Option<Day>,
    /// Its rows, where the log counts them.
    pub rows: Option<u64>,
}

/// The data files of one version of a table.
#[derive(Debug, Clone)]
pub(super) struct TableFiles {
    /// The definition.
    pub table: &'static Table,
    /// The version; `None` for a table that is not there.
    pub version: Option<u64>,
    /// When it was committed, in milliseconds since 1970.
    pub committed_at_ms: Option<i64>,
    /// The files, oldest day first.
    pub files: Vec<DataFile>,
    /// The object store, rooted at the table, and the URL that DataFusion knows it by.
    pub store: Option<(ObjectStoreUrl, Arc<dyn ObjectStore>)>,
}

impl TableFiles {
    /// A table that does not exist: no version and no files.
    pub(super) fn missing(table: &'static Table) -> Self {
        Self { table, version: None, committed_at_ms: None, files: Vec::new(), store: None }
    }

    /// The days whose files are not the same in `other`.
    pub(super) fn days_that_differ(&self, other: &Self) -> Vec<Day> {
        let (mine, theirs) = (self.by_day(), other.by_day());
        let days = mine.keys().chain(theirs.keys()).copied().collect::<std::collections::BTreeSet<_>>();
        days.into_iter().filter(|day| mine.get(day) != theirs.get(day)).collect()
    }

    fn by_day(&self) -> BTreeMap<Day, HashSet<&Path>> {
        let mut days: BTreeMap<Day, HashSet<&Path>> = BTreeMap::new();
        for file in &self.files {
            if let Some(day) = file.day {
                days.entry(day).or_default().insert(&file.path);
            }
        }
        days
    }

    // Texts are views, so a scan copies no text of a row that a filter drops.
    fn schema(&self) -> SchemaRef {
        let (file, partition) = self.fields();
        Arc::new(Schema::new([file, partition].concat()))
    }

    fn fields(&self) -> (Vec<Field>, Vec<Field>) {
        let schema = self.table.at_rest();
        let fields = schema.fields().iter().map(|field| match field.data_type() {
            DataType::Utf8 => field.as_ref().clone().with_data_type(DataType::Utf8View),
            // Other writers of Delta cannot say that a list has no nulls.
            DataType::List(item) => {
                let item = item.as_ref().clone().with_nullable(true);
                field.as_ref().clone().with_data_type(DataType::List(Arc::new(item)))
            }
            _ => field.as_ref().clone(),
        });
        fields.partition(|field| !self.table.partition().contains(&field.name().as_str()))
    }

    /// The files whose day `predicate` allows; all files without one.
    fn pruned(&self, schema: &SchemaRef, predicate: Option<&Arc<dyn PhysicalExpr>>) -> Result<Vec<&DataFile>> {
        let Some(predicate) = predicate else { return Ok(self.files.iter().collect()) };
        let pruning = PruningPredicateBuilder::new().with_file_schema(schema.clone());
        let allowed = pruning.try_build(predicate.clone())?.prune(&Days(&self.files))?;
        Ok(self.files.iter().zip(allowed).filter_map(|(file, allowed)| allowed.then_some(file)).collect())
    }

    fn table_schema(&self) -> TableSchema {
        let (file, partition) = self.fields();
        let partition: Vec<_> = partition.into_iter().map(Arc::new).collect();
        TableSchema::builder(Arc::new(Schema::new(file))).with_table_partition_cols(partition).build()
    }
}

#[async_trait]
impl TableProvider for TableFiles {
    fn schema(&self) -> SchemaRef {
        Self::schema(self)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = TableProvider::schema(self);
        let predicate = match conjunction(filters.to_vec()) {
            Some(filter) => {
                let df_schema = DFSchema::try_from(schema.clone())?;
                Some(state.create_physical_expr(filter, &df_schema)?)
            }
            None => None,
        };
        let files = self.pruned(&schema, predicate.as_ref())?;
        let Some((store_url, store)) = self.store.as_ref().filter(|_| !files.is_empty()) else {
            return Ok(Arc::new(EmptyExec::new(project_schema(&schema, projection)?)));
        };

        let metadata_cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(store.clone(), metadata_cache);
        let mut source = ParquetSource::new(self.table_schema())
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::new(reader));
        if let Some(predicate) = predicate {
            source = source.with_predicate(predicate);
        }
        let statistics = statistics(&schema, &files);
        let groups = FileGroup::new(files.into_iter().map(partitioned).collect())
            .split_files(state.config().target_partitions());
        let config = FileScanConfigBuilder::new(store_url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

fn partitioned(file: &DataFile) -> PartitionedFile {
    let mut partitioned = PartitionedFile::new(String::new(), file.bytes);
    partitioned.object_meta.location = file.path.clone();
    partitioned.partition_values = file.day.map(|day| ScalarValue::Date32(Some(day.0))).into_iter().collect();
    partitioned
}

// The planner only needs to know which side of a join is smaller.
fn statistics(schema: &Schema, files: &[&DataFile]) -> Statistics {
    let rows: Option<u64> = files.iter().map(|file| file.rows).sum();
    let rows = rows.and_then(|rows| usize::try_from(rows).ok());
    Statistics { num_rows: rows.map_or(Precision::Absent, Precision::Inexact), ..Statistics::new_unknown(schema) }
}

/// The day of each file, which is known without opening it.
struct Days<'a>(&'a [DataFile]);

impl Days<'_> {
    fn days(&self, column: &Column) -> Option<ArrayRef> {
        let days: Date32Array = self.0.iter().map(|file| file.day.map(|day| day.0)).collect();
        (column.name == DATE).then(|| Arc::new(days) as ArrayRef)
    }
}

impl PruningStatistics for Days<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.days(column)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.days(column)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
