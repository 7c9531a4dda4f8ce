//! The feed of open sessions: each epoch tells the API what changed, in this process or through files.
//!
//!     process ─ each epoch ─▶ DIR/_stream/shard-0000/open/…007-all.arrows      what is open
//!                                                         …008.arrows          what changed, and what closed
//!     serve   ◀─ follows ───────────────────────────────┘
//!
//! Nothing is derived from the files, so they are not fsynced, and a reader skips one that it cannot read. Every
//! [`WHOLE_EVERY`] files a snapshot of all open sessions replaces those before it.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use async_trait::async_trait;
use netcrab_api::open_sessions::{OpenSessionEvents, OpenSessionRows, OpenSessionsView};
use netcrab_api::{DeltaStore, StoreError};
use serde::{Deserialize, Serialize};

use crate::checkpoints;
use crate::checkpoints::folder::Folder;
use crate::error::{Error, Result};

/// Files between two snapshots of all open sessions.
const WHOLE_EVERY: u64 = 64;

/// The suffix of a snapshot's name.
const WHOLE: &str = "-all";

/// How often a follower looks for new files.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Largest file that a follower reads, bytes; a writer writes a bounded number of sessions.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A receiver of the open sessions of shards.
#[async_trait]
pub trait OpenSessionFeed: Send + Sync {
    /// Starts over: the next change has everything that the shard has open.
    fn restart(&self, shard: u32);

    /// Takes what changed since the last call.
    async fn change(&self, shard: u32, change: FeedChange) -> Result<()>;

    /// Whether changes come with the events of their sessions.
    fn wants_events(&self) -> bool {
        false
    }

    /// Whether the shard should start over, for a snapshot.
    fn needs_restart(&self, _shard: u32) -> bool {
        false
    }
}

/// What changed in a shard.
#[derive(Debug)]
pub struct FeedChange {
    /// Keys whose last open session closed.
    pub closed: Vec<u32>,
    /// The changed open sessions, as rows.
    pub opened: OpenSessionRows,
    /// Their rows of events_sessionized, where the feed wants them.
    pub events: Vec<RecordBatch>,
    /// Computes these rows on request.
    pub events_on_demand: Arc<dyn OpenSessionEvents>,
}

#[async_trait]
impl OpenSessionFeed for OpenSessionsView {
    fn restart(&self, shard: u32) {
        self.remove_shard(shard);
    }

    async fn change(&self, shard: u32, change: FeedChange) -> Result<()> {
        Ok(OpenSessionsView::apply(self, shard, &change.closed, &change.opened, &change.events_on_demand)?)
    }
}

/// A feed through files, for other processes.
#[derive(Debug)]
pub struct FileFeed {
    tables: Folder,
    shards: Mutex<BTreeMap<u32, NextFile>>,
}

/// The next file of a shard.
#[derive(Debug, Clone, Copy)]
struct NextFile {
    /// Its number, where it is known.
    number: Option<u64>,
    /// Whether it is a snapshot.
    whole: bool,
    since_whole: u64,
}

/// The first line of a file; three Arrow streams follow it.
#[derive(Debug, Serialize, Deserialize)]
struct FileHead {
    gone: Vec<u32>,
    keys: Vec<u32>,
    /// Bytes of the streams: sessions, incidents, events. An empty one is absent.
    bytes: [usize; 3],
}

impl FileFeed {
    /// A feed in the folders of the shards beside `tables`.
    pub fn new(tables: Folder) -> Self {
        Self { tables, shards: Mutex::default() }
    }

    fn shards(&self) -> MutexGuard<'_, BTreeMap<u32, NextFile>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl OpenSessionFeed for FileFeed {
    fn restart(&self, shard: u32) {
        let mut shards = self.shards();
        let number = shards.get(&shard).and_then(|next| next.number);
        shards.insert(shard, NextFile { number, whole: true, since_whole: 0 });
    }

