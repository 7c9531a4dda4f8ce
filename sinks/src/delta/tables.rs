//! The Delta tables of one folder: where each lies, how it is opened and created, and what its errors mean.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableError, TableProperty};
use netcrab_schema::{Column, Table, all_tables};
use object_store::ObjectStore;
use url::Url;

use super::schema::{delta_field, delta_type};
use crate::error::Error;
use crate::file_fault::{file_fault, io_cause, store_cause};

/// How long the log of a table remembers that a file was removed. A stream removes many files.
const FORGET_REMOVED: &str = "interval 1 days";

/// Delta tables in one folder.
#[derive(Debug, Clone)]
pub struct DeltaSink {
    root: Url,
    /// The last version that was read of each table. An update reads only the log entries after it.
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

    /// The address of a table's folder.
    pub fn location(&self, table: &Table) -> Url {
        let mut location = self.root.clone();
        if let Ok(mut segments) = location.path_segments_mut() {
            segments.pop_if_empty().push(table.name).push("");
        }
        location
    }

    /// The table's latest version, or `None` where there is no such table yet.
    ///
    /// # Errors
    /// Where its log cannot be read.
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

    pub(super) fn store_fault(&self, table: &'static Table, error: object_store::Error) -> Error {
        file_fault(table, self.root.as_str(), Box::new(error))
    }

    async fn open_or_create(&self, table: &'static Table) -> Result<DeltaTable, Error> {
        if let Some(opened) = self.open(table).await? {
            return self.with_all_columns(table, opened).await;
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
                Some(opened) => self.with_all_columns(table, opened).await,
                None => Err(self.fault(table, fault)),
            },
        }
    }

    /// Adds the columns that an earlier release did not have to all tables that there are.
    ///
    /// # Errors
    /// [`Error::Schema`] for a table of another kind; otherwise where a log cannot be read or written.
    pub async fn add_columns(&self) -> Result<(), Error> {
        // A table that is cached has all columns.
        for table in all_tables().filter(|table| self.cached(table).is_none()) {
            if let Some(opened) = self.open(table).await? {
                self.cache(table, &self.with_all_columns(table, opened).await?);
            }
        }
        Ok(())
    }

    /// Adds the columns that an earlier release did not have; rows of then are null there.
    async fn with_all_columns(&self, table: &'static Table, opened: DeltaTable) -> Result<DeltaTable, Error> {
        let missing = self.missing_columns(table, &opened)?;
        if missing.is_empty() {
            return Ok(opened);
        }
        let names = missing.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
        tracing::info!(table = table.name, columns = names, "columns are added");
        let fields: Vec<_> = missing.into_iter().map(delta_field).collect();
        match opened.add_columns().with_fields(fields).await {
            Ok(added) => Ok(added),
            // Another writer added them at the same moment.
            Err(fault) => match self.open(table).await? {
                Some(opened) if self.missing_columns(table, &opened)?.is_empty() => Ok(opened),
                _ => Err(self.fault(table, fault)),
            },
        }
    }

    /// The columns of `table` that the stored table lacks. Only nullable ones may be missing, and no other may be there.
    fn missing_columns(&self, table: &'static Table, opened: &DeltaTable) -> Result<Vec<&'static Column>, Error> {
        let snapshot = opened.snapshot().map_err(|fault| self.fault(table, fault))?;
        let schema = snapshot.schema();
        let known = schema.fields().all(|field| {
            let column = table.columns().find(|column| column.name == field.name());
            column.is_some_and(|column| delta_type(column.kind) == *field.data_type())
        });
        let missing: Vec<_> = table.columns().filter(|column| schema.field(column.name).is_none()).collect();
        if known && missing.iter().all(|column| column.nullable) {
            return Ok(missing);
        }
        Err(Error::Schema { table: table.name, place: self.root.to_string() })
    }

    pub(super) fn fault(&self, table: &'static Table, fault: DeltaTableError) -> Error {
        if self.root.scheme() != "file" {
            let mend = match store_cause(&fault) {
                Some(cause) => Some(crate::s3::mend(cause)),
                // Delta's kernel drops the store's error and keeps its text.
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
        match io_cause(&fault) {
            Some(std::io::ErrorKind::StorageFull) => Error::Full { table: table.name, place: self.root.to_string() },
            Some(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => {
                Error::ReadOnly { table: table.name, place: self.root.to_string() }
            }
            _ => Error::Delta { table: table.name, place: self.root.to_string(), source: Box::new(fault) },
        }
    }

    /// The store of the table's files. Creates the table where it is missing; reads its log the first time only.
    pub(super) async fn store(&self, table: &'static Table) -> Result<Arc<dyn ObjectStore>, Error> {
        let opened = match self.cached(table) {
            Some(opened) => opened,
            None => self.latest(table).await?,
        };
        Ok(opened.log_store().object_store(None))
    }

    /// The table's latest version. Creates the table where it is missing.
    pub(super) async fn latest(&self, table: &'static Table) -> Result<DeltaTable, Error> {
        if let Some(mut opened) = self.cached(table) {
            // Where the log was deleted meanwhile, the table is created again below.
            if opened.update_incremental(None).await.is_ok() {
                self.cache(table, &opened);
                return Ok(opened);
            }
        }
        let opened = self.open_or_create(table).await?;
        self.cache(table, &opened);
        Ok(opened)
    }

    fn cached(&self, table: &Table) -> Option<DeltaTable> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(table.name).cloned()
    }

    pub(super) fn cache(&self, table: &'static Table, opened: &DeltaTable) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(table.name, opened.clone());
    }

    /// Forgets the cached version of a table.
    pub(super) fn forget(&self, table: &Table) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).remove(table.name);
    }

    /// The folder of a table on this machine; `None` where the table lies in a bucket, where every write is durable.
    pub(super) fn folder(&self, table: &Table) -> Option<PathBuf> {
        self.location(table).to_file_path().ok()
    }
}
