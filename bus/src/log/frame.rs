//! The bytes of a segment: a head, then frames. All numbers are little-endian; all lengths are multiples of 16.
//!
//!     segment   0 magic `NCBUSLOG` · 8 version u32 · 12 shard u32 · 16 first offset u64 · 24 made at i64 ms
//!               32 schema length u32 · 36 zero u32 · 40 schema xxh3 u64 · 48 zero u64 · 56 xxh3 of 0..56
//!               64 the schema, an Arrow IPC message
//!     frame     0 magic `NCFR` · 4 payload length u32 · 8 offset u64 · 16 durable u64 · 24 appended at i64 ms
//!               32 rows u32 · 36 zero u32 · 40 payload xxh3 u64 · 48 zero u64 · 56 xxh3 of 0..56
//!               64 the payload: Arrow IPC messages, dictionaries and one record batch
//!
//! `durable` is the shard's durable end when the frame was written. It distinguishes a torn group of writes from damage:
//! a frame that says an earlier one was durable proves that the earlier one was whole.

use xxhash_rust::xxh3::xxh3_64;

/// Length of the fixed part of a segment's head, and of a frame's head.
pub(crate) const HEAD: usize = 64;

/// The version of this layout.
pub(crate) const VERSION: u32 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"NCBUSLOG";
const FRAME_MAGIC: [u8; 4] = *b"NCFR";

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) payload_bytes: u32,
    pub(crate) offset: u64,
    pub(crate) durable: u64,
    pub(crate) appended_at_ms: i64,
    pub(crate) rows: u32,
    pub(crate) payload_hash: u64,
}

impl FrameHead {
    /// The length of head and payload.
    pub(crate) fn frame_bytes(&self) -> u64 {
        HEAD as u64 + u64::from(self.payload_bytes)
    }

    pub(crate) fn write(&self, out: &mut [u8]) {
        out[..HEAD].fill(0);
        out[0..4].copy_from_slice(&FRAME_MAGIC);
        out[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[8..16].copy_from_slice(&self.offset.to_le_bytes());
        out[16..24].copy_from_slice(&self.durable.to_le_bytes());
        out[24..32].copy_from_slice(&self.appended_at_ms.to_le_bytes());
        out[32..36].copy_from_slice(&self.rows.to_le_bytes());
        out[40..48].copy_from_slice(&self.payload_hash.to_le_bytes());
        seal(out);
    }

    /// The head at the beginning of `bytes`, if there is one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let head = with_valid_checksum(bytes).filter(|head| head[0..4] == FRAME_MAGIC)?;
        let found = Self {
            payload_bytes: u32_at(head, 4),
            offset: u64_at(head, 8),
            durable: u64_at(head, 16),
            appended_at_ms: u64_at(head, 24) as i64,
            rows: u32_at(head, 32),
            payload_hash: u64_at(head, 40),
        };
        found.payload_bytes.is_multiple_of(16).then_some(found)
    }

    /// Whether `payload` is the one this head was written for.
    pub(crate) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes as usize && xxh3_64(payload) == self.payload_hash
    }
}

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub(crate) version: u32,
    pub(crate) shard: u32,
    pub(crate) first: u64,
    pub(crate) made_at_ms: i64,
    pub(crate) schema_bytes: u32,
    pub(crate) schema_hash: u64,
}

impl SegmentHead {
    /// The length of the head and the schema: where the first frame begins.
    pub(crate) fn bytes(&self) -> u64 {
        HEAD as u64 + u64::from(self.schema_bytes)
    }

    pub(crate) fn write(&self, out: &mut [u8]) {
        out[..HEAD].fill(0);
        out[0..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&self.version.to_le_bytes());
        out[12..16].copy_from_slice(&self.shard.to_le_bytes());
        out[16..24].copy_from_slice(&self.first.to_le_bytes());
        out[24..32].copy_from_slice(&self.made_at_ms.to_le_bytes());
        out[32..36].copy_from_slice(&self.schema_bytes.to_le_bytes());
        out[40..48].copy_from_slice(&self.schema_hash.to_le_bytes());
        seal(out);
    }

    /// The head at the beginning of `bytes`, if there is one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let head = with_valid_checksum(bytes).filter(|head| head[0..8] == SEGMENT_MAGIC)?;
        Some(Self {
            version: u32_at(head, 8),
            shard: u32_at(head, 12),
            first: u64_at(head, 16),
            made_at_ms: u64_at(head, 24) as i64,
            schema_bytes: u32_at(head, 32),
            schema_hash: u64_at(head, 40),
        })
    }
}

fn seal(head: &mut [u8]) {
    let hash = xxh3_64(&head[..56]);
    head[56..HEAD].copy_from_slice(&hash.to_le_bytes());
}

fn with_valid_checksum(bytes: &[u8]) -> Option<&[u8]> {
    let head = bytes.get(..HEAD)?;
    (xxh3_64(&head[..56]) == u64_at(head, 56)).then_some(head)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> FrameHead {
        FrameHead {
            payload_bytes: 16,
            offset: 7,
            durable: 5,
            appended_at_ms: -3,
            rows: 2,
            payload_hash: xxh3_64(&[1; 16]),
        }
    }

    #[test]
    fn a_head_reads_as_it_was_written() {
        let mut bytes = [0xff; HEAD];
        head().write(&mut bytes);
        assert_eq!(FrameHead::read(&bytes), Some(head()));
        assert!(head().fits(&[1; 16]) && !head().fits(&[1; 15]) && !head().fits(&[2; 16]));
        let segment =
            SegmentHead { version: VERSION, shard: 3, first: 9, made_at_ms: 1, schema_bytes: 32, schema_hash: 8 };
        segment.write(&mut bytes);
        assert_eq!(SegmentHead::read(&bytes), Some(segment));
        assert_eq!(FrameHead::read(&bytes), None);
    }

    #[test]
    fn a_head_with_any_bit_changed_is_none() {
        let mut bytes = [0; HEAD];
        head().write(&mut bytes);
        for bit in 0..HEAD * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHead::read(&bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(FrameHead::read(&bytes[..HEAD - 1]), None);
    }
}
