//! The checkpoints of a stream: manifests and state files of each shard, in a folder beside the tables.
//!
//!     DIR/_stream/shard-0000/epoch-00000000000000000007.json
//!                            epoch-00000000000000000007.applied
//!                            state-00000000000000000005-RUN.bin
//!
//! Each is a file of a [`Folder`]: it exists whole or not at all, and only one process can create it.

pub mod folder;
pub mod manifest;

use std::fs::File;
use std::io::{self, BufReader, Write};

use netcrab_schema::WhoActs;
use netcrab_sinks::RunId;

use self::folder::{Draft, Folder};
use self::manifest::{FORMAT, Manifest, StateFile};

/// The folder beside the tables.
pub const FOLDER: &str = "_stream";

/// Whether tables are fed by a stream.
///
/// # Errors
/// [`Error::File`] where the folder cannot be read.
pub async fn has_stream(tables: &Folder) -> Result<bool, Error> {
    Ok(!shards(tables).await?.is_empty())
}

/// The epochs that are committed and not yet applied to the tables.
///
/// # Errors
/// [`Error::Damaged`] where a manifest cannot be understood; [`Error::File`] where it cannot be read.
pub async fn unapplied(tables: &Folder) -> Result<Vec<Manifest>, Error> {
    let mut unapplied = Vec::new();
    for shard in shards(tables).await? {
        let checkpoints = Checkpoints::of(tables, shard);
        if let Some((newest, _)) = checkpoints.newest().await?
            && !checkpoints.applied(newest.epoch).await?
        {
            unapplied.push(newest);
        }
    }
    Ok(unapplied)
}

/// The last epoch of each shard that is applied to the tables; 0 before the first.
///
/// # Errors
/// [`Error::File`] where the folder cannot be read.
pub async fn applied_epochs(tables: &Folder) -> Result<Vec<(u32, u64)>, Error> {
    let mut applied = Vec::new();
    for shard in shards(tables).await? {
        applied.push((shard, Checkpoints::of(tables, shard).last_applied().await?));
    }
    Ok(applied)
}

/// The folder of `shard` beside the tables in `tables`.
pub fn shard_folder(tables: &Folder, shard: u32) -> Folder {
    tables.join(FOLDER).join(&format!("shard-{shard:04}"))
}

/// The shards that have files beside the tables in `tables`, ascending.
///
/// # Errors
/// [`Error::File`] where the folder cannot be read.
pub async fn shards(tables: &Folder) -> Result<Vec<u32>, Error> {
    let names = tables.join(FOLDER).names().await?;
    let mut shards: Vec<u32> = names.iter().filter_map(|name| name.strip_prefix("shard-")?.parse().ok()).collect();
    shards.sort_unstable();
    Ok(shards)
}

/// Why the files of a shard could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process owns the shard.
    #[error("epoch {epoch} of shard {shard} exists already: another process works on this shard; stop one of the two")]
    ShardTaken {
        /// The shard.
        shard: u32,
        /// The epoch that both wanted to create.
        epoch: u64,
    },
    /// A manifest cannot be understood.
    #[error(
        "{file} cannot be read as an epoch ({reason}); put it back from a backup, or stop the stream and run `netcrab stream repair`"
    )]
    Damaged {
        /// The manifest.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] folder::Error),
}

impl Error {
    /// Who must act before the same operation can succeed.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            Self::ShardTaken { .. } | Self::Damaged { .. } => WhoActs::Operator,
            Self::File(error) => error.who_acts(),
        }
    }
}

/// The files of one shard.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: Folder,
    shard: u32,
}

impl Checkpoints {
    /// The files of `shard` beside the tables in `tables`, to read.
    pub fn of(tables: &Folder, shard: u32) -> Self {
        Self { folder: shard_folder(tables, shard), shard }
    }

    /// The same, to write; the folder is created.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be written.
    pub fn open(tables: &Folder, shard: u32) -> Result<Self, Error> {
        let checkpoints = Self::of(tables, shard);
        checkpoints.folder.make()?;
        Ok(checkpoints)
    }