    fn needs_restart(&self, shard: u32) -> bool {
        self.shards().get(&shard).is_some_and(|next| next.since_whole >= WHOLE_EVERY)
    }

    fn wants_events(&self) -> bool {
        true
    }

    async fn change(&self, shard: u32, change: FeedChange) -> Result<()> {
        let next = self.shards().get(&shard).copied().unwrap_or(NextFile { number: None, whole: true, since_whole: 0 });
        let folder = folder(&self.tables, shard);
        let number = match next.number {
            Some(number) => number,
            // Continue after the files of a process that wrote before.
            None => list(&folder).await?.last().map_or(1, |last| last.0 + 1),
        };
        let name = format!("{number:020}{}.arrows", if next.whole { WHOLE } else { "" });
        folder.put_unsynced(&name, encode(&change)?).await?;
        if next.whole {
            for (_, name) in list(&folder).await?.into_iter().filter(|(before, _)| *before < number) {
                folder.remove(&name).await?;
            }
        }
        let since_whole = if next.whole { 1 } else { next.since_whole + 1 };
        self.shards().insert(shard, NextFile { number: Some(number + 1), whole: false, since_whole });
        Ok(())
    }
}

fn folder(tables: &Folder, shard: u32) -> Folder {
    checkpoints::shard_folder(tables, shard).join("open")
}

/// The files of a shard with their numbers, ascending.
async fn list(folder: &Folder) -> Result<Vec<(u64, String)>> {
    let number = |name: String| {
        let number = name.strip_suffix(".arrows")?.trim_end_matches(WHOLE).parse().ok()?;
        Some((number, name))
    };
    let mut files: Vec<(u64, String)> = folder.names().await?.into_iter().filter_map(number).collect();
    files.sort_unstable();
    Ok(files)
}

fn encode(FeedChange { closed, opened, events, .. }: &FeedChange) -> Result<Vec<u8>> {
    let streams = [&opened.sessions, &opened.incidents, events].map(|batches| stream(batches));
    let [sessions, incidents, events] = streams;
    let (sessions, incidents, events) = (sessions?, incidents?, events?);
    let bytes = [sessions.len(), incidents.len(), events.len()];
    let mut file = serde_json::to_vec(&FileHead { gone: closed.clone(), keys: opened.keys.clone(), bytes })?;
    file.push(b'\n');
    [sessions, incidents, events].iter().for_each(|stream| file.extend_from_slice(stream));
    Ok(file)
}

fn stream(batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let mut writer = StreamWriter::try_new(Vec::new(), first.schema_ref())?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    Ok(writer.into_inner()?)
}

/// The head of a file and its three streams.
fn split(bytes: &[u8]) -> Result<(FileHead, [&[u8]; 3])> {
    let line = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| Error::FeedFile("has no head"))?;
    let head: FileHead = serde_json::from_slice(&bytes[..line])?;
    let mut rest = &bytes[line + 1..];
    let mut streams = [rest; 3];
    for (stream, length) in streams.iter_mut().zip(head.bytes) {
        (*stream, rest) = rest.split_at_checked(length).ok_or_else(|| Error::FeedFile("ends too early"))?;
    }
    Ok((head, streams))
}

fn batches(stream: &[u8]) -> Result<Vec<RecordBatch>> {
    if stream.is_empty() {
        return Ok(Vec::new());
    }
    Ok(StreamReader::try_new(Cursor::new(stream), None)?.collect::<Result<_, _>>()?)
}

fn decode(bytes: &[u8]) -> Result<(Vec<u32>, OpenSessionRows)> {
    let (FileHead { gone, keys, .. }, [sessions, incidents, _]) = split(bytes)?;
    Ok((gone, OpenSessionRows { keys, sessions: batches(sessions)?, incidents: batches(incidents)? }))
}

/// The events of open sessions, in a file.
#[derive(Debug)]
struct FileEvents(Folder, String);

