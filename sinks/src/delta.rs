//! Delta tables of Parquet files, local or on an object store.
//!
//!     DIR/fact_sessions/_delta_log/00000000000000000003.json
//!     DIR/fact_sessions/date=2026-10-01/part-00000-….parquet
//!
//! One transaction for each table and run, with the run as its application transaction: that is
//! how a table knows which runs it holds.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::{ArrayRef, Date32Array, RecordBatch};
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::Date32Type;
use arrow::error::ArrowError;
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Add, ArrayType, DataType, PrimitiveType, StructField, Transaction};
use deltalake::operations::vacuum::VacuumMode;
use deltalake::protocol::checkpoints::cleanup_expired_logs_for;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableError, TableProperty};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use netcrab_schema::{Column, Table, Type};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use url::Url;

use crate::parquet::TableWriter;
use crate::{Change, Error, Part, Position, Replace, RunId, Sink, Staged};

/// What [`DeltaSink::tidy`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries of the log.
    pub log_entries: u64,
}

/// Rows of a part.
pub type Rows = BoxStream<'static, Result<RecordBatch, Error>>;

/// How often a transaction is tried anew because another writer was first.
const CONFLICTS_MAX: usize = 20;

/// How long the log of a table remembers that a file was removed. A stream removes many.
const FORGET_REMOVED: &str = "interval 1 days";

/// Delta tables in one folder.
#[derive(Debug, Clone)]
pub struct DeltaSink {
    root: Url,
    /// Tables as they were when last looked at; a look again reads only what was added to their logs.
    opened: Arc<Mutex<HashMap<&'static str, DeltaTable>>>,
}

impl DeltaSink {
    /// Tables in the folder `root`.
    pub fn new(root: Url) -> Self {
        Self { root, opened: Arc::default() }
    }

    /// The folder of all tables.
    pub fn root(&self) -> &Url {
        &self.root
    }

    /// Where a table lies.
    pub fn location(&self, table: &Table) -> Url {
        let mut location = self.root.clone();
        if let Ok(mut segments) = location.path_segments_mut() {
            segments.pop_if_empty().push(table.name).push("");
        }
        location
    }

