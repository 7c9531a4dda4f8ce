//! Delta tables of Parquet files, local or on an object store.
//!
//!     DIR/fact_sessions/_delta_log/00000000000000000003.json
//!     DIR/fact_sessions/date=2026-10-01/part-00000-….parquet
//!
//! One transaction for each table and run, with the run as its application transaction: that is
//! how a table knows which runs it holds.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::Date32Type;
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, ArrayType, DataType, PrimitiveType, StructField, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use netcrab_schema::{Column, Table, Type};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use crate::parquet::TableWriter;
use crate::{Error, Replace, RunId, Sink, Staged};

/// Delta tables in one folder.
#[derive(Debug, Clone)]
pub struct DeltaSink {
    root: Url,
}

impl DeltaSink {
    /// Tables in the folder `root`.
    pub fn new(root: Url) -> Self {
        Self { root }
    }

    /// Where a table lies.
    pub fn location(&self, table: &Table) -> Url {
        let mut location = self.root.clone();
        if let Ok(mut segments) = location.path_segments_mut() {
            segments.pop_if_empty().push(table.name).push("");
        }
        location
    }

    /// The table as it stands, or `None` where there is none yet.
    pub async fn open(&self, table: &'static Table) -> Result<Option<DeltaTable>, Error> {
        let location = self.location(table);
        if let Ok(folder) = location.to_file_path()
            && !folder.join("_delta_log").exists()
        {
            return Ok(None);
        }
        match deltalake::open_table(location).await {
            Ok(opened) => Ok(Some(opened)),
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(fault) => Err(self.fault(table, fault)),
        }
    }

    async fn open_or_create(&self, table: &'static Table) -> Result<DeltaTable, Error> {
        if let Some(opened) = self.open(table).await? {
            self.check_schema(table, &opened)?;
            return Ok(opened);
        }
        let location = self.location(table);
        if let Ok(folder) = location.to_file_path() {
            std::fs::create_dir_all(&folder).map_err(|error| file_fault(table, location.as_str(), Box::new(error)))?;
        }
        let created = deltalake::operations::create::CreateBuilder::new()
            .with_location(location.as_str())
            .with_save_mode(SaveMode::Ignore)
            .with_table_name(table.name)
            .with_comment(format!("A row is {}.", table.row))
            .with_columns(table.columns().map(delta_field))
            .with_partition_columns(table.partition().iter().copied())
            .await;
        created.map_err(|fault| self.fault(table, fault))
    }

    fn check_schema(&self, table: &'static Table, opened: &DeltaTable) -> Result<(), Error> {
        let snapshot = opened.snapshot().map_err(|fault| self.fault(table, fault))?;
        let schema = snapshot.schema();
        let found = schema.fields().map(|field| (field.name().clone(), field.data_type().clone()));
        let expected = table.columns().map(|column| (column.name.to_owned(), delta_type(column.kind)));
        if found.eq(expected) {
            return Ok(());
        }
        Err(Error::Schema { table: table.name, place: self.root.to_string() })
    }

    fn fault(&self, table: &'static Table, fault: DeltaTableError) -> Error {
        match cause(&fault) {
            Some(std::io::ErrorKind::StorageFull) => Error::Full { table: table.name, place: self.root.to_string() },
            Some(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => {
                Error::ReadOnly { table: table.name, place: self.root.to_string() }
            }
            _ => Error::Delta { table: table.name, place: self.root.to_string(), source: Box::new(fault) },
        }
    }

    async fn store(&self, table: &'static Table) -> Result<(DeltaTable, Arc<dyn ObjectStore>), Error> {
        let opened = self.open_or_create(table).await?;
        let store = opened.log_store().object_store(None);
        Ok((opened, store))
    }
}

/// The error for a file of `table` that could not be written.
pub(crate) fn file_fault(
    table: &'static Table,
    place: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> Error {
    match cause(source.as_ref()) {
        Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => {
            Error::Full { table: table.name, place: place.to_owned() }
        }
        Some(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => {
            Error::ReadOnly { table: table.name, place: place.to_owned() }
        }
        _ => Error::File { table: table.name, place: place.to_owned(), source },
    }
}

/// The kind of the IO error at the bottom, where there is one.
fn cause(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut next = Some(error);
    let mut kind = None;
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            kind = Some(io.kind());
            // An IO error may wrap another error that hides the real one.
            next = io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)).or(error.source());
        } else {
            next = error.source();
        }
    }
    kind
}

fn delta_field(column: &Column) -> StructField {
    let field = StructField::new(column.name, delta_type(column.kind), column.nullable);
    field.with_metadata([("comment", format!("{} {}", column.meaning, column.unit).trim())])
}

