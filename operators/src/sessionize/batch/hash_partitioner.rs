//! Partitions events by the hash of their session key.
//!
//!     batch ─▶ codes, visitor ─▶ packed row ─▶ the open block of its partition ─▶ (spill)
//!
//! All events of a session key are in one partition. So any thread can sort and fold one partition at a time, within a
//! small part of the memory that all events would need. Full blocks wait in memory or, beyond the limit, in a spill
//! file; each partition remembers which ranges of the file are its own. Neighbouring partitions share slabs of memory
//! and are folded one after another, so the memory of a group is freed at about the same time.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;

use super::partition::{InSlabs, PackedPartition};
use super::slabs::Slabs;
use super::spill::Spill;
use super::visitor_dictionary::VisitorDictionary;
use crate::sessionize::bytes::put_varint;
use crate::sessionize::layout::Layout;
use crate::sessionize::packer::Packer;
use crate::sessionize::visitor::{BatchVisitor, Visitor};

/// Most groups of partitions that share slabs.
const GROUPS_MAX: usize = 16;

/// Fewest partitions of a group.
const GROUP_PARTITIONS: usize = 8;

/// Bytes that a partition remembers of each visitor, besides its key.
const VISITOR_BYTES: usize = 48;

/// The partitions one task fills.
pub struct HashPartitioner {
    layout: Arc<Layout>,
    shift: u32,
    /// Encodes symbols and tuples.
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

impl HashPartitioner {
    /// A partitioner into `partitions`, a power of two.
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

    /// Adds the events of `batch` to their partitions.
    ///
    /// # Errors
    /// Where a column of `batch` has another type than the layout says, or the system has no memory to map.
    pub fn partition(&mut self, batch: &RecordBatch) -> Result<()> {
        let Self { layout, shift, packer, filled, slabs, group, visitor, packed, recent, memory } = self;
        let batch = packer.encode(layout, batch)?;
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

    /// Moves all blocks to the spill file.
    ///
    /// # Errors
    /// Where the file cannot be created or written.
    pub fn spill(&mut self, spill: &mut Spill) -> Result<()> {
        for (partition, filled) in self.filled.iter_mut().enumerate() {
            filled.spill(&self.slabs[partition / self.group], spill)?;
        }
        self.slabs.iter_mut().for_each(Slabs::clear);
        self.recent = Recent::default();
        self.memory = 0;
        Ok(())
    }

    /// The partitions, each with the memory that its group shares, and the packer with their dictionaries.
    pub fn finish(self) -> (Vec<InSlabs>, Packer) {
        let slabs: Vec<Arc<Slabs>> = self.slabs.into_iter().map(Arc::new).collect();
        let filled = self.filled.into_iter().enumerate().map(|(partition, mut filled)| {
            filled.visitors = VisitorDictionary::default();
            (filled, Arc::clone(&slabs[partition / self.group]))
        });
        (filled.collect(), self.packer)
    }
}

/// The visitors seen since the dictionaries of batches changed, by their key in one of the two: one visitor a key.
#[derive(Default)]
struct Recent {
    edition: u64,
    /// Which of a visitor's two keys is the index: that of the longer dictionary.
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
    /// Prepares for a batch: forgets all visitors where a dictionary changed.
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
