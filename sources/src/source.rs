//! A source: a list of files, fixed when it is opened, that readers share in units of work.
//!
//! ```text
//! uris ─▶ list ─▶ footers, headers ─▶ queue [ row group · row group · file · … ]  largest first
//!                                         │              │
//!                                   SourceReader   SourceReader      each on its own thread
//! ```
//!
//! Opening checks what can be checked without reading rows: the files exist, the Parquet footers are complete, and
//! the columns have known names and types.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::{StreamExt, TryStreamExt};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::event_id::EventIds;
use crate::left_out::{LeftOut, LeftOutFiles, WhyLeftOut};
use crate::listing::{self, Format, SourceFile};
use crate::mapping::Mapping;
use crate::privacy::Privacy;
use crate::read::parquet::{self, Footer, ForeignRowGroupDecoder, RowGroup, RowGroupDecoder, WholeFileDecoder};
use crate::read::seen::SeenKeys;
use crate::read::text::TextDecoder;
use crate::read::{ReadBatch, UnitDecoder};
use crate::table::TableLog;
use crate::{Error, SourceSettings, blob};

/// How many files have their footers read at the same time.
const FOOTERS_AT_ONCE: usize = 16;

/// Files to read events from. The listing is fixed: files that are added later are not read.
#[derive(Debug)]
pub struct Source {
    files: Vec<OpenedFile>,
    left_out: LeftOutFiles,
    mapping: Option<Arc<Mapping>>,
    settings: Arc<SourceSettings>,
    privacy: Arc<Privacy>,
    /// Whether the files are those of the table events_raw.
    stored: bool,
    fingerprint: OnceLock<u128>,
}

#[derive(Debug)]
struct OpenedFile {
    file: Arc<SourceFile>,
    footer: Option<Arc<Footer>>,
    /// Why there is nothing to read in it.
    without_rows: Option<WhyLeftOut>,
}

/// A unit of work: one text file, or one row group of a Parquet file.
#[derive(Debug, Clone, Copy)]
enum WorkUnit {
    File { file: usize },
    RowGroup { file: usize, group: usize },
}

impl Source {
    /// Lists `uris` (files, folders with everything below them, `s3://bucket/prefix`) and opens what it finds.
    ///
    /// Must run in a multi-threaded Tokio runtime. Objects are later fetched on that runtime.
    ///
    /// # Errors
    ///
    /// A setting out of its bounds, an address that does not exist or holds no event files, a file that cannot be
    /// read, a damaged Parquet footer, or a column with an unknown name or type.
    pub async fn open(uris: &[String], mapping: Option<Mapping>, settings: SourceSettings) -> Result<Source, Error> {
        Self::listed(uris, mapping, settings, None).await
    }

    /// [`Self::open`], with the folders of Delta tables read as the tables they are; [`Self::open`] refuses them.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`], and [`Error::Table`] for a table that `log` cannot read exactly.
    pub async fn open_with_tables(
        uris: &[String],
        mapping: Option<Mapping>,
        settings: SourceSettings,
        log: &dyn TableLog,
    ) -> Result<Source, Error> {
        Self::listed(uris, mapping, settings, Some(log)).await
    }

    async fn listed(
        uris: &[String],
        mapping: Option<Mapping>,
        settings: SourceSettings,
        log: Option<&dyn TableLog>,
    ) -> Result<Source, Error> {
        settings.check()?;
        let privacy = Arc::new(Privacy::new(&settings.privacy));
        let mapping = mapping.map(Arc::new);
        let (files, mut left_out) =
            listing::list(uris, mapping.as_ref().map(|mapping| mapping.format()), &settings, log).await?;
        let settings = Arc::new(settings);
        let opened = futures::stream::iter(files).map(|file| {
            let (privacy, mapping, settings) = (privacy.clone(), mapping.clone(), settings.clone());
            async move {
                let name = file.name.clone();
                let work = move || OpenedFile::new(file, mapping.as_deref(), &settings, &privacy);
                let failed = |source| Error::Read { file: name, source: std::io::Error::other(source) };
                tokio::task::spawn_blocking(work).await.map_err(failed)?
            }
        });
        let files: Vec<OpenedFile> = opened.buffered(FOOTERS_AT_ONCE).try_collect().await?;
        for opened in &files {
            if let Some(why) = opened.without_rows {
                left_out.push(&opened.file.name, why);
            }
        }
        left_out.sort();
        Ok(Source { files, left_out, mapping, settings, privacy, stored: false, fingerprint: OnceLock::new() })
    }