    /// The newest manifest and its bytes; `None` before the first epoch.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a manifest cannot be understood; [`Error::File`] where it cannot be read.
    pub async fn newest(&self) -> Result<Option<(Manifest, Vec<u8>)>, Error> {
        match self.epochs().await?.into_iter().next_back() {
            Some(epoch) => Ok(Some(self.read(epoch).await?)),
            None => Ok(None),
        }
    }

    /// The numbers of all epochs that are stored, ascending.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be read.
    pub async fn epochs(&self) -> Result<Vec<u64>, Error> {
        let number = |name: String| name.strip_prefix("epoch-")?.strip_suffix(".json")?.parse::<u64>().ok();
        let mut epochs: Vec<u64> = self.folder.names().await?.into_iter().filter_map(number).collect();
        epochs.sort_unstable();
        Ok(epochs)
    }

    /// The manifest of `epoch`, and its bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a manifest cannot be understood; [`Error::File`] where it cannot be read.
    pub async fn read(&self, epoch: u64) -> Result<(Manifest, Vec<u8>), Error> {
        let name = manifest_name(epoch);
        let bytes = self.folder.read(&name).await?;
        let damaged = |reason: String| Error::Damaged { file: self.folder.name_of(&name), reason };
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

    /// Creates the manifest of an epoch, which commits it.
    ///
    /// # Errors
    /// [`Error::ShardTaken`] where another process created it.
    pub async fn commit(&self, epoch: u64, manifest: &[u8]) -> Result<(), Error> {
        let created = self.folder.create(&manifest_name(epoch), manifest).await?;
        if created { Ok(()) } else { Err(Error::ShardTaken { shard: self.shard, epoch }) }
    }

    /// The last epoch that was applied to all tables; 0 before the first.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be read.
    pub async fn last_applied(&self) -> Result<u64, Error> {
        let newest = self.epochs().await?.into_iter().next_back().unwrap_or(0);
        Ok(if self.applied(newest).await? { newest } else { newest.saturating_sub(1) })
    }

    /// Whether `epoch` was applied to all tables.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be read.
    pub async fn applied(&self, epoch: u64) -> Result<bool, Error> {
        Ok(self.folder.has(&applied_name(epoch)).await?)
    }

    /// Marks `epoch` as applied to all tables.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be written.
    pub async fn mark_applied(&self, epoch: u64) -> Result<(), Error> {
        self.folder.create(&applied_name(epoch), b"").await?;
        Ok(())
    }

    /// Writes a file that the manifest of an epoch will reference.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be written.
    pub fn draft(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Draft, Error> {
        Ok(self.folder.draft(write)?)
    }

    /// Gives a draft its name: the epoch and what it does, so that a process that loses the epoch overwrites nothing.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be written.
    pub async fn publish(&self, draft: Draft, kind: &str, epoch: u64, run: &RunId) -> Result<StateFile, Error> {
        let (name, bytes) = (format!("{kind}-{epoch:020}-{}.bin", run.as_str()), draft.bytes);
        draft.publish(&name).await?;
        Ok(StateFile { name, bytes })
    }

    /// Opens a file that a manifest references.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be read.
    pub async fn open_state(&self, file: &StateFile) -> Result<BufReader<File>, Error> {
        Ok(self.folder.open(&file.name).await?)
    }

    /// Deletes the epochs before `epoch` and all files written for them, failed attempts included.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be written.
    pub async fn delete_before(&self, epoch: u64) -> Result<(), Error> {
        let of_epoch = |name: &String| name.split(['-', '.']).nth(1)?.parse::<u64>().ok();
        let mut old = self.folder.names().await?;
        old.retain(|name| !name.starts_with('.') && of_epoch(name).is_some_and(|old| old < epoch));
        // A manifest is deleted after the files that it references.
        old.sort_by_key(|name| name.ends_with(".json"));
        for name in old {
            self.folder.remove(&name).await?;
        }
        Ok(())
    }
}

fn manifest_name(epoch: u64) -> String {
    format!("epoch-{epoch:020}.json")
}

fn applied_name(epoch: u64) -> String {
    format!("epoch-{epoch:020}.applied")
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
            late: BTreeMap::from([(key("v"), -1)]),
            late_before: BTreeMap::new(),
            repairing_before: BTreeMap::new(),
            repair_begins: false,
            repaired: false,
            tables: BTreeMap::new(),
            changed: None,
            last_event: None,
            lost: 0,
            rules: String::new(),
            rules_since_ms: i64::MIN,
        }
    }

