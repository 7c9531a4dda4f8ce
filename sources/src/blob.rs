//! The bytes of one file, on disk or in an object store: ranges for Parquet, a stream for text.
//!
//! Reading blocks. Objects are fetched on the runtime that opened the source, in pieces of bounded size.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, OBJECT_STORE_COALESCE_DEFAULT, ObjectStore, coalesce_ranges};
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;

use crate::listing::{FileLocation, SourceFile};

/// Size of the pieces in which a file is hashed, in bytes.
const HASHED_BYTES: u64 = 32 << 20;

/// Bytes fetched at once to read a page header.
const READ_AHEAD_BYTES: u64 = 16 << 10;

/// Bytes of an object that one request of a stream fetches. One request for the whole object would run into the
/// request timeout when the stages are slower than the network.
const PIECE_BYTES: u64 = 8 << 20;

/// Random access to one file.
#[derive(Debug)]
pub(crate) struct Blob {
    bytes: u64,
    access: Access,
    fetched: Vec<(u64, Bytes)>,
}

#[derive(Debug)]
enum Access {
    Local(Mutex<std::fs::File>),
    Object(Object),
}

/// One object, at the version that was listed.
#[derive(Debug, Clone)]
struct Object {
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    etag: Option<String>,
    handle: Handle,
}

impl Object {
    /// Fetches a range. Fails if the object was replaced since it was listed.
    async fn get(&self, range: Range<u64>) -> object_store::Result<Bytes> {
        let options = GetOptions { range: Some(range.into()), if_match: self.etag.clone(), ..GetOptions::default() };
        self.store.get_opts(&self.path, options).await?.bytes().await
    }

    fn range(&self, range: Range<u64>) -> io::Result<Bytes> {
        // S3 has no empty ranges.
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.handle.block_on(self.get(range)).map_err(io::Error::other)
    }

    fn ranges(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let fetched = coalesce_ranges(ranges, |range| self.get(range), OBJECT_STORE_COALESCE_DEFAULT);
        self.handle.block_on(fetched).map_err(io::Error::other)
    }
}

impl Blob {
    /// Opens the file for ranges.
    pub(crate) fn open(file: &SourceFile) -> io::Result<Self> {
        let access = match &file.place {
            FileLocation::Local(path) => Access::Local(Mutex::new(std::fs::File::open(path)?)),
            FileLocation::Object { store, path, handle } => Access::Object(Object {
                store: store.clone(),
                path: path.clone(),
                etag: file.etag.clone(),
                handle: handle.clone(),
            }),
        };
        Ok(Self { bytes: file.bytes, access, fetched: Vec::new() })
    }

    /// Fetches ranges of an object in few requests. Does nothing for local files, which are read on demand.
    pub(crate) fn fetch(&mut self, ranges: &[Range<u64>]) -> io::Result<()> {
        let Access::Object(object) = &self.access else { return Ok(()) };
        let fetched = object.ranges(ranges)?;
        self.fetched = ranges.iter().map(|range| range.start).zip(fetched).collect();
        Ok(())
    }

    fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.bytes);
        let Some(end) = end else {
            let message = format!("bytes {start} to {} of {}", start.saturating_add(length as u64), self.bytes);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        };
        for (at, bytes) in &self.fetched {
            if *at <= start && end <= at + bytes.len() as u64 {
                let from = (start - at) as usize;
                return Ok(bytes.slice(from..from + length));
            }
        }
        match &self.access {
            Access::Local(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(start))?;
                let mut buffer = Vec::with_capacity(length);
                let read = (&mut *file).take(length as u64).read_to_end(&mut buffer)?;
                if read < length {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
                }
                Ok(buffer.into())
            }
            Access::Object(object) => object.range(start..end),
        }
    }
}

impl Length for Blob {
    fn len(&self) -> u64 {
        self.bytes
    }
}

/// A shared [`Blob`] for the Parquet reader.
#[derive(Debug, Clone)]
pub(crate) struct SharedBlob(pub(crate) Arc<Blob>);

impl Length for SharedBlob {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for SharedBlob {
    type T = ReadAhead;

    fn get_read(&self, start: u64) -> parquet::errors::Result<ReadAhead> {
        Ok(ReadAhead::new(self.0.clone(), start, READ_AHEAD_BYTES))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        Ok(self.0.range(start, length)?)
    }
}

/// Reads a file in order from a position, one piece at a time.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    blob: Arc<Blob>,
    at: u64,
    bytes: Bytes,
    piece_bytes: u64,
}

