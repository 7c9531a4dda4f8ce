//! Turns an address into a route: the path without what identifies a record or a person.
//!
//! ```text
//! https://crm.example.org/leads/42?tab=notes#top   ─▶   /leads/:id
//! /cart;jsessionid=0A1B2C3D4E5F6071                ─▶   /cart
//! /%C3%BCber-uns                                   ─▶   /über-uns
//! ```
//!
//! Scheme, host, path parameters, query and fragment are removed, and percent-encoding is decoded. A segment that looks
//! like an identifier becomes `:id`.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::percent;

/// Longest route, in bytes. A longer one is cut at a segment and ends in `…`.
pub const ROUTE_BYTES_MAX: usize = 512;

/// Replaces a segment that is an identifier.
pub const PLACEHOLDER: &str = ":id";

/// Longest segment, in characters.
const SEGMENT_CHARACTERS_MAX: usize = 96;

/// The route of an address. The template of a template is itself.
///
/// Percent-encoding is decoded, and text is brought into Unicode's form NFC: a page has one route, however its address
/// is written. `%2F`, `%3F`, `%23`, control characters and bytes that are not UTF-8 stay encoded. A segment loses its
/// path parameters (`;jsessionid=…`, and all else from the first `;`) and the spaces at its ends. An empty segment, and
/// one that is a session of ASP.NET (`(S(…))`), is removed.
///
/// A segment is an identifier if, decoded, it is
/// - a number (`42`, `-1`, `3.14`, `42,43`), in the digits of any script,
/// - a date or time (`2024-05-17`, `2024-05`, `20240517T1005`),
/// - a UUID, with or without dashes,
/// - 8 or more hexadecimal digits of which at least one is 0–9 (`deadbeef` stays, `deadbee1` goes),
/// - an e-mail address (an `@` within),
/// - a random token: 16 or more of `[A-Za-z0-9_-]`, before a `=` or `%` if there is one, with at least two digits.
///   Letters and digits alternate at least four times, or a part without dashes changes from lower to upper case at
///   least three times,
/// - a word with 5 or more digits in it (`INV0012345`, `user-123456`),
/// - longer than 96 characters, or encoded more than four times.
///
/// ```
/// use netcrab_sources::route::template;
///
/// assert_eq!(template("https://crm.example.org/leads/42?tab=notes#top"), "/leads/:id");
/// assert_eq!(template("/leads/new;jsessionid=0A1B2C3D"), "/leads/new");
/// assert_eq!(template("/%C3%BCber-uns"), "/über-uns");
/// ```
pub fn template(address: &str) -> Cow<'_, str> {
    let path = path_of(address);
    if path.is_empty() {
        return Cow::Borrowed("/");
    }
    let stays = path.starts_with('/') && path.len() <= ROUTE_BYTES_MAX && path[1..].split('/').all(is_plain);
    if stays { Cow::Borrowed(path) } else { Cow::Owned(rebuild(path)) }
}

/// The address of an event that states only its screen: `/` and the screen.
pub(crate) fn of_screen(screen: &str) -> String {
    format!("/{}", screen.trim_start_matches('/'))
}

fn path_of(address: &str) -> &str {
    let address = address.trim();
    let path = match address.split_once("://") {
        Some((scheme, rest))
            if !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) =>
        {
            rest.find(['/', '?', '#']).map_or("", |slash| &rest[slash..])
        }
        _ => address,
    };
    // A hash route of a single-page application, `/#/leads/42`, is a path itself.
    let path = path
        .strip_prefix("/#/")
        .or_else(|| path.strip_prefix("#/"))
        .map_or(path, |_| &path[path.find("#/").map_or(0, |at| at + 1)..]);
    let path = path[..path.find(['?', '#']).unwrap_or(path.len())].trim_start();
    // Trim slashes and spaces together: trimming one after the other would need a second pass.
    path.trim_end_matches(|end: char| end == '/' || end.is_whitespace())
}

