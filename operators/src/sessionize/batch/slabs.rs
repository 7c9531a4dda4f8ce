//! Memory for blocks of packed events: those of a group of partitions, or the records of a sort.

use datafusion::common::{DataFusionError, Result};
use memmap2::MmapMut;

/// Bytes of a slab: a huge page.
const SLAB_BYTES: usize = 2 << 20;

/// Memory for blocks of packed events.
///
/// It is mapped from the system, not taken from the allocator, which would keep it as fragments.
#[derive(Default)]
pub struct Slabs {
    pub(super) slabs: Vec<MmapMut>,
    /// Bytes of the last slab that belong to blocks.
    taken: usize,
    mapped: usize,
}

/// A range of a slab.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Block {
    pub(crate) slab: usize,
    pub(crate) start: usize,
    /// Where the events end.
    pub(crate) filled: usize,
    pub(crate) end: usize,
}

impl Slabs {
    pub(super) fn block(&mut self, bytes: usize) -> Result<Block> {
        if self.slabs.last().is_none_or(|slab| slab.len() - self.taken < bytes) {
            let slab = slab(bytes).map_err(DataFusionError::IoError)?;
            self.mapped += slab.len();
            self.slabs.push(slab);
            self.taken = 0;
        }
        let start = self.taken;
        self.taken += bytes;
        Ok(Block { slab: self.slabs.len() - 1, start, filled: start, end: self.taken })
    }

    /// A block that holds `bytes` and no more.
    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<Block> {
        let block = self.block(bytes.len())?;
        self.slabs[block.slab][block.start..block.end].copy_from_slice(bytes);
        Ok(Block { filled: block.end, ..block })
    }

    /// Bytes taken from the system.
    pub(crate) fn bytes_mapped(&self) -> usize {
        self.mapped
    }

    pub(crate) fn bytes(&self, block: Block) -> &[u8] {
        self.slabs.get(block.slab).map_or(&[], |slab| &slab[block.start..block.filled])
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A slab for a block of `bytes` bytes, and for more blocks where there is room.
fn slab(bytes: usize) -> std::io::Result<MmapMut> {
    let slab = MmapMut::map_anon(SLAB_BYTES.max(bytes))?;
    // One page fault instead of 512, where the system has huge pages.
    #[cfg(target_os = "linux")]
    let _ = slab.advise(memmap2::Advice::HugePage);
    Ok(slab)
}
