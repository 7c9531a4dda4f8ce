//! Percent-encoding: what an address means, and bytes that are no text.
//!
//! ```text
//! %D0%BE-%d0%ba   ─ decoded ─▶   о-к
//! a%252520b       ─ decoded ─▶   a b        encoded again and again
//! caf%e9%2F       ─ decoded ─▶   caf%E9%2F  no UTF-8, and a slash that is no separator
//! ```

use std::borrow::Cow;
use std::fmt::Write;

/// How often a text may be encoded. One that is encoded more often keeps what is left.
const ROUNDS_MAX: usize = 4;

/// The text without its escapes. An escape stays, in upper case, where it stands for a byte that is not UTF-8, for a
/// character that separates the parts of an address (`/ ? #`), or for one that cannot be seen. Decoding what is decoded
/// changes nothing.
pub(crate) fn decoded(text: &str) -> Decoded<'_> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..ROUNDS_MAX {
        match decode(&text) {
            Some(next) => text = Cow::Owned(next),
            None => return Decoded { text, whole: true },
        }
    }
    let whole = decode(&text).is_none();
    Decoded { text, whole }
}

/// What [`decoded`] found.
pub(crate) struct Decoded<'a> {
    /// The text.
    pub(crate) text: Cow<'a, str>,
    /// Whether nothing is left that could be decoded.
    pub(crate) whole: bool,
}

/// Decodes once; `None` if that changes nothing.
fn decode(text: &str) -> Option<String> {
    memchr::memchr(b'%', text.as_bytes())?;
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    let mut run = Vec::new();
    while let Some(at) = memchr::memchr(b'%', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        run.clear();
        while let Some(byte) = escape(rest.as_bytes()) {
            run.push(byte);
            rest = &rest[3..];
        }
        if run.is_empty() {
            out.push('%');
            rest = &rest[1..];
        }
        push(&run, &mut out, stays);
    }
    out.push_str(rest);
    (out != text).then_some(out)
}

/// The bytes as text. Bytes that are not UTF-8, and control characters, become escapes.
pub(crate) fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    push(bytes, &mut text, char::is_control);
    text
}

/// A line as text. Bytes that are not UTF-8 become escapes, as a browser would have sent them.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    push(bytes, &mut text, |_| false);
    Cow::Owned(text)
}

/// Appends bytes as text: as escapes where they are not UTF-8, or where `stays` holds.
fn push(bytes: &[u8], out: &mut String, stays: fn(char) -> bool) {
    let escaped = |bytes: &[u8], out: &mut String| {
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match stays(c) {
                true => escaped(c.encode_utf8(&mut [0; 4]).as_bytes(), out),
                false => out.push(c),
            }
        }
        escaped(chunk.invalid(), out);
    }
}

/// The byte of the escape at the beginning of a text.
pub(crate) fn escape(text: &[u8]) -> Option<u8> {
    match text {
        [b'%', high, low, ..] => hexadecimal(*high, *low),
        _ => None,
    }
}

/// The byte that two hexadecimal digits stand for.
pub(crate) fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? * 16 + digit(low)?)
}

/// Whether a character stays encoded.
fn stays(c: char) -> bool {
    // Not U+200C and U+200D, which Persian and Hindi words need.
    let unseen = matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c.is_control() || unseen || matches!(c, '/' | '?' | '#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_text_is_decoded_and_the_rest_stays() {
        for (text, expected) in [
            ("plain", "plain"),
            ("%d0%BE-%D0%ba", "о-к"),
            ("a%20b+c", "a b+c"),
            ("a%2Fb%3fc%23", "a%2Fb%3Fc%23"),
            ("caf%e9", "caf%E9"),
            ("%e9%D0%BE%ff", "%E9о%FF"),
            ("%D0", "%D0"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("100%2525", "100%"),
            ("%%34%31", "A"),
            ("a%00%0ab", "a%00%0Ab"),
            ("%E2%80%8Fa%E2%80%8Cb", "%E2%80%8Fa\u{200c}b"),
            ("%ED%A0%80", "%ED%A0%80"),
        ] {
            assert_eq!(decoded(text).text, expected, "{text}");
            assert_eq!(decoded(expected).text, expected, "{expected} again");
        }
        assert!(decoded("%25252541").whole);
        assert!(!decoded("%2525252541").whole);
    }

    #[test]
    fn bytes_are_readable() {
        assert_eq!(readable("/к".as_bytes()), "/к");
        assert_eq!(readable(b"/caf\xe9\x16"), "/caf%E9%16");
    }
}