fn rebuild(path: &str) -> String {
    let mut route = String::with_capacity(path.len().min(ROUTE_BYTES_MAX) + 1);
    for segment in path.split('/').filter_map(segment) {
        if route.len() + 1 + segment.len() > ROUTE_BYTES_MAX - "/…".len() {
            route.push_str("/…");
            break;
        }
        route.push('/');
        route.push_str(&segment);
    }
    if route.is_empty() {
        route.push('/');
    }
    route
}

/// Whether [`segment`] would leave a segment as it is. It may do so too where this is `false`.
fn is_plain(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    !bytes.is_empty()
        && bytes.is_ascii()
        && !bytes.iter().any(|b| b"%;(".contains(b))
        && segment.trim().len() == bytes.len()
        && !identifies(segment)
}

/// A segment as it stands in a route; `None` if it is removed.
fn segment(raw: &str) -> Option<Cow<'_, str>> {
    let decoded = percent::decoded(raw);
    let composed = match is_nfc_quick(decoded.text.chars()) {
        IsNormalized::Yes => decoded.text,
        // Composing before cutting: U+037E becomes a semicolon.
        _ => Cow::Owned(decoded.text.nfc().collect()),
    };
    let text = composed[..composed.find(';').unwrap_or(composed.len())].trim();
    if text.is_empty() || is_session(text) {
        return None;
    }
    if !decoded.whole || identifies(text) {
        return Some(Cow::Borrowed(PLACEHOLDER));
    }
    Some(if text == raw { Cow::Borrowed(raw) } else { Cow::Owned(text.to_owned()) })
}

/// Whether a segment is a session that ASP.NET puts into paths: `(S(lit3py55t21z5v55vlm25s55))`.
fn is_session(segment: &str) -> bool {
    let opens = ["(S(", "(A(", "(F(", "(X("].iter().any(|opening| segment.starts_with(opening));
    opens && segment.ends_with("))")
}

/// Whether a decoded segment stands for a record, a person or an instant.
fn identifies(segment: &str) -> bool {
    let judged = in_digits(segment);
    let bytes = judged.as_bytes();
    if bytes.len() > SEGMENT_CHARACTERS_MAX && judged.chars().count() > SEGMENT_CHARACTERS_MAX {
        return true;
    }
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    bytes.contains(&b'@')
        || (digits > 0 && (number_or_date(bytes) || hexadecimal(bytes) || digits >= 5 || random(bytes, digits)))
}

/// The segment with the digits of any script as 0–9, and with a letter or sign for each escape: the digits of an escape
/// are none of the segment's.
fn in_digits(segment: &str) -> Cow<'_, str> {
    if segment.is_ascii() && !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let mut judged = String::with_capacity(segment.len());
    let mut rest = segment.chars();
    while let Some(c) = rest.next() {
        let tail = rest.as_str().as_bytes();
        let escaped = (c == '%').then(|| percent::hexadecimal(*tail.first()?, *tail.get(1)?)).flatten();
        match (c, escaped) {
            (_, Some(byte)) => {
                judged.push(if byte.is_ascii() { char::from(byte) } else { 'ÿ' });
                rest.nth(1);
            }
            (c, None) if !c.is_ascii() && c.is_numeric() => judged.push('0'),
            (c, None) => judged.push(c),
        }
    }
    Cow::Owned(judged)
}

fn number_or_date(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| b.is_ascii_digit() || b"-.,:+TZ_/".contains(b))
}

fn hexadecimal(bytes: &[u8]) -> bool {
    let hex = bytes.iter().filter(|b| b.is_ascii_hexdigit()).count();
    hex >= 8 && bytes.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-') && (hex == bytes.len() || hex == 32)
}

