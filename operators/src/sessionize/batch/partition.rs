//! The packed events of one partition, in blocks.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, exec_datafusion_err};

use super::slabs::{Block, Slabs};
use super::spill::{Spill, Stretch};
use super::visitor_dictionary::VisitorDictionary;
use crate::sessionize::dictionaries::CodeRemapping;
use crate::sessionize::layout::Layout;
use crate::sessionize::rows::Rows;

/// Bytes of a block, unless one event alone needs more.
const BLOCK_BYTES: usize = 16 << 10;

/// A partition, and the memory it shares with its group.
pub type InSlabs = (PackedPartition, Arc<Slabs>);

/// The blocks of one partition.
#[derive(Default)]
pub struct PackedPartition {
    pub(super) visitors: VisitorDictionary,
    open: Block,
    full: Vec<Block>,
    spilled: Vec<Stretch>,
}

impl PackedPartition {
    /// Appends an event to the open block, or to a new one where it has no room; returns the bytes allocated.
    #[inline]
    pub(super) fn append(&mut self, slabs: &mut Slabs, packed: &[u8]) -> Result<usize> {
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

    pub(super) fn spill(&mut self, slabs: &Slabs, spill: &mut Spill) -> Result<()> {
        self.visitors = VisitorDictionary::default();
        let start = spill.length();
        for block in self.full.drain(..).chain([std::mem::take(&mut self.open)]) {
            spill.write(slabs.bytes(block))?;
        }
        let length =
            usize::try_from(spill.length() - start).map_err(|error| DataFusionError::External(Box::new(error)))?;
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
    ///
    /// # Errors
    /// Where the spill file cannot be read, or its bytes are damaged.
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
