//! Manifests and states on a local disk, safe from a power cut.
//!
//!     DIR/_stream/shard-0000/epoch-00000000000000000007.json
//!                            epoch-00000000000000000007.applied
//!                            state-00000000000000000005.bin
//!
//! A file is written under another name, made safe, and then linked to its own: it is there whole or
//! not at all, and of two who create it one is told that it exists.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::manifest::{FORMAT, Manifest, StateFile};

/// The folder beside the tables.
pub const FOLDER: &str = "_stream";

/// Whether a folder of tables is fed by a stream.
pub fn has_stream(tables: &Path) -> bool {
    tables.join(FOLDER).exists()
}

/// The epochs that are facts already, and not yet in the tables.
pub fn unapplied(tables: &Path) -> Result<Vec<Manifest>, Error> {
    let mut unapplied = Vec::new();
    for shard in shards(tables) {
        let checkpoints = Checkpoints::open(tables, shard)?;
        if let Some((newest, _)) = checkpoints.newest()?
            && !checkpoints.applied(newest.epoch)
        {
            unapplied.push(newest);
        }
    }
    Ok(unapplied)
}

/// The last epoch of each shard that is in the tables: 0 before the first.
pub fn applied_epochs(tables: &Path) -> Result<Vec<(u32, u64)>, Error> {
    let applied = |shard| Ok((shard, Checkpoints::open(tables, shard)?.last_applied()?));
    shards(tables).into_iter().map(applied).collect()
}

/// Where the files of `shard` lie beside the tables in `tables`.
pub fn folder(tables: &Path, shard: u32) -> PathBuf {
    tables.join(FOLDER).join(format!("shard-{shard:04}"))
}

/// The shards that have files beside the tables in `tables`, ascending.
pub fn shards(tables: &Path) -> Vec<u32> {
    let listed = fs::read_dir(tables.join(FOLDER)).into_iter().flatten().flatten();
    let mut shards: Vec<u32> =
        listed.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("shard-")?.parse().ok()).collect();
    shards.sort_unstable();
    shards
}