fn random(bytes: &[u8], digits: usize) -> bool {
    let token = bytes.iter().position(|b| *b == b'=' || *b == b'%').map_or(bytes, |end| &bytes[..end]);
    if token.len() < 16 || digits < 2 || !token.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-') {
        return false;
    }
    let changes = |class: fn(&u8) -> u8| token.windows(2).filter(|pair| class(&pair[0]) != class(&pair[1])).count();
    let kind = |b: &u8| if b.is_ascii_digit() { 1 } else { 0 };
    let mixed_case = token.split(|b| *b == b'-' || *b == b'_').any(|part| {
        part.windows(2).filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count() >= 3
    });
    changes(kind) >= 4 || mixed_case
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, route: &str) {
        assert_eq!(template(address), route, "{address}");
        assert_eq!(template(route), route, "{route} again");
    }

    #[test]
    fn scheme_host_query_and_fragment_go() {
        check("https://crm.example.org/leads/42?x=1#top", "/leads/:id");
        check("https://crm.example.org", "/");
        check("https://crm.example.org?x=1", "/");
        check("/leads?next=/a/b", "/leads");
        check("", "/");
        check("leads/new", "/leads/new");
        check("//leads//new/", "/leads/new");
        check("/#/leads/42?x", "/leads/:id");
        check("/go?to=https://example.org/x", "/go");
    }

    /// Found by fuzzing: `/a /` became `/a `, which became `/a`.
    #[test]
    fn spaces_and_slashes_at_the_end_go_at_once() {
        check("/a /", "/a");
        check("/a/ / ?x", "/a");
        check("https:/leads/new \0\0 /", "/https:/leads/new \0\0");
        check("/leads/42 /", "/leads/:id");
        check(" / ", "/");
    }

    #[test]
    fn numbers_and_dates_identify_words_with_few_digits_do_not() {
        check("/leads/42", "/leads/:id");
        check("/v2/leads", "/v2/leads");
        check("/reports/2024-05-17", "/reports/:id");
        check("/reports/2024/05", "/reports/:id/:id");
        check("/step-3/page2", "/step-3/page2");
        check("/sku-1234", "/sku-1234");
        check("/sku-12345", "/:id");
    }

    #[test]
    fn eight_hexadecimal_digits_identify_when_one_is_a_figure() {
        check("/c/deadbee1", "/c/:id");
        check("/c/deadbeef", "/c/deadbeef");
        check("/c/deadbe1", "/c/deadbe1");
        check("/u/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/u/:id");
        check("/u/3F2504E04F8911D39A0C0305E82C3301", "/u/:id");
    }

    #[test]
    fn tokens_identify_and_slugs_do_not() {
        check("/t/V1StGXR8_Z5jdHi6B-myT", "/t/:id");
        check("/t/dGhpcyBpc0EgdG9rZW4x2Q==", "/t/:id");
        check("/blog/top-10-crm-tips-for-sales", "/blog/top-10-crm-tips-for-sales");
        check("/blog/logstash-monitorama-2013", "/blog/logstash-monitorama-2013");
        check("/settings/internationalization", "/settings/internationalization");
    }

    #[test]
    fn an_address_of_a_person_identifies() {
        check("/u/ann@example.org", "/u/:id");
        check("/u/ann%40example.org", "/u/:id");
    }

    #[test]
    fn a_route_is_bounded() {
        let long = format!("/{}", vec!["a"; 5000].join("/"));
        let route = template(&long).into_owned();
        assert!(route.len() <= ROUTE_BYTES_MAX && route.ends_with("/…"), "{}", route.len());
        assert_eq!(template(&route), route);
        check(&format!("/{}", "a".repeat(96)), &format!("/{}", "a".repeat(96)));
        check(&format!("/{}", "a".repeat(97)), "/:id");
    }

    #[test]
    fn path_parameters_go_and_no_session_stays() {
        for id in ["0A1B2C3D4E5F60718293A4B5C6D7E8F9", "OIQBZASDTBSSDKJH", "Q7XWVUTSRPONMLKJ.node1", "abc!1!2", ""] {
            check(&format!("/home;jsessionid={id}"), "/home");
            check(&format!("/cart;jsessionid={id}?step=2"), "/cart");
            check(&format!("/shop;v=1.1/cart;JSESSIONID={id};x=y/"), "/shop/cart");
            check(&format!("/home%3Bjsessionid%3D{id}"), "/home");
            check(&format!("/;jsessionid={id}"), "/");
            check(&format!("/a/;sid={id}/b"), "/a/b");
        }
        check("/cart;0A1B2C3D4E5F60718293A4B5C6D7E8F9", "/cart");
        check("/leads/42;tab=notes", "/leads/:id");
        check("/home;", "/home");
        check("/home\u{37e}jsessionid=abc", "/home");
        check("/(S(lit3py55t21z5v55vlm25s55))/orders.aspx", "/orders.aspx");
        check("/(S(abcdefghijklmnopqrstuvwx))/orders.aspx", "/orders.aspx");
        check("/f(x)/(S)", "/f(x)/(S)");
    }

    #[test]
    fn a_page_is_a_page_in_every_language() {
        for (encoded, route) in [
            ("/%D9%85%D8%AD%D8%B5%D9%88%D9%84%D8%A7%D8%AA", "/محصولات"),
            ("/%D8%AA%D9%85%D8%A7%D8%B3", "/تماس"),
            ("/%D0%BE-%D0%BA%D0%BE%D0%BC%D0%BF%D0%B0%D0%BD%D0%B8%D0%B8", "/о-компании"),
            ("/%d0%be-%d0%ba%d0%be%d0%bc%d0%bf%d0%b0%d0%bd%d0%b8%d0%b8", "/о-компании"),
            ("/%E4%BA%A7%E5%93%81", "/产品"),
            ("/%E8%A3%BD%E5%93%81%E6%83%85%E5%A0%B1", "/製品情報"),
            ("/%C3%BCber-uns", "/über-uns"),
            ("/u%CC%88ber-uns", "/über-uns"),
            ("/u\u{308}ber-uns", "/über-uns"),
            ("/%25C3%25BCber-uns", "/über-uns"),
            ("/%E3%83%96%E3%83%AD%E3%82%B0/page2", "/ブログ/page2"),
            ("/%D9%85%DB%8C%E2%80%8C%D8%AE%D9%88%D8%A7%D9%87%D9%85", "/می\u{200c}خواهم"),
            ("/about%20us", "/about us"),
            ("/%20about+us%20", "/about+us"),
            ("/50%25-off", "/50%-off"),
            ("/a%2Fb%3Fc", "/a%2Fb%3Fc"),
            ("/%63ontacts", "/contacts"),
            ("/🦀", "/🦀"),
        ] {
            check(encoded, route);
        }
        let title = "как-".repeat(24);
        check(&format!("/{title}"), &format!("/{title}"));
        check(&format!("/{title}x"), "/:id");
    }

    #[test]
    fn bytes_of_another_charset_stay_and_their_escapes_are_no_digits() {
        check("/caf%e9", "/caf%E9");
        check("/%EA%EE%ED%F2%E0%EA%F2%FB", "/%EA%EE%ED%F2%E0%EA%F2%FB");
        check("/%81%40", "/:id");
        check("/%zz%", "/%zz%");
        check("/%ED%A0%80/42", "/%ED%A0%80/:id");
    }

    #[test]
    fn what_identifies_does_so_however_it_is_written() {
        check("/leads/%34%32", "/leads/:id");
        check("/leads/%2534%2532", "/leads/:id");
        check("/articles/%DB%B1%DB%B2", "/articles/:id");
        check("/第3章", "/第3章");
        check("/2024年5月17日", "/:id");
        check("/%7B3f2504e0-4f89-11d3-9a0c-0305e82c3301%7D", "/:id");
        check("/заказ-12345", "/:id");
        check("/заказ-1234", "/заказ-1234");
        check("/12%2F34", "/:id");
        check("/u/ann%2540example%252Eorg", "/u/:id");
        check("/u/ann%252525252540example.org", "/u/:id");
    }

    /// What a fuzzer looks for: decoding, composing, cutting and trimming in one pass must leave nothing for a second.
    #[test]
    fn the_template_of_a_template_is_itself() {
        for address in
            ["/a%20/b%20", "/%", "/%25%34%31", "/a%3B", "/a%C2%A0/", "/%20;x/%09", "/=%CC%B8", "/%%20", "/%2"]
        {
            let once = template(address).into_owned();
            assert_eq!(template(&once), once, "{address}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_template_of_any_template_is_itself(address in "(/|%|[0-9A-F]{2}|;|=|\\PC| |a){0,40}") {
            let once = template(&address).into_owned();
            proptest::prop_assert_eq!(template(&once), once.clone());
        }
    }
}