    /// The table's parts whose path holds `name`; without their statistics.
    pub async fn parts(&self, table: &'static Table, name: &str) -> Result<Vec<Part>, Error> {
        let Some(opened) = self.open(table).await? else { return Ok(Vec::new()) };
        let fault = |fault| self.fault(table, fault);
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        let log_store = opened.log_store();
        let mut files = snapshot.file_views(log_store.as_ref(), None);
        let mut parts = Vec::new();
        while let Some(file) = files.try_next().await.map_err(fault)? {
            let path = file.path().into_owned();
            if !path.contains(name) {
                continue;
            }
            let date = file.partition_values_map().get("date").cloned().flatten();
            parts.push(Part {
                date: date.as_deref().and_then(parse_day),
                rows: file.num_records().and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0),
                bytes: u64::try_from(file.size()).unwrap_or(0),
                stats: String::new(),
                moved: false,
                path,
            });
        }
        Ok(parts)
    }

    /// The rows of a staged part, in the types of its file, with their date; in the order of the table's columns.
    pub async fn read(&self, table: &'static Table, part: &Part) -> Result<Rows, Error> {
        let store = self.store(table).await?;
        let place = self.location(table).to_string();
        let fault = move |error: ParquetError| file_fault(table, &place, Box::new(error));
        let path = Path::from(part.path.as_str());
        let file = store.get(&path).await.map_err(|error| self.store_fault(table, error))?;
        // A file is closed at 128 MiB, so it can be held while its batches are decoded one by one.
        let file = file.bytes().await.map_err(|error| self.store_fault(table, error))?;
        // Dictionaries of the arrow schema would come back as views of whole pages.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(&fault)?;
        let (date, rows) = (part.date, builder.build().map_err(&fault)?);
        let rows = rows.map(move |batch| Ok(with_date(table, &batch?, date)?));
        Ok(futures::stream::iter(rows).boxed())
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

    /// Removes files that no version of the last `keep` names, and log entries that are older; files younger than
    /// `keep` stay, for somebody may be about to name them, and so do those in `spared`, paths within the table.
    /// Only counts them where `dry_run`.
    pub async fn tidy(
        &self,
        table: &'static Table,
        keep: Duration,
        spared: &BTreeSet<String>,
        dry_run: bool,
    ) -> Result<Tidied, Error> {
        let Some(opened) = self.open(table).await? else { return Ok(Tidied::default()) };
        let fault = |fault| self.fault(table, fault);
        let (version, log_store) = (opened.version(), opened.log_store());
        let keep = chrono::Duration::from_std(keep).unwrap_or(chrono::Duration::MAX);
        let plan = opened.vacuum().with_mode(VacuumMode::Full).with_retention_period(keep);
        let (_, plan) = plan.with_enforce_retention_duration(false).with_dry_run(true).await.map_err(fault)?;
        let store = log_store.object_store(None);
        let mut tidied = Tidied::default();
        for path in plan.files_deleted.iter().filter(|path| !spared.contains(*path)) {
            let path = Path::from(path.as_str());
            let Some(found) = gone(store.head(&path).await).map_err(|error| self.store_fault(table, error))? else {
                continue;
            };
            if !dry_run {
                gone(store.delete(&path).await).map_err(|error| self.store_fault(table, error))?;
            }
            tidied.files += 1;
            tidied.bytes += found.size;
        }
        if let Some(version) = version.filter(|_| !dry_run) {
            let before = chrono::Utc::now().checked_sub_signed(keep).unwrap_or_default().timestamp_millis();
            let removed = cleanup_expired_logs_for(version, log_store.as_ref(), before, None).await.map_err(fault)?;
            tidied.log_entries = removed as u64;
        }
        Ok(tidied)
    }

    fn store_fault(&self, table: &'static Table, error: object_store::Error) -> Error {
        file_fault(table, self.root.as_str(), Box::new(error))
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
            .with_configuration_property(TableProperty::DeletedFileRetentionDuration, Some(FORGET_REMOVED))
            .await;
        match created {
            Ok(created) => Ok(created),
            // Another writer created it at the same moment.
            Err(fault) => match self.open(table).await? {
                Some(opened) => {
                    self.check_schema(table, &opened)?;
                    Ok(opened)
                }
                None => Err(self.fault(table, fault)),
            },
        }
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
        if self.root.scheme() != "file" {
            let mend = match store_cause(&fault) {
                Some(cause) => Some(crate::s3::mend(cause)),
                // Delta's kernel keeps only what the store said.
                None if matches!(fault, DeltaTableError::KernelError(_)) => {
                    let said = std::io::Error::other(fault.to_string());
                    Some(crate::s3::mend(&object_store::Error::Generic { store: "S3", source: Box::new(said) }))
                }
                None => None,
            };
            if let Some(mend) = mend {
                return Error::Store { table: table.name, place: self.root.to_string(), mend, source: Box::new(fault) };
            }
        }
        match cause(&fault) {
            Some(std::io::ErrorKind::StorageFull) => Error::Full { table: table.name, place: self.root.to_string() },
            Some(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => {
                Error::ReadOnly { table: table.name, place: self.root.to_string() }
            }
            _ => Error::Delta { table: table.name, place: self.root.to_string(), source: Box::new(fault) },
        }
    }

    /// Where the files of the table lie; it is created where it is missing. Its log is read once.
    async fn store(&self, table: &'static Table) -> Result<Arc<dyn ObjectStore>, Error> {
        let opened = match self.seen(table) {
            Some(opened) => opened,
            None => self.latest(table).await?,
        };
        Ok(opened.log_store().object_store(None))
    }

    /// The table as it stands, created where it is missing.
    async fn latest(&self, table: &'static Table) -> Result<DeltaTable, Error> {
        if let Some(mut opened) = self.seen(table) {
            // A log that went away under us is opened anew below.
            if opened.update_incremental(None).await.is_ok() {
                self.see(table, &opened);
                return Ok(opened);
            }
        }
        let opened = self.open_or_create(table).await?;
        self.see(table, &opened);
        Ok(opened)
    }

    /// Tries until no other writer changed the table in between in a way that the log does not put in order by itself.
    async fn settle<F>(&self, table: &'static Table, change: impl Fn() -> F) -> Result<bool, Error>
    where
        F: Future<Output = Result<bool, Error>>,
    {
        for _ in 0..CONFLICTS_MAX {
            match change().await {
                Err(Error::Delta { source, .. }) if is_conflict(&source) => {
                    // Two that created it at once leave its metadata twice; the schema is looked at anew.
                    self.opened.lock().unwrap_or_else(PoisonError::into_inner).remove(table.name);
                }
                settled => return settled,
            }
        }
        change().await
    }

    async fn try_to_commit(
        &self,
        table: &'static Table,
        run: &RunId,
        staged: &Staged,
        replace: Replace,
    ) -> Result<bool, Error> {
        let opened = self.latest(table).await?;
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

    async fn try_to_apply(&self, table: &'static Table, position: &Position, change: &Change) -> Result<bool, Error> {
        let mut opened = self.latest(table).await?;
        let fault = |fault| self.fault(table, fault);
        let log_store = opened.log_store();
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        let come_to = snapshot.transaction_version(log_store.as_ref(), &position.writer).await.map_err(fault)?;
        if come_to.is_some_and(|number| number >= position.number) {
            return Ok(false);
        }
        let mut actions: Vec<Action> = Vec::new();
        if !change.removed.is_empty() {
            let removed: BTreeSet<&str> = change.removed.iter().map(String::as_str).collect();
            let mut files = snapshot.file_views(log_store.as_ref(), None);
            while let Some(file) = files.try_next().await.map_err(fault)? {
                if removed.contains(file.path().as_ref()) {
                    actions.push(Action::Remove(file.remove_action(true)));
                }
            }
        }
        actions.extend(change.added.iter().map(|part| Action::Add(add(part))));
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(table.partition().iter().map(|&name| name.to_owned()).collect()),
            predicate: None,
        };
        let transaction = Transaction::new(position.writer.as_str(), position.number);
        // A log that grows by an entry each second is too long to be listed for each; `tidy` does it now and then.
        let properties = CommitProperties::default()
            .with_application_transaction(transaction)
            .with_cleanup_expired_logs(Some(false));
        let committed = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(snapshot), log_store, operation)
            .await
            .map_err(fault)?;
        opened.state = Some(committed.snapshot());
        self.see(table, &opened);
        if let Some(folder) = self.folder(table) {
            let log = folder.join("_delta_log");
            let entry = log.join(format!("{:020}.json", committed.version()));
            sync(table, BTreeSet::from([entry, log])).await?;
        }
        Ok(true)
    }

    fn seen(&self, table: &Table) -> Option<DeltaTable> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(table.name).cloned()
    }

    fn see(&self, table: &'static Table, opened: &DeltaTable) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(table.name, opened.clone());
    }

    /// The folder of a table on this machine; `None` where it lies elsewhere, where what was written is safe.
    fn folder(&self, table: &Table) -> Option<PathBuf> {
        self.location(table).to_file_path().ok()
    }
}

