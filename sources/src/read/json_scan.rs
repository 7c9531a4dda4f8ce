//! Finds where a JSON value ends, piece by piece, and where its text breaks the grammar.
//!
//! ```text
//! {"a":[1,{}]}{"b"…   ─▶  ends after 12 bytes
//! {"a":1,⏎{"b":2}     ─▶  broken at byte 8: a key must follow the comma
//! ```
//!
//! Numbers and words are not checked; whoever decodes the value does that.

use memchr::memchr2;

/// Deepest nesting of a value of several lines. Without a bound, lines that open one object each would all be scanned
/// again for each of them.
const DEPTH_MAX: usize = 127;

/// What is known about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// It ends before this byte.
    End(usize),
    /// This byte cannot stand where it stands.
    Broken(usize),
    /// It goes on after the bytes given.
    More,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Key,
    Text,
    Word,
}

/// Scans one value. It remembers how far it is, so that it can go on when there are more bytes.
#[derive(Debug)]
pub(crate) struct Scanner {
    at: usize,
    /// What is open, the innermost last; `true` for an object.
    open: Vec<bool>,
    /// The value goes on after the line on which it begins.
    several_lines: bool,
    expect: Expect,
    inside: Inside,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self { at: 0, open: Vec::new(), several_lines: false, expect: Expect::Value, inside: Inside::Nothing }
    }

    /// Whether the value ends if no more bytes come. Only a number or a word does.
    pub(crate) fn ends_with_the_stream(&self) -> bool {
        self.open.is_empty() && self.inside == Inside::Word
    }

    /// Forgets the bytes scanned so far; the next ones count from 0. Returns how many there were.
    pub(crate) fn forget(&mut self) -> usize {
        std::mem::take(&mut self.at)
    }

    /// Scans on. `bytes` begin where the value begins, or where [`Self::forget`] forgot.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Scan {
        while let Some(&byte) = bytes.get(self.at) {
            let step = match self.inside {
                Inside::Key | Inside::Text => self.text(bytes),
                Inside::Word => self.word(byte),
                Inside::Nothing => self.token(byte),
            };
            if let Some(step) = step {
                return step;
            }
        }
        Scan::More
    }

    /// Steps over a text up to and with its quote, as far as it is there.
    fn text(&mut self, bytes: &[u8]) -> Option<Scan> {
        let ahead = &bytes[self.at..];
        let plain = memchr2(b'"', b'\\', ahead).unwrap_or(ahead.len());
        if let Some(control) = ahead[..plain].iter().position(|byte| *byte < 0x20) {
            return Some(Scan::Broken(self.at + control));
        }
        match ahead.get(plain) {
            None => self.at += plain,
            Some(b'\\') if ahead.len() == plain + 1 => {
                // The escape goes on in the next piece.
                self.at += plain;
                return Some(Scan::More);
            }
            Some(b'\\') if ahead[plain + 1] < 0x20 => return Some(Scan::Broken(self.at + plain + 1)),
            Some(b'\\') => self.at += plain + 2,
            Some(_) => {
                self.at += plain + 1;
                let key = std::mem::replace(&mut self.inside, Inside::Nothing) == Inside::Key;
                if key {
                    self.expect = Expect::Colon;
                } else {
                    return self.value_ended();
                }
            }
        }
        None
    }

    fn word(&mut self, byte: u8) -> Option<Scan> {
        if byte.is_ascii_alphanumeric() || b"+-.".contains(&byte) {
            self.at += 1;
            return None;
        }
        self.inside = Inside::Nothing;
        self.value_ended()
    }

    fn token(&mut self, byte: u8) -> Option<Scan> {
        let value = matches!(self.expect, Expect::Value | Expect::ValueOrEnd);
        let key = matches!(self.expect, Expect::Key | Expect::KeyOrEnd);
        let (in_object, in_array) = (self.open.last() == Some(&true), self.open.last() == Some(&false));
        let too_deep = self.several_lines && self.open.len() >= DEPTH_MAX;
        match byte {
            b' ' | b'\t' | b'\r' => self.at += 1,
            b'\n' => (self.at, self.several_lines) = (self.at + 1, true),
            b'{' | b'[' if value && !too_deep => self.open(byte == b'{'),
            b'}' if in_object && matches!(self.expect, Expect::KeyOrEnd | Expect::CommaOrEnd) => return self.close(),
            b']' if in_array && matches!(self.expect, Expect::ValueOrEnd | Expect::CommaOrEnd) => return self.close(),
            b'"' if value || key => {
                self.inside = if key { Inside::Key } else { Inside::Text };
                self.at += 1;
            }
            b':' if self.expect == Expect::Colon => self.step(Expect::Value),
            b',' if self.expect == Expect::CommaOrEnd => {
                self.step(if in_object { Expect::Key } else { Expect::Value });
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' if value => self.inside = Inside::Word,
            _ => return Some(Scan::Broken(self.at)),
        }
        None
    }

    fn step(&mut self, expect: Expect) {
        self.at += 1;
        self.expect = expect;
    }

    fn open(&mut self, object: bool) {
        self.open.push(object);
        self.step(if object { Expect::KeyOrEnd } else { Expect::ValueOrEnd });
    }

    fn close(&mut self) -> Option<Scan> {
        self.at += 1;
        self.open.pop();
        self.value_ended()
    }

    fn value_ended(&mut self) -> Option<Scan> {
        self.expect = Expect::CommaOrEnd;
        self.open.is_empty().then_some(Scan::End(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same result, in whichever pieces the text comes.
    fn check(text: &str, expected: Scan) {
        assert_eq!(Scanner::new().scan(text.as_bytes()), expected, "{text}");
        let mut scanner = Scanner::new();
        let mut found = Scan::More;
        for end in 0..=text.len() {
            found = scanner.scan(&text.as_bytes()[..end]);
            if found != Scan::More {
                break;
            }
        }
        assert_eq!(found, expected, "{text} byte by byte");
    }

    #[test]
    fn a_value_ends_where_its_brackets_do() {
        check(r#"{"a":[1,{}]}{"b":1}"#, Scan::End(12));
        check(r#"{"a":"}\"{\\"} x"#, Scan::End(14));
        check("{\n \"a\" : null ,\r\n\"b\":[]\n}\n", Scan::End(25));
        check("[1, 2] ", Scan::End(6));
        check("12.5e3,", Scan::End(6));
        check("\"a\"", Scan::End(3));
        check("{\"a\":1", Scan::More);
        check("{\"a\":\"x\\", Scan::More);
    }

    #[test]
    fn text_that_is_no_json_is_broken_where_it_goes_wrong() {
        check("{\"a\":1,\n{\"b\":2}", Scan::Broken(8));
        check("{\"a\":1,}", Scan::Broken(7));
        check("[1,]", Scan::Broken(3));
        check("{\"a\":\"cut\n{", Scan::Broken(9));
        check("{\"a\" 1}", Scan::Broken(5));
        check("{a:1}", Scan::Broken(1));
        check("{\"a\":1 // x\n}", Scan::Broken(7));
        check("{]", Scan::Broken(1));
        check("}", Scan::Broken(0));
        check(&format!("[\n{}", "[".repeat(127)), Scan::Broken(128));
        check(&format!("[\n{}{}", "[".repeat(126), "]".repeat(127)), Scan::End(255));
        check(&format!("{}{}", "[".repeat(500), "]".repeat(500)), Scan::End(1000));
    }

    #[test]
    fn only_a_word_ends_with_the_stream() {
        for (text, ends) in [("12", true), ("{\"a\":1", false), ("\"a", false), ("", false)] {
            let mut scanner = Scanner::new();
            scanner.scan(text.as_bytes());
            assert_eq!(scanner.ends_with_the_stream(), ends, "{text}");
        }
    }
}
