//! Splits a line of an access log into its fields.
//!
//! ```text
//! shop.test:443 1.2.3.4 - ann [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 512 "https://…" "Mozilla/5.0 …" 0.1
//! vhost         remote_addr    time                         method path        status bytes referer  user_agent
//! ```
//!
//! The formats are `common`, `combined` and `vhost_combined` of Apache and nginx, with or without additional fields at
//! the end, and W3C extended (`w3c_log.rs`). `-` means absent. Mappings cannot use the fields identity and user, because
//! they name people.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::percent;

/// The fields that a mapping may name, in the order of [`Fields`].
pub(crate) const FIELDS: [&str; 9] =
    ["remote_addr", "time", "method", "path", "status", "bytes", "referer", "user_agent", "vhost"];

/// The place of `method` in [`FIELDS`]; a line whose request is none has no method.
pub(crate) const METHOD: usize = 2;

/// The fields of a line.
pub(crate) type Fields<'a> = [Option<Cow<'a, str>>; FIELDS.len()];

/// Longest host, address and method, in bytes.
const HOST_BYTES_MAX: usize = 255;
const METHOD_BYTES_MAX: usize = 32;

/// The fields of a line; `None` if it is in none of the formats.
///
/// A line that ends after the bytes is a line of the common format: it has no referer and no agent.
pub(crate) fn fields(line: &str) -> Option<Fields<'_>> {
    let (head, rest) = line.split_once(" [")?;
    let (time, rest) = rest.split_once(']')?;
    let (between, rest) = rest.strip_prefix(' ')?.split_once('"')?;
    let (request, rest) = quoted(rest)?;
    let (status, rest) = word(rest.strip_prefix(' ')?);
    let (bytes, rest) = word(rest.strip_prefix(' ')?);
    let [referer, user_agent] = visitor(rest)?;
    let (vhost, remote_addr) = client(head)?;
    let whole = [vhost.unwrap_or_default(), remote_addr, between].iter().all(|host| host.len() <= HOST_BYTES_MAX);
    if !whole || !numeric(status, 3..=3) || !numeric(bytes, 1..=20) {
        return None;
    }
    let (method, path) = request_of(&request).unzip();
    // Some servers write the host after the time.
    let vhost = vhost.or_else(|| Some(between.trim()).filter(|host| !host.is_empty() && !host.contains(' ')));
    Some([
        absent(remote_addr),
        absent(time),
        method.map(Cow::Owned),
        path.map(Cow::Owned),
        absent(status),
        absent(bytes),
        referer.filter(|text| stated(text)),
        user_agent.filter(|text| stated(text)),
        vhost.map(without_port).and_then(absent),
    ])
}

/// A host without its port: `shop.test` of `shop.test:443`.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if numeric(port, 1..=5) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    }
}

pub(super) fn stated(text: &str) -> bool {
    text != "-" && !text.is_empty()
}

fn absent(text: &str) -> Option<Cow<'_, str>> {
    Some(text).filter(|text| stated(text)).map(Cow::Borrowed)
}

/// Whether a text is `-` or a number of so many digits.
fn numeric(text: &str, digits: std::ops::RangeInclusive<usize>) -> bool {
    text == "-" || (digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))
}

/// The text up to a space, and the rest with it.
fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(' ').unwrap_or(text.len()))
}

/// Referer and agent: the first two quoted fields after the bytes, or neither. Times and sizes may come before them, and
/// anything after.
fn visitor(rest: &str) -> Option<[Option<Cow<'_, str>>; 2]> {
    let Some((before, quotes)) = rest.split_once('"') else {
        return (rest.is_empty() || rest.starts_with(' ')).then_some([None, None]);
    };
    if !before.starts_with(' ') || !before.ends_with(' ') {
        return None;
    }
    let (referer, rest) = quoted(quotes)?;
    let (user_agent, rest) = quoted(rest.strip_prefix(" \"")?)?;
    (rest.is_empty() || rest.starts_with(' ')).then_some([Some(referer), Some(user_agent)])
}

