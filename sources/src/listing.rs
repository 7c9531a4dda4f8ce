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
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::left_out::{LeftOutFiles, WhyLeftOut};
use crate::s3::s3;
use crate::{Error, SourceSettings};

/// The endings that tell a format, as error messages list them.
pub(crate) const ENDINGS: &str =
    ".parquet, .ndjson, .jsonl, .json, .csv, .tsv or .log, the text formats also with .gz or .zst";

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
}

/// Lists the files at `uris`, sorted by name, and what is left out. A file that is named twice is listed once.
///
/// # Errors
///
/// An address that does not exist, holds no event files or too many, or a file of unknown format.
pub(crate) async fn list(
    uris: &[String],
    mapped: Option<Format>,
    settings: &SourceSettings,
) -> Result<(Vec<SourceFile>, LeftOutFiles), Error> {
    let (uris_named, files_max) = (uris.join(", "), settings.files_max);
    let mut listing =
        Listing { files: Vec::new(), left_out: LeftOutFiles::default(), mapped, uris: uris_named, files_max };
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
    mapped: Option<Format>,
    uris: String,
    files_max: usize,
}

impl Listing {
    fn add(&mut self, file: SourceFile) -> Result<(), Error> {
        if self.files.len() == self.files_max {
            return Err(Error::TooManyFiles { uris: self.uris.clone(), files_max: self.files_max });
        }
        self.files.push(file);
        Ok(())
    }

    fn add_local(&mut self, uri: &str, path: &Path) -> Result<(), Error> {
        let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound { uri: uri.to_owned() },
            _ => Error::Read { file: uri.to_owned(), source },
        })?;
        if metadata.is_dir() {
            return self.add_folder(path);
        }
        let name = path.display().to_string();
        let (format, compression) = self.kind_of_named(&name)?;
        let relative = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let place = FileLocation::Local(path.to_owned());
        self.add(SourceFile { name, relative, place, bytes: metadata.len(), format, compression, etag: None })
    }

    fn add_folder(&mut self, root: &Path) -> Result<(), Error> {
        let failed = |path: &Path, source| Error::Read { file: path.display().to_string(), source };
        let mut folders = vec![(root.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            if depth > DEPTH_MAX {
                return Err(Error::TooDeep { folder, depth_max: DEPTH_MAX });
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
                    continue;
                }
                let (relative, bytes) =
                    (path.strip_prefix(root).unwrap_or(&path).display().to_string(), metadata.len());
                let kind = self.kind_in_folder(&name);
                let (name, place) = (path.display().to_string(), FileLocation::Local(path));
                match kind {
                    Ok((format, compression)) => {
                        self.add(SourceFile { name, relative, place, bytes, format, compression, etag: None })?;
                    }
                    Err(why) => self.left_out.push(name, why),
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
            place: FileLocation::Object { store: store.clone(), path: meta.location, handle: handle.clone() },
        };
        if !key.is_empty() && !key.ends_with('/') {
            match store.head(&prefix).await {
                Ok(meta) => {
                    let (format, compression) = self.kind_of_named(uri)?;
                    let relative = key.rsplit('/').next().unwrap_or(key).to_owned();
                    return self.add(object(meta, relative, format, compression));
                }
                Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        let mut objects = store.list(Some(&prefix));
        while let Some(meta) = objects.try_next().await.map_err(failed)? {
            let location = meta.location.to_string();
            let relative =
                location.strip_prefix(prefix.as_ref()).unwrap_or(&location).trim_start_matches('/').to_owned();
            if relative.split('/').any(bookkeeping) {
                continue;
            }
            let name = relative.rsplit('/').next().unwrap_or(&relative).to_owned();
            match self.kind_in_folder(&name) {
                Ok((format, compression)) => self.add(object(meta, relative, format, compression))?,
                Err(why) => self.left_out.push(format!("s3://{bucket}/{location}"), why),
            }
        }
        Ok(())
    }

    /// The format of a file that was named itself: by its ending, else by the mapping.
    fn kind_of_named(&self, name: &str) -> Result<(Format, Compression), Error> {
        if let Some(kind) = format_of_name(name) {
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
        format_of_name(&lower).or_else(mapped).ok_or_else(|| WhyLeftOut::of_name(&lower))
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
