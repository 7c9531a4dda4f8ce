//! Scatters events into partitions by the hash of their session key.
//!
//!     batch ─▶ codes and hashes ─▶ rows by partition ─▶ one open chunk for each partition
//!
//! All events of a key land in one partition, so partitions can be sorted and folded one at a
//! time, by any thread, within a small part of the memory that all events would need. Full chunks
//! wait in memory or, beyond the limit, in a spill file for each partition.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float32Array, Int64Array, RecordBatch, UInt64Array};
use datafusion::common::Result;
use datafusion::physical_plan::SpillManager;
use datafusion::execution::SpillFile;
use xxhash_rust::xxh3::xxh3_64;

use super::packed::{self, Layout, PackedColumn, Packing, TextBuffer};
use crate::symbols::Interner;

/// Rows of a chunk before it is sealed.
const CHUNK_ROWS: usize = 4096;

/// The partitions one task fills.
pub struct Scatter {
    layout: Arc<Layout>,
    shift: u32,
    interners: Vec<Interner>,
    open: Vec<Option<Chunk>>,
    filled: Vec<Filled>,
    memory: usize,
}

/// The chunks of one partition.
#[derive(Default)]
pub struct Filled {
    /// Chunks in memory.
    pub chunks: Vec<RecordBatch>,
    /// Chunks on disk, oldest first.
    pub spilled: Vec<Arc<dyn SpillFile>>,
}

struct Chunk {
    key_hash: Vec<u64>,
    columns: Vec<ChunkColumn>,
}

enum ChunkColumn {
    Symbol(Vec<u32>),
    Instant(Vec<i64>),
    Real(Vec<f32>),
    Flag(Vec<u8>),
    Text(TextBuffer),
}

impl Scatter {
    /// An empty scatter into `partitions`, a power of two.
    pub fn new(layout: Arc<Layout>, partitions: usize) -> Self {
        debug_assert!(partitions.is_power_of_two() && partitions > 1);
        Self {
            shift: u64::BITS - partitions.trailing_zeros(),
            interners: layout.packings.iter().map(|_| Interner::default()).collect(),
            open: (0..partitions).map(|_| None).collect(),
            filled: (0..partitions).map(|_| Filled::default()).collect(),
            memory: 0,
            layout,
        }
    }

    /// Adds the events of `batch`.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = self.layout.fields.iter().zip(batch.columns()).zip(&mut self.interners);
        let columns = columns.map(|((field, column), interner)| packed::pack(column, interner, field.name()));
        let columns: Vec<PackedColumn> = columns.collect::<Result<_>>()?;
        let hashes = self.key_hashes(&columns, batch.num_rows());
        let (order, borders) = self.rows_by_partition(&hashes);
        for (partition, border) in borders.windows(2).enumerate().filter(|(_, border)| border[0] < border[1]) {
            let rows = &order[border[0] as usize..border[1] as usize];
            let chunk = self.open[partition].get_or_insert_with(|| Chunk::new(&self.layout));
            self.memory += chunk.append(&columns, &hashes, rows);
            if chunk.key_hash.len() >= CHUNK_ROWS {
                self.seal(partition)?;
            }
        }
        Ok(())
    }

    /// Bytes held in memory, nearly.
    pub fn memory(&self) -> usize {
        self.memory + self.interners.iter().map(Interner::memory).sum::<usize>()
    }

    /// Moves all chunks to disk.
    pub fn spill(&mut self, spills: &SpillManager) -> Result<()> {
        for partition in 0..self.open.len() {
            self.seal(partition)?;
            let chunks = std::mem::take(&mut self.filled[partition].chunks);
            self.filled[partition].spilled.extend(spills.spill_record_batch_and_finish(&chunks, "sessionize")?);
        }
        self.memory = 0;
        Ok(())
    }

    /// The filled partitions, and the interners their codes belong to.
    pub fn finish(mut self) -> Result<(Vec<Filled>, Vec<Interner>)> {
        for partition in 0..self.open.len() {
            self.seal(partition)?;
        }
        Ok((self.filled, self.interners))
    }

    fn seal(&mut self, partition: usize) -> Result<()> {
        if let Some(chunk) = self.open[partition].take() {
            self.filled[partition].chunks.push(chunk.finish(&self.layout)?);
        }
        Ok(())
    }

    /// The hash of each row's (org_id, product_id, visit); the same in every run and process.
    fn key_hashes(&self, columns: &[PackedColumn], rows: usize) -> Vec<u64> {
        let place = &self.layout.place;
        let (PackedColumn::Symbol(orgs), PackedColumn::Symbol(products)) =
            (&columns[place.org_id], &columns[place.product_id])
        else {
            return Vec::new();
        };
        let (PackedColumn::Text(sessions), PackedColumn::Text(users)) =
            (&columns[place.session_id], &columns[place.user_hash])
        else {
            return Vec::new();
        };
        let symbol_hashes = |place: usize| -> Vec<u64> {
            let interner = &self.interners[place];
            (0..interner.len()).map(|code| xxh3_64(interner.text(code as u32).as_bytes())).collect()
        };
        let (org_hashes, product_hashes) = (symbol_hashes(place.org_id), symbol_hashes(place.product_id));
        let hash = |row: usize| {
            let session = sessions.value(row);
            let visit = if session.is_empty() { users.value(row) } else { session };
            mix(xxh3_64(visit.as_bytes()), org_hashes[orgs[row] as usize], product_hashes[products[row] as usize])
        };
        (0..rows).map(hash).collect()
    }

    /// Row numbers grouped by partition, and where each partition begins and ends among them.
    fn rows_by_partition(&self, hashes: &[u64]) -> (Vec<u32>, Vec<u32>) {
        let partition = |hash: u64| (hash >> self.shift) as usize;
        let mut borders = vec![0u32; self.open.len() + 1];
        hashes.iter().for_each(|&hash| borders[partition(hash) + 1] += 1);
        for i in 1..borders.len() {
            borders[i] += borders[i - 1];
        }
        let mut next = borders.clone();
        let mut order = vec![0u32; hashes.len()];
        for (row, &hash) in hashes.iter().enumerate() {
            let place = &mut next[partition(hash)];
            order[*place as usize] = row as u32;
            *place += 1;
        }
        (order, borders)
    }
}

