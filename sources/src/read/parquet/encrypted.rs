//! Tells encrypted Parquet files from damaged ones.
//!
//! ```text
//! … footer · length · PARE   the footer is encrypted
//! … footer · length · PAR1   columns are encrypted where field 8 of the footer names an algorithm
//! ```
//!
//! The decoder is built without encryption, passes over field 8, and then takes encrypted pages for damage. So the
//! footer of a file that looks damaged is searched for that field. It is a struct in Thrift's compact protocol
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>).

use parquet::file::reader::{ChunkReader, Length};

use crate::blob::{Blob, SharedBlob};
use crate::listing::SourceFile;

/// The field of the footer that names the algorithm.
const ENCRYPTION_ALGORITHM: i64 = 8;

/// Deepest nesting of a footer.
const DEPTH_MAX: usize = 16;

/// Longest footer that is searched, in bytes.
const FOOTER_BYTES_MAX: u64 = 64 << 20;

/// Whether the file is encrypted, or some of its columns are.
pub(super) fn encrypted(file: &SourceFile) -> bool {
    let Ok(blob) = Blob::open(file) else { return false };
    let blob = SharedBlob(blob.into());
    let length = blob.len();
    let Some(Ok(tail)) = length.checked_sub(8).map(|at| blob.get_bytes(at, 8)) else { return false };
    if tail[4..] == *b"PARE" {
        return true;
    }
    let footer = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    let at = (length - 8).checked_sub(footer).filter(|_| footer <= FOOTER_BYTES_MAX);
    let Some(Ok(footer)) = at.map(|at| blob.get_bytes(at, footer as usize)) else { return false };
    Compact { bytes: &footer }.has_field(ENCRYPTION_ALGORITHM).unwrap_or(false)
}

/// Values in the compact protocol; `None` where the bytes end.
struct Compact<'a> {
    bytes: &'a [u8],
}

impl Compact<'_> {
    /// Whether the struct has a field of that id.
    fn has_field(&mut self, wanted: i64) -> Option<bool> {
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            if id == wanted {
                return Some(true);
            }
            self.skip(kind, 0)?;
        }
        Some(false)
    }

    /// The type of the next field, whose id becomes `id`; `None` at the end of the struct.
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let header = self.byte()?;
        if header == 0 {
            return Some(None);
        }
        *id = match header >> 4 {
            0 => {
                let zigzag = self.varint()?;
                (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
            }
            delta => *id + i64::from(delta),
        };
        Some(Some(header & 0xf))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match kind {
            1 | 2 => Some(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            9 | 10 => {
                let header = self.byte()?;
                let length = if header >> 4 == 15 { self.varint()? } else { u64::from(header >> 4) };
                (0..length).try_for_each(|_| self.skip_element(header & 0xf, depth))
            }
            12 => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// Booleans in lists take a byte; those in structs are in the header.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Option<()> {
        if matches!(kind, 1 | 2) { self.pass(1) } else { self.skip(kind, depth + 1) }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn pass(&mut self, length: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(footer: &[u8], expected: Option<bool>) {
        assert_eq!(Compact { bytes: footer }.has_field(ENCRYPTION_ALGORITHM), expected, "{footer:?}");
    }

    #[test]
    fn a_footer_with_an_algorithm_is_found_behind_every_kind_of_field() {
        // Field 1: i32 2. Field 2: a list of two structs {1: "ab"}. Field 3: i64. Field 8: a struct {1: {}}.
        let before = [0x15, 4, 0x19, 0x2c, 0x18, 2, b'a', b'b', 0, 0x18, 0, 0, 0x16, 0x80, 1];
        check(&[&before[..], &[0x5c, 0x1c, 0, 0, 0]].concat(), Some(true));
        check(&[&before[..], &[0]].concat(), Some(false));
        check(&[&before[..], &[0x48, 1, b'x', 0]].concat(), Some(false));
        check(&before, None);
        check(&[0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x0f], None);
        check(&[0x0c; 40], None);
    }
}