fn is_conflict(fault: &DeltaTableError) -> bool {
    matches!(fault, DeltaTableError::Transaction { source: TransactionError::CommitConflict(_) })
}

/// Waits until files and folders are safe from a power cut.
async fn sync(table: &'static Table, paths: BTreeSet<PathBuf>) -> Result<(), Error> {
    let synced = tokio::task::spawn_blocking(move || {
        for path in paths {
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(|error| (path.display().to_string(), error))?;
        }
        Ok::<_, (String, std::io::Error)>(())
    });
    match synced.await {
        Ok(synced) => synced.map_err(|(place, error)| file_fault(table, &place, Box::new(error))),
        Err(panic) => Err(file_fault(table, table.name, Box::new(panic))),
    }
}

/// The error for a file of `table` that could not be written.
pub(crate) fn file_fault(
    table: &'static Table,
    place: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> Error {
    if !place.starts_with("file:")
        && let Some(mend) = store_cause(source.as_ref()).map(crate::s3::mend)
    {
        return Error::Store { table: table.name, place: place.to_owned(), mend, source };
    }
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

/// The fault of the object store below another, where there is one.
fn store_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a object_store::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<object_store::Error>() {
            return Some(found);
        }
        next = below(error);
    }
    None
}

/// The kind of the IO error at the bottom, where there is one.
fn cause(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut next = Some(error);
    let mut kind = None;
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            kind = Some(io.kind());
        }
        next = below(error);
    }
    kind
}

