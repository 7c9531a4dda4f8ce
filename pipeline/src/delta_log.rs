//! The Delta table in a folder as a list of its live files, for a source.
//!
//! ```text
//! _delta_log/ ─▶ snapshot ─┬─▶ files, their partition values
//!                          ├─▶ columns, their names in the files
//!                          └─▶ deletion vectors ─▶ the rows of each file that are left
//! ```
//!
//! Delta's kernel decides what is live. A table that cannot be read exactly is refused with the reason.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use deltalake::DeltaTable;
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext, create_session};
use deltalake::kernel::transaction::{PROTOCOL, TransactionError};
use deltalake::kernel::{DataType, MetadataValue, StructField, StructType};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use netcrab_sources::{TableColumn, TableFile, TableLog};

use crate::tables;

/// What can be done about a table that cannot be read.
const EXPORT: &str = "export it to Parquet, and give the export";

/// The key of a column's metadata that has its name in the files.
const PHYSICAL_NAME: &str = "delta.columnMapping.physicalName";

/// Reads Delta tables at their latest version.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeltaLog;

impl TableLog for DeltaLog {
    fn files<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<TableFile>, String>> {
        Box::pin(live_files(folder))
    }
}

async fn live_files(folder: &str) -> Result<Vec<TableFile>, String> {
    let address = tables::address(folder).map_err(|error| error.to_string())?;
    let table = deltalake::open_table(address).await.map_err(refusal)?;
    let state = table.snapshot().map_err(refusal)?;
    match PROTOCOL.can_read_from_protocol(state.protocol()) {
        // This one asks nothing of those who only read: it is for those who remove files.
        Err(TransactionError::UnsupportedTableFeatures(features))
            if features.iter().all(|feature| feature.to_string() == "vacuumProtocolCheck") => {}
        readable => readable.map_err(|error| format!("{error}; {EXPORT}"))?,
    }
    // The modes have no name outside of Delta's kernel.
    let mode = format!("{:?}", state.snapshot().table_configuration().column_mapping_mode());
    if mode == "Id" {
        return Err(format!(
            "its columns are found by field id (column mapping mode `id`), which is not read; {EXPORT}"
        ));
    }
    let mut columns = Vec::new();
    columns_of(&state.schema(), "", &[], mode == "Name", &mut columns);
    let columns: Arc<[TableColumn]> = columns.into();
    let log_store = table.log_store();
    let mut views = state.snapshot().file_views(log_store.as_ref(), None);
    let mut files = Vec::new();
    let mut with_vectors = Vec::new();
    while let Some(view) = views.try_next().await.map_err(refusal)? {
        let path = view.path().into_owned();
        if path.contains("://") || path.starts_with('/') || path.starts_with("file:") {
            return Err(format!("it is a shallow clone, whose files lie in another table; {EXPORT}"));
        }
        if view.deletion_vector_descriptor().is_some() {
            with_vectors.push(files.len());
        }
        let partitions = view.partition_values_map().into_iter().map(|(name, value)| (logical(&columns, name), value));
        files.push(TableFile { path, partitions: partitions.collect(), columns: Arc::clone(&columns), kept: None });
    }
    if !with_vectors.is_empty() {
        let mut kept = kept_rows(&table).await?;
        for at in with_vectors {
            let missing = || format!("the deletion vector of `{}` was not found; {EXPORT}", files[at].path);
            let rows = kept.remove(&files[at].path).ok_or_else(missing)?;
            files[at].kept = Some(rows);
        }
    }
    Ok(files)
}

/// The log gives partition values under the names that columns have in files.
fn logical(columns: &[TableColumn], stored: String) -> String {
    let column = columns.iter().find(|column| matches!(column.stored.as_slice(), [name] if *name == stored));
    column.map_or(stored, |column| column.name.clone())
}

/// Adds the columns of a struct, each with the fields below it.
fn columns_of(of: &StructType, prefix: &str, stored: &[String], mapped: bool, columns: &mut Vec<TableColumn>) {
    for field in of.fields() {
        let name = format!("{prefix}{}", field.name());
        let stored = [stored, &[stored_name(field, mapped)]].concat();
        if let DataType::Struct(fields) = field.data_type() {
            columns_of(fields, &format!("{name}."), &stored, mapped, columns);
        }
        columns.push(TableColumn { name, stored });
    }
}

fn stored_name(field: &StructField, mapped: bool) -> String {
    match field.metadata().get(PHYSICAL_NAME).filter(|_| mapped) {
        Some(MetadataValue::String(name)) => name.clone(),
        _ => field.name().clone(),
    }
}

/// For each file with a deletion vector, by its path: whether each of its rows is left.
async fn kept_rows(table: &DeltaTable) -> Result<HashMap<String, BooleanBuffer>, String> {
    let snapshot = table.snapshot().map_err(refusal)?.snapshot().clone();
    let scan = DeltaScanNext::new(snapshot, DeltaScanConfig::default()).map_err(refusal)?;
    let session = create_session().state();
    table.update_datafusion_session(&session).map_err(refusal)?;
    let selections = scan.deletion_vectors(&session).await.map_err(refusal)?;
    let root = table.table_url().as_str().trim_end_matches('/').to_owned();
    let path = |uri: &str| {
        let path = uri.strip_prefix(&root)?.trim_start_matches('/');
        percent_encoding::percent_decode_str(path).decode_utf8().ok().map(|path| path.into_owned())
    };
    let kept = selections.into_iter().map(|selection| {
        let path = path(&selection.filepath).ok_or("a deletion vector belongs to a file of another table")?;
        Ok((path, selection.keep_mask.into()))
    });
    kept.collect()
}

fn refusal(error: impl std::fmt::Display) -> String {
    format!("{error}; repair the table, or {EXPORT}")
}