/// Virtual host and client of what stands before the time: `vhost client identity user`, of which the first may be
/// missing, and the user may have spaces.
///
/// The client is the last address. Before it may stand the clients that a proxy was told of (`203.0.113.5, 10.0.0.1`):
/// then the first of them is the client. An address alone is such a client if it is public and the next one is not;
/// otherwise it names the virtual host. Without any address, hosts have names, and the identity is `-`.
fn client(head: &str) -> Option<(Option<&str>, &str)> {
    let words: Vec<&str> = head.split(' ').filter(|word| !word.is_empty()).collect();
    // Identity and user follow the client where they are written: lighttpd has `client vhost user`.
    let last = |words: &[&str]| words.iter().rposition(|word| address(word).is_some());
    let Some(mut at) = last(&words[..words.len().saturating_sub(2)]).or_else(|| last(&words)) else {
        return named_client(&words);
    };
    let before = |at: usize| at.checked_sub(1).and_then(|before| Some((address(words[before])?, words[before])));
    if let (Some((client, word)), Some(here)) = (before(at), address(words[at])) {
        let listed = word.ends_with(',') || (at > 1 && words[at - 2].ends_with(','));
        let forwarded = word == client && is_public(client) && !is_public(here);
        at -= usize::from(listed || forwarded);
        while before(at).is_some_and(|(_, word)| word.ends_with(',')) {
            at -= 1;
        }
    }
    // More words than one are the prefix of syslog; a time is that of a container.
    let vhost = (at == 1 && words[0].parse::<jiff::Timestamp>().is_err()).then(|| words[0]);
    Some((vhost, address(words[at])?))
}

/// Virtual host and client by their places, for a log of names.
fn named_client<'a>(words: &[&'a str]) -> Option<(Option<&'a str>, &'a str)> {
    match words {
        [vhost, client, "-", _, ..] if *client != "-" => Some((Some(vhost), client)),
        [vhost, client, _, _, ..] if without_port(vhost) != *vhost => Some((Some(vhost), client)),
        [client, _, _, ..] => Some((None, client)),
        _ => None,
    }
}

/// The address of a word that is one, without the port and the comma that may follow it.
fn address(word: &str) -> Option<&str> {
    let word = word.trim_end_matches(',');
    let is_address = |text: &str| text.split('%').next().unwrap_or(text).parse::<IpAddr>().is_ok();
    if is_address(word) {
        return Some(word);
    }
    let host = without_port(word);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    is_address(host).then_some(host)
}

fn is_public(address: &str) -> bool {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => !v4.is_private() && !v4.is_loopback() && !v4.is_link_local(),
        Ok(IpAddr::V6(v6)) => !v6.is_unique_local() && !v6.is_loopback() && !v6.is_unicast_link_local(),
        Err(_) => false,
    }
}

/// Method, in upper case, and target of a request; `None` if it is no request. The target may have spaces.
fn request_of(request: &str) -> Option<(String, String)> {
    let (method, rest) = request.trim().split_once(' ')?;
    let rest = rest.trim();
    let is_protocol = |word: &str| word.len() > 5 && word[..5].eq_ignore_ascii_case("HTTP/");
    let (target, protocol) = match rest.rsplit_once(' ') {
        Some((target, protocol)) if protocol.is_char_boundary(5) && is_protocol(protocol) => (target.trim_end(), true),
        _ => (rest, false),
    };
    let named =
        method.len() <= METHOD_BYTES_MAX && method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-' || b == b'_');
    // A request without a protocol is one of HTTP/0.9, which asks for a path; other words are no request.
    let asks = protocol || target.starts_with('/');
    let only_protocol = target.is_char_boundary(5) && is_protocol(target);
    (named && asks && !target.is_empty() && !only_protocol).then(|| (method.to_ascii_uppercase(), target.to_owned()))
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
    let inner = if escaped { Cow::Owned(unescaped(inner.as_bytes())) } else { Cow::Borrowed(inner) };
    Some((inner, &text[at + 1..]))
}

