//! Where reads of a shard ended, so that the next one need not search for its first frame.

use std::collections::BTreeMap;

/// Most cursors of a shard.
const CURSORS_MAX: usize = 256;

/// The places where frames begin: offset of the frame to (first offset of the segment, byte within it).
#[derive(Debug, Default)]
pub(crate) struct Cursors(BTreeMap<u64, (u64, u64)>);

impl Cursors {
    /// The last known place, (offset, byte), at or before offset `wanted`, if it is in the segment that begins at `first`.
    pub(crate) fn before(&self, first: u64, wanted: u64) -> Option<(u64, u64)> {
        let (offset, (segment, byte)) = self.0.range(..=wanted).next_back()?;
        (*segment == first).then_some((*offset, *byte))
    }

    /// Adds a place; forgets the one with the lowest offset where there are too many.
    pub(crate) fn remember(&mut self, offset: u64, first: u64, byte: u64) {
        self.0.insert(offset, (first, byte));
        if self.0.len() > CURSORS_MAX {
            self.0.pop_first();
        }
    }
}
