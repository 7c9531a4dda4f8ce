//! Finds the files of a source, with the format and compression of each.
//!
//! ```text
//! data/                      part-0.parquet    Parquet
//! s3://bucket/events/   ─▶   2026/a.ndjson.zst NDJSON, zstd      sorted by name
//! access.log.gz              access.log.gz     access log, gzip
//! ```
//!
//! Inside folders, names that begin with `_` or `.` are bookkeeping (`_delta_log`, `_SUCCESS`, `.crc`) and are
//! skipped.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::partitions::Partitions;
use crate::s3::s3;
use crate::table::{KnownColumns, TableFile, TableFolders, TableKind, TableLog, TablePart, tables_above};
use crate::{Error, SourceSettings};

/// The endings that tell a format, as error messages list them.
pub(crate) const ENDINGS: &str =
    ".parquet, .ndjson, .jsonl, .json, .csv or .log, the text formats also with .gz or .zst";

/// Deepest nesting of folders that is listed.
const DEPTH_MAX: usize = 64;

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

/// Lists the files at `uris`, sorted by name. A file that is named twice is listed once.
///
/// # Errors
///
/// An address that does not exist, holds no event files or too many, or a file of unknown format.
pub(crate) async fn list(
    uris: &[String],
    mapped: Option<Format>,
    settings: &SourceSettings,
    log: Option<&dyn TableLog>,
) -> Result<Vec<SourceFile>, Error> {
    let mut listing = Listing { files: Vec::new(), tables: Vec::new(), mapped, uris: uris.join(", "), files_max: settings.files_max };
    for uri in uris {
        match uri.strip_prefix("s3://") {
            Some(address) => listing.add_s3(uri, address).await?,
            None if uri.contains("://") && !uri.starts_with("file://") => {
                let cause = "only s3:// and file:// are understood".to_owned();
                return Err(Error::Address { uri: uri.clone(), cause });
            }
            None => listing.add_local(uri, Path::new(uri.strip_prefix("file://").unwrap_or(uri)))?,
        }
    }
    listing.add_tables(log).await?;
    let mut files = listing.files;
    if files.is_empty() {
        return Err(Error::Nothing { uris: format!("`{}`", uris.join("`, `")), expected: ENDINGS });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files.dedup_by(|a, b| a.name == b.name);
    Ok(files)
}

/// A Delta table among the listed folders.
struct FoundTable {
    folder: String,
    /// The name of the folder within the address; ends in `/`, or is empty.
    relative: String,
    /// In a bucket, the objects of the folder by their names in it.
    objects: Option<HashMap<String, SourceFile>>,
}

struct Listing {
    files: Vec<SourceFile>,
    tables: Vec<FoundTable>,
    mapped: Option<Format>,
    uris: String,
    files_max: usize,
}

impl Listing {
    fn add(&mut self, mut file: SourceFile) -> Result<(), Error> {
        if file.known.table.is_none() {
            file.known.partitions = Partitions::of_path(&file.name);
        }
        self.check_count(self.files.len())?;
        self.files.push(file);
        Ok(())
    }

    fn check_count(&self, files: usize) -> Result<(), Error> {
        if files < self.files_max {
            return Ok(());
        }
        Err(Error::TooManyFiles { uris: self.uris.clone(), files_max: self.files_max })
    }

    fn add_local(&mut self, uri: &str, path: &Path) -> Result<(), Error> {
        let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound { uri: uri.to_owned() },
            _ => Error::Read { file: uri.to_owned(), source },
        })?;
        let above = tables_above(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        if let Some(table) = above.into_iter().find(|above| above.join("_delta_log").is_dir()) {
            return Err(Error::InsideTable { uri: uri.to_owned(), table: table.display().to_string() });
        }
        if metadata.is_dir() {
            return self.add_folder(path);
        }
        let name = path.display().to_string();
        let kind = format_of_name(&name).or_else(|| Some((self.mapped?, compression_of(&name).0)));
        let Some((format, compression)) = kind else {
            return Err(Error::UnknownFormat { file: name, expected: ENDINGS });
        };
        let relative = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let place = FileLocation::Local(path.to_owned());
        let (bytes, known) = (metadata.len(), KnownColumns::default());
        self.add(SourceFile { name, relative, place, bytes, format, compression, etag: None, known })
    }

    fn add_folder(&mut self, root: &Path) -> Result<(), Error> {
        let failed = |path: &Path, source| Error::Read { file: path.display().to_string(), source };
        let mut folders = vec![(root.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            if depth > DEPTH_MAX {
                return Err(Error::TooDeep { folder, depth_max: DEPTH_MAX });
            }
            if let Some(kind) = TableKind::of_folder(&folder) {
                kind.check(&folder.display().to_string())?;
                let relative = folder.strip_prefix(root).map(|path| path.display().to_string()).unwrap_or_default();
                let relative = if relative.is_empty() { relative } else { format!("{relative}/") };
                self.tables.push(FoundTable { folder: folder.display().to_string(), relative, objects: None });
                continue;
            }
            for entry in std::fs::read_dir(&folder).map_err(|source| failed(&folder, source))? {
                let entry = entry.map_err(|source| failed(&folder, source))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if bookkeeping(&name) {
                    continue;
                }
                let path = entry.path();
                let metadata = std::fs::metadata(&path).map_err(|source| failed(&path, source))?;
                if metadata.is_dir() {
                    folders.push((path, depth + 1));
                } else if let Some((format, compression)) = self.kind_in_folder(&name) {
                    let relative = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                    let (name, bytes) = (path.display().to_string(), metadata.len());
                    self.add(SourceFile {
                        name,
                        relative,
                        place: FileLocation::Local(path),
                        bytes,
                        format,
                        compression,
                        etag: None,
                        known: KnownColumns::default(),
                    })?;
                }
            }
        }
        Ok(())
    }

    async fn add_s3(&mut self, uri: &str, address: &str) -> Result<(), Error> {
        let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
        let store = s3(uri, bucket)?;
        let handle = Handle::try_current().map_err(|e| Error::Address { uri: uri.to_owned(), cause: e.to_string() })?;
        let prefix = ObjectPath::parse(key.trim_end_matches('/'))
            .map_err(|e| Error::Address { uri: uri.to_owned(), cause: e.to_string() })?;
        let failed = |source| Error::store(uri, source);
        let object = |meta: ObjectMeta, relative: String, format, compression| SourceFile {
            name: format!("s3://{bucket}/{}", meta.location),
            relative,
            bytes: meta.size,
            format,
            compression,
            etag: meta.e_tag,
            known: KnownColumns::default(),
            place: FileLocation::Object { store: store.clone(), path: meta.location, handle: handle.clone() },
        };
        for above in tables_above(Path::new(prefix.as_ref())) {
            let log = ObjectPath::from(format!("{}/_delta_log", above.display()));
            if store.list(Some(&log)).try_next().await.map_err(failed)?.is_some() {
                return Err(Error::InsideTable {
                    uri: uri.to_owned(),
                    table: format!("s3://{bucket}/{}", above.display()),
                });
            }
        }
        if !key.is_empty() && !key.ends_with('/') {
            match store.head(&prefix).await {
                Ok(meta) => {
                    let kind = format_of_name(key).or_else(|| Some((self.mapped?, compression_of(key).0)));
                    let (format, compression) =
                        kind.ok_or_else(|| Error::UnknownFormat { file: uri.to_owned(), expected: ENDINGS })?;
                    let relative = key.rsplit('/').next().unwrap_or(key).to_owned();
                    return self.add(object(meta, relative, format, compression));
                }
                Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        let mut tables = TableFolders::default();
        let mut found: Vec<SourceFile> = Vec::new();
        let mut objects = store.list(Some(&prefix));
        while let Some(meta) = objects.try_next().await.map_err(failed)? {
            let location = meta.location.to_string();
            let relative =
                location.strip_prefix(prefix.as_ref()).unwrap_or(&location).trim_start_matches('/').to_owned();
            tables.note(uri, &relative)?;
            let name = relative.rsplit('/').next().unwrap_or(&relative).to_owned();
            if let Some((format, compression)) = self.kind_in_folder(&name) {
                self.check_count(found.len())?;
                found.push(object(meta, relative, format, compression));
            }
        }
        for folder in tables.iter() {
            let folder_objects = found.extract_if(.., |file| file.relative.starts_with(folder));
            let name = |file: SourceFile| (file.relative[folder.len()..].to_owned(), file);
            self.tables.push(FoundTable {
                objects: Some(folder_objects.map(name).collect()),
                folder: format!("{}/{folder}", uri.trim_end_matches('/')).trim_end_matches('/').to_owned(),
                relative: folder.to_owned(),
            });
        }
        found.retain(|file| !file.relative.split('/').any(bookkeeping));
        found.into_iter().try_for_each(|file| self.add(file))
    }

    /// Adds the files of Delta tables that their logs name.
    async fn add_tables(&mut self, log: Option<&dyn TableLog>) -> Result<(), Error> {
        for mut table in std::mem::take(&mut self.tables) {
            let kind = TableKind::Delta.name();
            let log = log.ok_or_else(|| Error::ForeignTable { folder: table.folder.clone(), kind })?;
            let files = log.files(&table.folder).await;
            let files = files.map_err(|cause| Error::Table { folder: table.folder.clone(), cause })?;
            for file in files {
                let file = table.file(file)?;
                self.add(file)?;
            }
        }
        Ok(())
    }

    /// The format of a name inside a folder. Without a known ending a file is read only if a mapping gives the format
    /// and the name is that of a (rotated) log or has no ending: `access_log`, `access.log.1`.
    fn kind_in_folder(&self, name: &str) -> Option<(Format, Compression)> {
        format_of_name(name).or_else(|| {
            let format = self.mapped.filter(|format| *format != Format::Parquet)?;
            let (compression, stem) = compression_of(name);
            let ending = stem.rsplit_once('.').map_or("", |(_, ending)| ending);
            let plain = ending.is_empty() || ending == "txt" || ending.bytes().all(|b| b.is_ascii_digit());
            plain.then_some((format, compression))
        })
    }
}

impl FoundTable {
    /// The file that the log of the table names.
    fn file(&mut self, file: TableFile) -> Result<SourceFile, Error> {
        let known =
            KnownColumns { partitions: Partitions::of_log(&file.partitions), table: Some(TablePart::new(&file)) };
        let relative = format!("{}{}", self.relative, file.path);
        let missing = |cause: String| Error::Table { folder: self.folder.clone(), cause };
        let gone = format!("its log names `{}`, which is not there; run again, or repair the table", file.path);
        if let Some(objects) = &mut self.objects {
            let object = objects.remove(&file.path).ok_or_else(|| missing(gone))?;
            return Ok(SourceFile { relative, known, format: Format::Parquet, ..object });
        }
        let path = Path::new(&self.folder).join(&file.path);
        let metadata = std::fs::metadata(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(gone),
            _ => Error::Read { file: path.display().to_string(), source: error },
        })?;
        Ok(SourceFile {
            name: path.display().to_string(),
            relative,
            place: FileLocation::Local(path),
            bytes: metadata.len(),
            format: Format::Parquet,
            compression: Compression::None,
            etag: None,
            known,
        })
    }
}

fn bookkeeping(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

fn compression_of(name: &str) -> (Compression, &str) {
    if let Some(stem) = name.strip_suffix(".gz") {
        (Compression::Gzip, stem)
    } else if let Some(stem) = name.strip_suffix(".zst").or_else(|| name.strip_suffix(".zstd")) {
        (Compression::Zstd, stem)
    } else {
        (Compression::None, name)
    }
}

fn format_of_name(name: &str) -> Option<(Format, Compression)> {
    let lower = name.to_ascii_lowercase();
    let (compression, stem) = compression_of(&lower);
    let format = match stem.rsplit_once('.')?.1 {
        "parquet" | "pq" if compression == Compression::None => Format::Parquet,
        "ndjson" | "jsonl" | "json" | "jsonlines" => Format::Ndjson,
        "csv" => Format::Csv,
        "log" => Format::AccessLog,
        _ => return None,
    };
    Some((format, compression))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_says_format_and_compression() {
        for (name, kind) in [
            ("a.parquet", Some((Format::Parquet, Compression::None))),
            ("a.NDJSON", Some((Format::Ndjson, Compression::None))),
            ("a.jsonl.gz", Some((Format::Ndjson, Compression::Gzip))),
            ("a.csv.zst", Some((Format::Csv, Compression::Zstd))),
            ("access.log", Some((Format::AccessLog, Compression::None))),
            ("a.parquet.gz", None),
            ("a.txt", None),
            ("gz", None),
        ] {
            assert_eq!(format_of_name(name), kind, "{name}");
        }
    }
}
