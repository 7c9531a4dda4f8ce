//! Splits a stream of JSON into values, however they follow each other, within the bound of a line.
//!
//! ```text
//! {…}⏎{…}     one to a line, the usual case        ─▶ {…} · {…}
//! {…}{…}      glued; also with 1e (RFC 7464), a comma or a byte order mark between
//! {⏎…⏎}       over many lines
//! [{…},{…}]   the elements of an array of any length
//! ```
//!
//! A line that looks like one whole object is not scanned. If it turns out to be no JSON, [`LineReader::scan_again`]
//! goes back to it. A value that breaks off costs only its first line: a line that was cut does not take the next one
//! with it.

use std::io;

use super::{LineReader, NextLine};
use crate::read::json_scan::{Scan, Scanner};

/// Where in the grammar of the stream a reader stands.
#[derive(Debug, Default)]
pub(crate) struct JsonValues {
    in_array: bool,
    after_comma: bool,
    /// The last value ended within its line, so the rest of the line is scanned too.
    within_line: bool,
    /// The last value is a line that was not scanned.
    unscanned: bool,
    /// The next value is scanned, however its line looks.
    scanned: bool,
    /// Up to this line, text that begins no object belongs to a value that was refused already.
    refused_to: u64,
    /// The stream ended within a value that was refused.
    cut: bool,
}

impl JsonValues {
    /// Whether text that begins with `byte` belongs to a value that was refused.
    fn refuses(&self, line: u64, byte: u8) -> bool {
        match byte {
            b'{' => false,
            b'[' if !self.in_array => line < self.refused_to,
            _ => line <= self.refused_to,
        }
    }
}

