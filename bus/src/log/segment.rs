//! A segment: one file of frames, named by the offset of its first frame.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use arrow::buffer::{Buffer, MutableBuffer};
use xxhash_rust::xxh3::xxh3_64;

use super::frame::{FrameHead, HEAD, SegmentHead, VERSION};
use super::payload::{ALIGNMENT, Decoder, Encoder};
use crate::{Error, events};

const ENDING: &str = ".log";
const UNFINISHED: &str = ".new";
const DAMAGED: &str = ".damaged";

/// What to do about a damaged segment.
pub(crate) const MEND: &str = "restore the file from a copy, or move it out of the folder while nothing runs: \
     its events are then reported as lost, and the rest is read on";

/// Longest schema of a segment's head, in bytes.
const SCHEMA_BYTES_MAX: u32 = 1 << 20;

/// The file of the segment that begins at `first`.
pub(crate) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}{ENDING}"))
}

/// The first offsets of the segments in a folder, in order.
pub(crate) fn list(folder: &Path) -> Result<Vec<u64>, Error> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(ENDING)).filter(|digits| digits.len() == 20);
        firsts.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Moves a segment that cannot be read out of the way; it stays in the folder under a name of its own.
pub(crate) fn quarantine(folder: &Path, first: u64) -> Result<PathBuf, Error> {
    let (from, to) = (path(folder, first), folder.join(format!("{first:020}{ENDING}{DAMAGED}")));
    fs::rename(&from, &to).map_err(Error::io("rename", &from))?;
    flush_folder(folder).map_err(Error::io("flush", folder))?;
    Ok(to)
}

/// Removes unfinished segments that a crash left.
pub(crate) fn sweep(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        if path.to_str().is_some_and(|path| path.ends_with(UNFINISHED)) {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Makes the creation and removal of files in a folder durable.
pub(crate) fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates a segment and makes it and its name durable; gives the file, open for writing at its end, and its length.
pub(crate) fn create(folder: &Path, head: SegmentHead, schema: &[u8]) -> io::Result<(File, u64)> {
    let path = path(folder, head.first);
    let unfinished = path.with_extension(format!("log{UNFINISHED}"));
    let mut bytes = vec![0; HEAD];
    head.write(&mut bytes);
    bytes.extend_from_slice(schema);
    let written = || -> io::Result<File> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&unfinished)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        flush_folder(folder)?;
        Ok(file)
    };
    let file = written().inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
        let _ = fs::remove_file(&path);
    })?;
    Ok((file, bytes.len() as u64))
}

/// The head for a new segment.
pub(crate) fn head(shard: u32, first: u64, made_at_ms: i64, schema: &[u8]) -> SegmentHead {
    let schema_hash = xxh3_64(schema);
    SegmentHead { version: VERSION, shard, first, made_at_ms, schema_bytes: schema.len() as u32, schema_hash }
}

/// A segment, open for reading.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) head: SegmentHead,
    pub(crate) schema: Buffer,
    file: File,
}

/// What is at a byte of a segment.
#[derive(Debug)]
pub(crate) enum Found {
    /// The head of a frame.
    Frame(FrameHead),
    /// The end of the file.
    End,
    /// Something else.
    Bad,
}