/// Mixes the hashes of a key's three parts.
fn mix(visit: u64, org: u64, product: u64) -> u64 {
    let mixed = visit ^ org.rotate_left(21) ^ product.rotate_left(42);
    mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (mixed >> 32)
}

impl Chunk {
    fn new(layout: &Layout) -> Self {
        let column = |packing: &Packing| match packing {
            Packing::Symbol => ChunkColumn::Symbol(Vec::new()),
            Packing::Instant => ChunkColumn::Instant(Vec::new()),
            Packing::Real => ChunkColumn::Real(Vec::new()),
            Packing::Flag => ChunkColumn::Flag(Vec::new()),
            Packing::Text => ChunkColumn::Text(TextBuffer::default()),
        };
        Self { key_hash: Vec::new(), columns: layout.packings.iter().map(column).collect() }
    }

    /// Appends these rows of `columns`; returns the bytes added.
    fn append(&mut self, columns: &[PackedColumn], hashes: &[u64], rows: &[u32]) -> usize {
        self.key_hash.extend(rows.iter().map(|&row| hashes[row as usize]));
        let mut bytes = rows.len() * size_of::<u64>();
        for (chunk, column) in self.columns.iter_mut().zip(columns) {
            bytes += append(chunk, column, rows);
        }
        bytes
    }

    fn finish(self, layout: &Layout) -> Result<RecordBatch> {
        let array = |column: ChunkColumn| -> Result<ArrayRef> {
            Ok(match column {
                ChunkColumn::Symbol(codes) => packed::codes_array(codes),
                ChunkColumn::Instant(instants) => Arc::new(Int64Array::from(instants)),
                ChunkColumn::Real(reals) => Arc::new(Float32Array::from(reals)),
                ChunkColumn::Flag(flags) => packed::flags_array(flags),
                ChunkColumn::Text(texts) => Arc::new(texts.finish()?),
            })
        };
        let hashes: ArrayRef = Arc::new(UInt64Array::from(self.key_hash));
        let columns = std::iter::once(Ok(hashes)).chain(self.columns.into_iter().map(array));
        Ok(RecordBatch::try_new(layout.chunk_schema(), columns.collect::<Result<_>>()?)?)
    }
}

/// Appends `rows` of a packed column to a chunk's; returns the bytes added.
fn append(chunk: &mut ChunkColumn, column: &PackedColumn, rows: &[u32]) -> usize {
    match (chunk, column) {
        (ChunkColumn::Symbol(chunk), PackedColumn::Symbol(codes)) => gather(chunk, codes, rows),
        (ChunkColumn::Instant(chunk), PackedColumn::Instant(instants)) => gather(chunk, instants, rows),
        (ChunkColumn::Real(chunk), PackedColumn::Real(reals)) => gather(chunk, reals, rows),
        (ChunkColumn::Flag(chunk), PackedColumn::Flag(flags)) => gather(chunk, flags, rows),
        (ChunkColumn::Text(chunk), PackedColumn::Text(texts)) => {
            let before = chunk.byte_len();
            if texts.nulls().is_none() {
                rows.iter().for_each(|&row| chunk.push(Some(texts.value(row as usize))));
            } else {
                rows.iter().for_each(|&row| {
                    chunk.push((!texts.is_null(row as usize)).then(|| texts.value(row as usize)));
                });
            }
            chunk.byte_len() - before + rows.len() * size_of::<i32>()
        }
        _ => unreachable!("chunk and batch are packed by one layout"),
    }
}

fn gather<T: Copy>(chunk: &mut Vec<T>, values: &[T], rows: &[u32]) -> usize {
    chunk.extend(rows.iter().map(|&row| values[row as usize]));
    std::mem::size_of_val(rows) / size_of::<u32>() * size_of::<T>()
}
