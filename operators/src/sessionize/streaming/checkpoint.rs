//! The open sessions of a shard as bytes, and back.
//!
//!     OpenSessions ─ write ─▶ magic │ events │ rules │ symbols │ tuples │ keys │ blocks │ timers │ checksum
//!                  ◀─ read ─
//!
//! A checkpoint is the state as it lies in memory. A state that was read back does the same with the same events as the
//! one that was written, down to the bytes of its next checkpoint. What can be rebuilt is not written: hash tables, and
//! the code remappings of the last dictionaries.

use std::io::{self, Read, Write};

use arrow::datatypes::Fields;
use netcrab_schema::events::ADDED;
use xxhash_rust::xxh3::Xxh3;

use super::blocks::Blocks;
use super::checkpoint_bytes::{CheckpointError, CheckpointReader, CheckpointWriter};
use super::keys::Keys;
use super::open::{Counts, OpenSessions};
use super::timers::Timers;
use crate::rules::Sessionize;
use crate::sessionize::layout::Layout;
use crate::sessionize::packer::Packer;

/// The first bytes of a checkpoint: a name and the version of its format.
const MAGIC: &[u8; 8] = b"ncopen\0\x01";

impl OpenSessions {
    /// Writes the whole state, except late events that [`Self::take_late`] did not take yet.
    ///
    /// # Errors
    /// Where `to` cannot be written.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut to = CheckpointWriter { to, hash: Xxh3::new() };
        to.bytes(MAGIC)?;
        to.number(fingerprint(self.fields()))?;
        to.signed(self.settings().gap_ms)?;
        to.signed(self.settings().length_ms)?;
        self.write_parts(&mut to)?;
        let checksum = to.hash.digest();
        to.number(checksum)
    }

    /// Reads a state back, of events with these fields, to continue under these rules. Of the events that a release
    /// wrote which did not know the columns in [`ADDED`], these are null.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn read(
        from: &mut dyn Read,
        fields: &Fields,
        settings: Sessionize,
        actions_max: usize,
    ) -> Result<Self, CheckpointError> {
        let mut from = CheckpointReader { from, hash: Xxh3::new() };
        if from.array::<8>()? != *MAGIC {
            return Err(CheckpointError::Version);
        }
        let written = from.number()?;
        let earlier: Fields = fields.iter().filter(|field| !ADDED.contains(&field.name().as_str())).cloned().collect();
        let known = if written == fingerprint(fields) {
            fields
        } else if written == fingerprint(&earlier) {
            &earlier
        } else {
            return Err(CheckpointError::Events);
        };
        let (gap_ms, length_ms) = (from.signed()?, from.signed()?);
        if (gap_ms, length_ms) != (settings.gap_ms, settings.length_ms) {
            return Err(CheckpointError::Settings { gap_ms, length_ms });
        }
        let state = Self::read_parts(&mut from, fields, known, settings, actions_max)?;
        let expected = from.hash.digest();
        if from.number()? != expected { Err(CheckpointError::Damaged) } else { Ok(state) }
    }

    fn write_parts(&self, to: &mut CheckpointWriter<'_>) -> std::io::Result<()> {
        to.signed(self.forgotten_before)?;
        to.number(self.counts.sessions as u64)?;
        to.number(self.counts.events as u64)?;
        write_codes(&self.packer, to)?;
        self.keys.write(to)?;
        self.blocks.write(to)?;
        self.timers.write(to)
    }

    fn read_parts(
        from: &mut CheckpointReader<'_>,
        fields: &Fields,
        written: &Fields,
        settings: Sessionize,
        actions_max: usize,
    ) -> std::result::Result<Self, CheckpointError> {
        let mut state = Self::new(fields, settings, actions_max).map_err(|_| CheckpointError::Events)?;
        state.forgotten_before = from.signed()?;
        state.counts = Counts { sessions: from.length()?, events: from.length()? };
        read_codes(&mut state.packer, &state.layout, written, from)?;
        state.keys = Keys::read(from)?;
        state.blocks = Blocks::read_back(from)?;
        state.timers = Timers::read(from)?;
        Ok(state)
    }
}

/// Writes all symbols and tuples, in the order of their codes.
fn write_codes(packer: &Packer, to: &mut CheckpointWriter<'_>) -> std::io::Result<()> {
    for interner in &packer.interners {
        to.number(interner.len() as u64)?;
        interner.texts().try_for_each(|text| to.text(text.as_bytes()))?;
    }
    for dictionary in &packer.dictionaries {
        to.number(dictionary.len() as u64)?;
        dictionary.tuples().try_for_each(|tuple| to.codes(tuple))?;
    }
    Ok(())
}

/// Reads the symbols and tuples that [`write_codes`] wrote, of events with the `written` fields, into an empty packer.
fn read_codes(
    packer: &mut Packer,
    layout: &Layout,
    written: &Fields,
    from: &mut CheckpointReader<'_>,
) -> std::result::Result<(), CheckpointError> {
    let known = layout.fields.iter().map(|field| written.iter().any(|written| written.name() == field.name()));
    for (interner, _) in packer.interners.iter_mut().zip(known).filter(|(_, known)| *known) {
        for code in 0..from.length()? {
            let text = String::from_utf8(from.text()?).map_err(|_| CheckpointError::Damaged)?;
            if interner.intern(&text) as usize != code {
                return Err(CheckpointError::Damaged);
            }
        }
    }
    for (group, dictionary) in packer.dictionaries.iter_mut().enumerate() {
        for code in 0..from.length()? {
            let tuple = from.codes()?;
            if tuple.len() != layout.width(group) || dictionary.code(&tuple) != Some(code as u32) {
                return Err(CheckpointError::Damaged);
            }
        }
    }
    Ok(())
}

/// A hash of the names and types of event columns.
fn fingerprint(fields: &Fields) -> u64 {
    let mut hash = Xxh3::new();
    for field in fields {
        hash.update(format!("{} {} {}\n", field.name(), field.data_type(), field.is_nullable()).as_bytes());
    }
    hash.digest()
}
