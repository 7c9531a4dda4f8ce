//! The built-in log: durable on this machine's disk, in plain files, with no other process.
//!
//!     DIR/layout                            how many shards
//!     DIR/writer.lock · owner.lock          locked by the process that writes · by the one that works on the shards
//!     DIR/shard-0000/00000000000000000000.log   a segment, named by its first offset (`frame.rs`)
//!     DIR/shard-0000/durable · released     two offsets, published for other processes (`mark.rs`)
//!
//! Each batch has one offset. All appends that wait are written together and flushed once; each is answered when the
//! flush is done. One process writes; others may read and release. The log deletes segments that are released once they
//! are too old or their room is needed, and never one that is not released.
//!
//! Invariant: events whose [`Bus::append`] returned `Ok` are read back at their offset ever after, or their loss is
//! reported by an error or a fault.

mod cursors;
mod frame;
mod layout;
mod mark;
mod open;
mod owner;
mod payload;
mod queue;
mod read;
mod repair;
mod retention;
mod segment;
mod settings;
mod shards;
mod writer;

use std::fs::{self, File};
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

pub use open::Repair;
pub use settings::LogSettings;

use crate::{Bus, Clock, Error, Fetched, Membership, events};
use payload::Encoder;
use queue::{Pending, Queue};
use read::Wanted;
use shards::Shard;
use writer::{Flush, Writer};

/// The built-in log, open.
pub struct Log {
    settings: LogSettings,
    schema: SchemaRef,
    shards: Arc<Vec<Shard>>,
    repairs: Vec<Repair>,
    writing: Option<Writing>,
}

/// What only the writing process has.
struct Writing {
    encoder: Encoder,
    queue: Arc<Queue>,
    appended: watch::Receiver<()>,
    thread: Option<JoinHandle<()>>,
    lock: File,
}

impl Log {
    /// Opens the log for writing and reading. Creates it where it does not exist, and cuts off what a crash left
    /// half-written. Only one process may have it open like this. `clock` gives the timestamps of appends.
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::Locked`] where another process writes it; [`Error::Layout`] where it has another
    /// number of shards; [`Error::Io`]. Damage is no error: what is lost is a fault of [`Bus::read`].
    pub fn open(settings: LogSettings, clock: Clock) -> Result<Self, Error> {
        Self::open_with(settings, clock, Arc::new(File::sync_data))
    }

    fn open_with(settings: LogSettings, clock: Clock, flush: Flush) -> Result<Self, Error> {
        settings.check()?;
        let folder = &settings.folder;
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let lock = layout::lock(&folder.join("writer.lock"))?;
        layout::write_or_check(folder, settings.shards)?;
        let schema = events::schema();
        let encoder = Encoder::new(schema.clone())?;
        let (mut shards, mut ends, mut repairs) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..settings.shards {
            let (shard, end, repair) = open::open_shard(folder, number, encoder.schema_message(), (clock)())?;
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

    /// Opens a log that another process writes, to read, release and join, but not to append. It must exist.
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::Layout`] and [`Error::Io`].
    pub fn open_to_read(settings: LogSettings) -> Result<Self, Error> {
        settings.check()?;
        layout::check(&settings.folder, settings.shards)?;
        let shards =
            (0..settings.shards).map(|number| Shard::for_reading(number, Shard::folder(&settings.folder, number)));
        let shards = Arc::new(shards.collect::<Result<Vec<_>, _>>()?);
        Ok(Self { settings, schema: events::schema(), shards, repairs: Vec::new(), writing: None })
    }

    /// What opening cut off the ends of shards.
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
            writing.queue.wake();
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
        // The writer thread writes what waits, and ends; then the lock is released.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // Closing the file does not always release the lock: a child process may have a copy of it for a moment.
        let _ = self.lock.unlock();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
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
        let bus = Log::open_with(LogSettings::of(folder.path()), clock(), flush).unwrap();
        bus.append(vec![(0, blank())]).await.unwrap();
        for _ in 0..3 {
            let fault = bus.append(vec![(0, blank())]).await.unwrap_err();
            assert!(matches!(fault, Error::Stopped { .. }), "{fault}");
            assert!(fault.to_string().contains("(the disk is on fire); check the disk"), "{fault}");
            assert!(fault.retry_after().is_none());
        }
        assert_eq!(flushes.load(Ordering::Relaxed), 2);
        // Events that were durable before are still read, the others are not.
        assert_eq!(bus.bounds(0).await.unwrap(), 0..1);
        assert_eq!(bus.read(0, 0, None, 1 << 20).await.unwrap().rows(), 1);
        drop(bus);
        // Opened again the log goes on. The append that failed was written, so it may be there: that is allowed.
        let bus = Log::open(LogSettings::of(folder.path()), clock()).unwrap();
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
        let settings = LogSettings { queue_bytes_max, ..LogSettings::of(folder.path()) };
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
        let bus = Log::open(LogSettings::of(folder.path()), clock()).unwrap();
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
