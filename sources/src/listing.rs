//! Finds the files of a source, with the format and compression of each.
//!
//! ```text
//! data/                      part-0.parquet    Parquet
//! s3://bucket/events/   ─▶   2026/a.ndjson.zst NDJSON, zstd      sorted by name
//! access.log.gz              access.log.gz     access log, gzip
//! ```
//!
//! Inside folders, names that begin with `_` or `.` are bookkeeping (`_delta_log`, `_SUCCESS`, `.crc`) and are
//! skipped. Any other file that is not read is [left out](crate::LeftOut) with a reason.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use crate::found_table::FoundTable;
use crate::left_out::{LeftOutFiles, WhyLeftOut};
use crate::partitions::Partitions;
use crate::s3::s3;
pub use crate::source_file::Format;
pub(crate) use crate::source_file::{Compression, FileLocation, SourceFile};
use crate::table::{KnownColumns, TableFolders, TableKind, TableLog, tables_above};
use crate::{Error, SourceSettings};

/// The endings that tell a format, as error messages list them.
pub(crate) const ENDINGS: &str =
    ".parquet, .ndjson, .jsonl, .json, .csv, .tsv or .log, the text formats also with .gz or .zst";

/// Deepest nesting of folders that is listed.
const DEPTH_MAX: usize = 64;