impl ReadAhead {
    fn new(blob: Arc<Blob>, at: u64, piece_bytes: u64) -> Self {
        Self { blob, at, bytes: Bytes::new(), piece_bytes }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            let length = self.piece_bytes.min(self.blob.bytes.saturating_sub(self.at));
            self.bytes = self.blob.range(self.at, length as usize)?;
            self.at += length;
        }
        let length = out.len().min(self.bytes.len());
        self.bytes.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}

/// The bytes of a text file as stored, from its beginning. `count` grows by the bytes read.
pub(crate) fn stream(file: &SourceFile, count: Arc<AtomicU64>) -> io::Result<Box<dyn Read + Send>> {
    Ok(match &file.place {
        FileLocation::Local(path) => Box::new(CountingReader { inner: std::fs::File::open(path)?, count }),
        FileLocation::Object { .. } => {
            let pieces = ReadAhead::new(Arc::new(Blob::open(file)?), 0, PIECE_BYTES);
            Box::new(CountingReader { inner: pieces, count })
        }
    })
}

struct CountingReader<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(out)?;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// The positions at which the pieces of a file begin, as [`hash_piece`] takes them.
pub(crate) fn pieces(file: &SourceFile) -> impl Iterator<Item = u64> + use<> {
    let end = match file.place {
        FileLocation::Local(_) => file.bytes.max(1),
        FileLocation::Object { .. } => 1,
    };
    (0..end).step_by(HASHED_BYTES as usize)
}

/// A hash of the length of a file and of the piece that begins at `from`. An object is hashed by its size and ETag
/// instead.
pub(crate) fn hash_piece(file: &SourceFile, from: u64) -> io::Result<u128> {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(&file.bytes.to_le_bytes());
    match &file.place {
        FileLocation::Object { .. } => hasher.update(file.etag.as_deref().unwrap_or_default().as_bytes()),
        FileLocation::Local(path) => {
            let mut piece = std::fs::File::open(path)?;
            piece.seek(SeekFrom::Start(from))?;
            let mut piece = piece.take(HASHED_BYTES);
            let mut buffer = vec![0; 256 << 10];
            loop {
                match piece.read(&mut buffer)? {
                    0 => break,
                    length => hasher.update(&buffer[..length]),
                }
            }
        }
    }
    Ok(hasher.digest128())
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt, PutPayload};
    use tokio::runtime::Runtime;

    use super::*;
    use crate::Error;
    use crate::listing::{Compression, Format};

    /// An object of this content, as listed.
    fn object(runtime: &Runtime, store: &Arc<InMemory>, content: Vec<u8>) -> SourceFile {
        let path = ObjectPath::from("a.ndjson");
        let bytes = content.len() as u64;
        let put = runtime.block_on(store.put(&path, PutPayload::from(content))).unwrap();
        SourceFile {
            name: "s3://bucket/a.ndjson".to_owned(),
            relative: "a.ndjson".to_owned(),
            place: FileLocation::Object { store: store.clone(), path, handle: runtime.handle().clone() },
            bytes,
            format: Format::Ndjson,
            compression: Compression::None,
            etag: put.e_tag,
            known: crate::table::KnownColumns::default(),
        }
    }

    fn read(file: &SourceFile) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        stream(file, Arc::default())?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn an_object_is_read_whole_at_every_border_of_a_piece() {
        let (runtime, store) = (Runtime::new().unwrap(), Arc::new(InMemory::new()));
        for bytes in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES] {
            let content: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
            assert!(read(&object(&runtime, &store, content.clone())).unwrap() == content, "{bytes}");
        }
    }

    #[test]
    fn an_object_that_was_replaced_or_removed_since_it_was_listed_is_an_error() {
        let (runtime, store) = (Runtime::new().unwrap(), Arc::new(InMemory::new()));
        let listed = object(&runtime, &store, b"a".to_vec());
        object(&runtime, &store, b"b".to_vec());
        let message = Error::read(&listed.name, read(&listed).unwrap_err()).to_string();
        assert!(message.ends_with("it was replaced while it was read; run again"), "{message}");
        runtime.block_on(store.delete(&ObjectPath::from("a.ndjson"))).unwrap();
        let message = Error::read(&listed.name, read(&listed).unwrap_err()).to_string();
        assert!(message.ends_with("it was removed while it was read; run again"), "{message}");
    }
}