impl Segment {
    /// Opens the segment of `shard` that begins at `first`; `None` where it does not exist.
    pub(crate) fn open(folder: &Path, shard: u32, first: u64) -> Result<Option<Self>, Error> {
        let path = path(folder, first);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(Error::io("open", &path)(fault)),
        };
        let bytes = read_up_to(&file, 0, HEAD).map_err(Error::io("read", &path))?;
        if let Some(head) = SegmentHead::read(&bytes) {
            if head.version != VERSION {
                let (found, expected) = (format!("segments of version {}", head.version), format!("version {VERSION}"));
                let mend = "read it with the release that wrote it";
                return Err(Error::Layout { path: folder.to_owned(), found, expected, mend });
            }
            if head.first != first || head.shard != shard {
                let cause = "its head belongs to another segment; was it renamed?";
                return Err(Error::Damaged { path, byte: 0, cause, mend: MEND });
            }
            let length = head.schema_bytes.min(SCHEMA_BYTES_MAX) as usize;
            let schema = read_up_to(&file, HEAD as u64, length).map_err(Error::io("read", &path))?;
            let whole =
                |schema: &[u8]| schema.len() == head.schema_bytes as usize && xxh3_64(schema) == head.schema_hash;
            if whole(&schema) {
                return Ok(Some(Self { path, head, schema, file }));
            }
            let today = Encoder::new(events::schema())?.schema_message().to_vec();
            if whole(&today) {
                return Ok(Some(Self { path, head, schema: Buffer::from(today), file }));
            }
            return Err(Error::Damaged {
                path,
                byte: HEAD as u64,
                cause: "its schema is not what was written",
                mend: MEND,
            });
        }
        Self::behind_damaged_head(path, file, shard, first).map(Some)
    }

    /// A segment whose head is damaged. Its frames tell where it begins; its schema is what stands before them.
    fn behind_damaged_head(path: PathBuf, file: File, shard: u32, first: u64) -> Result<Self, Error> {
        let damaged = |cause| Error::Damaged { path: path.clone(), byte: 0, cause, mend: MEND };
        let bytes = read_up_to(&file, 0, SCHEMA_BYTES_MAX as usize).map_err(Error::io("read", &path))?;
        let frame_at = |at: &usize| FrameHead::read(&bytes[*at..]).is_some_and(|head| head.offset >= first);
        let begins = (HEAD..bytes.len()).step_by(ALIGNMENT).find(frame_at);
        let begins = begins.ok_or_else(|| damaged("its head is not what was written, and no frame follows"))?;
        let schema = bytes.slice_with_length(HEAD, begins - HEAD);
        if Decoder::new(schema.clone(), events::schema()).is_err() {
            return Err(damaged("its head and its schema are not what was written"));
        }
        let made_at_ms = FrameHead::read(&bytes[begins..]).map_or(0, |head| head.appended_at_ms);
        // `schema_bytes` says where the frames begin.
        let schema_bytes = (begins - HEAD) as u32;
        let head = SegmentHead { version: VERSION, shard, first, made_at_ms, schema_bytes, schema_hash: 0 };
        Ok(Self { path, head, schema, file })
    }

    /// The whole frames at or after byte `at` whose offsets are greater than `offset`, each with the byte where it begins.
    /// Frames begin at multiples of 16.
    ///
    /// The texts of an event may look like a frame. So a frame counts only where the file ends after it or the frame with
    /// the next offset follows, which those who send events do not control.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn whole_frames_after(
        &self,
        at: u64,
        offset: u64,
    ) -> Result<impl Iterator<Item = (u64, FrameHead)>, Error> {
        let rest = self.bytes(at, self.len()?.saturating_sub(at) as usize)?;
        let bytes = rest.len();
        let whole = move |at: usize| {
            let head = FrameHead::read(rest.get(at..)?)?;
            let next = at + head.frame_bytes() as usize;
            let follows = || FrameHead::read(&rest[next..]).is_some_and(|next| next.offset == head.offset + 1);
            let fits = head.offset > offset && head.fits(rest.get(at + HEAD..next)?);
            (fits && (next == rest.len() || follows())).then_some(head)
        };
        let mut byte = 0;
        Ok(std::iter::from_fn(move || {
            let found = (byte..bytes).step_by(ALIGNMENT).find_map(|byte| Some((byte, whole(byte)?)));
            let (begins, head) = found?;
            byte = begins + head.frame_bytes() as usize;
            Some((at + begins as u64, head))
        }))
    }

    /// The length of the file now.
    pub(crate) fn len(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().map_err(Error::io("read", &self.path))?.len())
    }

    /// Up to `length` bytes from `at` on.
    pub(crate) fn bytes(&self, at: u64, length: usize) -> Result<Buffer, Error> {
        read_up_to(&self.file, at, length).map_err(Error::io("read", &self.path))
    }

    /// The frame head at `at`.
    pub(crate) fn frame_head(&self, at: u64) -> Result<Found, Error> {
        let head = self.bytes(at, HEAD)?;
        Ok(match (head.len(), FrameHead::read(&head)) {
            (0, _) => Found::End,
            (_, Some(head)) => Found::Frame(head),
            (_, None) => Found::Bad,
        })
    }

    /// What is at byte `at`, with its payload checked. Reads no more than the rest of the file.
    pub(crate) fn check(&self, at: u64) -> Result<Found, Error> {
        let found = self.frame_head(at)?;
        let Found::Frame(head) = found else { return Ok(found) };
        if self.len()?.saturating_sub(at) < head.frame_bytes() {
            return Ok(Found::Bad);
        }
        let payload = self.bytes(at + HEAD as u64, head.payload_bytes as usize)?;
        Ok(if head.fits(&payload) { found } else { Found::Bad })
    }
}

/// Reads `length` bytes, or up to the end of the file. The buffer is aligned for any array.
fn read_up_to(file: &File, at: u64, length: usize) -> io::Result<Buffer> {
    let mut buffer = MutableBuffer::from_len_zeroed(length);
    let mut read = 0;
    while read < length {
        match file.read_at(&mut buffer.as_slice_mut()[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    buffer.truncate(read);
    Ok(buffer.into())
}