    fn key(name: &str) -> netcrab_schema::SessionKey {
        netcrab_schema::SessionKey { org_id: "o".into(), product_id: "p".into(), session_or_user: name.into() }
    }

    fn opened() -> (tempfile::TempDir, Checkpoints) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(&Folder::Disk(folder.path().to_owned()), 3).unwrap();
        (folder, checkpoints)
    }

    #[tokio::test]
    async fn the_newest_epoch_comes_back_as_it_was_committed() {
        let (_folder, checkpoints) = opened();
        assert!(checkpoints.newest().await.unwrap().is_none());
        for epoch in [1, 2, 10] {
            checkpoints.commit(epoch, &manifest(epoch).to_bytes().unwrap()).await.unwrap();
        }
        assert_eq!(checkpoints.newest().await.unwrap().unwrap().0, manifest(10));
        assert!(!checkpoints.applied(10).await.unwrap());
        checkpoints.mark_applied(10).await.unwrap();
        checkpoints.mark_applied(10).await.unwrap();
        assert!(checkpoints.applied(10).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_who_commit_an_epoch_one_wins() {
        let (_folder, checkpoints) = opened();
        let all = (0..16).map(|to: u64| {
            let (checkpoints, manifest) = (checkpoints.clone(), Manifest { to, ..manifest(1) });
            tokio::spawn(async move { checkpoints.commit(1, &manifest.to_bytes().unwrap()).await.is_ok() })
        });
        let mut committed = 0;
        for task in all.collect::<Vec<_>>() {
            committed += usize::from(task.await.unwrap());
        }
        assert_eq!(committed, 1);
        let lost = checkpoints.commit(1, b"{}").await.unwrap_err();
        assert!(matches!(lost, Error::ShardTaken { shard: 3, epoch: 1 }), "{lost}");
    }

    #[tokio::test]
    async fn old_epochs_go_with_the_files_they_name() {
        let (_folder, checkpoints) = opened();
        for epoch in 1..=4 {
            let mut manifest = manifest(epoch);
            // Another process attempted the same epoch with another result.
            for attempt in [1, 2] {
                let draft = checkpoints.draft(|file| file.write_all(&[epoch as u8])).unwrap();
                let run = RunId::new(attempt);
                manifest.state = Some(checkpoints.publish(draft, "state", epoch, &run).await.unwrap());
            }
            checkpoints.commit(epoch, &manifest.to_bytes().unwrap()).await.unwrap();
            checkpoints.mark_applied(epoch).await.unwrap();
        }
        checkpoints.delete_before(3).await.unwrap();
        assert_eq!(checkpoints.epochs().await.unwrap(), [3, 4]);
        let names = checkpoints.folder.names().await.unwrap();
        assert_eq!(names.len(), 8, "two epochs of four files each: {names:?}");
    }

    #[tokio::test]
    async fn a_manifest_of_another_format_or_shard_is_refused_by_name() {
        let (_folder, checkpoints) = opened();
        for (epoch, other) in [(1, Manifest { format: 1, ..manifest(1) }), (2, Manifest { shard: 4, ..manifest(2) })] {
            checkpoints.commit(epoch, &other.to_bytes().unwrap()).await.unwrap();
            let refused = checkpoints.read(epoch).await.unwrap_err().to_string();
            assert!(refused.contains(&format!("epoch-{epoch:020}.json")), "{refused}");
        }
        checkpoints.commit(3, b"{\"format\": 1").await.unwrap();
        assert!(matches!(checkpoints.read(3).await, Err(Error::Damaged { .. })));
    }
}