/// Lists the files at `uris`, sorted by name, and what is left out. A file that is named twice is listed once.
///
/// # Errors
///
/// An address that does not exist, holds no event files or too many, or a file of unknown format.
pub(crate) async fn list(
    uris: &[String],
    mapped: Option<Format>,
    settings: &SourceSettings,
    log: Option<&dyn TableLog>,
) -> Result<(Vec<SourceFile>, LeftOutFiles), Error> {
    let mut listing = Listing {
        files: Vec::new(),
        left_out: LeftOutFiles::default(),
        tables: Vec::new(),
        mapped,
        uris: uris.join(", "),
        files_max: settings.files_max,
    };
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
    let Listing { mut files, mut left_out, .. } = listing;
    left_out.sort();
    if files.is_empty() {
        let uris = format!("`{}`", uris.join("`, `"));
        return Err(Error::Nothing { uris, left_out: left_out.clause(), expected: ENDINGS });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files.dedup_by(|a, b| a.name == b.name);
    Ok((files, left_out))
}

struct Listing {
    files: Vec<SourceFile>,
    left_out: LeftOutFiles,
    tables: Vec<FoundTable>,
    mapped: Option<Format>,
    uris: String,
    files_max: usize,
}

/// The folders where links began and ended on the way to a folder, and the folder where the way began.
#[derive(Clone)]
struct LinkedFolders(Arc<[PathBuf]>);

impl LinkedFolders {
    fn of(root: &Path) -> Self {
        Self(std::fs::canonicalize(root).into_iter().collect())
    }

    /// These folders on the way from `folder` into `entry`.
    ///
    /// # Errors
    /// [`WhyLeftOut::Link`] where `entry` is a link to a place outside of the folder where the way began, and
    /// [`WhyLeftOut::Loop`] where it is one to a folder that the way has passed, so that it would never end.
    fn entered(&self, folder: &Path, entry: &Path) -> Result<Self, WhyLeftOut> {
        if !entry.is_symlink() {
            return Ok(self.clone());
        }
        let Ok(target) = std::fs::canonicalize(entry) else { return Ok(self.clone()) };
        if self.0.first().is_some_and(|root| !target.starts_with(root)) {
            return Err(WhyLeftOut::Link);
        }
        let mut passed: Vec<PathBuf> = self.0.iter().cloned().chain(std::fs::canonicalize(folder)).collect();
        if passed.iter().any(|passed| passed.starts_with(&target)) {
            return Err(WhyLeftOut::Loop);
        }
        passed.push(target);
        Ok(Self(passed.into()))
    }
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
        let (format, compression) = self.kind_of_named(&name)?;
        let relative = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let place = FileLocation::Local(path.to_owned());
        let (bytes, known) = (metadata.len(), KnownColumns::default());
        self.add(SourceFile { name, relative, place, bytes, format, compression, etag: None, known })
    }

    fn add_folder(&mut self, root: &Path) -> Result<(), Error> {
        let failed = |path: &Path, source| Error::Read { file: path.display().to_string(), source };
        let mut folders = vec![(root.to_owned(), 0, LinkedFolders::of(root))];
        while let Some((folder, depth, links)) = folders.pop() {
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
                let metadata = match std::fs::metadata(&path) {
                    // It was there a moment ago: a link, or a file that someone has just removed.
                    Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                        self.left_out.push(path.display().to_string(), WhyLeftOut::Missing);
                        continue;
                    }
                    metadata => metadata.map_err(|source| failed(&path, source))?,
                };
                let links = match links.entered(&folder, &path) {
                    Ok(links) => links,
                    Err(why) => {
                        self.left_out.push(path.display().to_string(), why);
                        continue;
                    }
                };
                if metadata.is_dir() {
                    folders.push((path, depth + 1, links));
                    continue;
                }
                if !metadata.is_file() {
                    self.left_out.push(path.display().to_string(), WhyLeftOut::Special);
                    continue;
                }
                let relative = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                let (bytes, known) = (metadata.len(), KnownColumns::default());
                let kind = self.kind_in_folder(&name);
                let (name, place) = (path.display().to_string(), FileLocation::Local(path));
                match kind {
                    Ok((format, compression)) => {
                        self.add(SourceFile { name, relative, place, bytes, format, compression, etag: None, known })?;
                    }
                    Err(why) => self.left_out.push(name, why),
                }
            }
        }
        Ok(())
    }

    async fn add_s3(&mut self, uri: &str, address: &str) -> Result<(), Error> {
        let (name, key) = address.split_once('/').unwrap_or((address, ""));
        let store = s3(uri, name)?;
        let handle = Handle::try_current().map_err(|e| Error::Address { uri: uri.to_owned(), cause: e.to_string() })?;
        let bucket = Bucket { uri, name, store, handle };
        let prefix = ObjectPath::parse(key.trim_end_matches('/'))
            .map_err(|e| Error::Address { uri: uri.to_owned(), cause: e.to_string() })?;
        bucket.refuse_part_of_table(&prefix).await?;
        if !key.is_empty() && !key.ends_with('/') {
            match bucket.store.head(&prefix).await {
                Ok(meta) => {
                    let kind = self.kind_of_named(uri)?;
                    let relative = key.rsplit('/').next().unwrap_or(key).to_owned();
                    return self.add(bucket.file(meta, relative, kind));
                }
                Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(Error::store(uri, source)),
            }
        }
        self.add_prefix(&bucket, &prefix).await
    }

    /// Adds the objects below a prefix, and notes the Delta tables among them.
    async fn add_prefix(&mut self, bucket: &Bucket<'_>, prefix: &ObjectPath) -> Result<(), Error> {
        let mut tables = TableFolders::default();
        let mut found: Vec<SourceFile> = Vec::new();
        let mut objects = bucket.store.list(Some(prefix));
        while let Some(meta) = objects.try_next().await.map_err(|source| Error::store(bucket.uri, source))? {
            let location = meta.location.to_string();
            let relative =
                location.strip_prefix(prefix.as_ref()).unwrap_or(&location).trim_start_matches('/').to_owned();
            tables.note(bucket.uri, &relative)?;
            let name = relative.rsplit('/').next().unwrap_or(&relative).to_owned();
            match self.kind_in_folder(&name) {
                Ok(kind) => {
                    self.check_count(found.len())?;
                    found.push(bucket.file(meta, relative, kind));
                }
                // An empty object stands for a folder.
                Err(_) if meta.size == 0 || relative.split('/').any(bookkeeping) => {}
                Err(why) => self.left_out.push(format!("s3://{}/{location}", bucket.name), why),
            }
        }
        for folder in tables.iter() {
            let inside = found.extract_if(.., |file| file.relative.starts_with(folder));
            let named = inside.map(|file| (file.relative[folder.len()..].to_owned(), file));
            self.tables.push(FoundTable {
                objects: Some(named.collect()),
                folder: format!("{}/{folder}", bucket.uri.trim_end_matches('/')).trim_end_matches('/').to_owned(),
                relative: folder.to_owned(),
            });
        }
        // Only a table's log says which of its files are bookkeeping.
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

    /// The format that an ending tells. What a `.log` is, a mapping says: some servers log JSON.
    fn kind_of_ending(&self, name: &str) -> Option<(Format, Compression)> {
        let (format, compression) = format_of_name(name)?;
        let mapped = self.mapped.filter(|mapped| format == Format::AccessLog && *mapped != Format::Parquet);
        Some((mapped.unwrap_or(format), compression))
    }

    /// The format of a file that was named itself: by its ending, else by the mapping.
    fn kind_of_named(&self, name: &str) -> Result<(Format, Compression), Error> {
        if let Some(kind) = self.kind_of_ending(name) {
            return Ok(kind);
        }
        match (WhyLeftOut::of_name(&name.to_ascii_lowercase()), self.mapped) {
            (why @ (WhyLeftOut::Compression(_) | WhyLeftOut::CompressedParquet), _) => {
                Err(Error::Unread { file: name.to_owned(), why })
            }
            (_, Some(format)) => Ok((format, compression_of(&name.to_ascii_lowercase()).0)),
            (_, None) => Err(Error::UnknownFormat { file: name.to_owned(), expected: ENDINGS }),
        }
    }

    /// The format of a name inside a folder. Without a known ending a file is read only if a mapping gives the format
    /// and the name is that of a (rotated) log or has no ending: `access_log`, `access.log.1`.
    fn kind_in_folder(&self, name: &str) -> Result<(Format, Compression), WhyLeftOut> {
        let lower = name.to_ascii_lowercase();
        let mapped = || {
            let format = self.mapped.filter(|format| *format != Format::Parquet)?;
            let (compression, stem) = compression_of(&lower);
            let ending = stem.rsplit_once('.').map_or("", |(_, ending)| ending);
            let plain = ending.is_empty() || ending == "txt" || ending.bytes().all(|b| b.is_ascii_digit());
            plain.then_some((format, compression))
        };
        self.kind_of_ending(&lower).or_else(mapped).ok_or_else(|| WhyLeftOut::of_name(&lower))
    }
}