/// Why the files of a shard could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process owns the shard.
    #[error("epoch {epoch} of shard {shard} exists already: another process works on this shard; stop one of the two")]
    Lost {
        /// The shard.
        shard: u32,
        /// The epoch that both wanted to create.
        epoch: u64,
    },
    /// A manifest cannot be understood.
    #[error("{file} cannot be read as an epoch ({reason}); put it back from a copy, or start with empty tables")]
    Damaged {
        /// The manifest.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk refused.
    #[error("{file} could not be {done}; check the space and the rights of the folder")]
    Disk {
        /// The file.
        file: String,
        /// What was tried.
        done: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The files of one shard.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    shard: u32,
}

impl Checkpoints {
    /// The files of `shard` beside the tables in `tables`; the folder is created.
    pub fn open(tables: &Path, shard: u32) -> Result<Self, Error> {
        let folder = folder(tables, shard);
        fs::create_dir_all(&folder).map_err(|source| disk(&folder, "created", source))?;
        for folder in [Some(folder.as_path()), folder.parent(), Some(tables)].into_iter().flatten() {
            sync(folder)?;
        }
        Ok(Self { folder, shard })
    }

    /// The newest epoch, or `None` where there is none.
    pub fn newest(&self) -> Result<Option<(Manifest, Vec<u8>)>, Error> {
        let newest = self.epochs()?.into_iter().next_back();
        newest.map(|epoch| self.read(epoch)).transpose()
    }

    /// The numbers of all epochs that are kept, ascending.
    pub fn epochs(&self) -> Result<Vec<u64>, Error> {
        let listed = fs::read_dir(&self.folder).map_err(|source| disk(&self.folder, "listed", source))?;
        let mut epochs = Vec::new();
        for entry in listed {
            let entry = entry.map_err(|source| disk(&self.folder, "listed", source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.strip_prefix("epoch-").and_then(|name| name.strip_suffix(".json"));
            epochs.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        epochs.sort_unstable();
        Ok(epochs)
    }

    /// The manifest of `epoch`, and its bytes.
    pub fn read(&self, epoch: u64) -> Result<(Manifest, Vec<u8>), Error> {
        let path = self.manifest(epoch);
        let bytes = fs::read(&path).map_err(|source| disk(&path, "read", source))?;
        let damaged = |reason: String| Error::Damaged { file: path.display().to_string(), reason };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(damaged(format!(
                "its format is {}, this release reads {FORMAT}; bring it to its end with the release that wrote it \
                 (`netcrab process --finish`), then begin with new tables",
                manifest.format
            )));
        }
        if (manifest.shard, manifest.epoch) != (self.shard, epoch) {
            return Err(damaged("it belongs elsewhere".to_owned()));
        }
        Ok((manifest, bytes))
    }

    /// Creates the manifest of an epoch; [`Error::Lost`] where somebody did already.
    pub fn commit(&self, epoch: u64, manifest: &[u8]) -> Result<(), Error> {
        let path = self.manifest(epoch);
        let created = self.create(&path, |file| file.write_all(manifest))?;
        if created { Ok(()) } else { Err(Error::Lost { shard: self.shard, epoch }) }
    }

    /// The last epoch that was applied to all tables; 0 before the first.
    pub fn last_applied(&self) -> Result<u64, Error> {
        let newest = self.epochs()?.into_iter().next_back().unwrap_or(0);
        Ok(if self.applied(newest) { newest } else { newest.saturating_sub(1) })
    }

    /// Whether `epoch` was applied to all tables.
    pub fn applied(&self, epoch: u64) -> bool {
        self.applied_mark(epoch).exists()
    }

    /// Notes that `epoch` was applied to all tables.
    pub fn mark_applied(&self, epoch: u64) -> Result<(), Error> {
        self.create(&self.applied_mark(epoch), |_| Ok(())).map(|_| ())
    }

    /// Writes a file that the manifest of `epoch` will name. A file that an interrupted attempt left is replaced.
    pub fn write_state(
        &self,
        kind: &str,
        epoch: u64,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<StateFile, Error> {
        let name = format!("{kind}-{epoch:020}.bin");
        let path = self.folder.join(&name);
        let scratch = self.scratch(&path);
        let bytes = self.write(&scratch, write)?;
        fs::rename(&scratch, &path).map_err(|source| disk(&path, "created", source))?;
        sync(&self.folder)?;
        Ok(StateFile { name, bytes })
    }

    /// Opens a file that a manifest names.
    pub fn open_state(&self, file: &StateFile) -> Result<BufReader<File>, Error> {
        let path = self.folder.join(&file.name);
        let opened = File::open(&path).map_err(|source| disk(&path, "opened", source))?;
        Ok(BufReader::with_capacity(1 << 20, opened))
    }

    /// Removes the epochs before `epoch`, and the files that only they name.
    pub fn forget_before(&self, epoch: u64) -> Result<(), Error> {
        for old in self.epochs()?.into_iter().take_while(|&old| old < epoch) {
            let (manifest, _) = self.read(old)?;
            let states = [manifest.state, manifest.reopened].into_iter().flatten();
            let states = states.map(|file| self.folder.join(file.name));
            // The manifest goes last: while it is there, so is what it names.
            for path in states.chain([self.applied_mark(old), self.manifest(old)]) {
                match fs::remove_file(&path) {
                    Err(source) if source.kind() != ErrorKind::NotFound => return Err(disk(&path, "removed", source)),
                    _ => {}
                }
            }
        }
        sync(&self.folder)
    }

    fn manifest(&self, epoch: u64) -> PathBuf {
        self.folder.join(format!("epoch-{epoch:020}.json"))
    }

    fn applied_mark(&self, epoch: u64) -> PathBuf {
        self.folder.join(format!("epoch-{epoch:020}.applied"))
    }

    /// A name that nobody else uses, in this process or another.
    fn scratch(&self, path: &Path) -> PathBuf {
        static USED: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.folder.join(format!(".{name}.{}-{}", std::process::id(), USED.fetch_add(1, Ordering::Relaxed)))
    }

    /// Creates `path` with what `write` writes; false where it exists.
    fn create(&self, path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<bool, Error> {
        let scratch = self.scratch(path);
        self.write(&scratch, write)?;
        let linked = fs::hard_link(&scratch, path);
        fs::remove_file(&scratch).map_err(|source| disk(&scratch, "removed", source))?;
        match linked {
            Ok(()) => sync(&self.folder).map(|()| true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(disk(path, "created", source)),
        }
    }

    /// Writes a file and makes it safe; gives its length.
    fn write(&self, path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<u64, Error> {
        let written = || {
            let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
            let mut buffered = BufWriter::with_capacity(1 << 20, file);
            write(&mut buffered)?;
            let file = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        written().map_err(|source| disk(path, "written", source))
    }
}

fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| disk(folder, "made safe", source))
}

fn disk(path: &Path, done: &'static str, source: io::Error) -> Error {
    Error::Disk { file: path.display().to_string(), done, source }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn manifest(epoch: u64) -> Manifest {
        Manifest {
            format: FORMAT,
            shard: 3,
            epoch,
            parent: String::new(),
            from: 0,
            to: 9,
            events: 9,
            watermark_ms: 5,
            latest_ms: 6,
            forgotten_ms: i64::MIN,
            state: None,
            reopened: None,
            late: BTreeMap::from([(visit("v"), -1)]),
            late_before: BTreeMap::new(),
            repairing_before: BTreeMap::new(),
            begins: false,
            repaired: false,
            tables: BTreeMap::new(),
            rules: String::new(),
            rules_since_ms: i64::MIN,
        }
    }

    fn visit(name: &str) -> netcrab_operators::sessionize::hash::Visit {
        netcrab_operators::sessionize::hash::Visit { org_id: "o".into(), product_id: "p".into(), visit: name.into() }
    }

    fn opened() -> (tempfile::TempDir, Checkpoints) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(folder.path(), 3).unwrap();
        (folder, checkpoints)
    }

    #[test]
    fn the_newest_epoch_comes_back_as_it_was_committed() {
        let (_folder, checkpoints) = opened();
        assert!(checkpoints.newest().unwrap().is_none());
        for epoch in [1, 2, 10] {
            checkpoints.commit(epoch, &manifest(epoch).to_bytes().unwrap()).unwrap();
        }
        assert_eq!(checkpoints.newest().unwrap().unwrap().0, manifest(10));
        assert!(!checkpoints.applied(10));
        checkpoints.mark_applied(10).unwrap();
        checkpoints.mark_applied(10).unwrap();
        assert!(checkpoints.applied(10));
    }

    #[test]
    fn of_many_who_commit_an_epoch_one_wins() {
        let (_folder, checkpoints) = opened();
        let committed = std::thread::scope(|scope| {
            let commit = |to: u64| {
                let (checkpoints, manifest) = (&checkpoints, Manifest { to, ..manifest(1) });
                scope.spawn(move || checkpoints.commit(1, &manifest.to_bytes().unwrap()).is_ok())
            };
            let all: Vec<_> = (0..16).map(commit).collect();
            all.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
        });
        assert_eq!(committed, 1);
        let lost = checkpoints.commit(1, b"{}").unwrap_err();
        assert!(matches!(lost, Error::Lost { shard: 3, epoch: 1 }), "{lost}");
    }

    #[test]
    fn old_epochs_go_with_the_files_they_name() {
        let (_folder, checkpoints) = opened();
        for epoch in 1..=4 {
            let mut manifest = manifest(epoch);
            manifest.state =
                Some(checkpoints.write_state("state", epoch, |file| file.write_all(&[epoch as u8])).unwrap());
            checkpoints.commit(epoch, &manifest.to_bytes().unwrap()).unwrap();
            checkpoints.mark_applied(epoch).unwrap();
        }
        checkpoints.forget_before(3).unwrap();
        assert_eq!(checkpoints.epochs().unwrap(), [3, 4]);
        let names = fs::read_dir(&checkpoints.folder).unwrap().count();
        assert_eq!(names, 6, "two epochs of three files each");
    }

    #[test]
    fn a_manifest_of_another_format_or_shard_is_refused_by_name() {
        let (_folder, checkpoints) = opened();
        for (epoch, other) in [(1, Manifest { format: 1, ..manifest(1) }), (2, Manifest { shard: 4, ..manifest(2) })] {
            checkpoints.commit(epoch, &other.to_bytes().unwrap()).unwrap();
            let refused = checkpoints.read(epoch).unwrap_err().to_string();
            assert!(refused.contains(&format!("epoch-{epoch:020}.json")), "{refused}");
        }
        checkpoints.commit(3, b"{\"format\": 1").unwrap();
        assert!(matches!(checkpoints.read(3), Err(Error::Damaged { .. })));
    }
}
