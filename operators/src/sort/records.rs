//! Sorts records, which are bytes under a key, in runs that spill.
//!
//!     push ─▶ records in memory ─▶ sorted ─▶ run ─┐
//!                   └─▶ (spill) ─▶ sorted ─▶ run ─┴─▶ merge ─▶ records in order
//!
//! A record is written once and stays where it is; what is sorted are keys of a few numbers and where each record lies.
//! Runs of many tasks are merged at the end.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::{SpillFile, TaskContext};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};

use crate::sessionize::batch::slabs::{Block, Slabs};
use crate::sessionize::batch::spill::{Spill, Stretch};
use crate::sessionize::bytes::{Reader, put_varint};

/// The part of the memory pool that a sort takes beside it: one in so many. See `pipeline/src/plans/resources.rs`.
const POOL_SHARE: usize = 6;

/// Bytes of a spilled run that are written at once.
const WRITE_BYTES: usize = 128 << 10;

/// Bytes of a spilled run that are read at once: this many, or less where there are many runs.
const READ_BYTES: std::ops::RangeInclusive<usize> = 8 << 10..=128 << 10;

/// Bytes that all runs together read ahead, unless there are so many runs that each reads the least.
const READ_BYTES_OF_ALL: usize = 64 << 20;

/// What records are sorted by before their bytes are looked at.
pub(super) trait Key: Copy + Ord + Send + Sync + 'static {
    /// Appends the key to a spilled record.
    fn put(self, to: &mut Vec<u8>);
    /// Reads what was put.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// The order of records with equal keys.
pub(super) type Tie = Arc<dyn Fn(&[u8], &[u8]) -> Ordering + Send + Sync>;

/// Where a record lies, under its key.
#[derive(Debug, Clone, Copy)]
struct Place<K> {
    key: K,
    slab: u32,
    start: u32,
    length: u32,
}

/// The records of one task.
pub(super) struct Records<K> {
    places: Vec<Place<K>>,
    slabs: Slabs,
    bytes: usize,
    tie: Tie,
    /// Bytes beyond which records are spilled.
    memory_max: usize,
    /// Fewer bytes of records are not worth a run: they stay in memory even beyond `memory_max`.
    run_bytes_min: usize,
    spill: Spill,
    spilled: Vec<Stretch>,
}

