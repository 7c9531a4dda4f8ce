//! Writes generated traffic to files: Parquet, or NDJSON in the wire format.
//!
//! ```text
//! traffic ─▶ events-00000.parquet · events-00001.parquet · …     `rows_per_file` each
//! ```
//!
//! A path with a known file ending is one file; any other path is a folder.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression as PageCompression;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::arrivals::Arrivals;
use super::json::write_json;
use super::settings::GenerateSettings;
use super::traffic::Traffic;
use crate::Error;

/// How traffic is split into files.
#[derive(Debug, Clone)]
pub struct FileLayout {
    /// Rows of a file in a folder. A single file takes all rows. Default: 2_000_000.
    pub rows_per_file: u64,
    /// Rows of a Parquet row group. Default: 262_144.
    pub row_group_rows: usize,
    /// Ending of the NDJSON files in a folder: `ndjson`, `ndjson.gz` or `ndjson.zst`. Default: `ndjson.zst`.
    pub ndjson_ending: String,
}

impl Default for FileLayout {
    fn default() -> Self {
        Self { rows_per_file: 2_000_000, row_group_rows: 262_144, ndjson_ending: "ndjson.zst".to_owned() }
    }
}

/// The files that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFiles {
    /// The files, in the order written.
    pub files: Vec<PathBuf>,
    /// Number of events in all files.
    pub events: u64,
}

/// Writes the traffic as Parquet, with symbols as dictionaries and instants in milliseconds. Calls `progress` with
/// the number of events written so far. Replaces existing files of the same name.
///
/// # Errors
///
/// A setting out of its bounds, or a file that cannot be written.
pub fn write_parquet(
    path: &Path,
    settings: GenerateSettings,
    layout: &FileLayout,
    progress: &mut dyn FnMut(u64),
) -> Result<WrittenFiles, Error> {
    let mut files = Files::new(path, "parquet", &[".parquet"], layout.rows_per_file)?;
    let schema = netcrab_schema::arrow::event_in_flight();
    let mut writer: Option<ArrowWriter<BufWriter<File>>> = None;
    for batch in Traffic::new(settings)? {
        let mut batch = batch?;
        while batch.num_rows() > 0 {
            if files.full()
                && let Some(writer) = writer.take()
            {
                writer.close().map_err(|error| files.failed(error))?;
            }
            let open = match &mut writer {
                Some(writer) => writer,
                None => {
                    let options =
                        ArrowWriterOptions::new().with_properties(properties(layout)).with_skip_arrow_metadata(true);
                    let file = BufWriter::with_capacity(1 << 20, files.create()?);
                    let created = ArrowWriter::try_new_with_options(file, schema.clone(), options);
                    writer.insert(created.map_err(|error| files.failed(error))?)
                }
            };
            let rows = files.take(batch.num_rows());
            open.write(&batch.slice(0, rows)).map_err(|error| files.failed(error))?;
            batch = batch.slice(rows, batch.num_rows() - rows);
        }
        progress(files.events);
    }
    if let Some(writer) = writer {
        writer.close().map_err(|error| files.failed(error))?;
    }
    Ok(files.written())
}

fn properties(layout: &FileLayout) -> WriterProperties {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(PageCompression::SNAPPY)
        .set_max_row_group_row_count(Some(layout.row_group_rows))
        // Every event id differs, so a dictionary would only repeat the column.
        .set_column_dictionary_enabled(ColumnPath::from("event_id"), false)
        .build()
}