/// Resolves what servers escape: `\"`, `\\`, `\t`, and `\xD0` for a byte. Bytes that are no text become `%D0`.
fn unescaped(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let (byte, length) = match (first, after) {
            (b'\\', [b'x', high, low, ..]) if percent::hexadecimal(*high, *low).is_some() => {
                (percent::hexadecimal(*high, *low).unwrap_or_default(), 4)
            }
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [quoted @ (b'"' | b'\\' | b'\''), ..]) => (*quoted, 2),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    percent::readable(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"1.2.3.4 - ann [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 404 - "-" "Mozilla \"x\" 5""#;

    /// The fields of a line, separated by ` | `; an absent one is `-`.
    fn check(line: &str, expected: &str) {
        let found = fields(line).map(|fields| fields.map(|field| field.unwrap_or("-".into()).into_owned()).join(" | "));
        assert_eq!(found.as_deref().unwrap_or("refused"), expected, "{line}");
    }

    fn from(head: &str) -> String {
        let line = format!(r#"{head} [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#);
        fields(&line).map_or("refused".to_owned(), |fields| {
            let field = |at: usize| fields[at].as_deref().unwrap_or("-").to_owned();
            format!("{} {}", field(8), field(0))
        })
    }

    fn request(text: &str) -> String {
        let line = format!(r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "{text}" 400 5 "-" "-""#);
        let fields = fields(&line).unwrap();
        format!("{} {}", fields[METHOD].as_deref().unwrap_or("-"), fields[3].as_deref().unwrap_or("-"))
    }

    #[test]
    fn a_combined_line_has_its_fields() {
        check(LINE, r#"1.2.3.4 | 17/May/2015:10:05:03 +0000 | GET | /a?b | 404 | - | - | Mozilla "x" 5 | -"#);
        check(
            r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5"#,
            "1.2.3.4 | 17/May/2015:10:05:03 +0000 | GET | / | 200 | 5 | - | - | -",
        );
    }

    #[test]
    fn fields_at_the_end_are_ignored() {
        for more in
            [" 0.123", r#" "203.0.113.9, 10.0.0.1" rt=0.1 uct="0.0""#, r#" "-" 0.1 0.1 .  "#, " 512 1843", " \"open"]
        {
            check(
                &format!(r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "http://a/" "A/1"{more}"#),
                "1.2.3.4 | 17/May/2015:10:05:03 +0000 | GET | / | 200 | 5 | http://a/ | A/1 | -",
            );
        }
        for more in ["", " 0.123", " 0.123 -"] {
            let line = format!(r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5{more}"#);
            check(&line, "1.2.3.4 | 17/May/2015:10:05:03 +0000 | GET | / | 200 | 5 | - | - | -");
        }
        let line = r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 0.2 "-" "A""#;
        check(line, "1.2.3.4 | 17/May/2015:10:05:03 +0000 | GET | / | 200 | 5 | - | A | -");
        check(&format!("{LINE}x"), "refused");
        check(r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "A/1""#, "refused");
        check(r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 20 5 "-" "-""#, "refused");
    }

    /// All but the one that is whole in the common format.
    #[test]
    fn a_line_cut_short_is_none() {
        let whole: Vec<usize> = (0..LINE.len()).filter(|length| fields(&LINE[..*length]).is_some()).collect();
        let bytes = LINE.find(" - \"-\"").unwrap() + 2;
        assert_eq!(whole, [bytes, bytes + 1]);
        assert!(fields("\\").is_none());
    }

    #[test]
    fn the_client_is_found_behind_a_virtual_host() {
        for (head, expected) in [
            ("198.51.100.7 - -", "- 198.51.100.7"),
            ("198.51.100.7 - ann lee", "- 198.51.100.7"),
            ("198.51.100.7", "- 198.51.100.7"),
            ("www.shop.test:443 198.51.100.7 - -", "www.shop.test 198.51.100.7"),
            ("www.shop.test 198.51.100.7 - ann lee", "www.shop.test 198.51.100.7"),
            ("www.shop.test:443 2001:db8::7 - -", "www.shop.test 2001:db8::7"),
            ("[2001:db8::1]:443 2001:db8::7 - -", "[2001:db8::1] 2001:db8::7"),
            ("192.0.2.80:443 198.51.100.7 - -", "192.0.2.80 198.51.100.7"),
            ("192.0.2.80 198.51.100.7 - -", "192.0.2.80 198.51.100.7"),
            ("- 198.51.100.7 - -", "- 198.51.100.7"),
            ("www.shop.test:443 client.example.org - -", "www.shop.test client.example.org"),
            ("www.shop.test client.example.org - ann", "www.shop.test client.example.org"),
            ("client.example.org - -", "- client.example.org"),
            ("client.example.org - ann lee", "- client.example.org"),
            ("198.51.100.7:51234 - -", "- 198.51.100.7"),
            ("[2001:db8::7]:51234 - -", "- 2001:db8::7"),
            ("203.0.113.5, 10.0.0.1 - -", "- 203.0.113.5"),
            ("203.0.113.5, 10.0.0.1 10.0.0.2 - -", "- 203.0.113.5"),
            ("203.0.113.5 10.0.0.2 - -", "- 203.0.113.5"),
            ("10.0.0.5 10.0.0.77 - -", "10.0.0.5 10.0.0.77"),
            ("Nov 12 10:00:00 web1 nginx: 198.51.100.7 - -", "- 198.51.100.7"),
            ("2026-11-12T10:00:00.123456789Z 198.51.100.7 - -", "- 198.51.100.7"),
            ("2026-11-12T10:00:00Z stdout F 198.51.100.7 - -", "- 198.51.100.7"),
            ("198.51.100.7 www.shop.test -", "- 198.51.100.7"),
            ("198.51.100.7 192.0.2.80 -", "- 198.51.100.7"),
            ("198.51.100.7 -", "- 198.51.100.7"),
            ("www.shop.test 198.51.100.7", "www.shop.test 198.51.100.7"),
            ("79a59df900b949e5 bucket", "refused"),
            ("", "refused"),
        ] {
            assert_eq!(from(head), expected, "{head}");
        }
        let line = r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] shop.test "GET / HTTP/1.1" 200 5 "-" "-""#;
        assert_eq!(fields(line).unwrap()[8].as_deref(), Some("shop.test"));
    }

    #[test]
    fn requests_have_spaces_schemes_and_escapes() {
        for (text, expected) in [
            ("GET /my file.pdf HTTP/1.1", "GET /my file.pdf"),
            ("GET /a  b HTTP/1.1", "GET /a  b"),
            ("GET /home", "GET /home"),
            ("get /home HTTP/1.1", "GET /home"),
            ("GET http://shop.test/home HTTP/1.1", "GET http://shop.test/home"),
            ("OPTIONS * HTTP/1.0", "OPTIONS *"),
            ("CONNECT mail.test:25 HTTP/1.1", "CONNECT mail.test:25"),
            ("PRI * HTTP/2.0", "PRI *"),
            ("M-SEARCH * HTTP/1.1", "M-SEARCH *"),
            (r#"GET /a\x22b\"c\\d HTTP/1.1"#, r#"GET /a"b"c\d"#),
            (r"GET /\xD0\xBA HTTP/1.1", "GET /к"),
            (r"GET /caf\xE9 HTTP/1.1", "GET /caf%E9"),
            (r"GET /\q\x4 HTTP/1.1", r"GET /\q\x4"),
            ("GET /caf%E9 HTTP/1.1", "GET /caf%E9"),
            ("-", "- -"),
            ("", "- -"),
            ("G", "- -"),
            ("GET", "- -"),
            ("GET HTTP/1.1", "- -"),
            (r"\x16\x03\x01\x00u\x01\x00\x00q", "- -"),
            (r"\x03\x00\x00/*\xE0\x00\x00\x00\x00\x00Cookie: mstshash=hello", "- -"),
            ("<SCRIPT>T</SCRIPT> / HTTP/1.1", "- -"),
            ("t3 12.2.1", "- -"),
            ("hello world", "- -"),
            ("ключ / HTTP/1.1", "- -"),
            ("GET ключключ", "- -"),
            (r"\n", "- -"),
        ] {
            assert_eq!(request(text), expected, "{text}");
        }
    }
}