    /// Opens the table events_raw. What their rows lack is not made again: a row without `seq` has none.
    ///
    /// # Errors
    ///
    /// As for [`Self::open_with_tables`].
    pub async fn open_stored(uris: &[String], settings: SourceSettings, log: &dyn TableLog) -> Result<Source, Error> {
        Ok(Source { stored: true, ..Self::open_with_tables(uris, None, settings, log).await? })
    }

    /// The name of each file that is read, as it stands in rejects and errors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|opened| opened.file.name.as_str())
    }

    /// Size of all files that have rows, as stored, in bytes.
    pub fn bytes(&self) -> u64 {
        let with_rows = self.files.iter().filter(|opened| opened.without_rows.is_none());
        with_rows.map(|opened| opened.file.bytes).sum()
    }

    /// Number of rows in all files; `None` if one of them is a text file, which has no footer that says so.
    pub fn rows_hint(&self) -> Option<u64> {
        self.files.iter().map(|opened| opened.footer.as_ref().map(|footer| footer.rows())).sum()
    }

    /// The files of which nothing is read, each with the reason: those of a folder that are in no known format, and
    /// those without rows. At most [`crate::LEFT_OUT_MAX`] of [`Self::left_out_count`], sorted by name.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out.files
    }

    /// Number of files of which nothing is read.
    pub fn left_out_count(&self) -> usize {
        self.left_out.count
    }

    /// Number of files that are read, among them those without rows.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// The identity of what will be read: a hash over the mapping and over the relative name, the whole content (of an
    /// object: its size and ETag) and the columns in the folders of each file. It does not depend on the folder the files lie in, nor on their
    /// dates. The first call computes it; it reads every local file once, and blocks.
    pub fn fingerprint(&self) -> u128 {
        *self.fingerprint.get_or_init(|| {
            let contents = self.contents();
            let mut files: Vec<(&SourceFile, u128)> =
                self.files.iter().map(|opened| opened.file.as_ref()).zip(contents).collect();
            files.sort_unstable_by_key(|(file, content)| (file.relative.as_str(), *content));
            let compiled = self.mapping.as_ref().map(|mapping| mapping.compiled());
            let foreign = compiled.as_ref().map_or(&[][..], |mapping| mapping.columns());
            let mut hasher = Xxh3::new();
            for (file, content) in files {
                hasher.update(&(file.relative.len() as u64).to_le_bytes());
                hasher.update(file.relative.as_bytes());
                hasher.update(&content.to_le_bytes());
                file.known.feed(foreign, &mut hasher);
            }
            if let Some(mapping) = &self.mapping {
                hasher.update(&mapping.identity().to_le_bytes());
            }
            hasher.digest128()
        })
    }

    /// Hashes the contents piece by piece, on two threads. The hash of a file that cannot be read is that of its
    /// name: reading the file fails later, with the cause.
    fn contents(&self) -> Vec<u128> {
        let pieces: Vec<(usize, u64)> = (self.files.iter().enumerate())
            .flat_map(|(file, opened)| blob::pieces(&opened.file).map(move |piece| (file, piece)))
            .collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut hashed = Vec::new();
            while let Some(&(file, piece)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                let opened = &self.files[file].file;
                let hash = blob::hash_piece(opened, piece);
                hashed.push((file, piece, hash.unwrap_or_else(|_| xxh3_128(opened.name.as_bytes()))));
            }
            hashed
        };
        let mut hashed = std::thread::scope(|scope| {
            let other = scope.spawn(work);
            let mut hashed = work();
            hashed.extend(other.join().unwrap_or_default());
            hashed
        });
        hashed.sort_unstable();
        let mut contents: Vec<Xxh3> = self.files.iter().map(|_| Xxh3::new()).collect();
        for (file, _, hash) in hashed {
            contents[file].update(&hash.to_le_bytes());
        }
        contents.iter().map(Xxh3::digest128).collect()
    }

    /// `n` readers that share the units of work, largest first. Together they read every row once. `columns` names
    /// event columns: batches then have only these, in table order, and faults in the other columns go unnoticed.
    pub fn readers(self: Arc<Self>, n: usize, columns: Option<Vec<&'static str>>) -> Vec<SourceReader> {
        let units = self.units();
        let unread = AtomicUsize::new(units.len());
        let queue = Arc::new(Queue { units: Mutex::new(units), unread, seen: Mutex::default() });
        let columns: Option<Arc<[&'static str]>> = columns.map(Into::into);
        let reader =
            |_| SourceReader { source: self.clone(), queue: queue.clone(), columns: columns.clone(), current: None };
        (0..n).map(reader).collect()
    }

    fn units(&self) -> VecDeque<WorkUnit> {
        let mut units = Vec::new();
        for (file, opened) in self.files.iter().enumerate() {
            match &opened.footer {
                None if opened.without_rows.is_some() => {}
                None => units.push((opened.file.bytes, WorkUnit::File { file })),
                Some(footer) if self.makes_event_ids(opened, footer) => {
                    units.push((opened.file.bytes, WorkUnit::File { file }));
                }
                Some(footer) => {
                    let groups = footer.group_bytes().into_iter().enumerate();
                    units.extend(groups.map(|(group, bytes)| (bytes, WorkUnit::RowGroup { file, group })));
                }
            }
        }
        units.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        units.into_iter().map(|(_, unit)| unit).collect()
    }

    /// Whether rows of the file may lack an event id. Equal rows are then counted in the order of the file.
    fn makes_event_ids(&self, opened: &OpenedFile, footer: &Footer) -> bool {
        !self.stored && footer.lacks_event_ids(self.mapping_of(&opened.file).map(Mapping::event_id_column))
    }

    /// Fails if the rows of the whole source lack a key that the mapping names.
    fn check(&self, seen: &SeenKeys) -> Result<(), Error> {
        let Some(mapping) = &self.mapping else { return Ok(()) };
        seen.check(mapping.compiled().columns(), mapping.optional(), &self.privacy)
    }

    fn start(
        self: &Arc<Self>,
        unit: WorkUnit,
        columns: Option<&Arc<[&'static str]>>,
    ) -> Result<Box<dyn UnitDecoder>, Error> {
        let (WorkUnit::File { file } | WorkUnit::RowGroup { file, .. }) = unit;
        let opened = &self.files[file];
        let named = columns.map(|columns| &columns[..]);
        Ok(match (unit, &opened.footer) {
            (WorkUnit::RowGroup { group, .. }, Some(footer)) => {
                self.row_group(opened, RowGroup { footer, number: group }, named, Arc::new(self.event_ids(file)))?
            }
            (_, Some(footer)) => Box::new(Arc::clone(self).whole_file(file, footer, columns.cloned())),
            (_, None) => {
                let (settings, privacy) = (self.settings.clone(), self.privacy.clone());
                let mapping = self.mapping_of(&opened.file);
                Box::new(TextDecoder::open(
                    opened.file.clone(),
                    mapping,
                    named,
                    settings,
                    privacy,
                    self.event_ids(file),
                )?)
            }
        })
    }

    /// The mapping, where it is for the format of the file.
    fn mapping_of(&self, file: &SourceFile) -> Option<&Mapping> {
        self.mapping.as_deref().filter(|mapping| mapping.format() == file.format)
    }

    fn event_ids(&self, file: usize) -> EventIds {
        if self.stored { EventIds::Stored } else { EventIds::of_rows(file) }
    }

    fn row_group(
        &self,
        file: &OpenedFile,
        group: RowGroup<'_>,
        columns: Option<&[&'static str]>,
        event_ids: Arc<EventIds>,
    ) -> Result<Box<dyn UnitDecoder>, Error> {
        let (settings, privacy, mapping) = (self.settings.clone(), self.privacy.clone(), self.mapping_of(&file.file));
        let file = file.file.clone();
        Ok(match mapping {
            None => Box::new(RowGroupDecoder::open(file, group, columns, settings, privacy, event_ids)?),
            Some(mapping) => {
                Box::new(ForeignRowGroupDecoder::open(file, group, mapping, columns, settings, privacy, event_ids)?)
            }
        })
    }

    /// All row groups of file number `file`, one after another.
    fn whole_file(
        self: Arc<Self>,
        file: usize,
        footer: &Arc<Footer>,
        columns: Option<Arc<[&'static str]>>,
    ) -> WholeFileDecoder {
        let (footer, event_ids) = (Arc::clone(footer), Arc::new(self.event_ids(file)));
        let groups = footer.groups();
        let open = move |number| {
            let group = RowGroup { footer: &footer, number };
            self.row_group(&self.files[file], group, columns.as_deref(), Arc::clone(&event_ids))
        };
        WholeFileDecoder::new(groups, Box::new(open))
    }
}

/// The work that the readers share.
#[derive(Debug)]
struct Queue {
    units: Mutex<VecDeque<WorkUnit>>,
    /// How many units are not read to their end.
    unread: AtomicUsize,
    /// Which keys of the mapping the rows of all units have.
    seen: Mutex<SeenKeys>,
}

impl Queue {
    fn next(&self) -> Option<WorkUnit> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// A unit was read to its end. Returns what the rows of all units have if it was the last.
    fn ended(&self, unit: &dyn UnitDecoder) -> Option<SeenKeys> {
        if let Some(seen) = unit.seen() {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).add(seen);
        }
        let last = self.unread.fetch_sub(1, Ordering::AcqRel) == 1;
        last.then(|| self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl OpenedFile {
    /// Reads the footer or the header of the file, so that unknown columns fail at opening.
    fn new(
        file: SourceFile,
        mapping: Option<&Mapping>,
        settings: &Arc<SourceSettings>,
        privacy: &Arc<Privacy>,
    ) -> Result<Self, Error> {
        let file = Arc::new(file);
        let mapping = mapping.filter(|mapping| mapping.format() == file.format);
        let footer = match (file.format, mapping) {
            (Format::Parquet, None) => Some(Arc::new(Footer::events(&file, privacy)?)),
            (Format::Parquet, Some(mapping)) => {
                let footer = Footer::foreign(&file)?;
                parquet::find(&file, &footer, &mapping.compiled())?;
                Some(Arc::new(footer))
            }
            _ => None,
        };
        let without_rows = match &footer {
            Some(footer) => (footer.rows() == 0).then_some(WhyLeftOut::NoRows),
            None => {
                TextDecoder::open(file.clone(), mapping, None, settings.clone(), privacy.clone(), EventIds::Stored)?
                    .without_rows()?
            }
        };
        Ok(Self { file, footer, without_rows })
    }
}

/// Reads units of work from the queue that it shares with the other readers, until the queue is empty.
pub struct SourceReader {
    source: Arc<Source>,
    queue: Arc<Queue>,
    columns: Option<Arc<[&'static str]>>,
    current: Option<Box<dyn UnitDecoder>>,
}

impl std::fmt::Debug for SourceReader {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("SourceReader").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl SourceReader {
    /// The next batch; `None` when no work is left. Blocks, so it must not run on a thread that drives a runtime.
    ///
    /// # Errors
    ///
    /// A file that cannot be read on. Its unit of work ends there; the next call goes on with another unit. After the
    /// last unit: a key of the mapping that no row of the source has, with the nearest name that rows have.
    #[expect(clippy::should_implement_trait, reason = "an iterator would invite adapters that hide the blocking")]
    pub fn next(&mut self) -> Option<Result<ReadBatch, Error>> {
        loop {
            if let Some(current) = &mut self.current {
                if let Some(decoded) = current.next() {
                    return Some(decoded);
                }
                let seen = self.queue.ended(&**current);
                self.current = None;
                if let Some(Err(error)) = seen.map(|seen| self.source.check(&seen)) {
                    return Some(Err(error));
                }
            }
            let unit = self.queue.next()?;
            match self.source.start(unit, self.columns.as_ref()) {
                Ok(current) => self.current = Some(current),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
