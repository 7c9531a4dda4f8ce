//! Splits a line of the combined log format into its fields.
//!
//! ```text
//! 1.2.3.4 - ann [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 512 "https://…" "Mozilla/5.0 …"
//! remote_addr    time                         method path        status bytes referer  user_agent
//! ```
//!
//! The format is `combined` of Apache and nginx. `-` means absent. Mappings cannot use the fields identity and user,
//! because they name people.

use std::borrow::Cow;

/// The fields that a mapping may name, in the order of [`fields`].
pub(crate) const FIELDS: [&str; 8] =
    ["remote_addr", "time", "method", "path", "status", "bytes", "referer", "user_agent"];

/// The fields of a line; `None` if it is not in the combined format.
pub(crate) fn fields(line: &str) -> Option<[Option<Cow<'_, str>>; 8]> {
    let (remote_addr, rest) = line.split_once(' ')?;
    let (_identity, rest) = rest.split_once(' ')?;
    // A user name may have spaces, so the time begins at the first bracket after it.
    let (_user, rest) = rest.split_once(" [")?;
    let (time, rest) = rest.split_once("] \"")?;
    let (request, rest) = quoted(rest)?;
    let (status, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
    let (bytes, rest) = rest.split_once(" \"")?;
    let (referer, rest) = quoted(rest)?;
    let (user_agent, rest) = quoted(rest.strip_prefix(" \"")?)?;
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let whole = remote_addr.len() <= 255 && status.len() == 3 && numeric(status) && (bytes == "-" || numeric(bytes));
    // Additional fields at the end (durations, hosts) are ignored.
    if !whole || !(rest.is_empty() || rest.starts_with(' ')) {
        return None;
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next(), words.next());
    let owned = |text: &str| absent(text).map(|text| Cow::Owned(text.into_owned()));
    Some([
        absent(remote_addr),
        absent(time),
        method.filter(|_| path.is_some()).and_then(owned),
        path.and_then(owned),
        absent(status),
        absent(bytes),
        Some(referer).filter(|text| *text != "-" && !text.is_empty()),
        Some(user_agent).filter(|text| *text != "-" && !text.is_empty()),
    ])
}

fn absent(text: &str) -> Option<Cow<'_, str>> {
    Some(text).filter(|text| *text != "-" && !text.is_empty()).map(Cow::Borrowed)
}

/// Splits at the closing quote; a backslash escapes.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut escaped = false;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            break;
        }
        escaped = true;
        at += 2;
    }
    let inner = &text[..at];
    let inner =
        if escaped { Cow::Owned(inner.replace("\\\"", "\"").replace("\\\\", "\\")) } else { Cow::Borrowed(inner) };
    Some((inner, &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"1.2.3.4 - ann [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 404 - "-" "Mozilla \"x\" 5""#;

    #[test]
    fn a_combined_line_has_eight_fields() {
        let fields = fields(LINE).unwrap().map(|field| field.map(Cow::into_owned));
        let expected = [
            Some("1.2.3.4"),
            Some("17/May/2015:10:05:03 +0000"),
            Some("GET"),
            Some("/a?b"),
            Some("404"),
            None,
            None,
            Some("Mozilla \"x\" 5"),
        ];
        assert_eq!(fields.each_ref().map(Option::as_deref), expected);
    }

    #[test]
    fn a_line_cut_short_is_none() {
        assert!((0..LINE.len()).all(|length| fields(&LINE[..length]).is_none()));
        assert!(fields(&format!("{LINE} 0.123")).is_some());
        assert!(fields(&format!("{LINE}x")).is_none());
        assert!(fields("\\").is_none());
    }
}