fn delta_type(kind: Type) -> DataType {
    let primitive = match kind {
        Type::Text | Type::Repeated | Type::Symbol => PrimitiveType::String,
        Type::Int64 => PrimitiveType::Long,
        Type::Int32 => PrimitiveType::Integer,
        Type::Float32 => PrimitiveType::Float,
        Type::Float64 => PrimitiveType::Double,
        Type::Bool => PrimitiveType::Boolean,
        Type::Timestamp => PrimitiveType::Timestamp,
        Type::Date => PrimitiveType::Date,
        Type::TextList => return ArrayType::new(DataType::STRING, false).into(),
    };
    DataType::Primitive(primitive)
}

/// Days since 1970 out of `2026-10-01`.
fn parse_day(text: &str) -> Option<i32> {
    <Date32Type as Parser>::parse(text).filter(|_| text.len() == 10)
}

#[async_trait]
impl Sink for DeltaSink {
    async fn stage(
        &self,
        table: &'static Table,
        run: &RunId,
        rows: SendableRecordBatchStream,
    ) -> Result<Staged, Error> {
        let (_, store) = self.store(table).await?;
        match TableWriter::new(table, run, store, self.location(table).into()).write(rows).await {
            Ok(staged) => Ok(staged),
            Err((written, fault)) => {
                // What could not be finished is of no use; what cannot be removed is only litter.
                let _ = self.discard(table, &written).await;
                Err(fault)
            }
        }
    }

    async fn commit(
        &self,
        table: &'static Table,
        run: &RunId,
        staged: &Staged,
        replace: Replace,
    ) -> Result<bool, Error> {
        let (opened, _) = self.store(table).await?;
        if self.holds(table, run).await? {
            return Ok(false);
        }
        let fault = |fault| self.fault(table, fault);
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        let log_store = opened.log_store();
        let mut actions: Vec<Action> = Vec::new();
        let files: Vec<_> = match replace {
            Replace::Nothing => Vec::new(),
            _ => snapshot.file_views(log_store.as_ref(), None).try_collect().await.map_err(fault)?,
        };
        for file in files {
            let date = file.partition_values_map().get("date").cloned().flatten();
            let replaced = match date.as_deref().and_then(parse_day) {
                Some(date) => replace.covers(date),
                None => true,
            };
            if replaced {
                actions.push(Action::Remove(file.remove_action(true)));
            }
        }
        actions.extend(staged.parts.iter().map(|part| Action::Add(add(part))));
        let operation = DeltaOperation::Write {
            mode: if replace == Replace::Nothing { SaveMode::Append } else { SaveMode::Overwrite },
            partition_by: Some(table.partition().iter().map(|&name| name.to_owned()).collect()),
            predicate: None,
        };
        let properties = CommitProperties::default().with_application_transaction(Transaction::new(run.as_str(), 1));
        CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(snapshot), log_store, operation)
            .await
            .map_err(fault)?;
        Ok(true)
    }

    async fn discard(&self, table: &'static Table, staged: &Staged) -> Result<(), Error> {
        let (_, store) = self.store(table).await?;
        for part in &staged.parts {
            let removed = store.delete(&Path::from(part.path.as_str())).await;
            removed.map_err(|error| file_fault(table, self.root.as_str(), Box::new(error)))?;
        }
        Ok(())
    }

    async fn holds(&self, table: &'static Table, run: &RunId) -> Result<bool, Error> {
        let Some(opened) = self.open(table).await? else { return Ok(false) };
        let fault = |fault| self.fault(table, fault);
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        let version = snapshot.transaction_version(opened.log_store().as_ref(), run.as_str()).await.map_err(fault)?;
        Ok(version.is_some())
    }

    async fn has_rows(&self, table: &'static Table) -> Result<bool, Error> {
        let Some(opened) = self.open(table).await? else { return Ok(false) };
        let fault = |fault| self.fault(table, fault);
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        let log_store = opened.log_store();
        let mut files = snapshot.file_views(log_store.as_ref(), None);
        Ok(files.try_next().await.map_err(fault)?.is_some())
    }
}

fn add(part: &crate::Part) -> Add {
    let date = part.date.map(|date| ("date".to_owned(), arrow::temporal_conversions::date32_to_datetime(date)));
    let date = date.map(|(name, day)| (name, day.map(|day| day.format("%Y-%m-%d").to_string())));
    Add {
        path: part.path.clone(),
        partition_values: date.into_iter().collect::<HashMap<_, _>>(),
        size: i64::try_from(part.bytes).unwrap_or(i64::MAX),
        // Replays are byte-identical, so the log names no wall clock time for a file.
        modification_time: 0,
        data_change: true,
        stats: Some(part.stats.clone()),
        ..Add::default()
    }
}
