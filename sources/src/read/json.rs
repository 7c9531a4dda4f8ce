//! Takes the values that a mapping names out of a foreign JSON object.
//!
//! ```text
//! {"user":{"id":7},"agent":["x"],"n":12345678901234567890123}
//! user.id · agent · n   ─▶   7 · x · 12345678901234567890123
//! ```
//!
//! Of the keys that fit, the longest counts: `a.b` is the key `a.b`, or else the key `b` of the object `a`. An array of
//! one element is that element; `a.0` is the first of several. Numbers keep their digits. Nothing else of the object is
//! decoded.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed as _, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::seen::SeenKeys;
use crate::extra::TextSeed;
use crate::reject::{Fault, Reason};

/// Deepest nesting of arrays of one element.
const DEPTH_MAX: usize = 8;

/// Longest exponent of a number that is written out, in digits.
const EXPONENT_MAX: usize = 40;

/// A value as the object has it.
#[derive(Debug, Clone, PartialEq)]
enum Found<'a> {
    Absent,
    Scalar(Cow<'a, str>),
    /// An object, or an array of several elements.
    Nested,
}

/// A column that is looked for: its index, and what is left of its name.
type Wanted<'n> = (usize, &'n str);

/// The values of `columns`, in order. `seen` learns which of them the object has.
pub(crate) fn values<'a>(
    text: &'a str,
    columns: &[String],
    seen: &mut SeenKeys,
) -> Result<Vec<Option<Cow<'a, str>>>, Fault> {
    if !text.trim_start().starts_with('{') {
        let json = serde_json::from_str::<&RawValue>(text).is_ok();
        return Err(Fault::line(if json { Reason::NotAnObject } else { Reason::NotJson }));
    }
    let wanted: Vec<Wanted<'_>> = columns.iter().map(String::as_str).enumerate().collect();
    let mut found: Vec<Option<Found<'a>>> = vec![None; columns.len()];
    object_values(text, &wanted, &mut found, 0, "", seen).map_err(|_| Fault::line(Reason::NotJson))?;
    seen.row();
    let mut values = Vec::with_capacity(columns.len());
    for (at, found) in found.into_iter().enumerate() {
        values.push(match found {
            Some(Found::Nested) => return Err(Fault::field(Reason::NestedValue, columns[at].clone())),
            Some(Found::Scalar(text)) => Some(text),
            Some(Found::Absent) | None => None,
        });
    }
    Ok(values)
}

/// Finds the wanted columns in an object. `path` is where it stands, for the names that `seen` keeps.
fn object_values<'a>(
    text: &'a str,
    wanted: &[Wanted<'_>],
    found: &mut [Option<Found<'a>>],
    depth: usize,
    path: &str,
    seen: &mut SeenKeys,
) -> serde_json::Result<()> {
    let mut members = Members { wanted, matched: Vec::new(), path, seen: &mut *seen };
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(&mut members)?;
    json.end()?;
    let mut matched = members.matched;
    // The longest key counts, and of equal ones the last.
    matched.sort_by_key(|(length, ..)| std::cmp::Reverse(*length));
    let mut taken: Vec<(usize, usize)> = Vec::new();
    for (length, (column, rest), raw) in matched {
        if found[column].is_some() && taken.iter().all(|(of, with)| *of != column || *with != length) {
            continue;
        }
        let inner = if seen.keeps_names() { path_to(path, wanted, column, length) } else { String::new() };
        let value = value_at(raw.get(), (column, rest), depth, &inner, seen)?;
        if value.is_some() {
            found[column] = value;
            taken.push((column, length));
        }
    }
    Ok(())
}

/// The path of the key of that length of a wanted column.
fn path_to(path: &str, wanted: &[Wanted<'_>], column: usize, length: usize) -> String {
    let name = wanted.iter().find(|(of, _)| *of == column).map_or("", |(_, name)| name);
    let key = name.get(..length).unwrap_or(name);
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The value of a column in a value; `None` if it has no such key.
fn value_at<'a>(
    raw: &'a str,
    (column, rest): Wanted<'_>,
    depth: usize,
    path: &str,
    seen: &mut SeenKeys,
) -> serde_json::Result<Option<Found<'a>>> {
    if depth > DEPTH_MAX {
        return Ok(Some(Found::Nested));
    }
    match (raw.as_bytes().first(), rest.is_empty()) {
        (Some(b'['), _) => element(raw, (column, rest), depth, path, seen),
        (_, true) => {
            seen.saw(column);
            scalar(raw).map(Some)
        }
        (Some(b'{'), false) => {
            let mut found = vec![None; column + 1];
            object_values(raw, &[(column, rest)], &mut found, depth + 1, path, seen)?;
            Ok(found.pop().flatten())
        }
        (_, false) => Ok(None),
    }
}

/// The value of a column in an array: in the element that the name gives, or in the only one.
fn element<'a>(
    raw: &'a str,
    (column, rest): Wanted<'_>,
    depth: usize,
    path: &str,
    seen: &mut SeenKeys,
) -> serde_json::Result<Option<Found<'a>>> {
    let (first, after) = rest.split_once('.').unwrap_or((rest, ""));
    let index: Option<usize> = first.parse().ok();
    let mut elements = Elements { index: index.unwrap_or_default(), found: None, count: 0 };
    serde_json::Deserializer::from_str(raw).deserialize_seq(&mut elements)?;
    let rest = if index.is_some() { after } else { rest };
    match (elements.found, elements.count, index) {
        (Some(element), _, Some(_)) | (Some(element), 1, None) => {
            value_at(element.get(), (column, rest), depth + 1, path, seen)
        }
        (None, ..) => {
            seen.saw(column);
            Ok(Some(Found::Absent))
        }
        _ => {
            seen.saw(column);
            Ok(Some(Found::Nested))
        }
    }
}

