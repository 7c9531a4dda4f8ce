//! Turns an address into a route: the path without what identifies a record or a person.
//!
//! ```text
//! https://crm.example.org/leads/42?tab=notes#top   ─▶   /leads/:id
//! ```
//!
//! Scheme, host, query and fragment are removed. A segment that looks like an identifier becomes `:id`.

use std::borrow::Cow;

/// Longest route, in bytes. A longer one is cut at a segment and ends in `…`.
pub const ROUTE_BYTES_MAX: usize = 512;

/// Replaces a segment that is an identifier.
pub const PLACEHOLDER: &str = ":id";

/// The route of an address. The template of a template is itself.
///
/// A segment is an identifier if it is
/// - a number (`42`, `-1`, `3.14`, `42,43`),
/// - a date or time (`2024-05-17`, `2024-05`, `20240517T1005`),
/// - a UUID, with or without dashes,
/// - 8 or more hexadecimal digits of which at least one is 0–9 (`deadbeef` stays, `deadbee1` goes),
/// - an e-mail address (an `@` or `%40` within),
/// - a random token: 16 or more of `[A-Za-z0-9_-]`, before a `=` or `%` if there is one, with at least two digits.
///   Letters and digits alternate at least four times, or a part without dashes changes from lower to upper case at
///   least three times,
/// - a word with 5 or more digits in it (`INV0012345`, `user-123456`),
/// - longer than 96 bytes.
///
/// ```
/// use netcrab_sources::route::template;
///
/// assert_eq!(template("https://crm.example.org/leads/42?tab=notes#top"), "/leads/:id");
/// assert_eq!(template("/leads/new"), "/leads/new");
/// ```
pub fn template(address: &str) -> Cow<'_, str> {
    let path = path_of(address);
    if path.is_empty() {
        return Cow::Borrowed("/");
    }
    let stays = path.starts_with('/')
        && path.len() <= ROUTE_BYTES_MAX
        && !path.contains("//")
        && !path.split('/').any(identifies);
    if stays { Cow::Borrowed(path) } else { Cow::Owned(rebuild(path)) }
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
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let segment = if identifies(segment) { PLACEHOLDER } else { segment };
        if route.len() + 1 + segment.len() > ROUTE_BYTES_MAX - "/…".len() {
            route.push_str("/…");
            break;
        }
        route.push('/');
        route.push_str(segment);
    }
    if route.is_empty() {
        route.push('/');
    }
    route
}

/// Whether a segment of a path stands for a record, a person or an instant.
pub fn identifies(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    if bytes.len() > 96 {
        return true;
    }
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let holds_at = bytes.contains(&b'@') || segment.contains("%40");
    holds_at || (digits > 0 && (number_or_date(bytes) || hexadecimal(bytes) || digits >= 5 || random(bytes, digits)))
}

fn number_or_date(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| b.is_ascii_digit() || b"-.,:+TZ_".contains(b))
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
}
