//! Scatters events into partitions by the hash of their session key.
//!
//!     batch ─▶ shapes ─▶ packed row ─▶ the open block of its partition ─▶ (spill)
//!
//! All events of a key land in one partition, so partitions can be sorted and folded one at a
//! time, by any thread, within a small part of the memory that all events would need. Full blocks
//! wait in memory or, beyond the limit, in a file, where each partition remembers its stretches.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::{SpillFile, SpillWriter};
use datafusion::physical_plan::metrics::SpillMetrics;

use super::layout::Layout;
use super::packed::Packer;

/// Bytes of a block, unless one event alone needs more.
const BLOCK_BYTES: usize = 16 << 10;

/// The partitions one task fills.
pub struct Scatter {
    layout: Arc<Layout>,
    shift: u32,
    /// Gives symbols and shapes their codes.
    pub packer: Packer,
    /// What was filled so far.
    pub filled: Vec<Filled>,
    memory: usize,
}

/// The blocks of one partition.
#[derive(Default)]
pub struct Filled {
    open: Vec<u8>,
    full: Vec<Vec<u8>>,
    spilled: Vec<Stretch>,
}

/// Bytes of a spill file.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    start: u64,
    length: usize,
}

impl Scatter {
    /// An empty scatter into `partitions`, a power of two.
    pub fn new(layout: Arc<Layout>, partitions: usize, shapes_max: usize) -> Self {
        debug_assert!(partitions.is_power_of_two() && partitions > 1);
        Self {
            shift: u64::BITS - partitions.trailing_zeros(),
            packer: Packer::new(&layout, shapes_max),
            filled: (0..partitions).map(|_| Filled::default()).collect(),
            memory: 0,
            layout,
        }
    }

    /// Adds the events of `batch`.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let Self { layout, shift, packer, filled, memory } = self;
        let batch = packer.start(layout, batch)?;
        for row in 0..batch.len() {
            let hash = packer.pack_key(layout, &batch, row);
            let partition = &mut filled[(hash >> *shift) as usize];
            *memory += partition.make_room(packer.row_max(layout, &batch, row));
            packer.append(layout, &batch, row, hash, &mut partition.open);
        }
        Ok(())
    }

    /// Bytes held in memory, nearly.
    pub fn memory(&self) -> usize {
        self.memory + self.packer.memory()
    }

    /// Moves all blocks to disk.
    pub fn spill(&mut self, spill: &mut Spill) -> Result<()> {
        for partition in &mut self.filled {
            partition.spill(spill)?;
        }
        self.memory = 0;
        Ok(())
    }
}

impl Filled {
    /// Makes room for so many bytes in the open block; returns the bytes this took.
    fn make_room(&mut self, bytes: usize) -> usize {
        if self.open.capacity() - self.open.len() >= bytes {
            return 0;
        }
        let block = Vec::with_capacity(BLOCK_BYTES.max(bytes));
        let taken = block.capacity();
        let full = std::mem::replace(&mut self.open, block);
        if !full.is_empty() {
            self.full.push(full);
        }
        taken
    }

    fn spill(&mut self, spill: &mut Spill) -> Result<()> {
        let start = spill.length;
        for block in self.full.drain(..).chain([std::mem::take(&mut self.open)]) {
            spill.write(&block)?;
        }
        let length = usize::try_from(spill.length - start).map_err(|error| DataFusionError::External(Box::new(error)))?;
        if length > 0 {
            self.spilled.push(Stretch { start, length });
        }
        Ok(())
    }

    /// Bytes of the blocks in memory.
    pub fn memory(&self) -> usize {
        self.open.capacity() + self.full.iter().map(Vec::capacity).sum::<usize>()
    }

    /// Gives each block of packed events in turn, those in the spill file first.
    pub fn read(self, file: Option<&Path>, mut block: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if !self.spilled.is_empty() {
            let file = file.ok_or_else(|| exec_datafusion_err!("spilled events without a spill file"))?;
            let mut file = File::open(file).map_err(DataFusionError::IoError)?;
            let mut buffer = Vec::new();
            for stretch in &self.spilled {
                buffer.resize(stretch.length, 0);
                file.seek(SeekFrom::Start(stretch.start)).map_err(DataFusionError::IoError)?;
                file.read_exact(&mut buffer).map_err(DataFusionError::IoError)?;
                block(&buffer)?;
            }
        }
        self.full.iter().chain([&self.open]).filter(|full| !full.is_empty()).try_for_each(|full| block(full))
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
