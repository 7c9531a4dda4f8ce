//! Byte strings that grow, in blocks of one size.
//!
//!     chain   first ─▶ [next│60 bytes] ─▶ [next│60 bytes] ─▶ [ ·  │17 bytes ···]  ◀─ last, 17 filled
//!
//! A million strings that grow at once would cost a million allocations, each half empty after it grew. Here a string
//! wastes half a block on average, and the next string reuses a freed block. Pages of blocks are never moved and never
//! freed, so their memory is the most that was in use at one time.

use datafusion::common::{Result, resources_datafusion_err};

use super::checkpoint_bytes::{CheckpointError, CheckpointReader, CheckpointWriter};

/// Bytes of a block, one cache line.
const BLOCK: usize = 64;
/// Bytes of a block that link to the next one.
const LINK: usize = size_of::<u32>();
/// Bytes of a block that hold the string.
pub const ROOM: usize = BLOCK - LINK;
/// Blocks allocated at once: a mebibyte.
const PAGE_BLOCKS: usize = 1 << 14;
/// The number of no block.
const NONE: u32 = u32::MAX;

/// The blocks of all strings.
#[derive(Debug)]
pub struct Blocks {
    pages: Vec<Box<[u8]>>,
    /// Blocks that were ever used.
    used: u32,
    /// The first of the freed blocks, each of which links to the next.
    free: u32,
}

/// One string.
#[derive(Debug, Clone, Copy)]
pub struct Chain {
    first: u32,
    last: u32,
    filled: u8,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE, filled: 0 }
    }
}

impl Default for Blocks {
    fn default() -> Self {
        Self { pages: Vec::new(), used: 0, free: NONE }
    }
}

impl Chain {
    /// First and last block, and how far the last one is filled.
    pub(super) fn parts(&self) -> [u32; 3] {
        [self.first, self.last, u32::from(self.filled)]
    }

    pub(super) fn from_parts([first, last, filled]: [u32; 3]) -> std::result::Result<Self, CheckpointError> {
        let filled = u8::try_from(filled).ok().filter(|&filled| usize::from(filled) <= ROOM);
        Ok(Self { first, last, filled: filled.ok_or(CheckpointError::Damaged)? })
    }
}

impl Blocks {
    pub(super) fn write(&self, to: &mut CheckpointWriter<'_>) -> std::io::Result<()> {
        to.number(u64::from(self.used))?;
        to.number(u64::from(self.free))?;
        let mut left = self.used as usize * BLOCK;
        for page in &self.pages {
            let bytes = &page[..left.min(page.len())];
            to.bytes(bytes)?;
            left -= bytes.len();
        }
        Ok(())
    }

    pub(super) fn read_back(from: &mut CheckpointReader<'_>) -> std::result::Result<Self, CheckpointError> {
        let mut number = || u32::try_from(from.number()?).map_err(|_| CheckpointError::Damaged);
        let (used, free) = (number()?, number()?);
        let mut blocks = Self { pages: Vec::new(), used, free };
        let mut left = used as usize * BLOCK;
        while left > 0 {
            let mut page = vec![0; PAGE_BLOCKS * BLOCK].into_boxed_slice();
            let length = left.min(page.len());
            from.fill(&mut page[..length])?;
            blocks.pages.push(page);
            left -= length;
        }
        Ok(blocks)
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.pages.len() * PAGE_BLOCKS * BLOCK
    }

