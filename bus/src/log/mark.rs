//! An offset that one process publishes and others read: up to where a shard is durable, or released.
//!
//!     0 offset u64 · 8 xxh3 of 0..8
//!
//! It is written in place and not flushed: nothing depends on it that a crash could undo. A reader that finds it
//! half-written reads again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::Error;

const BYTES: usize = 16;

/// How often a mark whose hash is wrong is read again.
const READS_MAX: u32 = 100;

#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
    file: File,
}

impl Mark {
    /// The mark in this file; created where it does not exist.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(Error::io("open", &path))?;
        let mark = Self { path, file };
        // Allocates its block now, so that a shard can be released also when the disk is full.
        if mark.file.metadata().map_err(Error::io("read", &mark.path))?.len() == 0 {
            mark.write(0).map_err(Error::io("write", &mark.path))?;
        }
        Ok(mark)
    }

    /// The mark in this file, for reading only; `None` where it does not exist.
    pub(crate) fn open_to_read(path: &Path) -> Result<Option<Self>, Error> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self { path: path.to_owned(), file })),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(Error::io("open", path)(fault)),
        }
    }

    /// The offset; 0 where none was written, or its hash is wrong.
    pub(crate) fn read(&self) -> Result<u64, Error> {
        for _ in 0..READS_MAX {
            let mut bytes = [0; BYTES];
            let read = self.file.read_at(&mut bytes, 0).map_err(Error::io("read", &self.path))?;
            if read == 0 {
                return Ok(0);
            }
            let (offset, hash) = bytes.split_at(8);
            if read == BYTES && xxh3_64(offset).to_le_bytes() == hash {
                return Ok(u64::from_le_bytes(std::array::from_fn(|at| offset[at])));
            }
            std::thread::yield_now();
        }
        Ok(0)
    }

    pub(crate) fn write(&self, offset: u64) -> io::Result<()> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&offset.to_le_bytes());
        let hash = xxh3_64(&bytes[..8]);
        bytes[8..].copy_from_slice(&hash.to_le_bytes());
        self.file.write_all_at(&bytes, 0)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
