//! Small durable files beside the tables, on a local disk or in a bucket.
//!
//!     DIR/_stream/shard-0000/epoch-00000000000000000007.json
//!
//! A file exists whole or not at all, and of two processes that create it one is told that it exists. On a disk the
//! file is written under a temporary name, fsynced, and linked to its own name; a bucket creates it with
//! `If-None-Match`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::execution::runtime_env::RuntimeEnv;
use futures::TryStreamExt;
use netcrab_schema::WhoActs;
use netcrab_sinks::delta::DeltaSink;
use object_store::buffered::BufWriter as StoreWriter;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use tokio::io::AsyncWriteExt;
use url::Url;

/// A folder of small files, on a disk or in a bucket.
#[derive(Debug, Clone)]
pub enum Folder {
    /// On a local disk.
    Disk(PathBuf),
    /// In a bucket.
    Bucket {
        /// The store of the bucket.
        store: Arc<dyn ObjectStore>,
        /// The address of the bucket.
        bucket: Url,
        /// What the names of all files begin with.
        prefix: Key,
    },
}

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// A file is larger than any of its kind.
    #[error("{file} has more than {bytes_max} bytes, which no file of this kind has; it is not read")]
    TooLarge {
        /// The file.
        file: String,
        /// Most bytes that it may have.
        bytes_max: u64,
    },
    /// The store refused.
    #[error("{file} could not be {done}; {mend}")]
    Store {
        /// The file.
        file: String,
        /// What was tried.
        done: &'static str,
        /// What to do.
        mend: &'static str,
        /// What the store said.
        #[source]
        source: Box<object_store::Error>,
    },
}

impl Error {
    /// Who must act before the same operation can succeed.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            // Space, rights and reachability come back without a restart.
            Self::Disk { .. } | Self::Store { .. } => WhoActs::Retry,
            Self::TooLarge { .. } => WhoActs::Operator,
        }
    }
}

/// A file that is written and has no name yet.
#[derive(Debug)]
pub struct Draft {
    written: Written,
    /// Its length.
    pub bytes: u64,
}

#[derive(Debug)]
enum Written {
    /// In the folder, under a temporary name.
    Temporary(PathBuf),
    /// On a local disk, to be uploaded to the bucket.
    ToUpload(tempfile::NamedTempFile, Arc<dyn ObjectStore>, Key),
}

impl Folder {
    /// The folder that the tables of `sink` lie in.
    ///
    /// # Errors
    /// [`Error::Store`] where the bucket cannot be opened.
    pub fn of(sink: &DeltaSink) -> Result<Self, Error> {
        Self::at(sink.root())
    }

    /// The folder at an address.
    ///
    /// # Errors
    /// [`Error::Store`] where the bucket cannot be opened.
    pub fn at(root: &Url) -> Result<Self, Error> {
        if let Ok(folder) = root.to_file_path() {
            return Ok(Self::Disk(folder));
        }
        let mut bucket = root.clone();
        bucket.set_path("");
        let opened = netcrab_sinks::s3::open(root);
        let store = opened.map_err(|source| store_fault(root.to_string(), "opened", source))?;
        Ok(Self::Bucket { store, bucket, prefix: Key::from_url_path(root.path()).unwrap_or_default() })
    }

    /// Lets plans read the files of the bucket.
    pub fn register(&self, runtime: &RuntimeEnv) {
        if let Self::Bucket { store, bucket, .. } = self {
            runtime.register_object_store(bucket, Arc::clone(store));
        }
    }