impl LineReader {
    /// The next value, or the next line that is none.
    pub(crate) fn next_value(&mut self, values: &mut JsonValues) -> io::Result<NextLine<'_>> {
        loop {
            values.unscanned = false;
            let Some(byte) = self.next_byte(values)? else {
                let open = std::mem::take(&mut values.in_array) && !values.cut;
                return Ok(if open { NextLine::Unfinished(self.line.max(1)) } else { NextLine::End });
            };
            let line = self.line + 1;
            if values.refuses(line, byte) {
                self.skip_line()?;
                continue;
            }
            match byte {
                b'[' if !values.in_array => (values.in_array, values.after_comma) = (true, false),
                b']' if values.in_array => {
                    values.in_array = false;
                    if std::mem::take(&mut values.after_comma) {
                        self.step(values);
                        return Ok(NextLine::Unfinished(line));
                    }
                }
                b',' if !values.after_comma => values.after_comma = true,
                b'{' if !values.in_array && !values.within_line && !std::mem::take(&mut values.scanned) => {
                    return self.whole_line_or_value(values);
                }
                _ if values.in_array || byte == b'{' => return self.value(values),
                _ => {
                    values.within_line = false;
                    return self.next();
                }
            }
            self.step(values);
        }
    }

    /// Goes back to the value that was returned last, if that was a line that had not been scanned.
    pub(crate) fn scan_again(&mut self, values: &mut JsonValues) -> bool {
        values.scanned = std::mem::take(&mut values.unscanned);
        if values.scanned {
            (self.start, self.line) = self.last;
        }
        values.scanned
    }

    fn step(&mut self, values: &mut JsonValues) {
        self.start += 1;
        values.within_line = true;
    }

    /// The first byte that is neither blank nor a separator of records; `None` at the end.
    fn next_byte(&mut self, values: &mut JsonValues) -> io::Result<Option<u8>> {
        loop {
            let ahead = &self.buffer[self.start..self.filled];
            match ahead {
                [b'\n', ..] => (self.line, values.within_line) = (self.line + 1, false),
                [b' ' | b'\t' | b'\r' | 0x1e, ..] => {}
                [0xef, 0xbb, 0xbf, ..] => self.start += 2,
                [0xef, ..] if ahead.len() < 3 && !self.over => {
                    self.fill()?;
                    continue;
                }
                [byte, ..] => return Ok(Some(*byte)),
                [] if self.over => return Ok(None),
                [] => {
                    self.fill()?;
                    continue;
                }
            }
            self.start += 1;
        }
    }

    /// The line as it is, if it is there whole and looks like one object; else the value that begins it.
    fn whole_line_or_value(&mut self, values: &mut JsonValues) -> io::Result<NextLine<'_>> {
        let ahead = &self.buffer[self.start..self.filled];
        let end = memchr::memchr(b'\n', ahead).filter(|length| *length <= self.bytes_max);
        match end.filter(|length| one_object(&ahead[..*length])) {
            Some(_) => {
                (values.after_comma, values.unscanned) = (false, true);
                self.next()
            }
            None => self.value(values),
        }
    }

    /// The value at the current position.
    fn value(&mut self, values: &mut JsonValues) -> io::Result<NextLine<'_>> {
        let (first, mut scanner) = (self.line + 1, Scanner::new());
        (values.after_comma, values.within_line, values.scanned) = (false, true, false);
        let length = loop {
            let ahead = &self.buffer[self.start..self.filled];
            match scanner.scan(ahead) {
                Scan::End(length) => break length,
                Scan::Broken(at) => return self.broken(values, first, at),
                Scan::More if ahead.len() > self.bytes_max => return self.skip_value(values, first, scanner),
                Scan::More if self.over && scanner.ends_with_the_stream() => break ahead.len(),
                Scan::More if self.over => return self.broken(values, first, ahead.len()),
                Scan::More => self.fill()?,
            }
        };
        let from = self.pass(length);
        if length > self.bytes_max {
            return Ok(NextLine::TooLong(first));
        }
        self.last = (from, first - 1);
        Ok(NextLine::Line(first, &self.buffer[from..from + length]))
    }

    /// Steps over bytes that are there, and counts their lines. Returns where they begin.
    fn pass(&mut self, length: usize) -> usize {
        let from = self.start;
        self.line += memchr::memchr_iter(b'\n', &self.buffer[from..from + length]).count() as u64;
        self.start += length;
        from
    }

    /// Steps over a value that is too long, without holding it.
    fn skip_value(&mut self, values: &mut JsonValues, first: u64, mut scanner: Scanner) -> io::Result<NextLine<'_>> {
        loop {
            let scanned = scanner.forget();
            self.pass(scanned);
            if self.over {
                self.start = self.filled;
                break;
            }
            self.fill()?;
            match scanner.scan(&self.buffer[self.start..self.filled]) {
                Scan::More => {}
                Scan::End(length) => {
                    self.pass(length);
                    break;
                }
                Scan::Broken(at) => {
                    self.pass(at);
                    values.refused_to = self.line + 1;
                    self.find_next()?;
                    break;
                }
            }
        }
        Ok(NextLine::TooLong(first))
    }

    /// Steps over the first line of a value that breaks off at `at`, or to an object that follows it in its line.
    fn broken(&mut self, values: &mut JsonValues, first: u64, at: usize) -> io::Result<NextLine<'_>> {
        let (value, rest) = self.buffer[self.start..self.filled].split_at(at);
        let lines = memchr::memchr_iter(b'\n', value).count() as u64;
        if lines > 0 {
            let begins_line = value.trim_ascii_end().len() <= memchr::memrchr(b'\n', value).unwrap_or_default();
            let closes = matches!(rest.first(), None | Some(b'}' | b']'));
            values.refused_to = first + lines - u64::from(begins_line && !closes);
        }
        self.find_next()?;
        values.cut = self.over && self.start == self.filled;
        Ok(NextLine::Unfinished(first))
    }

    /// Steps to the end of the line, or to an object that follows another one before that.
    fn find_next(&mut self) -> io::Result<()> {
        loop {
            let ahead = &self.buffer[self.start..self.filled];
            let mut candidates = memchr::memchr2_iter(b'\n', b'{', ahead);
            if let Some(next) = candidates.find(|at| ahead[*at] == b'\n' || after_object(&ahead[..*at])) {
                self.start += next;
                return Ok(());
            }
            if self.over || ahead.len() > self.bytes_max {
                return self.skip_line();
            }
            self.fill()?;
        }
    }

    /// Steps over the rest of the line, not its end.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[self.start..self.filled]) {
                self.start += length;
                return Ok(());
            }
            self.start = self.filled;
            if self.over {
                return Ok(());
            }
            self.fill()?;
        }
    }
}

/// Whether a line that begins with `{` seems to be one object: it ends with `}`, and no other object follows one.
fn one_object(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let Some((b'}', inner)) = line.split_last() else { return false };
    memchr::memchr_iter(b'}', inner).all(|at| {
        let after = line[at + 1..].iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0x1e);
        after != Some(&b'{')
    })
}

