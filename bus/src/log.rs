//! The built-in log: durable on this machine's disk, in plain files, with no other process.
//!
//!     DIR/layout                            how many shards
//!     DIR/writer.lock · owner.lock          who writes · who works on the shards
//!     DIR/shard-0000/00000000000000000000.log   a segment, named by its first offset (`frame.rs`)
//!     DIR/shard-0000/durable · released     how far: published for other processes
//!
//! An offset is a batch. Appends of all senders that wait are written together and flushed once; each is
//! answered when its flush is done. One process writes; others may read and release. Segments go when
//! they are released and too old, or when there must be room. Nothing that is not released is deleted.
//!
//! Invariant: what [`Bus::append`] answered with `Ok` is read back for ever after, in the place it has,
//! or its loss is reported by an error or a fault.

mod frame;
mod mark;
mod owner;
mod payload;
mod queue;
mod read;
mod repair;
mod segment;
mod settings;
mod shards;
mod writer;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use tokio::sync::{oneshot, watch};
use tracing::warn;

pub use settings::Settings;

use crate::{Bus, Clock, Error, Fetched, Membership, events};
use payload::Encoder;
use queue::{Pending, Queue};
use read::Wanted;
use segment::Segment;
use shards::{Info, Shard};
use writer::{End, Flush, Writer};

/// The built-in log, open.
pub struct Log {
    settings: Settings,
    schema: SchemaRef,
    shards: Arc<Vec<Shard>>,
    repairs: Vec<Repair>,
    writing: Option<Writing>,
}

/// What only the process that writes has.
struct Writing {
    encoder: Encoder,
    queue: Arc<Queue>,
    appended: watch::Receiver<()>,
    thread: Option<JoinHandle<()>>,
    lock: File,
}

/// What opening cut off a shard's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The shard.
    pub shard: u32,
    /// How many bytes were cut.
    pub bytes: u64,
    /// Offsets that had been acknowledged and are gone; empty after a crash of the process or, where the
    /// disk keeps what it flushed, of the machine. They are not used again, and reading them is a fault.
    pub lost: Range<u64>,
}

impl Log {
    /// Opens the log for writing and reading, making it where it does not exist and cutting what a crash
    /// left half-written. Only one process may; `clock` dates what is appended.
    pub fn open(settings: Settings, clock: Clock) -> Result<Self, Error> {
        Self::open_with(settings, clock, Arc::new(File::sync_data))
    }

    fn open_with(settings: Settings, clock: Clock, flush: Flush) -> Result<Self, Error> {
        settings.check()?;
        let folder = &settings.folder;
        fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        let lock = lock(&folder.join("writer.lock"))?;
        keep_layout(folder, settings.shards)?;
        let schema = events::schema();
        let encoder = Encoder::new(schema.clone())?;
        let (mut shards, mut ends, mut repairs) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..settings.shards {
            let (shard, end, repair) = open_shard(folder, number, encoder.schema_message(), (clock)())?;
            shards.push(shard);
            ends.push(end);
            repairs.extend(repair);
        }
        let shards = Arc::new(shards);
        let queue = Arc::new(Queue::new(settings.queue_bytes_max, settings.retry_after()));
        let (sender, appended) = watch::channel(());
        let sizes =
            shards.iter().filter_map(|shard| Some(shard.segments()?.iter().map(|info| info.bytes).sum::<u64>()));
        let writer = Writer {
            bytes: sizes.sum(),
            settings: settings.clone(),
            clock,
            flush,
            schema_message: encoder.schema_message().to_vec(),
            queue: queue.clone(),
            shards: shards.clone(),
            ends,
            appended: sender,
        };
        let thread = std::thread::Builder::new().name("bus-log".to_owned()).spawn(|| writer.run());
        let thread = Some(thread.map_err(Error::io("start the writer of", folder))?);
        let writing = Some(Writing { encoder, queue, appended, thread, lock });
        Ok(Self { settings, schema, shards, repairs, writing })
    }

    /// Opens a log that another process writes: to read, to release and to join, not to append. It must exist.
    pub fn open_to_read(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        keep_same_layout(&settings.folder, settings.shards)?;
        let shards = (0..settings.shards).map(|number| Shard::theirs(number, Shard::folder(&settings.folder, number)));
        let shards = Arc::new(shards.collect::<Result<Vec<_>, _>>()?);
        Ok(Self { settings, schema: events::schema(), shards, repairs: Vec::new(), writing: None })
    }

    /// What opening cut off.
    pub fn repairs(&self) -> &[Repair] {
        &self.repairs
    }

    fn shard(&self, shard: u32) -> Result<&Shard, Error> {
        let shards = self.settings.shards;
        self.shards.get(shard as usize).ok_or(Error::NoShard { shard, shards })
    }
}

