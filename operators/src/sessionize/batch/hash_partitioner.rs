//! Scatters events into partitions by the hash of their session key.
//!
//!     batch ─▶ shapes, visitor ─▶ packed row ─▶ the open block of its partition ─▶ (spill)
//!
//! All events of a key land in one partition, so partitions can be sorted and folded one at a
//! time, by any thread, within a small part of the memory that all events would need. Full blocks
//! wait in memory or, beyond the limit, in a file, where each partition remembers its stretches.
//! Neighbours share slabs of memory, and are folded one after another: what they leave holds the tables.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::{SpillFile, SpillWriter};
use datafusion::physical_plan::metrics::SpillMetrics;
use memmap2::MmapMut;

use super::visitor_dictionary::VisitorDictionary;
use crate::sessionize::bytes::put_varint;
use crate::sessionize::layout::Layout;
use crate::sessionize::packed::{BatchVisitor, Packer, Visitor};
use crate::sessionize::rows::{CodeRemapping, Rows};

/// Bytes of a block, unless one event alone needs more.
const BLOCK_BYTES: usize = 16 << 10;

/// Bytes of a slab: a huge page.
const SLAB_BYTES: usize = 2 << 20;

/// Most groups of partitions that share slabs, and fewest partitions of a group.
const GROUPS_MAX: usize = 16;
const GROUP_PARTITIONS: usize = 8;

/// Bytes that a partition remembers of each visitor, besides its key.
const VISITOR_BYTES: usize = 48;

/// The partitions one task fills.
pub struct HashPartitioner {
    layout: Arc<Layout>,
    shift: u32,
    /// Gives symbols and shapes their codes.
    pub packer: Packer,
    filled: Vec<PackedPartition>,
    /// The memory of each group of partitions.
    slabs: Vec<Slabs>,
    /// Partitions of a group.
    group: usize,
    visitor: Visitor,
    packed: Vec<u8>,
    recent: Recent,
    memory: usize,
}

/// A partition, and the memory it shares with its group.
pub type InSlabs = (PackedPartition, Arc<Slabs>);

/// The blocks of one partition.
#[derive(Default)]
pub struct PackedPartition {
    visitors: VisitorDictionary,
    open: Block,
    full: Vec<Block>,
    spilled: Vec<Stretch>,
}

/// A stretch of a slab.
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    slab: usize,
    start: usize,
    /// Where the events end.
    filled: usize,
    end: usize,
}

/// Bytes of a spill file.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    start: u64,
    length: usize,
}

/// Memory for the blocks of a group of partitions.
///
/// It is the system's, not the allocator's: that would keep it, in pieces that nothing else fits into.
#[derive(Default)]
pub struct Slabs {
    slabs: Vec<MmapMut>,
    /// Bytes of the last slab that are some block's.
    taken: usize,
}

impl Slabs {
    fn block(&mut self, bytes: usize) -> Result<Block> {
        if self.slabs.last().is_none_or(|slab| slab.len() - self.taken < bytes) {
            self.slabs.push(slab(bytes).map_err(DataFusionError::IoError)?);
            self.taken = 0;
        }
        let start = self.taken;
        self.taken += bytes;
        Ok(Block { slab: self.slabs.len() - 1, start, filled: start, end: self.taken })
    }