/// Whether the bytes end with the end of an object, with at most a comma after it.
fn after_object(bytes: &[u8]) -> bool {
    let blank = |byte: &&u8| byte.is_ascii_whitespace() || **byte == 0x1e;
    let mut before = bytes.iter().rev().skip_while(blank);
    match before.next() {
        Some(b'}') => true,
        Some(b',') => before.find(|byte| !blank(byte)) == Some(&b'}'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Slow(io::Cursor<Vec<u8>>);

    impl io::Read for Slow {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let length = out.len().min(3);
            self.0.read(&mut out[..length])
        }
    }

    fn check(text: &str, expected: &[(u64, &str)]) {
        for slow in [false, true] {
            let bytes = io::Cursor::new(text.as_bytes().to_vec());
            let from: Box<dyn io::Read + Send> = if slow { Box::new(Slow(bytes)) } else { Box::new(bytes) };
            let mut lines = LineReader::new(from, 64).unwrap();
            let (mut values, mut found) = (JsonValues::default(), Vec::new());
            loop {
                match lines.next_value(&mut values).unwrap() {
                    NextLine::Line(line, bytes) => {
                        let text = String::from_utf8_lossy(bytes).into_owned();
                        let whole = serde_json::from_str::<serde_json::Value>(&text).is_ok();
                        if whole || !lines.scan_again(&mut values) {
                            found.push((line, text));
                        }
                    }
                    NextLine::TooLong(line) => found.push((line, "<too long>".to_owned())),
                    NextLine::Unfinished(line) => found.push((line, "<broken>".to_owned())),
                    NextLine::End => break,
                }
            }
            let expected: Vec<(u64, String)> =
                expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
            assert_eq!(found, expected, "{text:?} slow: {slow}");
        }
    }

    #[test]
    fn objects_may_stand_one_to_a_line_glued_or_over_many_lines() {
        let (one, two) = (r#"{"a":1}"#, r#"{"b":{"c":[{}]}}"#);
        check(&format!("{one}\n{two}\n"), &[(1, one), (2, two)]);
        check(&format!("{one}\r\n\r\n{two}"), &[(1, one), (3, two)]);
        check(&format!("{one}{two}\n{one} {two}"), &[(1, one), (1, two), (2, one), (2, two)]);
        check(&format!("\u{1e}{one}\n\u{1e}{two}\n\u{1e}{one}\u{1e}{two}"), &[(1, one), (2, two), (3, one), (3, two)]);
        check(&format!("{one}\n\u{feff}{two}"), &[(1, one), (2, two)]);
        check(&format!("{one},\n{two},\n"), &[(1, one), (2, two)]);
        check("{\n \"a\":1\n}\n{\"b\":\n{}}", &[(1, "{\n \"a\":1\n}"), (4, "{\"b\":\n{}}")]);
    }

    #[test]
    fn an_array_is_its_elements() {
        let (one, two) = (r#"{"a":1}"#, r#"{"b":"],["}"#);
        check(&format!("[{one},{two}]"), &[(1, one), (1, two)]);
        check(&format!("[\n{one},\n{two}\n]\n"), &[(2, one), (3, two)]);
        check(&format!("[ {one}\n, {two} ]\n{one}"), &[(1, one), (2, two), (3, one)]);
        check(&format!("[]\n[{one}]\n[{two}]"), &[(2, one), (3, two)]);
        check("[1,\"x\",[2]]", &[(1, "1"), (1, "\"x\""), (1, "[2]")]);
        check(&format!("[{one},{two},]\n{one}"), &[(1, one), (1, two), (1, "<broken>"), (2, one)]);
        check(&format!("[{one},\n{two}\n"), &[(1, one), (2, two), (2, "<broken>")]);
        let many = format!("[{}]", vec![one; 500].join(","));
        check(&many, &vec![(1, one); 500]);
    }

    #[test]
    fn a_value_that_breaks_off_costs_its_line_only() {
        let one = r#"{"a":1}"#;
        check(&format!("{{\"a\":\"cut\n{one}\n"), &[(1, "<broken>"), (2, one)]);
        check(&format!("{{\"a\":1,\n{one}\n"), &[(1, "<broken>"), (2, one)]);
        check(&format!("{{\"a\":\n{one}\n{one}\n"), &[(1, "<broken>"), (2, one), (3, one)]);
        check(&format!("{one}\n{{\"a\":1,}}\n{one}"), &[(1, one), (2, "<broken>"), (3, one)]);
        check(&format!("{{\"a\":1,}}{one}{one}\n"), &[(1, "<broken>"), (1, one), (1, one)]);
        check(&format!("{{\n \"a\":1,\n}}\n{one}"), &[(1, "<broken>"), (4, one)]);
        check(&format!("[\n {{\n \"a\":1,\n }},\n {one}\n]"), &[(2, "<broken>"), (5, one)]);
        check(&format!("{one}\n{{\"a\":"), &[(1, one), (2, "<broken>")]);
    }

    #[test]
    fn what_is_no_object_is_a_line() {
        let one = r#"{"a":1}"#;
        check("12\n", &[(1, "12")]);
        check(&format!("{one} // x\n{one}"), &[(1, one), (1, "// x"), (2, one)]);
        check(&format!("hello\n{one}"), &[(1, "hello"), (2, one)]);
    }

    #[test]
    fn a_value_over_the_limit_is_passed_over() {
        let one = r#"{"a":1}"#;
        let long = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        check(&long(64), &[(1, &long(64))]);
        check(&format!("{}\n{one}", long(65)), &[(1, "<too long>"), (2, one)]);
        check(&format!("[{},{one},{}\n]", long(1 << 20), long(64)), &[(1, "<too long>"), (1, one), (1, &long(64))]);
        check(&format!("{{\"a\":\"{}\n{one}", "x".repeat(1 << 20)), &[(1, "<too long>"), (2, one)]);
        check(&format!("{}\n{one}", "y".repeat(1 << 20)), &[(1, "<too long>"), (2, one)]);
    }
}
