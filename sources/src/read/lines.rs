//! Splits a stream into lines of bounded length. Longer lines are skipped without being held in memory.
//!
//! ```text
//! bytes ─▶ buffer (a line and a chunk at most) ─▶ line · line · too long · line
//! ```

use std::io::{self, Read};

const CHUNK_BYTES: usize = 128 << 10;

/// Splits a stream into lines.
pub(crate) struct LineReader {
    from: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    over: bool,
    line: u64,
    bytes_max: usize,
}

/// The next piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextLine<'a> {
    /// A line, or a CSV record of several lines, without its line end. The number is that of its first line, from 1.
    Line(u64, &'a [u8]),
    /// A line was longer than allowed, and was skipped.
    TooLong(u64),
    /// A record never ends. Only its first line was skipped.
    Unfinished(u64),
    /// The end of the stream.
    End,
}

impl LineReader {
    /// Splits `from` into lines of at most `bytes_max`. Skips a byte order mark at the beginning.
    pub(crate) fn new(from: Box<dyn Read + Send>, bytes_max: usize) -> io::Result<Self> {
        let mut lines = Self { from, buffer: Vec::new(), start: 0, filled: 0, over: false, line: 0, bytes_max };
        while lines.filled < 3 && !lines.over {
            lines.fill()?;
        }
        if lines.buffer[..lines.filled].starts_with(b"\xef\xbb\xbf") {
            lines.start = 3;
        }
        Ok(lines)
    }

    /// The number of the last line returned, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Whether only blank space is left. More than a chunk of it is not recognized.
    pub(crate) fn blank_to_the_end(&mut self) -> io::Result<bool> {
        loop {
            let ahead = &self.buffer[self.start.min(self.filled)..self.filled];
            if ahead.len() > CHUNK_BYTES || !ahead.iter().all(u8::is_ascii_whitespace) {
                return Ok(false);
            }
            if self.over {
                return Ok(true);
            }
            self.fill()?;
        }
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> io::Result<NextLine<'_>> {
        self.next_record(|bytes| memchr::memchr(b'\n', bytes))
    }

    /// The next record. `end` finds the end of the first record of the bytes.
    pub(crate) fn next_record(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> io::Result<NextLine<'_>> {
        self.line += 1;
        let first = self.line;
        loop {
            let bytes = &self.buffer[self.start..self.filled];
            if let Some(length) = end(bytes).filter(|length| *length <= self.bytes_max) {
                let from = self.start;
                self.line += memchr::memchr_iter(b'\n', &bytes[..length]).count() as u64;
                self.start += length + 1;
                return Ok(NextLine::Line(first, without_return(&self.buffer[from..from + length])));
            }
            if bytes.len() > self.bytes_max {
                return self.pass_over(first);
            }
            if self.over {
                return self.last(first, end);
            }
            self.fill()?;
        }
    }

    /// The last record, which has no line end.
    fn last(&mut self, first: u64, end: impl Fn(&[u8]) -> Option<usize>) -> io::Result<NextLine<'_>> {
        if self.start >= self.filled {
            self.line -= 1;
            return Ok(NextLine::End);
        }
        if self.filled == self.buffer.len() {
            self.buffer.push(0);
        }
        self.buffer[self.filled] = b'\n';
        let whole = end(&self.buffer[self.start..=self.filled]).is_some();
        if !whole {
            return self.pass_over(first);
        }
        let from = std::mem::replace(&mut self.start, self.filled);
        let bytes = &self.buffer[from..self.filled];
        self.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
        Ok(NextLine::Line(first, without_return(bytes)))
    }

    /// Skips the line at the current position. If that line is short, it is its record that has no end.
    fn pass_over(&mut self, first: u64) -> io::Result<NextLine<'_>> {
        let ahead = &self.buffer[self.start..self.filled];
        if let Some(length) = memchr::memchr(b'\n', ahead).filter(|length| *length <= self.bytes_max) {
            self.start += length + 1;
            return Ok(NextLine::Unfinished(first));
        }
        if self.over && ahead.len() <= self.bytes_max {
            self.start = self.filled;
            return Ok(NextLine::Unfinished(first));
        }
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[self.start..self.filled]) {
                self.start += length + 1;
                break;
            }
            self.start = self.filled;
            if self.over {
                break;
            }
            self.fill()?;
        }
        Ok(NextLine::TooLong(first))
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            let from = self.start.min(self.filled);
            self.buffer.copy_within(from..self.filled, 0);
            self.filled -= from;
            self.start = 0;
        }
        if self.buffer.len() < self.filled + CHUNK_BYTES {
            self.buffer.resize(self.filled + CHUNK_BYTES, 0);
        }
        loop {
            match self.from.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.over = true,
                Ok(length) => self.filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, bytes_max: usize, expected: &[(u64, &str)]) {
        let mut lines = LineReader::new(Box::new(io::Cursor::new(text.as_bytes().to_vec())), bytes_max).unwrap();
        let mut found = Vec::new();
        loop {
            match lines.next().unwrap() {
                NextLine::Line(line, bytes) => found.push((line, String::from_utf8_lossy(bytes).into_owned())),
                NextLine::TooLong(line) => found.push((line, "<too long>".to_owned())),
                NextLine::Unfinished(line) => found.push((line, "<unfinished>".to_owned())),
                NextLine::End => break,
            }
        }
        let expected: Vec<(u64, String)> = expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_end_in_lf_or_crlf_and_the_last_may_have_no_end() {
        check("a\r\n\nb", 10, &[(1, "a"), (2, ""), (3, "b")]);
        check("a\n", 10, &[(1, "a")]);
        check("", 10, &[]);
        check("\u{feff}a\nb", 10, &[(1, "a"), (2, "b")]);
    }

    #[test]
    fn a_line_one_byte_over_the_limit_is_passed_over_and_the_next_is_read() {
        check("abc\nabcd\nab", 3, &[(1, "abc"), (2, "<too long>"), (3, "ab")]);
        let long = "x".repeat(10 << 20);
        check(&format!("a\n{long}\nb"), 1000, &[(1, "a"), (2, "<too long>"), (3, "b")]);
        check(&long, 1000, &[(1, "<too long>")]);
    }
}
