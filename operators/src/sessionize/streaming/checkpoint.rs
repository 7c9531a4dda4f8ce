//! The open sessions of a shard as bytes, and back.
//!
//!     OpenSessions ─ write ─▶ magic │ events │ settings │ symbols │ shapes │ keys │ blocks │ timers │ checksum
//!                  ◀─ read ─
//!
//! What is written is the state as it lies in memory, not its meaning: a state that was read back
//! goes on to do the same with the same events, down to the bytes it is next written as. What can be
//! made again is left out: hash dictionaries, and the remappings of dictionaries seen last.

use std::io::{self, Read, Write};

use arrow::datatypes::Fields;
use xxhash_rust::xxh3::Xxh3;

use super::open::OpenSessions;
use crate::rules::Sessionize;

/// What a state begins with: a name and the version of its form.
const MAGIC: &[u8; 8] = b"ncopen\0\x01";

/// Bytes asked for at once, so that a damaged length asks for little.
const PIECE: usize = 1 << 20;

/// Why open sessions could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Reading failed.
    #[error("the open sessions could not be read")]
    Read(#[from] io::Error),
    /// The bytes are not what was written.
    #[error("the open sessions are damaged; start from an earlier epoch, or from none")]
    Damaged,
    /// They were written by another release.
    #[error(
        "the open sessions were written in another form than this release reads; drain them with the release that wrote them"
    )]
    Version,
    /// They hold other events.
    #[error("the open sessions hold events of another schema; drain them with the release that wrote them")]
    Events,
    /// They were opened under other settings.
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

impl OpenSessions {
    /// Writes the whole state. Late events that nobody took are no part of it.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut to = Out { to, hash: Xxh3::new() };
        to.bytes(MAGIC)?;
        to.number(fingerprint(self.fields()))?;
        to.signed(self.settings().gap_ms)?;
        to.signed(self.settings().length_ms)?;
        self.write_parts(&mut to)?;
        let checksum = to.hash.digest();
        to.number(checksum)
    }

    /// Reads a state of events with these fields back, to go on under these settings.
    pub fn read(
        from: &mut dyn Read,
        fields: &Fields,
        settings: Sessionize,
        actions_max: usize,
    ) -> Result<Self, CheckpointError> {
        let mut from = In { from, hash: Xxh3::new() };
        if from.array::<8>()? != *MAGIC {
            return Err(CheckpointError::Version);
        }
        if from.number()? != fingerprint(fields) {
            return Err(CheckpointError::Events);
        }
        let (gap_ms, length_ms) = (from.signed()?, from.signed()?);
        if (gap_ms, length_ms) != (settings.gap_ms, settings.length_ms) {
            return Err(CheckpointError::Settings { gap_ms, length_ms });
        }
        let state = Self::read_parts(&mut from, fields, settings, actions_max)?;
        let expected = from.hash.digest();
        if from.number()? != expected { Err(CheckpointError::Damaged) } else { Ok(state) }
    }
}

/// A number for the names and types of event columns.
fn fingerprint(fields: &Fields) -> u64 {
    let mut hash = Xxh3::new();
    for field in fields {
        hash.update(format!("{} {} {}\n", field.name(), field.data_type(), field.is_nullable()).as_bytes());
    }
    hash.digest()
}

/// Where a state is written to; numbers are little-endian.
pub(crate) struct Out<'a> {
    to: &'a mut dyn Write,
    hash: Xxh3,
}

impl Out<'_> {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.to.write_all(bytes)
    }

    pub(crate) fn number(&mut self, number: u64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    pub(crate) fn signed(&mut self, number: i64) -> io::Result<()> {
        self.number(number.cast_unsigned())
    }

    /// How many numbers, then each in four bytes.
    pub(crate) fn codes(&mut self, codes: &[u32]) -> io::Result<()> {
        self.number(codes.len() as u64)?;
        for codes in codes.chunks(PIECE / 4) {
            let bytes: Vec<u8> = codes.iter().flat_map(|code| code.to_le_bytes()).collect();
            self.bytes(&bytes)?;
        }
        Ok(())
    }

    /// How many bytes, then they.
    pub(crate) fn text(&mut self, text: &[u8]) -> io::Result<()> {
        self.number(text.len() as u64)?;
        self.bytes(text)
    }
}

/// Where a state is read from.
pub(crate) struct In<'a> {
    from: &'a mut dyn Read,
    hash: Xxh3,
}

impl In<'_> {
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CheckpointError> {
        match self.from.read_exact(bytes) {
            Ok(()) => {
                self.hash.update(bytes);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(CheckpointError::Damaged),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64, CheckpointError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, CheckpointError> {
        Ok(self.number()?.cast_signed())
    }

    pub(crate) fn length(&mut self) -> Result<usize, CheckpointError> {
        usize::try_from(self.number()?).map_err(|_| CheckpointError::Damaged)
    }

    pub(crate) fn code(&mut self) -> Result<u32, CheckpointError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn codes(&mut self) -> Result<Vec<u32>, CheckpointError> {
        let length = self.length()?;
        let bytes = self.exactly(length.checked_mul(4).ok_or(CheckpointError::Damaged)?)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|code| u32::from_le_bytes(*code)).collect())
    }

    pub(crate) fn text(&mut self) -> Result<Vec<u8>, CheckpointError> {
        let length = self.length()?;
        self.exactly(length)
    }

    /// The next `length` bytes, which may be far fewer than a damaged length says.
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