impl<K: Key> Records<K> {
    /// No records yet of task number `task` of `tasks`; those with equal keys stand by `tie`.
    ///
    /// All tasks together take one part in [`POOL_SHARE`] of what the memory pool of `context` has. They do not reserve
    /// it there: plans that cannot spill need what the pool has.
    pub(super) fn new(
        [task, tasks]: [usize; 2],
        tie: Tie,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Self {
        let disk = Arc::clone(&context.runtime_env().disk_manager);
        let of_all = context.session_config().options().execution.sort_spill_reservation_bytes;
        let memory_max = match context.memory_pool().memory_limit() {
            MemoryLimit::Finite(bytes) => bytes / POOL_SHARE / tasks.max(1),
            MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
        };
        Self {
            places: Vec::new(),
            slabs: Slabs::default(),
            bytes: 0,
            tie,
            memory_max,
            run_bytes_min: of_all / tasks.max(1),
            spill: Spill::new(disk, SpillMetrics::new(metrics, task)),
            spilled: Vec::new(),
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Where the system has no memory to map, or the record has 4 GiB.
    #[inline]
    pub(super) fn push(&mut self, key: K, record: &[u8]) -> Result<()> {
        let too_long = |_| exec_datafusion_err!("a record of more than 4 GiB cannot be sorted");
        let length = u32::try_from(record.len()).map_err(too_long)?;
        let block = self.slabs.append(record)?;
        self.bytes += record.len();
        self.places.push(Place { key, slab: block.slab as u32, start: block.start as u32, length });
        Ok(())
    }

    /// Spills the records, in the order of the keys that `rekey` makes of theirs, where they and `more` bytes of who packs
    /// them are too many.
    ///
    /// # Errors
    /// Where the spill file cannot be created or written.
    pub(super) fn spill_beyond_memory(&mut self, more: usize, rekey: impl FnOnce() -> Rekey<K>) -> Result<()> {
        let bytes = self.slabs.bytes_mapped() + self.places.capacity() * size_of::<Place<K>>() + more;
        if bytes <= self.memory_max || self.bytes < self.run_bytes_min || self.places.is_empty() {
            return Ok(());
        }
        self.spill_run(&rekey())
    }

    fn spill_run(&mut self, rekey: &Rekey<K>) -> Result<()> {
        self.sort(rekey);
        let start = self.spill.length();
        let mut written = Vec::with_capacity(2 * WRITE_BYTES);
        for place in &self.places {
            place.key.put(&mut written);
            put_varint(u64::from(place.length), &mut written);
            written.extend_from_slice(record(&self.slabs, place));
            if written.len() >= WRITE_BYTES {
                self.spill.write(&written)?;
                written.clear();
            }
        }
        self.spill.write(&written)?;
        self.spill.add_rows(self.places.len());
        let length = usize::try_from(self.spill.length() - start);
        let length = length.map_err(|error| DataFusionError::External(Box::new(error)))?;
        self.spilled.push(Stretch { start, length });
        self.places.clear();
        self.slabs.clear();
        self.bytes = 0;
        Ok(())
    }

    /// Gives the records the keys that `rekey` makes of theirs, and sorts them.
    fn sort(&mut self, rekey: &Rekey<K>) {
        let Self { places, slabs, tie, .. } = self;
        places.iter_mut().for_each(|place| place.key = rekey(place.key, record(slabs, place)));
        places.sort_unstable_by(|a, b| match a.key.cmp(&b.key) {
            Ordering::Equal => tie(record(slabs, a), record(slabs, b)),
            decided => decided,
        });
    }

    /// All runs of this task, those that were spilled first. The keys in memory become those that `rekey` makes of them,
    /// the keys of spilled records those that `of_spilled` makes; they must leave the order of each run as it is.
    ///
    /// # Errors
    /// Where the spill file cannot be flushed or opened.
    pub(super) fn runs(mut self, task: usize, rekey: &Rekey<K>, of_spilled: Rekey<K>) -> Result<Vec<Run<K>>> {
        self.sort(rekey);
        let (spill, mut runs) = (self.spill.finish()?, Vec::new());
        if let Some(spill) = spill {
            let path = spill.path().ok_or_else(|| exec_datafusion_err!("spilled records without a spill file"))?;
            let file = Arc::new(SpilledFile { file: Mutex::new(File::open(path)?), _spill: Arc::clone(&spill) });
            let rekey: Arc<Rekey<K>> = Arc::new(of_spilled);
            let run = |stretch| Source::Spilled(SpilledRun::new(Arc::clone(&file), stretch, Arc::clone(&rekey)));
            runs.extend(self.spilled.into_iter().map(run));
        }
        runs.push(Source::Memory { slabs: self.slabs, places: self.places, next: 0 });
        Ok(runs.into_iter().map(|source| Run { source, task, current: None }).collect())
    }
}

/// Makes another key of a record's key.
pub(super) type Rekey<K> = Box<dyn Fn(K, &[u8]) -> K + Send + Sync>;

fn record<'s, K>(slabs: &'s Slabs, place: &Place<K>) -> &'s [u8] {
    let (slab, start) = (place.slab as usize, place.start as usize);
    let filled = start + place.length as usize;
    slabs.bytes(Block { slab, start, filled, end: filled })
}

struct SpilledFile {
    file: Mutex<File>,
    /// The file is removed with this.
    _spill: Arc<dyn SpillFile>,
}

/// Records in order.
pub(super) struct Run<K> {
    source: Source<K>,
    /// The task that wrote them.
    task: usize,
    current: Option<K>,
}

enum Source<K> {
    Memory { slabs: Slabs, places: Vec<Place<K>>, next: usize },
    Spilled(SpilledRun<K>),
}

struct SpilledRun<K> {
    file: Arc<SpilledFile>,
    rekey: Arc<Rekey<K>>,
    /// What is not read yet.
    rest: Stretch,
    buffer: Vec<u8>,
    /// Where the next record begins, and where the current one lies, in the buffer.
    next: usize,
    record: std::ops::Range<usize>,
}

impl<K: Key> SpilledRun<K> {
    fn new(file: Arc<SpilledFile>, rest: Stretch, rekey: Arc<Rekey<K>>) -> Self {
        Self { file, rekey, rest, buffer: Vec::new(), next: 0, record: 0..0 }
    }