/// A bucket, and the address that it was given with.
struct Bucket<'a> {
    uri: &'a str,
    name: &'a str,
    store: Arc<dyn ObjectStore>,
    handle: Handle,
}

impl Bucket<'_> {
    fn file(&self, meta: ObjectMeta, relative: String, (format, compression): (Format, Compression)) -> SourceFile {
        let (store, handle) = (self.store.clone(), self.handle.clone());
        SourceFile {
            name: format!("s3://{}/{}", self.name, meta.location),
            relative,
            bytes: meta.size,
            format,
            compression,
            etag: meta.e_tag,
            known: KnownColumns::default(),
            place: FileLocation::Object { store, path: meta.location, handle },
        }
    }

    async fn refuse_part_of_table(&self, prefix: &ObjectPath) -> Result<(), Error> {
        for above in tables_above(Path::new(prefix.as_ref())) {
            let log = ObjectPath::from(format!("{}/_delta_log", above.display()));
            let found = self.store.list(Some(&log)).try_next().await;
            if found.map_err(|source| Error::store(self.uri, source))?.is_some() {
                let table = format!("s3://{}/{}", self.name, above.display());
                return Err(Error::InsideTable { uri: self.uri.to_owned(), table });
            }
        }
        Ok(())
    }
}

/// What writers leave beside the data: `_SUCCESS`, `.part-0.crc`, `part-0.crc`, `day_$folder$`.
fn bookkeeping(name: &str) -> bool {
    name.starts_with(['_', '.']) || name.ends_with(".crc") || name.ends_with("_$folder$")
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
        "csv" | "tsv" | "tab" => Format::Csv,
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
            ("FEB.CSV.GZ", Some((Format::Csv, Compression::Gzip))),
            ("a.TSV", Some((Format::Csv, Compression::None))),
            ("access.log", Some((Format::AccessLog, Compression::None))),
            ("a.parquet.gz", None),
            ("a.txt", None),
            ("gz", None),
        ] {
            assert_eq!(format_of_name(name), kind, "{name}");
        }
    }
}