    /// The folder `name` in it.
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::Disk(folder) => Self::Disk(folder.join(name)),
            Self::Bucket { store, bucket, prefix } => {
                Self::Bucket { store: Arc::clone(store), bucket: bucket.clone(), prefix: prefix.clone().join(name) }
            }
        }
    }

    /// Creates the folder and its parents where they are missing.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Store`], with the file and what was tried.
    pub fn make(&self) -> Result<(), Error> {
        let Self::Disk(folder) = self else { return Ok(()) };
        fs::create_dir_all(folder).map_err(|source| disk(folder, "created", source))?;
        folder.ancestors().take(3).filter(|folder| !folder.as_os_str().is_empty()).try_for_each(sync)
    }

    /// The names of its files and folders, in no order; none where the folder does not exist.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Store`], with the file and what was tried.
    pub async fn names(&self) -> Result<Vec<String>, Error> {
        match self {
            Self::Disk(folder) => {
                let listed = match fs::read_dir(folder) {
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                    listed => listed.map_err(|source| disk(folder, "listed", source))?,
                };
                let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
                listed.map(name).collect::<io::Result<_>>().map_err(|source| disk(folder, "listed", source))
            }
            Self::Bucket { store, prefix, .. } => {
                let listed = store.list_with_delimiter(Some(prefix)).await;
                let listed = listed.map_err(|source| self.fault("", "listed", source))?;
                let keys = listed.objects.into_iter().map(|object| object.location).chain(listed.common_prefixes);
                Ok(keys.filter_map(|key| key.filename().map(str::to_owned)).collect())
            }
        }
    }

    /// Whether a file exists.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Store`], with the file and what was tried.
    pub async fn has(&self, name: &str) -> Result<bool, Error> {
        match self {
            Self::Disk(folder) => {
                let path = folder.join(name);
                path.try_exists().map_err(|source| disk(&path, "looked for", source))
            }
            Self::Bucket { store, prefix, .. } => match store.head(&prefix.clone().join(name)).await {
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(source) => Err(self.fault(name, "looked for", source)),
                Ok(_) => Ok(true),
            },
        }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Store`], with the file and what was tried.
    pub async fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.read_at_most(name, u64::MAX).await
    }

    /// The bytes of a file that has no more than `bytes_max`.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Disk`] or [`Error::Store`], with the file.
    pub async fn read_at_most(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, Error> {
        let too_large = || Error::TooLarge { file: self.name_of(name), bytes_max };
        match self {
            Self::Disk(folder) => {
                let path = folder.join(name);
                let fault = |source| disk(&path, "read", source);
                if tokio::fs::metadata(&path).await.map_err(fault)?.len() > bytes_max {
                    return Err(too_large());
                }
                tokio::fs::read(&path).await.map_err(fault)
            }
            Self::Bucket { store, prefix, .. } => {
                let fault = |source| self.fault(name, "read", source);
                let found = store.get(&prefix.clone().join(name)).await.map_err(fault)?;
                if found.meta.size > bytes_max {
                    return Err(too_large());
                }
                found.bytes().await.map(Into::into).map_err(fault)
            }
        }
    }

    /// Opens a file that may be large; one in a bucket is downloaded first.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Store`], with the file and what was tried.
    pub async fn open(&self, name: &str) -> Result<BufReader<File>, Error> {
        let opened = match self {
            Self::Disk(folder) => {
                let path = folder.join(name);
                File::open(&path).map_err(|source| disk(&path, "opened", source))?
            }
            Self::Bucket { store, prefix, .. } => {
                let read = store.get(&prefix.clone().join(name)).await;
                let read = read.map_err(|source| self.fault(name, "read", source))?;
                let mut chunks = read.into_stream();
                let mut file = tempfile::tempfile().map_err(scratch)?;
                while let Some(chunk) = chunks.try_next().await.map_err(|source| self.fault(name, "read", source))? {
                    file.write_all(&chunk).map_err(scratch)?;
                }
                io::Seek::rewind(&mut file).map_err(scratch)?;
                file
            }
        };
        Ok(BufReader::with_capacity(1 << 20, opened))
    }

    /// Creates a file; false where it exists already.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Store`]; that the file exists already is not an error.
    pub async fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, Error> {
        match self {
            Self::Disk(folder) => {
                let path = folder.join(name);
                let (scratch, _) = self.draft_beside(folder, |file| file.write_all(bytes))?;
                let linked = fs::hard_link(&scratch, &path);
                fs::remove_file(&scratch).map_err(|source| disk(&scratch, "removed", source))?;
                match linked {
                    Ok(()) => sync(folder).map(|()| true),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                    Err(source) => Err(disk(&path, "created", source)),
                }
            }
            Self::Bucket { store, prefix, .. } => {
                let key = prefix.clone().join(name);
                let put = || store.put_opts(&key, bytes.to_vec().into(), PutMode::Create.into());
                let mut answer = put().await;
                if matches!(answer, Err(object_store::Error::Generic { .. })) {
                    // Whether the file was stored is unknown: the store's client does not repeat a conditional put.
                    answer = put().await;
                }
                match answer {
                    Ok(_) => Ok(true),
                    // The answer to an earlier attempt may be lost: a file with the same bytes is this one.
                    Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                        Ok(!bytes.is_empty() && self.read(name).await? == bytes)
                    }
                    Err(source) => Err(self.fault(name, "created", source)),
                }
            }
        }
    }

    /// Writes a file without giving it its name yet.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Store`], with the file and what was tried.
    pub fn draft(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Draft, Error> {
        match self {
            Self::Disk(folder) => {
                let (path, bytes) = self.draft_beside(folder, write)?;
                Ok(Draft { written: Written::Temporary(path), bytes })
            }
            Self::Bucket { store, prefix, .. } => {
                let file = tempfile::NamedTempFile::new().map_err(scratch)?;
                let written = || {
                    let mut buffered = BufWriter::with_capacity(1 << 20, file.as_file());
                    write(&mut buffered)?;
                    buffered.flush()?;
                    Ok(file.as_file().metadata()?.len())
                };
                let bytes = written().map_err(scratch)?;
                Ok(Draft { written: Written::ToUpload(file, Arc::clone(store), prefix.clone()), bytes })
            }
        }
    }

    /// Writes a file without fsync, for readers that can do without it; they see it whole.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Store`], with the file and what was tried.
    pub async fn put_unsynced(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Disk(folder) => {
                let (path, unfinished) = (folder.join(name), folder.join(".unfinished"));
                let shown = || {
                    fs::create_dir_all(folder)?;
                    fs::write(&unfinished, bytes)?;
                    fs::rename(&unfinished, &path)
                };
                shown().map_err(|source| disk(&path, "created", source))
            }
            Self::Bucket { store, prefix, .. } => {
                let put = store.put(&prefix.clone().join(name), bytes.into()).await;
                put.map(|_| ()).map_err(|source| self.fault(name, "created", source))
            }
        }
    }

    /// Removes a file, if it exists.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Store`], with the file and what was tried.
    pub async fn remove(&self, name: &str) -> Result<(), Error> {
        match self {
            Self::Disk(folder) => {
                let path = folder.join(name);
                match fs::remove_file(&path) {
                    Err(source) if source.kind() != ErrorKind::NotFound => Err(disk(&path, "removed", source)),
                    _ => Ok(()),
                }
            }
            Self::Bucket { store, prefix, .. } => match store.delete(&prefix.clone().join(name)).await {
                Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
                Err(source) => Err(self.fault(name, "removed", source)),
            },
        }
    }

    /// The path of a file, for messages.
    pub fn name_of(&self, file: &str) -> String {
        match self {
            Self::Disk(folder) => folder.join(file).display().to_string(),
            Self::Bucket { bucket, prefix, .. } => format!("{bucket}/{}", prefix.clone().join(file)),
        }
    }

    fn fault(&self, file: &str, done: &'static str, source: object_store::Error) -> Error {
        store_fault(self.name_of(file), done, source)
    }

    /// Writes and fsyncs a file under a temporary name that is unique across threads and processes.
    fn draft_beside(
        &self,
        folder: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(PathBuf, u64), Error> {
        static USED: AtomicU64 = AtomicU64::new(0);
        let path = folder.join(format!(".draft.{}-{}", std::process::id(), USED.fetch_add(1, Ordering::Relaxed)));
        let written = || {
            let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
            let mut buffered = BufWriter::with_capacity(1 << 20, file);
            write(&mut buffered)?;
            let file = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        let bytes = written().map_err(|source| disk(&path, "written", source))?;
        Ok((path, bytes))
    }
}

impl Draft {
    /// Gives the file its name; replaces a file of that name.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Store`], with the file and what was tried.
    pub async fn publish(self, name: &str) -> Result<(), Error> {
        match self.written {
            Written::Temporary(written) => {
                let path = written.with_file_name(name);
                fs::rename(&written, &path).map_err(|source| disk(&path, "created", source))?;
                written.parent().map_or(Ok(()), sync)
            }
            Written::ToUpload(file, store, prefix) => {
                let key = prefix.join(name);
                let mut file = tokio::fs::File::open(file.path()).await.map_err(scratch)?;
                let mut to = StoreWriter::new(store, key.clone());
                let sent = async {
                    tokio::io::copy(&mut file, &mut to).await?;
                    to.shutdown().await
                };
                sent.await.map_err(|source| {
                    let source = object_store::Error::Generic { store: "S3", source: source.into() };
                    store_fault(key.to_string(), "created", source)
                })
            }
        }
    }
}

fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| disk(folder, "made safe", source))
}

fn disk(path: &Path, done: &'static str, source: io::Error) -> Error {
    Error::Disk { file: path.display().to_string(), done, source }
}

/// The error for the folder of temporary files.
fn scratch(source: io::Error) -> Error {
    disk(&std::env::temp_dir(), "written to", source)
}

fn store_fault(file: String, done: &'static str, source: object_store::Error) -> Error {
    Error::Store { file, done, mend: netcrab_sinks::s3::mend(&source), source: Box::new(source) }
}