    fn advance(&mut self, read_bytes: usize) -> Result<Option<K>> {
        let mut wanted = read_bytes;
        loop {
            if let Some((key, record)) = self.record_at_next() {
                (self.next, self.record) = (record.end, record);
                return Ok(Some((self.rekey)(key, &self.buffer[self.record.clone()])));
            }
            if self.rest.length == 0 {
                let damaged = || exec_datafusion_err!("spilled records are damaged; check the disk of `run.spill_dir`");
                return if self.next == self.buffer.len() { Ok(None) } else { Err(damaged()) };
            }
            self.read_more(wanted)?;
            wanted *= 2;
        }
    }

    fn record_at_next(&self) -> Option<(K, std::ops::Range<usize>)> {
        let mut reader = Reader { bytes: &self.buffer, at: self.next };
        let key = K::read(&mut reader)?;
        let length = usize::try_from(reader.varint()?).ok()?;
        let start = reader.at;
        reader.take(length)?;
        Some((key, start..start + length))
    }

    fn read_more(&mut self, wanted: usize) -> Result<()> {
        self.buffer.drain(..self.next);
        self.next = 0;
        let (held, length) = (self.buffer.len(), wanted.min(self.rest.length));
        // A long record may have stretched it.
        self.buffer.shrink_to(held + length);
        self.buffer.resize(held + length, 0);
        let mut file = self.file.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.rest.start))?;
        file.read_exact(&mut self.buffer[held..])?;
        self.rest.start += length as u64;
        self.rest.length -= length;
        Ok(())
    }
}

impl<K: Key> Run<K> {
    fn advance(&mut self, read_bytes: usize) -> Result<()> {
        self.current = match &mut self.source {
            Source::Memory { places, next, .. } => {
                *next += 1;
                places.get(*next - 1).map(|place| place.key)
            }
            Source::Spilled(spilled) => spilled.advance(read_bytes)?,
        };
        Ok(())
    }

    fn record(&self) -> &[u8] {
        match &self.source {
            Source::Memory { slabs, places, next, .. } => {
                places.get(next.wrapping_sub(1)).map_or(&[], |place| record(slabs, place))
            }
            Source::Spilled(spilled) => &spilled.buffer[spilled.record.clone()],
        }
    }
}

/// Records of several runs, in order.
pub(super) struct Merge<K> {
    /// A binary heap, the first record at its root; runs without records are gone.
    runs: Vec<Run<K>>,
    tie: Tie,
    /// Bytes that a spilled run reads at once.
    read_bytes: usize,
}

/// Records in order, of which a batch is made.
pub(super) struct Chunk<K> {
    /// Their bytes, one after another.
    pub(super) bytes: Vec<u8>,
    /// For each its key, its task and where it ends in the bytes.
    pub(super) records: Vec<(K, usize, usize)>,
}

impl<K> Default for Chunk<K> {
    fn default() -> Self {
        Self { bytes: Vec::new(), records: Vec::new() }
    }
}

impl<K: Key> Merge<K> {
    /// Merges `runs`.
    ///
    /// # Errors
    /// Where a spill file cannot be read, or is damaged.
    pub(super) fn new(runs: Vec<Run<K>>, tie: Tie) -> Result<Self> {
        let read_bytes = (READ_BYTES_OF_ALL / runs.len().max(1)).clamp(*READ_BYTES.start(), *READ_BYTES.end());
        Self::with_read_bytes(runs, tie, read_bytes)
    }

    fn with_read_bytes(mut runs: Vec<Run<K>>, tie: Tie, read_bytes: usize) -> Result<Self> {
        runs.iter_mut().try_for_each(|run| run.advance(read_bytes))?;
        runs.retain(|run| run.current.is_some());
        let mut merge = Self { runs, tie, read_bytes };
        (0..merge.runs.len() / 2).rev().for_each(|parent| merge.sift_down(parent));
        Ok(merge)
    }

