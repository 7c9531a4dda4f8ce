//! Turns the bytes of a text into UTF-8 with `\n` as line ends, whatever its encoding.
//!
//! ```text
//! ff fe 75 00 …      UTF-16, by its byte order mark or by its zeros  ─▶ UTF-8
//! 63 61 66 e9        as the mapping says (`encoding = "windows-1252"`) ─▶ UTF-8
//! a,b\r1,2\r         lines that end in CR alone                       ─▶ a,b\n1,2\n
//! ```
//!
//! A byte that the encoding does not have becomes the byte ff, which no UTF-8 has: its line is rejected as `not_utf8`.

use std::io::{self, Read};

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::decompress::fill;

/// Bytes at the beginning that tell encoding and line ends.
const HEAD_BYTES: usize = 64 << 10;

/// Bytes decoded at once.
const PIECE_BYTES: usize = 64 << 10;

/// The encoding of that name, of those of the WHATWG standard.
///
/// # Errors
///
/// What is wrong with the name.
pub(crate) fn named(name: &str) -> Result<&'static Encoding, String> {
    let found = Encoding::for_label_no_replacement(name.as_bytes());
    found.ok_or_else(|| {
        format!("`encoding` is `{name}`; expected utf-8, utf-16le, utf-16be, windows-1252, shift_jis or the like")
    })
}

/// A text that is not read.
#[derive(Debug, thiserror::Error)]
#[error("it is UTF-32")]
pub(crate) struct Utf32;

/// The text as UTF-8, without byte order mark.
///
/// # Errors
///
/// The first bytes cannot be read, or are UTF-32.
pub(crate) fn utf8(
    mut from: Box<dyn Read + Send>,
    given: Option<&'static Encoding>,
) -> io::Result<Box<dyn Read + Send>> {
    let mut head = vec![0; HEAD_BYTES];
    let filled = fill(&mut from, &mut head)?;
    head.truncate(filled);
    let (encoding, mark) = match Encoding::for_bom(&head) {
        Some(_) if head.starts_with(b"\xff\xfe\0\0") => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Utf32));
        }
        Some((encoding, mark)) => (encoding, mark),
        None => (given.or_else(|| utf16_by_zeros(&head)).unwrap_or(UTF_8), 0),
    };
    head.drain(..mark);
    let whole: Box<dyn Read + Send> = Box::new(io::Cursor::new(head).chain(from));
    let mut text: Box<dyn Read + Send> = match encoding == UTF_8 {
        true => whole,
        false => Box::new(Decoded::new(whole, encoding)),
    };
    let mut head = vec![0; HEAD_BYTES];
    let filled = fill(&mut text, &mut head)?;
    head.truncate(filled);
    let returns_alone = memchr::memchr(b'\n', &head).is_none() && memchr::memchr(b'\r', &head).is_some();
    let text = io::Cursor::new(head).chain(text);
    Ok(if returns_alone { Box::new(ReturnsAsLineEnds(text)) } else { Box::new(text) })
}

/// UTF-16 without a byte order mark: text of the usual scripts has a zero in every other byte of its spaces, digits,
/// delimiters and line ends, and none in the others.
fn utf16_by_zeros(head: &[u8]) -> Option<&'static Encoding> {
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let half = head.len() / 2;
    // A few characters have a zero in the other byte too, such as U+0100.
    match (even * 4 > half, odd * 4 > half) {
        (false, true) if even * 20 < odd => Some(UTF_16LE),
        (true, false) if odd * 20 < even => Some(UTF_16BE),
        _ => None,
    }
}

/// Decodes a stream piece by piece.
struct Decoded {
    from: Box<dyn Read + Send>,
    decoder: encoding_rs::Decoder,
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
    given: usize,
    over: bool,
    finished: bool,
}

impl Decoded {
    fn new(from: Box<dyn Read + Send>, encoding: &'static Encoding) -> Self {
        let decoder = encoding.new_decoder_without_bom_handling();
        Self { from, decoder, input: Vec::new(), taken: 0, output: Vec::new(), given: 0, over: false, finished: false }
    }