fn scalar(raw: &str) -> serde_json::Result<Found<'_>> {
    Ok(match raw.as_bytes().first() {
        Some(b'"') => Found::Scalar(TextSeed.deserialize(&mut serde_json::Deserializer::from_str(raw))?),
        Some(b'{') if raw.bytes().all(|byte| b"{} \t\r\n".contains(&byte)) => Found::Absent,
        Some(b'{') => Found::Nested,
        Some(b'n') => Found::Absent,
        Some(b't' | b'f') => Found::Scalar(Cow::Borrowed(raw)),
        _ => Found::Scalar(plain_number(raw)),
    })
}

/// A number without exponent, with the same value: `1.5e3` is `1500`. One with a long exponent stays as it is.
fn plain_number(number: &str) -> Cow<'_, str> {
    let written_out = || {
        let (mantissa, exponent) = number.split_once(['e', 'E'])?;
        let exponent: isize = exponent.parse().ok()?;
        if exponent.unsigned_abs() > EXPONENT_MAX {
            return None;
        }
        let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let zeros = "0".repeat(EXPONENT_MAX);
        let digits = format!("{zeros}{whole}{fraction}{zeros}");
        let point = EXPONENT_MAX.checked_add(whole.len())?.checked_add_signed(exponent)?;
        let (whole, fraction) = digits.split_at_checked(point)?;
        let whole = Some(whole.trim_start_matches('0')).filter(|whole| !whole.is_empty()).unwrap_or("0");
        let fraction = fraction.trim_end_matches('0');
        Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
    };
    written_out().map_or(Cow::Borrowed(number), Cow::Owned)
}

/// Collects the members of an object whose keys begin a wanted name.
struct Members<'a, 'n, 's> {
    wanted: &'n [Wanted<'n>],
    /// Length of the key, what is left of the name after it, and the value.
    matched: Vec<(usize, Wanted<'n>, &'a RawValue)>,
    path: &'n str,
    seen: &'s mut SeenKeys,
}