/// Writes the traffic as one wire event per line, compressed as the ending of the file says. Omits `received_at`,
/// which the wire does not have. Calls `progress` and replaces files like [`write_parquet`].
///
/// # Errors
///
/// A setting out of its bounds, or a file that cannot be written.
pub fn write_ndjson(
    path: &Path,
    settings: GenerateSettings,
    layout: &FileLayout,
    progress: &mut dyn FnMut(u64),
) -> Result<WrittenFiles, Error> {
    let endings = [".ndjson", ".jsonl", ".json", ".ndjson.gz", ".ndjson.zst", ".jsonl.gz", ".jsonl.zst"];
    let mut files = Files::new(path, &layout.ndjson_ending, &endings, layout.rows_per_file)?;
    let mut arrivals = Arrivals::new(settings)?;
    let mut lines = String::new();
    let mut writer: Option<Lines> = None;
    while let Some(event) = arrivals.next() {
        if files.full()
            && let Some(writer) = writer.take()
        {
            writer.finish().map_err(|error| files.failed(error))?;
        }
        let open = match &mut writer {
            Some(writer) => writer,
            None => {
                let file = files.create()?;
                let lines = Lines::new(file, files.current());
                writer.insert(lines.map_err(|error| files.failed(error))?)
            }
        };
        files.take(1);
        lines.clear();
        write_json(&event, &arrivals.world, &mut lines);
        open.write(lines.as_bytes()).map_err(|error| files.failed(error))?;
        if files.events.is_multiple_of(8192) {
            progress(files.events);
        }
    }
    if let Some(writer) = writer {
        writer.finish().map_err(|error| files.failed(error))?;
    }
    progress(files.events);
    Ok(files.written())
}

/// The files of a run, one after the other.
struct Files {
    path: PathBuf,
    folder: bool,
    ending: String,
    rows_per_file: u64,
    rows: u64,
    events: u64,
    written: Vec<PathBuf>,
}

impl Files {
    fn new(path: &Path, ending: &str, endings: &[&str], rows_per_file: u64) -> Result<Self, Error> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = !endings.iter().any(|ending| name.ends_with(ending));
        let home = if folder { Some(path) } else { path.parent().filter(|parent| !parent.as_os_str().is_empty()) };
        if let Some(home) = home {
            std::fs::create_dir_all(home)
                .map_err(|source| Error::Write { file: home.display().to_string(), source })?;
        }
        let rows_per_file = rows_per_file.max(1);
        Ok(Self {
            path: path.to_owned(),
            folder,
            ending: ending.to_owned(),
            rows_per_file,
            rows: 0,
            events: 0,
            written: Vec::new(),
        })
    }

    fn full(&self) -> bool {
        self.folder && self.rows == self.rows_per_file
    }

    fn create(&mut self) -> Result<File, Error> {
        let path = match self.folder {
            true => self.path.join(format!("events-{:05}.{}", self.written.len(), self.ending)),
            false => self.path.clone(),
        };
        self.rows = 0;
        let created = File::create(&path);
        self.written.push(path);
        created.map_err(|error| self.failed(error))
    }

    fn current(&self) -> &Path {
        self.written.last().map_or(&self.path, PathBuf::as_path)
    }

    /// How many of `rows` go into the current file. Counts them as written.
    fn take(&mut self, rows: usize) -> usize {
        let left = if self.folder { self.rows_per_file - self.rows } else { u64::MAX };
        let taken = left.min(rows as u64);
        self.rows += taken;
        self.events += taken;
        taken as usize
    }

    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Write { file: self.current().display().to_string(), source: std::io::Error::other(error) }
    }

    fn written(self) -> WrittenFiles {
        WrittenFiles { files: self.written, events: self.events }
    }
}

/// A text file that is being written, compressed or not.
enum Lines {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl Lines {
    fn new(file: File, path: &Path) -> std::io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 18, file);
        Ok(match path.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => Lines::Gzip(GzEncoder::new(file, Compression::fast())),
            Some("zst") => Lines::Zstd(zstd::stream::write::Encoder::new(file, 1)?),
            _ => Lines::Plain(file),
        })
    }

    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        match self {
            Lines::Plain(file) => file.write_all(line),
            Lines::Gzip(encoder) => encoder.write_all(line),
            Lines::Zstd(encoder) => encoder.write_all(line),
        }
    }

    fn finish(self) -> std::io::Result<()> {
        match self {
            Lines::Plain(mut file) => file.flush(),
            Lines::Gzip(encoder) => encoder.finish()?.flush(),
            Lines::Zstd(encoder) => encoder.finish()?.flush(),
        }
    }
}
