//! Open sessions, shown to other processes: a shard's changes as files that they follow.
//!
//!     process ─ each epoch ─▶ DIR/_stream/shard-0000/open/…007-all.arrows      what is open
//!                                                         …008.arrows          what changed, and what is gone
//!     serve   ◀─ follows ───────────────────────────────┘
//!
//! The files are for showing only: nothing is made from them, so nothing waits until they are safe, and one
//! that cannot be read is passed over. All that is open is written again every [`WHOLE_EVERY`] files, and
//! what lay before it goes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use async_trait::async_trait;
use netcrab_api::live::{Live, OpenEvents, Opened};
use netcrab_api::{DeltaStore, StoreError};
use serde::{Deserialize, Serialize};

use super::checkpoints;

/// Files after which all that is open is written again.
const WHOLE_EVERY: u64 = 64;

/// How often a follower looks for new files.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Largest file that a follower reads, bytes: a writer shows a bounded number of sessions.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Where a shard shows what it has open.
pub trait Show: Send + Sync {
    /// Begins anew: what the shard shows next is all that it has open.
    fn begin(&self, shard: u32);

    /// Takes what changed: keys with nothing open any more, and the sessions of others as they are now.
    fn change(&self, shard: u32, change: &Changed) -> Result<()>;

    /// Whether changes come with the events of their sessions.
    fn wants_events(&self) -> bool {
        false
    }

    /// Whether the shard should begin anew.
    fn is_due(&self, _shard: u32) -> bool {
        false
    }
}

/// What changed in a shard.
#[derive(Debug)]
pub struct Changed {
    /// Keys with nothing open any more.
    pub gone: Vec<u32>,
    /// The sessions of others.
    pub opened: Opened,
    /// Their rows of events_sessionized, where they are wanted.
    pub events: Vec<RecordBatch>,
    /// Where these rows are asked for.
    pub asked: Arc<dyn OpenEvents>,
}

impl Show for Live {
    fn begin(&self, shard: u32) {
        self.forget(shard);
    }

    fn change(&self, shard: u32, change: &Changed) -> Result<()> {
        Ok(Live::change(self, shard, &change.gone, &change.opened, &change.asked)?)
    }
}

/// Shows open sessions to other processes.
#[derive(Debug)]
pub struct Files {
    tables: PathBuf,
    shards: Mutex<BTreeMap<u32, Next>>,
}

/// The next file of a shard.
#[derive(Debug, Clone, Copy)]
struct Next {
    number: u64,
    /// Whether it has all that is open.
    whole: bool,
    since_whole: u64,
}

/// The first line of a file; three Arrow streams follow it.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    gone: Vec<u32>,
    keys: Vec<u32>,
    /// Bytes of the streams: sessions, incidents, events. An empty one is absent.
    bytes: [usize; 3],
}

impl Files {
    /// Files beside the tables in `tables`.
    pub fn new(tables: &Path) -> Self {
        Self { tables: tables.to_owned(), shards: Mutex::default() }
    }
}

impl Show for Files {
    fn begin(&self, shard: u32) {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        // Another process may have written before: its numbers are counted on from.
        let number = shards
            .get(&shard)
            .map_or_else(|| list(&self.tables, shard).last().map_or(1, |last| last.0 + 1), |next| next.number);
        shards.insert(shard, Next { number, whole: true, since_whole: 0 });
    }

    fn is_due(&self, shard: u32) -> bool {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.get(&shard).is_some_and(|next| next.since_whole >= WHOLE_EVERY)
    }

    fn wants_events(&self) -> bool {
        true
    }

    fn change(&self, shard: u32, change: &Changed) -> Result<()> {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let next = shards.entry(shard).or_insert(Next { number: 1, whole: true, since_whole: 0 });
        let folder = folder(&self.tables, shard);
        fs::create_dir_all(&folder)?;
        let name = format!("{:020}{}.arrows", next.number, if next.whole { "-all" } else { "" });
        let unfinished = folder.join(".unfinished");
        fs::write(&unfinished, encode(change)?)?;
        fs::rename(&unfinished, folder.join(name))?;
        if next.whole {
            for (number, path) in list(&self.tables, shard) {
                if number < next.number {
                    fs::remove_file(path)?;
                }
            }
        }
        let since_whole = if next.whole { 1 } else { next.since_whole + 1 };
        *next = Next { number: next.number + 1, whole: false, since_whole };
        Ok(())
    }
}

fn folder(tables: &Path, shard: u32) -> PathBuf {
    checkpoints::folder(tables, shard).join("open")
}

/// The files of a shard with their numbers, ascending.
fn list(tables: &Path, shard: u32) -> Vec<(u64, PathBuf)> {
    let listed = fs::read_dir(folder(tables, shard)).into_iter().flatten().flatten();
    let mut files: Vec<(u64, PathBuf)> = listed
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_suffix(".arrows")?.trim_end_matches("-all");
            Some((number.parse().ok()?, entry.path()))
        })
        .collect();
    files.sort_unstable();
    files
}

fn encode(Changed { gone, opened, events, .. }: &Changed) -> Result<Vec<u8>> {
    let streams = [&opened.sessions, &opened.incidents, events].map(|batches| stream(batches));
    let [sessions, incidents, events] = streams;
    let (sessions, incidents, events) = (sessions?, incidents?, events?);
    let bytes = [sessions.len(), incidents.len(), events.len()];
    let mut file = serde_json::to_vec(&Head { gone: gone.clone(), keys: opened.keys.clone(), bytes })?;
    file.push(b'\n');
    [sessions, incidents, events].iter().try_for_each(|stream| file.write_all(stream))?;
    Ok(file)
}