#[async_trait]
impl OpenSessionEvents for FileEvents {
    async fn of(&self, _: u32, _: &str) -> Result<Vec<RecordBatch>, StoreError> {
        // A file that is missing was replaced: its sessions are in a newer one, or closed.
        let Ok(bytes) = self.0.read_at_most(&self.1, FILE_BYTES_MAX).await else { return Ok(Vec::new()) };
        let events = tokio::task::spawn_blocking(move || batches(split(&bytes)?.1[2])).await;
        events.unwrap_or_else(|panic| Err(panic.into())).map_err(unreadable_events)
    }
}

/// The error for events of open sessions that could not be read.
pub(super) fn unreadable_events(error: Error) -> StoreError {
    StoreError::Query { query: "open sessions", source: error.into() }
}

/// Follows the feeds of the shards beside `tables`, until the task is aborted.
pub async fn follow(tables: Folder, live: Arc<OpenSessionsView>, store: Arc<DeltaStore>) {
    let mut follower = Follower { tables, live, seen: BTreeMap::new() };
    loop {
        match follower.look().await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                // Readers see closed sessions in the tables before they disappear from the open ones.
                if let Err(fault) = store.refresh().await {
                    tracing::warn!(reason = %fault, "the tables could not be refreshed");
                }
                follower.take(found);
            }
            Err(fault) => tracing::warn!(reason = %fault.chain(), "open sessions not shown"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

struct Follower {
    tables: Folder,
    live: Arc<OpenSessionsView>,
    /// The number of the last file that was read, by shard.
    seen: BTreeMap<u32, u64>,
}

/// A file that was read.
struct ReadFile {
    shard: u32,
    number: u64,
    whole: bool,
    events: FileEvents,
    gone: Vec<u32>,
    opened: OpenSessionRows,
}

impl Follower {
    /// Reads what is new, in order.
    async fn look(&self) -> Result<Vec<ReadFile>> {
        let mut found = Vec::new();
        for shard in checkpoints::shards(&self.tables).await? {
            let folder = folder(&self.tables, shard);
            let files = list(&folder).await?;
            let is_whole = |name: &str| name.trim_end_matches(".arrows").ends_with(WHOLE);
            let whole = files.iter().rposition(|(_, name)| is_whole(name));
            let seen = self.seen.get(&shard).copied();
            // Start at the newest snapshot, or after the last file read where no snapshot is newer.
            let from = match (whole, seen) {
                (Some(whole), None) => whole,
                (Some(whole), Some(seen)) if files[whole].0 > seen => whole,
                (_, Some(seen)) => files.partition_point(|(number, _)| *number <= seen),
                (None, None) => continue,
            };
            for (number, name) in &files[from..] {
                // A file may disappear meanwhile; the next round finds the snapshot that replaced it.
                let Ok(bytes) = folder.read_at_most(name, FILE_BYTES_MAX).await else { break };
                match tokio::task::spawn_blocking(move || decode(&bytes)).await? {
                    Ok((gone, opened)) => {
                        let (number, whole) = (*number, is_whole(name));
                        let events = FileEvents(folder.clone(), name.clone());
                        found.push(ReadFile { shard, number, whole, events, gone, opened });
                    }
                    Err(fault) => {
                        tracing::warn!(file = %folder.name_of(name), reason = %fault.chain(), "open sessions not shown");
                    }
                }
            }
        }
        Ok(found)
    }

    fn take(&mut self, found: Vec<ReadFile>) {
        for ReadFile { shard, number, whole, events, gone, opened } in found {
            if whole {
                self.live.remove_shard(shard);
            }
            let events = Arc::new(events) as Arc<dyn OpenSessionEvents>;
            if let Err(fault) = self.live.apply(shard, &gone, &opened, &events) {
                tracing::warn!(shard, reason = %fault, "open sessions not shown");
            }
            self.seen.insert(shard, number);
        }
    }
}