    /// Decodes the next piece into `output`.
    fn piece(&mut self) -> io::Result<()> {
        if self.taken == self.input.len() && !self.over {
            self.input.resize(PIECE_BYTES, 0);
            let filled = fill(&mut self.from, &mut self.input)?;
            self.input.truncate(filled);
            self.taken = 0;
            self.over = filled < PIECE_BYTES;
        }
        self.output.resize(PIECE_BYTES, 0);
        self.given = 0;
        let ahead = &self.input[self.taken..];
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(ahead, &mut self.output, self.over);
        self.taken += read;
        self.output.truncate(written);
        match result {
            DecoderResult::Malformed(..) => self.output.push(0xff),
            DecoderResult::InputEmpty => self.finished = self.over,
            DecoderResult::OutputFull => {}
        }
        Ok(())
    }
}

impl Read for Decoded {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.output.len() {
            if self.finished {
                return Ok(0);
            }
            self.piece()?;
        }
        let length = out.len().min(self.output.len() - self.given);
        out[..length].copy_from_slice(&self.output[self.given..self.given + length]);
        self.given += length;
        Ok(length)
    }
}

/// Replaces each CR by LF.
struct ReturnsAsLineEnds<R>(R);

impl<R: Read> Read for ReturnsAsLineEnds<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(out)?;
        for byte in &mut out[..length] {
            if *byte == b'\r' {
                *byte = b'\n';
            }
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], given: Option<&str>) -> Vec<u8> {
        let mut text = Vec::new();
        let given = given.map(|name| named(name).unwrap());
        utf8(Box::new(io::Cursor::new(bytes.to_vec())), given).unwrap().read_to_end(&mut text).unwrap();
        text
    }

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn utf16_is_read_with_and_without_a_byte_order_mark() {
        let text = "user;page\nu1;Grüße 😀\n".repeat(20_000);
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            assert!(read(&utf16(&format!("\u{feff}{text}"), to_bytes), None) == text.as_bytes());
            assert!(read(&utf16(&text, to_bytes), None) == text.as_bytes());
        }
        let whole = utf16("ab\ncd\n", u16::to_le_bytes);
        assert_eq!(read(&whole[..whole.len() - 1], None), b"ab\ncd\xff", "half a character at the end");
        assert_eq!(read(&[&whole[..], &[0x3d, 0xd8, b'x', 0]].concat(), None), b"ab\ncd\n\xffx", "half a pair");
    }

    #[test]
    fn an_encoding_is_as_the_mapping_says_unless_a_byte_order_mark_says_otherwise() {
        assert_eq!(read(b"caf\xe9 \x80", Some("windows-1252")), "café €".as_bytes());
        assert_eq!(read(b"caf\xe9", Some("latin1")), "café".as_bytes());
        assert_eq!(read(b"\x83e\x83X\x83g", Some("shift_jis")), "テスト".as_bytes());
        assert_eq!(read(b"\x83", Some("shift_jis")), b"\xff");
        assert_eq!(read("\u{feff}é".as_bytes(), Some("windows-1252")), "é".as_bytes());
        assert_eq!(read(b"caf\xe9", None), b"caf\xe9", "UTF-8 is not touched");
        assert!(named("windows1252x").unwrap_err().contains("expected utf-8"));
    }

    #[test]
    fn returns_alone_end_lines_only_where_no_line_feed_does() {
        assert_eq!(read(b"a,b\r1,2\r", None), b"a,b\n1,2\n");
        assert_eq!(read(b"a,b\r\n1,\"x\ry\"\r\n", None), b"a,b\r\n1,\"x\ry\"\r\n");
        assert_eq!(read(b"", None), b"");
    }

    #[test]
    fn bytes_with_some_zeros_are_not_utf16() {
        for bytes in [&b"a\0"[..], b"{\"a\":1}\0\0\0\0", b"a,b\n1,\0\n", b"\0\0\0\0"] {
            let expected = if bytes == b"a\0" { b"a".to_vec() } else { bytes.to_vec() };
            assert_eq!(read(bytes, None), expected, "{bytes:?}");
        }
    }
}
