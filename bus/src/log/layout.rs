//! The files of a log beside its shards: `layout` says how many shards it has, `writer.lock` is locked by the writer.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

use super::segment;
use crate::Error;

/// Opens the file and locks it for this process.
pub(super) fn lock(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(Error::io("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(fault)) => Err(Error::io("lock", path)(fault)),
    }
}

/// Writes how many shards the log has, or checks that it has so many.
pub(super) fn write_or_check(folder: &Path, shards: u32) -> Result<(), Error> {
    let path = folder.join("layout");
    if path.exists() {
        return check(folder, shards);
    }
    let scratch = folder.join("layout.new");
    let written = || -> std::io::Result<()> {
        let mut file = File::create(&scratch)?;
        file.write_all(format!("shards {shards}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&scratch, &path)?;
        segment::flush_folder(folder)
    };
    written().map_err(Error::io("write", &path))
}

/// Checks that the log has so many shards.
pub(super) fn check(folder: &Path, shards: u32) -> Result<(), Error> {
    let path = folder.join("layout");
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let expected = format!("shards {shards}");
    if text.trim() == expected {
        return Ok(());
    }
    // With another number of shards, events of a session key would go to another shard than those before them.
    let mend = "set `shards` to what it has, or begin a new log in another folder when this one is read";
    Err(Error::Layout {
        path: folder.to_owned(),
        found: format!("`{}`", text.trim()),
        expected: format!("`{expected}`"),
        mend,
    })
}
