//! A position in JSON text, and the parsing steps of the fast decoder.
//!
//! Every step returns `None` at anything unusual, be it malformed or merely rare (an escape, an exponent). The serde
//! decoder then decodes the event instead. So a step may accept less than JSON allows, but never more.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::time;

/// Longest key that [`Cursor::key`] recognizes, in bytes.
pub(super) const KEY_BYTES_MAX: usize = 16;

/// A key of up to 16 bytes as one number, with its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    bytes: u128,
    length: u32,
}

impl Key {
    /// Equals no key of any text.
    pub(super) const NONE: Self = Self { bytes: 0, length: u32::MAX };

    /// The key of that name; longer ones are [`Self::NONE`].
    pub(super) fn of(name: &str) -> Self {
        if name.len() > KEY_BYTES_MAX {
            return Self::NONE;
        }
        let mut bytes = [0; KEY_BYTES_MAX];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Self { bytes: u128::from_le_bytes(bytes), length: name.len() as u32 }
    }
}

/// A number of few digits: `-12.50` is 1250 of scale 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) negative: bool,
    pub(super) digits: u64,
    /// How many of the digits follow the point; `None` without a point.
    pub(super) scale: Option<u32>,
}

impl Number {
    /// The exact nearest f64: up to 15 digits and a power of ten up to 10^15 are exact in an f64, and one division
    /// rounds once (Clinger, "How to Read Floating Point Numbers Accurately", 1990).
    pub(super) fn value(self) -> f64 {
        const POWERS: [f64; 16] =
            [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
        let magnitude = self.digits as f64 / POWERS[self.scale.unwrap_or(0) as usize];
        if self.negative { -magnitude } else { magnitude }
    }

    /// The value; `None` where it is written with a point.
    pub(super) fn whole(self) -> Option<i64> {
        self.scale.is_none().then(|| self.floor())
    }

    /// Rounded towards negative infinity.
    pub(super) fn floor(self) -> i64 {
        match self.scale {
            Some(_) => self.value().floor() as i64,
            None if self.negative => -(self.digits as i64),
            None => self.digits as i64,
        }
    }
}

/// A position in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The text from `start` to the position.
    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// The text after the position.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over `byte` if it is next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Steps over `word` if it is next.
    #[inline]
    pub(super) fn take_word(&mut self, word: &[u8]) -> Option<()> {
        self.text.as_bytes()[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over a key, its colon, and the space after it.
    #[inline]
    pub(super) fn key(&mut self) -> Option<Key> {
        self.take(b'"')?;
        let ahead = &self.text.as_bytes()[self.at..];
        let window = match ahead.first_chunk::<KEY_BYTES_MAX>() {
            Some(window) => u128::from_le_bytes(*window),
            None => {
                let mut window = [0; KEY_BYTES_MAX];
                window[..ahead.len()].copy_from_slice(ahead);
                u128::from_le_bytes(window)
            }
        };
        let (low, high) = (window as u64, (window >> 64) as u64);
        let (in_low, in_high) = (zero_bytes(low ^ QUOTES), zero_bytes(high ^ QUOTES));
        let length = match (in_low, in_high) {
            (0, 0) => KEY_BYTES_MAX as u32,
            (0, found) => 8 + found.trailing_zeros() / 8,
            (found, _) => found.trailing_zeros() / 8,
        };
        let bytes = if length == 16 { window } else { window & ((1 << (8 * length)) - 1) };
        self.at += length as usize;
        self.take(b'"')?;
        self.skip_space();
        self.take(b':')?;
        self.skip_space();
        Some(Key { bytes, length })
    }

    /// Steps over a string without escapes.
    #[inline]
    pub(super) fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(word) = bytes[self.at..].first_chunk::<8>() {
            let ends = ends_of_text(u64::from_le_bytes(*word));
            if ends != 0 {
                self.at += (ends.trailing_zeros() / 8) as usize;
                break;
            }
            self.at += 8;
        }
        // Fewer than eight bytes are left at the end of the text; otherwise this loop stops at once.
        while !matches!(self.peek()?, b'"' | b'\\' | 0..0x20) {
            self.at += 1;
        }
        let text = self.text.get(start..self.at);
        self.take(b'"')?;
        text
    }

    /// Steps over a number without exponent, of up to 15 digits (18 without a point).
    #[inline]
    pub(super) fn number(&mut self) -> Option<Number> {
        let negative = self.take(b'-').is_some();
        let start = self.at;
        let mut digits = 0;
        self.digits(&mut digits);
        let whole = self.at - start;
        let leading_zero = whole > 1 && self.text.as_bytes()[start] == b'0';
        if whole == 0 || whole > 18 || leading_zero {
            return None;
        }
        let mut scale = None;
        if self.take(b'.').is_some() {
            let start = self.at;
            self.digits(&mut digits);
            let fraction = self.at - start;
            if fraction == 0 || whole + fraction > 15 {
                return None;
            }
            scale = Some(fraction as u32);
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        (!exponent).then_some(Number { negative, digits, scale })
    }

    /// Steps over up to 19 digits.
    #[inline]
    fn digits(&mut self, digits: &mut u64) {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.at - start > 18 {
                return;
            }
            *digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
    }

    /// Steps over `true` or `false`.
    pub(super) fn boolean(&mut self) -> Option<bool> {
        let found = self.take_word(b"true").map(|()| true);
        found.or_else(|| self.take_word(b"false").map(|()| false))
    }

    /// Steps over an instant, a text or a number, and returns its ms.
    pub(super) fn instant(&mut self) -> Option<i64> {
        match self.peek()? {
            b'"' => time::parse(self.string()?).ok(),
            _ => self.number().map(|number| number.floor()),
        }
    }

    /// Steps over any JSON value, with the syntax check of serde, and returns its text.
    pub(super) fn skip_value(&mut self) -> Option<&'a str> {
        let mut json = serde_json::Deserializer::from_str(self.rest());
        let raw = <&RawValue>::deserialize(&mut json).ok()?.get();
        // The value is a part of the text, so its position follows from the space before it.
        let start = self.text.len() - self.rest().trim_start_matches([' ', '\n', '\t', '\r']).len();
        self.at = start + raw.len();
        Some(raw)
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;
const QUOTES: u64 = ONES * b'"' as u64;
const BACKSLASHES: u64 = ONES * b'\\' as u64;
const SPACES: u64 = ONES * b' ' as u64;

/// Sets the high bit of each byte that is zero. Bits above the first one may be false alarms (Mycroft).
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Sets the high bit of each byte that ends a plain text: quote, backslash, control character. Only the lowest such
/// bit is reliable.
#[inline]
fn ends_of_text(word: u64) -> u64 {
    zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES) | (word.wrapping_sub(SPACES) & !word & HIGHS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_at_its_quote_wherever_that_stands() {
        for length in 0..40 {
            let text = "x".repeat(length);
            for tail in ["", " ", ",\"y\":1}          "] {
                let json = format!("\"{text}\"{tail}");
                let mut cursor = Cursor::new(&json);
                assert_eq!(cursor.string(), Some(text.as_str()), "{json}");
                assert_eq!(cursor.rest(), tail);
            }
            for odd in ["\\n", "\n", "\0", "\u{1f}"] {
                let json = format!("\"{text}{odd}\",\"y\":1}}        ");
                assert_eq!(Cursor::new(&json).string(), None, "{json:?}");
            }
            let json = format!("\"{text}ä€\u{7f} 𝄞\"");
            assert_eq!(Cursor::new(&json).string(), Some(&json[1..json.len() - 1]));
            assert_eq!(Cursor::new(&json[..json.len() - 1]).string(), None, "no closing quote");
        }
    }

    #[test]
    fn keys_differ_in_bytes_and_in_length() {
        for name in ["", "a", "ts", "12345678", "123456789", "reactionObserved"] {
            let json = format!("\"{name}\" : 1");
            let mut cursor = Cursor::new(&json);
            assert_eq!(cursor.key(), Some(Key::of(name)), "{name}");
            assert_eq!(cursor.rest(), "1");
        }
        assert_ne!(Cursor::new("\"ts\0\":1").key(), Some(Key::of("ts")));
        assert_eq!(Cursor::new("\"reactionObserved2\":1").key(), None);
        assert_eq!(Cursor::new("\"ts\"1").key(), None);
    }

    #[test]
    fn numbers_are_the_same_as_those_of_the_standard_library() {
        for text in [
            "0",
            "-0",
            "12",
            "-12",
            "12.5",
            "0.1",
            "123456789012345",
            "999999999999999999",
            "0.00000000000001",
            "3.14159",
        ] {
            let mut cursor = Cursor::new(text);
            let number = cursor.number().map(Number::value);
            assert_eq!(number.map(f64::to_bits), text.parse().ok().map(f64::to_bits), "{text}");
            assert_eq!(cursor.rest(), "");
        }
        for text in
            ["", "-", "01", "-01", "1.", ".5", "1e3", "1.5E3", "+1", "1234567890123456789", "1234567890.123456", "NaN"]
        {
            assert_eq!(Cursor::new(text).number(), None, "{text}");
        }
    }

    #[test]
    fn a_value_is_stepped_over_whole_or_not_at_all() {
        for (text, value, rest) in [
            (" {\"a\":[1,{}]} ,x", "{\"a\":[1,{}]}", " ,x"),
            ("\"\\\"\"]", "\"\\\"\"", "]"),
            ("-1.5e9]", "-1.5e9", "]"),
        ] {
            let mut cursor = Cursor::new(text);
            assert_eq!((cursor.skip_value(), cursor.rest()), (Some(value), rest));
        }
        assert_eq!(Cursor::new("{\"a\":}").skip_value(), None);
    }
}