#[async_trait]
impl Bus for Log {
    fn shards(&self) -> u32 {
        self.settings.shards
    }

    async fn append(&self, events: Vec<(u32, RecordBatch)>) -> Result<(), Error> {
        let Some(writing) = &self.writing else {
            return Err(Error::ReadOnly { path: self.settings.folder.clone() });
        };
        let mut frames = Vec::with_capacity(events.len());
        for (shard, batch) in events {
            self.shard(shard)?;
            events::check(&batch)?;
            let mut of_batch = Vec::new();
            writing.encoder.encode(&batch, self.settings.frame_bytes_max, &mut of_batch)?;
            frames.extend(of_batch.into_iter().map(|frame| (shard, frame)));
        }
        if frames.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        writing.queue.push(Pending { frames, answer })?;
        answered.await.unwrap_or(Err(Error::Ended))
    }

    async fn read(&self, shard: u32, from: u64, to: Option<u64>, bytes_max: usize) -> Result<Fetched, Error> {
        self.shard(shard)?;
        let (shards, schema) = (self.shards.clone(), self.schema.clone());
        let wanted = Wanted { from, to, bytes_max };
        let reading = tokio::task::spawn_blocking(move || read::read(&shards[shard as usize], &schema, wanted));
        reading.await.unwrap_or(Err(Error::Ended))
    }

    async fn bounds(&self, shard: u32) -> Result<Range<u64>, Error> {
        let shard = self.shard(shard)?;
        let end = shard.durable()?;
        let oldest = shard.firsts()?.first().copied().unwrap_or(end);
        Ok(oldest.min(end)..end)
    }

    async fn changed(&self, seen: &[(u32, u64)]) -> Result<(), Error> {
        let mut appended = self.writing.as_ref().map(|writing| writing.appended.clone());
        loop {
            if let Some(appended) = &mut appended {
                appended.borrow_and_update();
            }
            for (shard, seen) in seen {
                if self.shard(*shard)?.durable()? > *seen {
                    return Ok(());
                }
            }
            match &mut appended {
                Some(appended) => appended.changed().await.map_err(|_| Error::Ended)?,
                None => tokio::time::sleep(self.settings.poll()).await,
            }
        }
    }

    async fn release(&self, shard: u32, before: u64) -> Result<(), Error> {
        self.shard(shard)?.release(before)?;
        if let Some(writing) = &self.writing {
            writing.queue.nudge();
        }
        Ok(())
    }

    async fn join(&self) -> Result<Box<dyn Membership>, Error> {
        Ok(Box::new(owner::Member::new(&self.settings)))
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("settings", &self.settings).field("writes", &self.writing.is_some()).finish()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.queue.close();
        // What waits is written before the lock goes.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // Not left to the closing of the file: a process that was just started may hold a copy for a moment.
        let _ = self.lock.unlock();
    }
}

/// Opens one shard: finds its segments, repairs the last, and makes what is kept durable.
fn open_shard(log: &Path, number: u32, schema: &[u8], now_ms: i64) -> Result<(Shard, End, Option<Repair>), Error> {
    let folder = Shard::folder(log, number);
    if !folder.exists() {
        fs::create_dir(&folder).map_err(Error::io("make", &folder))?;
        segment::flush_folder(log).map_err(Error::io("flush", log))?;
    }
    segment::sweep(&folder)?;
    let published = Shard::published(&folder)?;
    let mut segments = kept(&folder, number)?;
    let last = match segments.last() {
        Some(last) => Segment::open(&folder, number, last.first)?,
        None => None,
    };
    let fresh = |next| -> Result<End, Error> {
        let head = segment::head(number, next, now_ms, schema);
        let made = segment::create(&folder, head, schema);
        let (file, bytes) = made.map_err(Error::io("make a segment in", &folder))?;
        Ok(End { file: Arc::new(file), first: next, bytes, next, made_at_ms: now_ms, newest_at_ms: now_ms })
    };
    let Some(last) = last else {
        let end = fresh(published)?;
        segments.push(Info { first: end.first, bytes: end.bytes, newest_at_ms: now_ms });
        return Ok((Shard::ours(number, folder, segments, end.next)?, end, None));
    };
    let tail = repair::tail(&last, published)?;
    let opened = OpenOptions::new().read(true).write(true).open(&last.path);
    let file = opened.map_err(Error::io("open", &last.path))?;
    if tail.torn_bytes > 0 {
        file.set_len(tail.bytes).map_err(Error::io("cut", &last.path))?;
    }
    // Whole frames may stand in memory only: they were written, and the process ended before the flush.
    file.sync_all().map_err(Error::io("flush", &last.path))?;
    if let Some(info) = segments.last_mut() {
        (info.bytes, info.newest_at_ms) = (tail.bytes, tail.newest_at_ms);
    }
    let lost = tail.next..published.max(tail.next);
    let end = if lost.is_empty() && last.schema.as_slice() == schema {
        let (first, made_at_ms) = (last.head.first, last.head.made_at_ms);
        End {
            file: Arc::new(file),
            first,
            bytes: tail.bytes,
            next: tail.next,
            made_at_ms,
            newest_at_ms: tail.newest_at_ms,
        }
    } else {
        fresh(lost.end)?
    };
    if end.first > last.head.first {
        segments.push(Info { first: end.first, bytes: end.bytes, newest_at_ms: now_ms });
    }
    let repair =
        (tail.torn_bytes > 0 || !lost.is_empty()).then_some(Repair { shard: number, bytes: tail.torn_bytes, lost });
    if let Some(Repair { bytes, lost, .. }) = &repair {
        let path = last.path.display();
        match lost.is_empty() {
            true => warn!(%path, bytes, "a torn tail was cut; nothing that was acknowledged is gone"),
            false => warn!(%path, bytes, ?lost, "a torn tail was cut, and events that had been acknowledged are gone"),
        }
    }
    Ok((Shard::ours(number, folder, segments, end.next)?, end, repair))
}

