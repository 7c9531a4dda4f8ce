//! Undoes the compression of a text file. Its first bytes tell which it is; the ending of its name does not count.
//!
//! ```text
//! 1f 8b …         gzip, member after member   ─▶ text      zeros after the last member or frame are padding
//! 28 b5 2f fd …   zstd, frame after frame     ─▶ text
//! "BZh", "PK", …  not read                    ─▶ an error that names it
//! other bytes     plain text                  ─▶ text
//! ```

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use crate::listing::Compression;

/// Bytes that are looked at to tell the compression.
const HEAD_BYTES: usize = 512;

/// Bytes of a compressed file that are read at once.
const BUFFER_BYTES: usize = 128 << 10;

/// How the bytes of a file are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Text(Compression),
    /// In a way that is not read; its name.
    Unread(&'static str),
    /// The ending says a compression, and the bytes are neither that nor text.
    Damaged(Compression),
}

/// The decompressed bytes, and how they were packed. Holds no more in memory than the window of the decoder.
pub(crate) fn decompress(
    mut raw: Box<dyn Read + Send>,
    named: Compression,
) -> io::Result<(Box<dyn Read + Send>, Packing)> {
    let mut head = vec![0; HEAD_BYTES];
    let filled = fill(&mut raw, &mut head)?;
    head.truncate(filled);
    let packing = packing(&head, named);
    let whole: Box<dyn Read + Send> = Box::new(io::Cursor::new(head).chain(raw));
    let bytes: Box<dyn Read + Send> = match packing {
        Packing::Text(Compression::Gzip) => Box::new(Gzip::new(whole)),
        Packing::Text(Compression::Zstd) => Box::new(Zstd::new(whole)?),
        _ => whole,
    };
    Ok((bytes, packing))
}

/// Reads until `out` is full or the stream ends.
pub(crate) fn fill(from: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match from.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn packing(head: &[u8], named: Compression) -> Packing {
    let begins = |bytes: &[u8]| head.starts_with(bytes);
    if begins(b"\x1f\x8b") {
        return Packing::Text(Compression::Gzip);
    }
    let skippable = matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    if begins(b"\x28\xb5\x2f\xfd") || skippable {
        return Packing::Text(Compression::Zstd);
    }
    let unread: [(&[u8], &'static str); 9] = [
        (b"PK\x03\x04", "zip"),
        (b"\xfd7zXZ\0", "xz"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"\x04\x22\x4d\x18", "LZ4"),
        (b"\xff\x06\0\0sNaPpY", "Snappy"),
        (b"\x1f\x9d", "compress"),
        (b"PAR1\x15", "Parquet under the name of a text"),
        (b"Obj\x01", "Avro"),
    ];
    if let Some((_, name)) = unread.iter().find(|(bytes, _)| begins(bytes)) {
        return Packing::Unread(name);
    }
    if begins(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
        return Packing::Unread("bzip2");
    }
    let text = !head.iter().any(|byte| matches!(byte, 0..=8 | 14..=0x1a));
    match named {
        Compression::Gzip | Compression::Zstd if !text => Packing::Damaged(named),
        _ => Packing::Text(Compression::None),
    }
}

/// Skips zeros; whether the stream ends with them.
fn only_zeros_left(from: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let ahead = from.fill_buf()?;
        if ahead.is_empty() {
            return Ok(true);
        }
        match ahead.iter().position(|byte| *byte != 0) {
            Some(zeros) => {
                from.consume(zeros);
                return Ok(false);
            }
            None => {
                let zeros = ahead.len();
                from.consume(zeros);
            }
        }
    }
}

/// Decodes gzip, member after member.
struct Gzip {
    member: GzDecoder<Box<dyn BufRead + Send>>,
    over: bool,
}

impl Gzip {
    fn new(from: Box<dyn Read + Send>) -> Self {
        let from: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(BUFFER_BYTES, from));
        Self { member: GzDecoder::new(from), over: false }
    }
}

impl Read for Gzip {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.over && !out.is_empty() {
            match self.member.read(out)? {
                0 if only_zeros_left(self.member.get_mut())? => self.over = true,
                0 => {
                    let from = self.member.reset(Box::new(io::empty()));
                    self.member.reset(from);
                }
                length => return Ok(length),
            }
        }
        Ok(0)
    }
}

/// Decodes zstd, frame after frame.
struct Zstd {
    from: BufReader<Box<dyn Read + Send>>,
    decoder: Decoder<'static>,
    between_frames: bool,
}

impl Zstd {
    fn new(from: Box<dyn Read + Send>) -> io::Result<Self> {
        let from = BufReader::with_capacity(BUFFER_BYTES, from);
        Ok(Self { from, decoder: Decoder::new()?, between_frames: true })
    }
}

impl Read for Zstd {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !out.is_empty() {
            if self.between_frames && only_zeros_left(&mut self.from)? {
                break;
            }
            let ahead = self.from.fill_buf()?;
            let ended = ahead.is_empty();
            let (mut input, mut output) = (InBuffer::around(ahead), OutBuffer::around(&mut *out));
            self.between_frames = self.decoder.run(&mut input, &mut output)? == 0;
            let (taken, length) = (input.pos(), output.pos());
            self.from.consume(taken);
            if length > 0 {
                return Ok(length);
            }
            if ended && !self.between_frames {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the last frame is cut"));
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &str) -> Vec<u8> {
        zstd::stream::encode_all(text.as_bytes(), 1).unwrap()
    }

    fn read(bytes: Vec<u8>, named: Compression) -> io::Result<String> {
        let mut text = String::new();
        decompress(Box::new(io::Cursor::new(bytes)), named)?.0.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn members_and_frames_follow_each_other_and_zeros_may_follow_the_last() {
        for pack in [gzip, zstd] {
            let two = [pack("a"), pack(""), pack(&"b".repeat(300_000))].concat();
            let expected = format!("a{}", "b".repeat(300_000));
            for zeros in [0, 1, 512, 300_000] {
                let padded = [two.clone(), vec![0; zeros]].concat();
                assert_eq!(read(padded, Compression::None).unwrap(), expected, "{zeros}");
            }
            assert_eq!(read([pack("a"), vec![0; 3], pack("b")].concat(), Compression::None).unwrap(), "ab");
            assert!(read([two.clone(), b"rest".to_vec()].concat(), Compression::None).is_err());
            assert!(read(two[..two.len() - 3].to_vec(), Compression::None).is_err());
        }
    }

    #[test]
    fn the_first_bytes_tell_the_compression() {
        assert_eq!(read(b"a,b\n".to_vec(), Compression::Gzip).unwrap(), "a,b\n");
        assert_eq!(read(Vec::new(), Compression::Zstd).unwrap(), "");
        for (head, expected) in [
            (&b"PK\x03\x04\x14\0"[..], Packing::Unread("zip")),
            (b"PKW,b\n", Packing::Text(Compression::None)),
            (b"BZh91AY&SY", Packing::Unread("bzip2")),
            (b"BZhour,b\n", Packing::Text(Compression::None)),
            (b"\xfd7zXZ\0\0", Packing::Unread("xz")),
            (b"\x28\xb5\x2f\xfd", Packing::Text(Compression::Zstd)),
            (b"\x51\x2a\x4d\x18", Packing::Text(Compression::Zstd)),
            (b"a\x01\x02", Packing::Damaged(Compression::Gzip)),
            (b"a\tb\r\n", Packing::Text(Compression::None)),
        ] {
            assert_eq!(packing(head, Compression::Gzip), expected, "{head:?}");
        }
    }
}