    fn bytes(&self, block: Block) -> &[u8] {
        self.slabs.get(block.slab).map_or(&[], |slab| &slab[block.start..block.filled])
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A slab for a block of so many bytes, and more where there is room.
fn slab(bytes: usize) -> std::io::Result<MmapMut> {
    let slab = MmapMut::map_anon(SLAB_BYTES.max(bytes))?;
    // One fault instead of 512, where the system has huge pages to give.
    #[cfg(target_os = "linux")]
    let _ = slab.advise(memmap2::Advice::HugePage);
    Ok(slab)
}

impl HashPartitioner {
    /// An empty scatter into `partitions`, a power of two.
    pub fn new(layout: Arc<Layout>, partitions: usize, actions_max: usize) -> Self {
        debug_assert!(partitions.is_power_of_two() && partitions > 1);
        let group = GROUP_PARTITIONS.max(partitions / GROUPS_MAX);
        Self {
            slabs: (0..partitions.div_ceil(group)).map(|_| Slabs::default()).collect(),
            group,
            shift: u64::BITS - partitions.trailing_zeros(),
            packer: Packer::new(&layout, actions_max),
            filled: (0..partitions).map(|_| PackedPartition::default()).collect(),
            visitor: Visitor::default(),
            packed: Vec::new(),
            recent: Recent::default(),
            memory: 0,
            layout,
        }
    }

    /// Adds the events of `batch`.
    pub fn partition(&mut self, batch: &RecordBatch) -> Result<()> {
        let Self { layout, shift, packer, filled, slabs, group, visitor, packed, recent, memory } = self;
        let batch = packer.start(layout, batch)?;
        recent.begin(packer);
        for row in 0..batch.len() {
            packed.clear();
            let keys = batch.batch_visitor(row);
            let known = match recent.find(keys) {
                Some(known) => {
                    put_varint(u64::from(known.visitor), packed);
                    known
                }
                None => {
                    packer.visitor(&batch, row, visitor);
                    let partition = (visitor.hash >> *shift) as usize;
                    let numbered =
                        filled[partition].visitors.number(visitor.hash, visitor.owner, &visitor.key, batch.ts(row));
                    put_varint(u64::from(numbered.number), packed);
                    if numbered.is_new {
                        visitor.define(numbered.base_ts, packed);
                        *memory += visitor.key.len() + VISITOR_BYTES;
                    }
                    let known =
                        Known { partition: partition as u32, visitor: numbered.number, base_ts: numbered.base_ts };
                    recent.keep(keys, known);
                    known
                }
            };
            packer.append_body(layout, &batch, row, known.base_ts, packed);
            let partition = known.partition as usize;
            *memory += filled[partition].append(&mut slabs[partition / *group], packed)?;
        }
        Ok(())
    }

    /// Bytes held in memory, nearly.
    pub fn memory(&self) -> usize {
        self.memory + self.packer.memory() + self.recent.memory()
    }

    /// Moves all blocks to disk.
    pub fn spill(&mut self, spill: &mut Spill) -> Result<()> {
        for (partition, filled) in self.filled.iter_mut().enumerate() {
            filled.spill(&self.slabs[partition / self.group], spill)?;
        }
        self.slabs.iter_mut().for_each(Slabs::clear);
        self.recent = Recent::default();
        self.memory = 0;
        Ok(())
    }

    /// The partitions, each with the memory that its group shares; and what gave symbols and shapes their codes.
    pub fn finish(self) -> (Vec<InSlabs>, Packer) {
        let slabs: Vec<Arc<Slabs>> = self.slabs.into_iter().map(Arc::new).collect();
        let filled = self.filled.into_iter().enumerate().map(|(partition, filled)| {
            (
                PackedPartition { visitors: VisitorDictionary::default(), ..filled },
                Arc::clone(&slabs[partition / self.group]),
            )
        });
        (filled.collect(), self.packer)
    }
}

/// The visitors seen since the dictionaries changed, by their keys in one of them: one for each key of it.
#[derive(Default)]
struct Recent {
    edition: u64,
    /// Which of a visitor's keys is its place: that of the longer dictionary.
    by: usize,
    visitors: Vec<Option<(BatchVisitor, Known)>>,
}

/// What is known of a visitor.
#[derive(Clone, Copy)]
struct Known {
    partition: u32,
    visitor: u32,
    base_ts: i64,
}

impl Recent {
    /// Makes ready for a batch; keys of another edition mean nothing to it.
    fn begin(&mut self, packer: &Packer) {
        let edition = packer.edition();
        if self.edition == edition && !self.visitors.is_empty() {
            return;
        }
        let [sessions, users] = packer.id_keys();
        self.edition = edition;
        self.by = usize::from(users > sessions);
        self.visitors.clear();
        self.visitors.resize(sessions.max(users), None);
    }

    fn find(&self, keys: BatchVisitor) -> Option<Known> {
        let (kept, known) = (*self.visitors.get(self.place(keys))?)?;
        (kept == keys).then_some(known)
    }

    fn keep(&mut self, keys: BatchVisitor, known: Known) {
        let place = self.place(keys);
        if let Some(kept) = self.visitors.get_mut(place) {
            *kept = Some((keys, known));
        }
    }

    fn memory(&self) -> usize {
        self.visitors.capacity() * size_of::<Option<(BatchVisitor, Known)>>()
    }

    fn place(&self, keys: BatchVisitor) -> usize {
        keys.keys[self.by] as usize
    }
}

impl PackedPartition {
    /// Appends an event to the open block, or to a new one where it has no room; returns the bytes this took.
    #[inline]
    fn append(&mut self, slabs: &mut Slabs, packed: &[u8]) -> Result<usize> {
        let room = self.open.end - self.open.filled;
        let taken = if room < packed.len() { self.begin_block(slabs, packed.len())? } else { 0 };
        let Block { slab, filled, .. } = self.open;
        self.open.filled += packed.len();
        slabs.slabs[slab][filled..self.open.filled].copy_from_slice(packed);
        Ok(taken)
    }

    #[cold]
    fn begin_block(&mut self, slabs: &mut Slabs, bytes: usize) -> Result<usize> {
        let block = slabs.block(BLOCK_BYTES.max(bytes))?;
        let full = std::mem::replace(&mut self.open, block);
        if full.filled > full.start {
            self.full.push(full);
        }
        Ok(block.end - block.start)
    }

    fn spill(&mut self, slabs: &Slabs, spill: &mut Spill) -> Result<()> {
        self.visitors = VisitorDictionary::default();
        let start = spill.length;
        for block in self.full.drain(..).chain([std::mem::take(&mut self.open)]) {
            spill.write(slabs.bytes(block))?;
        }
        let length =
            usize::try_from(spill.length - start).map_err(|error| DataFusionError::External(Box::new(error)))?;
        if length > 0 {
            self.spilled.push(Stretch { start, length });
        }
        Ok(())
    }

    /// Bytes of the blocks in memory.
    pub fn memory(&self) -> usize {
        self.full.iter().chain([&self.open]).map(|block| block.end - block.start).sum()
    }

    /// Reads all events into `rows`, those in the spill file first.
    pub fn read(
        self,
        slabs: &Slabs,
        file: Option<&Path>,
        layout: &Layout,
        remapping: &CodeRemapping,
        rows: &mut Rows,
    ) -> Result<()> {
        if !self.spilled.is_empty() {
            let file = file.ok_or_else(|| exec_datafusion_err!("spilled events without a spill file"))?;
            let mut file = File::open(file).map_err(DataFusionError::IoError)?;
            let mut buffer = Vec::new();
            for stretch in &self.spilled {
                buffer.resize(stretch.length, 0);
                file.seek(SeekFrom::Start(stretch.start)).map_err(DataFusionError::IoError)?;
                file.read_exact(&mut buffer).map_err(DataFusionError::IoError)?;
                rows.read(layout, remapping, rows.visitors(), &buffer)?;
            }
        }
        let first_visitor = rows.visitors();
        self.full
            .iter()
            .chain([&self.open])
            .try_for_each(|&block| rows.read(layout, remapping, first_visitor, slabs.bytes(block)))
    }
}

/// The spill file of one task, created when it is first written.
pub struct Spill {
    disk: Arc<DiskManager>,
    metrics: SpillMetrics,
    file: Option<(Arc<dyn SpillFile>, Box<dyn SpillWriter>)>,
    length: u64,
}

impl Spill {
    /// No file yet.
    pub fn new(disk: Arc<DiskManager>, metrics: SpillMetrics) -> Self {
        Self { disk, metrics, file: None, length: 0 }
    }

    fn write(&mut self, block: &[u8]) -> Result<()> {
        if block.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            let file = self.disk.create_tmp_file("sessionize")?;
            let writer = file.open_writer()?;
            self.metrics.spill_file_count.add(1);
            self.file = Some((file, writer));
        }
        let Some((_, writer)) = &mut self.file else { return Ok(()) };
        writer.write_all(block).map_err(DataFusionError::IoError)?;
        self.length += block.len() as u64;
        self.metrics.spilled_bytes.add(block.len());
        Ok(())
    }

    /// The whole file, where one was needed; it is removed when it is dropped.
    pub fn finish(self) -> Result<Option<Arc<dyn SpillFile>>> {
        let Some((file, mut writer)) = self.file else { return Ok(None) };
        writer.flush().map_err(DataFusionError::IoError)?;
        writer.finish()?;
        Ok(Some(file))
    }
}
