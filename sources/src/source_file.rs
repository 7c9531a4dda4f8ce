//! One file of a source: where it is, how it is written, and what is known of it besides.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::table::KnownColumns;

/// How the rows of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// One JSON object per line.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
    /// The combined log format of web servers.
    AccessLog,
}

/// How a text file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Compression::None => "plain text",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(crate) enum FileLocation {
    Local(PathBuf),
    Object { store: Arc<dyn ObjectStore>, path: ObjectPath, handle: Handle },
}

/// One file of a source.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// The name in error messages and rejects.
    pub(crate) name: String,
    /// The name relative to the address it was found under; independent of where that address lies.
    pub(crate) relative: String,
    pub(crate) place: FileLocation,
    pub(crate) bytes: u64,
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    /// The ETag of an object.
    pub(crate) etag: Option<String>,
    /// What its folders or its table say about its columns.
    pub(crate) known: KnownColumns,
}
