//! The bytes of a checkpoint, written and read with a checksum.

use std::io::{self, Read, Write};

use netcrab_schema::WhoActs;
use xxhash_rust::xxh3::Xxh3;

/// Bytes read at once, so that a damaged length does not allocate much.
const PIECE: usize = 1 << 20;

/// Why open sessions could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Reading failed.
    #[error("the checkpoint of the open sessions could not be read")]
    Read(#[from] io::Error),
    /// The bytes are not what was written.
    #[error("the checkpoint of the open sessions is damaged")]
    Damaged,
    /// Another release wrote another format.
    #[error(
        "the checkpoint of the open sessions has a format that this release does not read; drain them with the release that wrote them"
    )]
    Version,
    /// The events have other columns.
    #[error("the open sessions hold events of another schema; drain them with the release that wrote them")]
    Events,
    /// The sessions were opened under other rules.
    #[error(
        "the open sessions were opened with sessionize.gap_ms = {gap_ms} and length_ms = {length_ms}; set these again, or drain them first"
    )]
    Settings {
        /// The gap they were opened with.
        gap_ms: i64,
        /// The length they were opened with.
        length_ms: i64,
    },
}

impl CheckpointError {
    /// Who must act on it.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            CheckpointError::Read(_) => WhoActs::Retry,
            CheckpointError::Damaged
            | CheckpointError::Version
            | CheckpointError::Events
            | CheckpointError::Settings { .. } => WhoActs::Operator,
        }
    }
}

/// Writes a checkpoint; numbers are little-endian.
pub(super) struct CheckpointWriter<'a> {
    pub(super) to: &'a mut dyn Write,
    pub(super) hash: Xxh3,
}

impl CheckpointWriter<'_> {
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.to.write_all(bytes)
    }

    pub(super) fn number(&mut self, number: u64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    pub(super) fn signed(&mut self, number: i64) -> io::Result<()> {
        self.number(number.cast_unsigned())
    }

    /// Writes how many codes there are, then each code in four bytes.
    pub(super) fn codes(&mut self, codes: &[u32]) -> io::Result<()> {
        self.number(codes.len() as u64)?;
        for codes in codes.chunks(PIECE / 4) {
            let bytes: Vec<u8> = codes.iter().flat_map(|code| code.to_le_bytes()).collect();
            self.bytes(&bytes)?;
        }
        Ok(())
    }

    /// Writes the length in bytes, then the bytes.
    pub(super) fn text(&mut self, text: &[u8]) -> io::Result<()> {
        self.number(text.len() as u64)?;
        self.bytes(text)
    }
}

/// Reads a checkpoint.
pub(super) struct CheckpointReader<'a> {
    pub(super) from: &'a mut dyn Read,
    pub(super) hash: Xxh3,
}

impl CheckpointReader<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CheckpointError> {
        match self.from.read_exact(bytes) {
            Ok(()) => {
                self.hash.update(bytes);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(CheckpointError::Damaged),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, CheckpointError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn signed(&mut self) -> Result<i64, CheckpointError> {
        Ok(self.number()?.cast_signed())
    }

    pub(super) fn length(&mut self) -> Result<usize, CheckpointError> {
        usize::try_from(self.number()?).map_err(|_| CheckpointError::Damaged)
    }

    pub(super) fn code(&mut self) -> Result<u32, CheckpointError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn codes(&mut self) -> Result<Vec<u32>, CheckpointError> {
        let length = self.length()?;
        let bytes = self.exactly(length.checked_mul(4).ok_or(CheckpointError::Damaged)?)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|code| u32::from_le_bytes(*code)).collect())
    }

    pub(super) fn text(&mut self) -> Result<Vec<u8>, CheckpointError> {
        let length = self.length()?;
        self.exactly(length)
    }

    /// The next `length` bytes. A damaged length may be far more than there are.
    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, CheckpointError> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let start = bytes.len();
            bytes.resize(length.min(start + PIECE), 0);
            self.fill(&mut bytes[start..])?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_is_retried_and_an_operator_acts_on_what_was_read() {
        let read = CheckpointError::Read(io::Error::other("the disk is away"));
        assert_eq!(read.who_acts(), WhoActs::Retry);
        let settings = CheckpointError::Settings { gap_ms: 1, length_ms: 2 };
        for error in [CheckpointError::Damaged, CheckpointError::Version, CheckpointError::Events, settings] {
            assert_eq!(error.who_acts(), WhoActs::Operator, "{error}");
        }
    }
}
