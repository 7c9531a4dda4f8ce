//! Memory for the blocks of a group of partitions.

use datafusion::common::{DataFusionError, Result};
use memmap2::MmapMut;

/// Bytes of a slab: a huge page.
const SLAB_BYTES: usize = 2 << 20;

/// Memory for the blocks of a group of partitions.
///
/// It is mapped from the system, not taken from the allocator, which would keep it as fragments.
#[derive(Default)]
pub struct Slabs {
    pub(super) slabs: Vec<MmapMut>,
    /// Bytes of the last slab that belong to blocks.
    taken: usize,
}

/// A range of a slab.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Block {
    pub(super) slab: usize,
    pub(super) start: usize,
    /// Where the events end.
    pub(super) filled: usize,
    pub(super) end: usize,
}

impl Slabs {
    pub(super) fn block(&mut self, bytes: usize) -> Result<Block> {
        if self.slabs.last().is_none_or(|slab| slab.len() - self.taken < bytes) {
            self.slabs.push(slab(bytes).map_err(DataFusionError::IoError)?);
            self.taken = 0;
        }
        let start = self.taken;
        self.taken += bytes;
        Ok(Block { slab: self.slabs.len() - 1, start, filled: start, end: self.taken })
    }

    pub(super) fn bytes(&self, block: Block) -> &[u8] {
        self.slabs.get(block.slab).map_or(&[], |slab| &slab[block.start..block.filled])
    }

    pub(super) fn clear(&mut self) {
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