/// The segments of a shard, with the age of each as the head of the next one tells it.
fn kept(folder: &Path, number: u32) -> Result<Vec<Info>, Error> {
    let mut segments: Vec<Info> = Vec::new();
    for first in segment::list(folder)? {
        let Some(segment) = Segment::open(folder, number, first)? else { continue };
        if let Some(before) = segments.last_mut() {
            before.newest_at_ms = segment.head.made_at_ms;
        }
        segments.push(Info { first, bytes: segment.len()?, newest_at_ms: segment.head.made_at_ms });
    }
    Ok(segments)
}

fn lock(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(Error::io("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(fault)) => Err(Error::io("lock", path)(fault)),
    }
}

/// Writes how many shards the log has, or sees that it is as before.
fn keep_layout(folder: &Path, shards: u32) -> Result<(), Error> {
    let path = folder.join("layout");
    if path.exists() {
        return keep_same_layout(folder, shards);
    }
    let scratch = folder.join("layout.new");
    let written = || -> std::io::Result<()> {
        let mut file = File::create(&scratch)?;
        file.write_all(format!("shards {shards}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&scratch, &path)?;
        segment::flush_folder(folder)
    };
    written().map_err(Error::io("write", &path))
}

fn keep_same_layout(folder: &Path, shards: u32) -> Result<(), Error> {
    let path = folder.join("layout");
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let expected = format!("shards {shards}");
    if text.trim() == expected {
        return Ok(());
    }
    // Events of a visit would go to another shard than those before them.
    let mend = "set `shards` to what it has, or begin a new log in another folder when this one is read";
    Err(Error::Layout {
        path: folder.to_owned(),
        found: format!("`{}`", text.trim()),
        expected: format!("`{expected}`"),
        mend,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use arrow::array::new_null_array;
    use arrow::datatypes::{DataType, Schema};

    use super::*;

    /// An event of nothing, but of the right columns.
    fn blank() -> RecordBatch {
        let schema = events::schema();
        let nullable = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let nullable = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
        let columns = schema.fields().iter().map(|field| match field.data_type() {
            DataType::Dictionary(..) | DataType::Utf8View if !field.is_nullable() => {
                let texts = Arc::new(arrow::array::StringArray::from(vec!["a"])) as arrow::array::ArrayRef;
                arrow::compute::cast(&texts, field.data_type()).unwrap()
            }
            DataType::Boolean if !field.is_nullable() => Arc::new(arrow::array::BooleanArray::from(vec![false])),
            DataType::Timestamp(..) => {
                let zero = Arc::new(arrow::array::Int64Array::from(vec![0])) as arrow::array::ArrayRef;
                arrow::compute::cast(&zero, field.data_type()).unwrap()
            }
            other => new_null_array(other, 1),
        });
        let columns = columns.collect();
        RecordBatch::try_new(nullable, columns).unwrap()
    }

    fn clock() -> Clock {
        Arc::new(|| 0)
    }

    #[tokio::test]
    async fn a_failed_flush_stops_the_log_and_is_never_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let flushes = Arc::new(AtomicU32::new(0));
        let counted = flushes.clone();
        let flush: Flush = Arc::new(move |file| match counted.fetch_add(1, Ordering::Relaxed) {
            1 => Err(std::io::Error::other("the disk is on fire")),
            _ => file.sync_data(),
        });
        let bus = Log::open_with(Settings::of(folder.path()), clock(), flush).unwrap();
        bus.append(vec![(0, blank())]).await.unwrap();
        for _ in 0..3 {
            let fault = bus.append(vec![(0, blank())]).await.unwrap_err();
            assert!(matches!(fault, Error::Stopped { .. }), "{fault}");
            assert!(fault.to_string().contains("(the disk is on fire); check the disk"), "{fault}");
            assert!(fault.retry_after().is_none());
        }
        assert_eq!(flushes.load(Ordering::Relaxed), 2);
        // What was durable before is read on, and what was not is not.
        assert_eq!(bus.bounds(0).await.unwrap(), 0..1);
        assert_eq!(bus.read(0, 0, None, 1 << 20).await.unwrap().rows(), 1);
        drop(bus);
        // Opened anew it goes on. The append that failed was written, so it may be there: that is allowed.
        let bus = Log::open(Settings::of(folder.path()), clock()).unwrap();
        bus.append(vec![(0, blank())]).await.unwrap();
        assert_eq!(bus.bounds(0).await.unwrap(), 0..3);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_what_waits_is_written_together() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Arc::new((Mutex::new(0_u32), Condvar::new()));
        let (held, flushes) = (gate.clone(), Arc::new(AtomicU32::new(0)));
        let counted = flushes.clone();
        let flush: Flush = Arc::new(move |file| {
            counted.fetch_add(1, Ordering::Relaxed);
            let (open, opened) = &*held;
            drop(opened.wait_while(open.lock().unwrap(), |open| *open == 0).unwrap());
            file.sync_data()
        });
        let mut frames = Vec::new();
        Encoder::new(events::schema()).unwrap().encode(&blank(), 1 << 20, &mut frames).unwrap();
        let queue_bytes_max = 3 * frames[0].len();
        let settings = Settings { queue_bytes_max, ..Settings::of(folder.path()) };
        let bus = Arc::new(Log::open_with(settings, clock(), flush).unwrap());
        let append = || {
            let bus = bus.clone();
            tokio::spawn(async move { bus.append(vec![(0, blank())]).await })
        };
        let first = append();
        while flushes.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let waiting = [append(), append()];
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let full = bus.append(vec![(0, blank())]).await.unwrap_err();
        assert!(full.to_string().starts_with("the queue of the log is full at"), "{full}");
        assert!(full.retry_after().is_some());
        *gate.0.lock().unwrap() = 1;
        gate.1.notify_all();
        first.await.unwrap().unwrap();
        for waited in waiting {
            waited.await.unwrap().unwrap();
        }
        assert_eq!(flushes.load(Ordering::Relaxed), 2, "two that waited together are flushed once");
        bus.append(vec![(0, blank())]).await.unwrap();
        assert_eq!(bus.bounds(0).await.unwrap(), 0..4);
    }

    #[tokio::test]
    async fn a_segment_of_an_older_schema_is_read_with_the_columns_of_today() {
        let folder = tempfile::tempdir().unwrap();
        let shard = folder.path().join("shard-0000");
        let now = events::schema();
        // Yesterday's events had no `extra`, and `os` was plain text.
        let (before, columns): (Vec<_>, Vec<_>) = now
            .fields()
            .iter()
            .zip(blank().columns())
            .filter(|(field, _)| field.name() != "extra")
            .map(|(field, column)| match field.name().as_str() {
                "os" => {
                    let text = Arc::new(arrow::array::StringArray::from(vec!["linux"])) as arrow::array::ArrayRef;
                    (field.as_ref().clone().with_data_type(DataType::Utf8), text)
                }
                _ => (field.as_ref().clone(), column.clone()),
            })
            .unzip();
        let before = Arc::new(Schema::new(before));
        let old = Encoder::new(before.clone()).unwrap();
        let batch = RecordBatch::try_new(before, columns).unwrap();
        let mut frames = Vec::new();
        old.encode(&batch, 1 << 20, &mut frames).unwrap();
        frames[0].place(0, 0, 0);
        fs::create_dir_all(&shard).unwrap();
        let head = segment::head(0, 0, 0, old.schema_message());
        let (mut file, _) = segment::create(&shard, head, old.schema_message()).unwrap();
        file.write_all(frames[0].bytes()).unwrap();
        drop(file);
        let bus = Log::open(Settings::of(folder.path()), clock()).unwrap();
        bus.append(vec![(0, blank())]).await.unwrap();
        let fetched = bus.read(0, 0, None, 1 << 20).await.unwrap();
        assert_eq!(fetched.rows(), 2);
        for batch in &fetched.batches {
            assert_eq!(batch.schema(), now);
        }
        let os = arrow::compute::cast(fetched.batches[0].column_by_name("os").unwrap(), &DataType::Utf8).unwrap();
        assert_eq!(arrow::array::AsArray::as_string::<i32>(&os).value(0), "linux");
    }
}
