//! Makes ids for events whose sender gave none. Reading the same file again makes the same ids.
//!
//! ```text
//! UUIDv7 = 48 bits of ts · version · 74 bits of XXH3-128(file, line)
//! ```
//!
//! A file is identified by its size, its first and its last 64 KiB, not by its name.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::Error;
use crate::blob::Blob;
use crate::listing::SourceFile;

/// Makes event ids for the rows of one file.
#[derive(Debug)]
pub(crate) struct EventIds {
    file: Option<SourceFile>,
    identity: OnceLock<u128>,
    fault: Mutex<Option<io::Error>>,
}

impl EventIds {
    /// Ids for the rows of `file`. The file is sampled when the first id is made.
    pub(crate) fn of(file: &SourceFile) -> Self {
        Self { file: Some(file.clone()), identity: OnceLock::new(), fault: Mutex::default() }
    }

    /// Ids for rows of anything that `identity` identifies.
    pub(crate) fn of_identity(identity: u128) -> Self {
        Self { file: None, identity: OnceLock::from(identity), fault: Mutex::default() }
    }

    /// The id of the event that happened at `ts_ms` and stands at `line`; `place` is its index among the events of
    /// that line.
    pub(crate) fn make(&self, ts_ms: i64, line: u64, place: u32) -> uuid::fmt::Hyphenated {
        let identity = *self.identity.get_or_init(|| self.sample());
        let mut key = [0; 28];
        key[..16].copy_from_slice(&identity.to_le_bytes());
        key[16..24].copy_from_slice(&line.to_le_bytes());
        key[24..].copy_from_slice(&place.to_le_bytes());
        uuid_v7(ts_ms, xxhash_rust::xxh3::xxh3_128(&key))
    }

    /// Fails if the file could not be sampled: the ids made so far are then not those of the file.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (&self.file, fault) {
            (Some(file), Some(fault)) => Err(Error::read(&file.name, fault)),
            _ => Ok(()),
        }
    }

    fn sample(&self) -> u128 {
        let Some(file) = &self.file else { return 0 };
        Blob::open(file).and_then(|blob| blob.sample()).unwrap_or_else(|fault| {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
            0
        })
    }
}

/// A UUIDv7 with this instant and these random bits.
pub(crate) fn uuid_v7(ts_ms: i64, random: u128) -> uuid::fmt::Hyphenated {
    let ts = u128::from(ts_ms.max(0) as u64 & 0xffff_ffff_ffff) << 80;
    let bits = (random & !(0xffff_ffff_ffff << 80) & !(0xf << 76) & !(0x3 << 62)) | ts | (0x7 << 76) | (0x2 << 62);
    uuid::Uuid::from_u128(bits).hyphenated()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::{Compression, FileLocation, Format};

    #[test]
    fn a_file_that_cannot_be_sampled_is_an_error_and_not_other_ids() {
        let name = "no-such-folder/a.ndjson".to_owned();
        let file = SourceFile {
            place: FileLocation::Local(name.clone().into()),
            relative: name.clone(),
            name,
            bytes: 1,
            format: Format::Ndjson,
            compression: Compression::None,
            etag: None,
            known: crate::table::KnownColumns::default(),
        };
        let ids = EventIds::of(&file);
        assert!(ids.check().is_ok());
        ids.make(1_700_000_000_000, 1, 0);
        assert_eq!(ids.check().unwrap_err().to_string(), "could not read `no-such-folder/a.ndjson`");
    }

    #[test]
    fn an_id_is_a_version_7_uuid_of_its_instant() {
        let id = EventIds::of_identity(7).make(1_700_000_000_000, 3, 0);
        assert_eq!(id.as_uuid().get_version_num(), 7);
        assert_eq!(id.as_uuid().get_variant(), uuid::Variant::RFC4122);
        assert_eq!(id.as_uuid().as_u128() >> 80, 1_700_000_000_000);
        assert_eq!(id, EventIds::of_identity(7).make(1_700_000_000_000, 3, 0));
        assert_ne!(id, EventIds::of_identity(7).make(1_700_000_000_000, 4, 0));
        assert_ne!(id, EventIds::of_identity(7).make(1_700_000_000_000, 3, 1));
        assert_ne!(id, EventIds::of_identity(8).make(1_700_000_000_000, 3, 0));
    }
}
