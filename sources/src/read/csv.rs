//! Splits comma-separated values into records and fields (RFC 4180).
//!
//! ```text
//! a,"b ""x"", c",d   ─▶   a · b "x", c · d
//! ```
//!
//! A quote opens a quoted field only at the beginning of the field. A record may span lines.

use std::borrow::Cow;

/// The index of the line end that ends the first record of `bytes`.
pub(crate) fn record_end(bytes: &[u8], delimiter: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        if bytes.get(at) == Some(&b'"') {
            at = quoted_end(bytes, at)?;
        }
        at += memchr::memchr2(delimiter, b'\n', &bytes[at..])?;
        if bytes[at] == b'\n' {
            return Some(at);
        }
        at += 1;
    }
}

/// The index after the quote that closes the one at `at`.
fn quoted_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += 1 + memchr::memchr(b'"', &bytes[at + 1..])?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at + 1);
        }
        at += 1;
    }
}

/// The fields of a record; borrowed if they have no doubled quotes.
pub(crate) fn fields<'a>(record: &'a str, delimiter: u8, fields: &mut Vec<Cow<'a, str>>) {
    fields.clear();
    let bytes = record.as_bytes();
    let mut start = 0;
    loop {
        let after_quotes = match bytes.get(start) {
            Some(b'"') => quoted_end(bytes, start).unwrap_or(bytes.len()),
            _ => start,
        };
        let end = memchr::memchr(delimiter, &bytes[after_quotes..]).map_or(bytes.len(), |length| after_quotes + length);
        fields.push(unquote(&record[start..end]));
        if end == bytes.len() {
            return;
        }
        start = end + 1;
    }
}

fn unquote(field: &str) -> Cow<'_, str> {
    let Some(inner) = field.strip_prefix('"').and_then(|field| field.trim_end().strip_suffix('"')) else {
        return Cow::Borrowed(field);
    };
    if inner.contains('"') { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_delimiters_line_ends_and_quotes() {
        let text = "a,\"b \"\"x\"\",\nc\",\"\"\nnext";
        let end = record_end(text.as_bytes(), b',').unwrap();
        let mut found = Vec::new();
        fields(&text[..end], b',', &mut found);
        assert_eq!(found, ["a", "b \"x\",\nc", ""]);
    }

    #[test]
    fn a_quote_within_a_field_is_a_character() {
        let text = "5\" disk;x\n";
        assert_eq!(record_end(text.as_bytes(), b';'), Some(9));
        let mut found = Vec::new();
        fields(&text[..9], b';', &mut found);
        assert_eq!(found, ["5\" disk", "x"]);
    }

    #[test]
    fn a_quote_that_never_closes_has_no_end() {
        assert_eq!(record_end(b"a,\"b\nc\nd\n", b','), None);
        let mut found = Vec::new();
        fields("a,\"b", b',', &mut found);
        assert_eq!(found, ["a", "\"b"]);
    }
}