impl<'a> Visitor<'a> for &mut Members<'a, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(TextSeed)? {
            let value: &RawValue = map.next_value()?;
            self.seen.name(self.path, &key);
            for (column, name) in self.wanted {
                match name.strip_prefix(&*key) {
                    Some("") => self.matched.push((key.len(), (*column, ""), value)),
                    Some(rest) if rest.starts_with('.') => {
                        self.matched.push((key.len(), (*column, &rest[1..]), value));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Counts the elements of an array and keeps one.
struct Elements<'a> {
    index: usize,
    found: Option<&'a RawValue>,
    count: usize,
}

impl<'a> Visitor<'a> for &mut Elements<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&RawValue>()? {
            if self.count == self.index {
                self.found = Some(element);
            }
            self.count += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, column: &str, expected: Result<Option<&str>, Reason>) {
        let columns = [column.to_owned()];
        let found = values(text, &columns, &mut SeenKeys::new(1));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found[0].as_deref(), expected, "{column} of {text}"),
            (Err(fault), Err(reason)) => assert_eq!(fault.reason, reason, "{column} of {text}"),
            (found, expected) => panic!("{column} of {text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_longest_key_counts() {
        check(r#"{"a":{"b":1},"a.b":2}"#, "a.b", Ok(Some("2")));
        check(r#"{"a.b":2,"a":{"b":1}}"#, "a.b", Ok(Some("2")));
        check(r#"{"a":{"b.c":1},"a.b":{"d":2}}"#, "a.b.c", Ok(Some("1")));
        check(r#"{"a":1,"a":2}"#, "a", Ok(Some("2")));
        check(r#"{"a":{"b":{"c":"x"}}}"#, "a.b.c", Ok(Some("x")));
        check(r#"{"a":"x"}"#, "a.b", Ok(None));
        check(r#"{"ab":1}"#, "a", Ok(None));
    }

    #[test]
    fn an_array_of_one_element_is_that_element() {
        check(r#"{"a":["x"]}"#, "a", Ok(Some("x")));
        check(r#"{"a":[["x"]]}"#, "a", Ok(Some("x")));
        check(r#"{"a":{"User-Agent":["x"]}}"#, "a.User-Agent", Ok(Some("x")));
        check(r#"{"a":[{"b":7}]}"#, "a.b", Ok(Some("7")));
        check(r#"{"a":[]}"#, "a", Ok(None));
        check(r#"{"a":[null]}"#, "a", Ok(None));
        check(r#"{"a":["x","y"]}"#, "a", Err(Reason::NestedValue));
        check(r#"{"a":[{"b":7},{"b":8}]}"#, "a.b", Err(Reason::NestedValue));
        check(r#"{"a":["x","y"]}"#, "a.1", Ok(Some("y")));
        check(r#"{"a":[{"b":7},{"b":8}]}"#, "a.1.b", Ok(Some("8")));
        check(r#"{"a":["x","y"]}"#, "a.2", Ok(None));
        check(&format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100)), "a", Err(Reason::NestedValue));
    }

    #[test]
    fn an_object_is_no_value() {
        check(r#"{"a":{"b":1}}"#, "a", Err(Reason::NestedValue));
        check(r#"{"a":{ }}"#, "a", Ok(None));
        check(r#"{"a":null}"#, "a", Ok(None));
        check("[]", "a", Err(Reason::NotAnObject));
        check(r#"{"a":1"#, "a", Err(Reason::NotJson));
    }

    #[test]
    fn numbers_keep_their_digits() {
        for (number, expected) in [
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("-9223372036854775809", "-9223372036854775809"),
            ("9007199254740993", "9007199254740993"),
            ("1.10", "1.10"),
            ("0.1234567890123456789", "0.1234567890123456789"),
            ("1.794477600125e9", "1794477600.125"),
            ("1E3", "1000"),
            ("-5e-3", "-0.005"),
            ("0e0", "0"),
            ("1e400", "1e400"),
        ] {
            check(&format!("{{\"a\":{number}}}"), "a", Ok(Some(expected)));
        }
        check(r#"{"a":true}"#, "a", Ok(Some("true")));
        check(r#"{"a":"\u00e4\u0000"}"#, "a", Ok(Some("ä\0")));
    }

    fn check_seen(optional: &[&str], rows: &[&str], expected: &str) {
        let columns = ["session".to_owned(), "user.id".to_owned()];
        let optional = optional.iter().map(|name| (*name).to_owned()).collect();
        let mut seen = SeenKeys::new(columns.len());
        for row in rows {
            let mut of_file = SeenKeys::new(columns.len());
            values(row, &columns, &mut of_file).unwrap();
            seen.add(&of_file);
        }
        let privacy = crate::privacy::Privacy::new(&crate::privacy::PrivacySettings::default());
        let found =
            seen.check(&columns, &optional, &privacy).map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(found, expected);
    }

    #[test]
    fn a_key_that_no_row_has_is_an_error_with_the_nearest_name() {
        check_seen(&[], &[r#"{"session":1,"user":{"id":1}}"#], "");
        check_seen(&[], &[r#"{"session":null}"#, r#"{"user":{"id":[]}}"#], "");
        check_seen(&[], &[], "");
        check_seen(
            &[],
            &[r#"{"sesion":1,"user":{"id":1}}"#],
            "mapping: no row of the source has `session`; nearest is `sesion`; correct the mapping, or list `session` in `optional` if rows may lack it",
        );
        check_seen(
            &[],
            &[r#"{"session":1,"user":{"ID":1}}"#],
            "mapping: no row of the source has `user.id`; nearest is `user.ID`; correct the mapping, or list `user.id` in `optional` if rows may lack it",
        );
        check_seen(&["user.id"], &[r#"{"session":1}"#], "");
        check_seen(&["session", "user.id"], &["{}"], "");
    }

    #[test]
    fn a_name_that_is_personal_data_is_not_repeated() {
        check_seen(
            &[],
            &[r#"{"session@example.org":1,"user":{"id":1}}"#],
            "mapping: no row of the source has `session`; correct the mapping, or list `session` in `optional` if rows may lack it",
        );
    }
}