fn stream(batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let mut writer = StreamWriter::try_new(Vec::new(), first.schema_ref())?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    Ok(writer.into_inner()?)
}

/// The head of a file and its three streams.
fn split(bytes: &[u8]) -> Result<(Head, [&[u8]; 3])> {
    let line = bytes.iter().position(|byte| *byte == b'\n').context("the file has no head")?;
    let head: Head = serde_json::from_slice(&bytes[..line])?;
    let mut rest = &bytes[line + 1..];
    let mut streams = [rest; 3];
    for (stream, length) in streams.iter_mut().zip(head.bytes) {
        (*stream, rest) = rest.split_at_checked(length).context("the file ends too early")?;
    }
    Ok((head, streams))
}

fn batches(stream: &[u8]) -> Result<Vec<RecordBatch>> {
    if stream.is_empty() {
        return Ok(Vec::new());
    }
    Ok(StreamReader::try_new(Cursor::new(stream), None)?.collect::<Result<_, _>>()?)
}

fn decode(bytes: &[u8]) -> Result<(Vec<u32>, Opened)> {
    let (Head { gone, keys, .. }, [sessions, incidents, _]) = split(bytes)?;
    Ok((gone, Opened { keys, sessions: batches(sessions)?, incidents: batches(incidents)? }))
}

/// The events of open sessions, in a file.
#[derive(Debug)]
struct FileEvents(PathBuf);

#[async_trait]
impl OpenEvents for FileEvents {
    async fn of(&self, _: u32, _: &str) -> Result<Vec<RecordBatch>, StoreError> {
        let path = self.0.clone();
        let events = tokio::task::spawn_blocking(move || {
            // A file that is gone was replaced; what it showed is shown anew or closed.
            let Ok(bytes) = read(&path) else { return Ok(Vec::new()) };
            batches(split(&bytes)?.1[2])
        });
        let events = events.await.unwrap_or_else(|panic| Err(panic.into()));
        events.map_err(unreadable)
    }
}

/// The error for events of open sessions that could not be had.
pub(super) fn unreadable(fault: anyhow::Error) -> StoreError {
    StoreError::Query { query: "open sessions", source: fault.into() }
}

/// Follows what the shards beside the tables in `tables` show, for as long as `store` is asked.
pub async fn follow(tables: PathBuf, live: Arc<Live>, store: Arc<DeltaStore>) {
    let mut follower = Follower { tables, live, seen: BTreeMap::new() };
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let found = follower.look();
            (follower, found)
        });
        let Ok((back, found)) = looked.await else { return };
        follower = back;
        if !found.is_empty() {
            // What closed is read from the tables before it is no longer shown as open.
            if let Err(fault) = store.refresh().await {
                tracing::warn!(reason = %fault, "the tables could not be looked at");
            }
            follower.take(found);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

struct Follower {
    tables: PathBuf,
    live: Arc<Live>,
    /// The number of the last file that was taken, by shard.
    seen: BTreeMap<u32, u64>,
}

/// A file that was read.
struct Found {
    shard: u32,
    number: u64,
    whole: bool,
    path: PathBuf,
    gone: Vec<u32>,
    opened: Opened,
}

impl Follower {
    /// Reads what is new, in order.
    fn look(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for shard in checkpoints::shards(&self.tables) {
            let files = list(&self.tables, shard);
            let is_whole = |path: &Path| path.to_string_lossy().ends_with("-all.arrows");
            let whole = files.iter().rposition(|(_, path)| is_whole(path));
            let seen = self.seen.get(&shard).copied();
            // From the newest whole one, or on from what was seen, where nothing lies between.
            let from = match (whole, seen) {
                (Some(whole), None) => whole,
                (Some(whole), Some(seen)) if files[whole].0 > seen => whole,
                (_, Some(seen)) => files.partition_point(|(number, _)| *number <= seen),
                (None, None) => continue,
            };
            for (number, path) in &files[from..] {
                // A file may go while it is looked at; the next look finds what took its place.
                let Ok(bytes) = read(path) else { break };
                match decode(&bytes) {
                    Ok((gone, opened)) => {
                        let (number, whole, path) = (*number, is_whole(path), path.clone());
                        found.push(Found { shard, number, whole, path, gone, opened });
                    }
                    Err(fault) => {
                        tracing::warn!(file = %path.display(), reason = %format!("{fault:#}"), "open sessions not shown");
                    }
                }
            }
        }
        found
    }

    fn take(&mut self, found: Vec<Found>) {
        for Found { shard, number, whole, path, gone, opened } in found {
            if whole {
                self.live.forget(shard);
            }
            let events = Arc::new(FileEvents(path)) as Arc<dyn OpenEvents>;
            if let Err(fault) = self.live.change(shard, &gone, &opened, &events) {
                tracing::warn!(shard, reason = %fault, "open sessions not shown");
            }
            self.seen.insert(shard, number);
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    anyhow::ensure!(fs::metadata(path)?.len() <= FILE_BYTES_MAX, "it is too large");
    Ok(fs::read(path)?)
}