/// The error below another; an IO error hides the one that it wraps.
fn below<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or(error.source())
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

/// The columns of `table` out of a file, which lacks the date that its folder names.
fn with_date(table: &'static Table, batch: &RecordBatch, date: Option<i32>) -> Result<RecordBatch, ArrowError> {
    let columns = table.columns().map(|column| -> Result<(&str, ArrayRef, bool), ArrowError> {
        let found = match date.filter(|_| table.by_date && column.name == "date") {
            Some(date) => Arc::new(Date32Array::from_value(date, batch.num_rows())) as ArrayRef,
            None => batch.column_by_name(column.name).cloned().ok_or_else(|| {
                ArrowError::SchemaError(format!("a file of `{}` has no `{}`", table.name, column.name))
            })?,
        };
        Ok((column.name, found, column.nullable))
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>, _>>()?)
}

/// What a store says of a file; `None` where there is none, as somebody else may have removed it.
fn gone<T>(said: object_store::Result<T>) -> object_store::Result<Option<T>> {
    match said {
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        said => said.map(Some),
    }
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
        let store = self.store(table).await?;
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
        self.settle(table, || self.try_to_commit(table, run, staged, replace)).await
    }

    async fn keep(&self, table: &'static Table, staged: &Staged) -> Result<(), Error> {
        let Some(folder) = self.folder(table) else { return Ok(()) };
        let files: Vec<PathBuf> = staged.parts.iter().map(|part| folder.join(&part.path)).collect();
        if files.is_empty() {
            return Ok(());
        }
        let mut paths: BTreeSet<PathBuf> =
            files.iter().filter_map(|file| file.parent()).map(std::path::Path::to_path_buf).collect();
        paths.extend(files);
        // The folder of a date may be new, and that of the table too.
        paths.extend(folder.parent().map(std::path::Path::to_path_buf));
        paths.insert(folder);
        sync(table, paths).await
    }

    async fn apply(&self, table: &'static Table, position: &Position, change: &Change) -> Result<bool, Error> {
        self.settle(table, || self.try_to_apply(table, position, change)).await
    }

    async fn position(&self, table: &'static Table, writer: &str) -> Result<Option<i64>, Error> {
        let Some(opened) = self.open(table).await? else { return Ok(None) };
        let fault = |fault| self.fault(table, fault);
        let snapshot = opened.snapshot().map_err(fault)?.snapshot();
        snapshot.transaction_version(opened.log_store().as_ref(), writer).await.map_err(fault)
    }

    async fn discard(&self, table: &'static Table, staged: &Staged) -> Result<(), Error> {
        let store = self.store(table).await?;
        for part in &staged.parts {
            let removed = store.delete(&Path::from(part.path.as_str())).await;
            removed.map_err(|error| self.store_fault(table, error))?;
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

fn add(part: &Part) -> Add {
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