    fn precedes(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.runs[a], &self.runs[b]);
        a.current.cmp(&b.current).then_with(|| (self.tie)(a.record(), b.record())).is_lt()
    }

    fn sift_down(&mut self, mut parent: usize) {
        loop {
            let children = 2 * parent + 1..self.runs.len().min(2 * parent + 3);
            let Some(first) = children.reduce(|a, b| if self.precedes(b, a) { b } else { a }) else { return };
            if !self.precedes(first, parent) {
                return;
            }
            self.runs.swap(parent, first);
            parent = first;
        }
    }

    /// Puts the next records into `chunk`, as long as `more` of what it has and of the next key; they are none at the
    /// end.
    ///
    /// # Errors
    /// Where a spill file cannot be read, or is damaged.
    pub(super) fn next_chunk(&mut self, chunk: &mut Chunk<K>, more: impl Fn(&Chunk<K>, K) -> bool) -> Result<()> {
        chunk.bytes.clear();
        chunk.records.clear();
        while let Some(run) = self.runs.first_mut() {
            let Some(key) = run.current.filter(|&key| more(chunk, key)) else { return Ok(()) };
            chunk.bytes.extend_from_slice(run.record());
            chunk.records.push((key, run.task, chunk.bytes.len()));
            run.advance(self.read_bytes)?;
            if run.current.is_none() {
                self.runs.swap_remove(0);
            }
            self.sift_down(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::FairSpillPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::SessionConfig;
    use proptest::prelude::*;

    use super::*;

    impl Key for u8 {
        fn put(self, to: &mut Vec<u8>) {
            to.push(self);
        }

        fn read(reader: &mut Reader<'_>) -> Option<Self> {
            reader.take(1)?.first().copied()
        }
    }

    /// Sorts `records` in `tasks` beside a memory pool of `memory` bytes, and reads spilled ones `read_bytes` at a time.
    fn sorted(records: &[(u8, Vec<u8>)], tasks: usize, memory: usize, read_bytes: usize) -> Vec<(u8, Vec<u8>)> {
        let runtime =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(memory))).build_arc().unwrap();
        let session = SessionConfig::new().with_sort_spill_reservation_bytes(0);
        let context = TaskContext::default().with_session_config(session).with_runtime(runtime);
        let (tie, metrics): (Tie, _) = (Arc::new(|a, b| a.cmp(b)), ExecutionPlanMetricsSet::new());
        // A key is the number that a task gave it in the order of first sight; its rank is the key of the caller.
        let mut runs = Vec::new();
        for task in 0..tasks {
            let mut own = Records::<u8>::new([task, tasks], Arc::clone(&tie), &context, &metrics);
            for (key, record) in records.iter().skip(task).step_by(tasks) {
                own.push(!key, record).unwrap();
                own.spill_beyond_memory(0, || Box::new(|key, _| !key)).unwrap();
            }
            runs.extend(
                own.runs(task, &(Box::new(|key: u8, _: &[u8]| !key) as Rekey<u8>), Box::new(|key, _| key)).unwrap(),
            );
        }
        let mut merge = Merge::with_read_bytes(runs, tie, read_bytes).unwrap();
        let (mut chunk, mut all) = (Chunk::default(), Vec::new());
        loop {
            merge.next_chunk(&mut chunk, |chunk, _| chunk.records.len() < 7).unwrap();
            if chunk.records.is_empty() {
                return all;
            }
            let mut start = 0;
            for &(key, _, end) in &chunk.records {
                all.push((key, chunk.bytes[start..end].to_vec()));
                start = end;
            }
        }
    }

    #[test]
    fn records_are_sorted_whatever_is_spilled_and_however_it_is_read() {
        let record = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..300));
        let input = (prop::collection::vec(record, 0..200), 1..4usize, 0..30_000_000usize, 1..200usize);
        proptest!(ProptestConfig::with_cases(64), |((records, tasks, memory, read_bytes) in input)| {
            let mut expected = records.clone();
            expected.sort();
            prop_assert_eq!(sorted(&records, tasks, memory, read_bytes), expected);
        });
    }

    #[test]
    fn a_record_may_be_longer_than_a_slab() {
        let long = |byte| vec![byte; 5 << 20];
        let records = [(2, long(1)), (1, long(2)), (1, vec![]), (0, long(3))];
        let mut expected = records.to_vec();
        expected.sort();
        for memory in [0, 1 << 30] {
            assert!(sorted(&records, 2, memory, 64) == expected);
        }
    }
}