    /// Appends `bytes` to the string of `chain`.
    ///
    /// # Errors
    /// Where all strings together would have more than 256 GiB.
    pub fn append(&mut self, chain: &mut Chain, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if chain.first == NONE || usize::from(chain.filled) == ROOM {
                self.extend(chain)?;
            }
            let filled = usize::from(chain.filled);
            let (now, later) = bytes.split_at(bytes.len().min(ROOM - filled));
            self.block_mut(chain.last)[LINK + filled..][..now.len()].copy_from_slice(now);
            chain.filled += now.len() as u8;
            bytes = later;
        }
        Ok(())
    }

    /// The beginning of a string: all of it, or as much as fits into a block.
    pub fn start(&self, chain: &Chain) -> &[u8] {
        if chain.first == NONE { &[] } else { self.piece(chain, chain.first) }
    }

    /// Appends at least the first `length` bytes of a string to `bytes`, to the end of a block; all of a shorter string.
    pub fn read(&self, chain: &Chain, length: usize, bytes: &mut Vec<u8>) {
        let wanted = bytes.len().saturating_add(length);
        let mut block = chain.first;
        while block != NONE && bytes.len() < wanted {
            bytes.extend_from_slice(self.piece(chain, block));
            block = if block == chain.last { NONE } else { self.next(block) };
        }
    }

    /// Frees all blocks of `chain`.
    pub fn free(&mut self, chain: &mut Chain) {
        if chain.first != NONE {
            self.link(chain.last, self.free);
            self.free = chain.first;
        }
        *chain = Chain::default();
    }

    fn extend(&mut self, chain: &mut Chain) -> Result<()> {
        let block = self.allocate()?;
        if chain.first == NONE {
            chain.first = block;
        } else {
            self.link(chain.last, block);
        }
        (chain.last, chain.filled) = (block, 0);
        Ok(())
    }

    fn allocate(&mut self) -> Result<u32> {
        if self.free != NONE {
            let block = self.free;
            self.free = self.next(block);
            return Ok(block);
        }
        if self.used == NONE {
            return Err(resources_datafusion_err!("open sessions have more than 256 GiB of events; use more shards"));
        }
        if self.used as usize == self.pages.len() * PAGE_BLOCKS {
            self.pages.push(vec![0; PAGE_BLOCKS * BLOCK].into());
        }
        self.used += 1;
        Ok(self.used - 1)
    }

    fn piece(&self, chain: &Chain, block: u32) -> &[u8] {
        let filled = if block == chain.last { usize::from(chain.filled) } else { ROOM };
        &self.block(block)[LINK..LINK + filled]
    }

    fn block(&self, block: u32) -> &[u8] {
        &self.pages[block as usize / PAGE_BLOCKS][block as usize % PAGE_BLOCKS * BLOCK..][..BLOCK]
    }

    fn block_mut(&mut self, block: u32) -> &mut [u8] {
        &mut self.pages[block as usize / PAGE_BLOCKS][block as usize % PAGE_BLOCKS * BLOCK..][..BLOCK]
    }

    fn next(&self, block: u32) -> u32 {
        let block = self.block(block);
        u32::from_le_bytes([block[0], block[1], block[2], block[3]])
    }

    fn link(&mut self, block: u32, next: u32) {
        self.block_mut(block)[..LINK].copy_from_slice(&next.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(blocks: &Blocks, chain: &Chain) -> Vec<u8> {
        let mut bytes = Vec::new();
        blocks.read(chain, usize::MAX, &mut bytes);
        bytes
    }

    #[test]
    fn strings_that_grow_in_turn_stay_apart() {
        let mut blocks = Blocks::default();
        let mut chains = [Chain::default(); 3];
        let mut expected = [const { Vec::new() }; 3];
        for length in (0..400).step_by(7) {
            for (name, (chain, expected)) in chains.iter_mut().zip(&mut expected).enumerate() {
                let bytes = vec![name as u8 * 80 + (length % 80) as u8; length / (name + 1)];
                blocks.append(chain, &bytes).unwrap();
                expected.extend_from_slice(&bytes);
            }
        }
        for (chain, expected) in chains.iter().zip(&expected) {
            assert_eq!(&whole(&blocks, chain), expected);
            assert_eq!(blocks.start(chain), &expected[..ROOM]);
        }
    }

    #[test]
    fn freed_blocks_serve_the_next_string() {
        let mut blocks = Blocks::default();
        let mut chain = Chain::default();
        for round in 0..5 {
            blocks.append(&mut chain, &[round; 10 * ROOM]).unwrap();
            assert_eq!(whole(&blocks, &chain), [round; 10 * ROOM]);
            blocks.free(&mut chain);
            assert!(whole(&blocks, &chain).is_empty());
        }
        assert_eq!(blocks.used, 10);
    }
}
