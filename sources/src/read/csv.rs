//! Splits comma-separated values into records and fields (RFC 4180).
//!
//! ```text
//! a,"b ""x"", c",d   ─▶   a · b "x", c · d
//! ```
//!
//! A quote opens a quoted field only at the beginning of the field, and the quote that closes it ends the field. A
//! record may span lines. One whose quotes or fields do not fit is taken for a quote that never closes: only its first
//! line is refused, and the next line begins a record.

use std::borrow::Cow;

use crate::reject::Reason;

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

/// The fields of a record of `width` fields; borrowed if they have no doubled quotes.
///
/// # Errors
///
/// Which rule the record breaks.
pub(crate) fn record<'a>(
    text: &'a str,
    delimiter: u8,
    width: usize,
    fields: &mut Vec<Cow<'a, str>>,
) -> Result<(), Reason> {
    if !split(text, delimiter, fields) {
        return Err(Reason::UnclosedQuote);
    }
    match fields.len() == width {
        true if text.contains('\n') && swallowed(text, delimiter, width) => Err(Reason::UnclosedQuote),
        true => Ok(()),
        false if text.contains('\n') => Err(Reason::UnclosedQuote),
        false => Err(Reason::WrongFieldCount),
    }
}

/// Splits a record; `false` if a quoted field goes on after its closing quote, or never closes. In a record of several
/// lines, a quote within an unquoted field says that quotes were paired wrongly.
pub(crate) fn split<'a>(record: &'a str, delimiter: u8, fields: &mut Vec<Cow<'a, str>>) -> bool {
    fields.clear();
    let bytes = record.as_bytes();
    let (mut start, several_lines) = (0, record.contains('\n'));
    loop {
        let after_quotes = match bytes.get(start) {
            Some(b'"') => match quoted_end(bytes, start) {
                Some(end) => end,
                None => return false,
            },
            _ => start,
        };
        let end = memchr::memchr(delimiter, &bytes[after_quotes..]).map_or(bytes.len(), |length| after_quotes + length);
        if after_quotes > start {
            if !bytes[after_quotes..end].iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                return false;
            }
            fields.push(unquoted(&record[start + 1..after_quotes - 1]));
        } else if several_lines && record[start..end].contains('"') {
            return false;
        } else {
            fields.push(Cow::Borrowed(&record[start..end]));
        }
        if end == bytes.len() {
            return true;
        }
        start = end + 1;
    }
}

fn unquoted(inner: &str) -> Cow<'_, str> {
    if inner.contains('"') { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) }
}

/// Whether the lines within a record are records themselves, which only a quote too many makes a part of another.
fn swallowed(text: &str, delimiter: u8, width: usize) -> bool {
    let lines: Vec<&str> = text.split('\n').collect();
    let Some(within) = lines.get(1..lines.len() - 1).filter(|within| !within.is_empty()) else { return false };
    width > 1
        && within.iter().all(|line| {
            let mut fields = Vec::new();
            split(line, delimiter, &mut fields) && fields.len() == width
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, delimiter: u8, width: usize, expected: Result<&[&str], Reason>) {
        let mut found = Vec::new();
        match (record(text, delimiter, width, &mut found), expected) {
            (Ok(()), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (found, expected) => assert_eq!(found.err(), expected.err(), "{text}"),
        }
    }

    #[test]
    fn quotes_hold_delimiters_line_ends_and_quotes() {
        let text = "a,\"b \"\"x\"\",\nc\",\"\"\nnext";
        let end = record_end(text.as_bytes(), b',').unwrap();
        check(&text[..end], b',', 3, Ok(&["a", "b \"x\",\nc", ""]));
        check("\"a\" ,b", b',', 2, Ok(&["a", "b"]));
        check("", b',', 1, Ok(&[""]));
        check("a\tb c\t", b'\t', 3, Ok(&["a", "b c", ""]));
    }

    #[test]
    fn a_quote_within_a_field_is_a_character() {
        let text = "5\" disk;x\n";
        assert_eq!(record_end(text.as_bytes(), b';'), Some(9));
        check(&text[..9], b';', 2, Ok(&["5\" disk", "x"]));
    }

    #[test]
    fn a_quote_that_never_closes_has_no_end() {
        assert_eq!(record_end(b"a,\"b\nc\nd\n", b','), None);
        check("a,\"b", b',', 2, Err(Reason::UnclosedQuote));
    }

    #[test]
    fn a_record_that_swallowed_others_is_refused() {
        check("a,\"b\nc,d\ne,\"f\"", b',', 2, Err(Reason::UnclosedQuote));
        check("a,\"b\nc,d\ne,f\"", b',', 2, Err(Reason::UnclosedQuote));
        check("a,\"b\nc\",d", b',', 2, Err(Reason::UnclosedQuote));
        check("a,\"b\"x", b',', 2, Err(Reason::UnclosedQuote));
        check("a,\"b\na,\",x\",c", b',', 4, Err(Reason::UnclosedQuote));
        check("a,b,c", b',', 2, Err(Reason::WrongFieldCount));
        check("a,\"b\nc\nd\"", b',', 2, Ok(&["a", "b\nc\nd"]));
        check("a,\"b\nc,d\"", b',', 2, Ok(&["a", "b\nc,d"]));
    }
}
