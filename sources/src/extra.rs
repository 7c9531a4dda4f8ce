//! `extra`: whatever else the sender knows. It is flat, small and without personal data.
//!
//! ```text
//! {"plan": "pro", "n":1.50}   ─▶   {"n":1.5,"plan":"pro"}
//! ```
//!
//! The canonical text has keys sorted by bytes, no spaces, and numbers in their shortest form.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::privacy::Privacy;
use crate::reject::{Fault, Reason};

/// Longest `extra` as sent, in bytes.
pub const EXTRA_BYTES_MAX: usize = 4096;

/// Most keys of `extra`.
pub const EXTRA_KEYS_MAX: usize = 32;

/// Appends the canonical form of `text` to `out`. Fails with the first fault of the text.
pub(crate) fn canonical(text: &str, privacy: &Privacy, out: &mut String) -> Result<(), Fault> {
    if text.len() > EXTRA_BYTES_MAX {
        return Err(Fault::field(Reason::ExtraTooLong, "extra"));
    }
    let mut fault = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let scalars = ScalarsSeed { privacy, fault: &mut fault }
        .deserialize(&mut json)
        .and_then(|scalars| json.end().map(|()| scalars));
    match scalars {
        Ok(scalars) => {
            write(&scalars, out);
            Ok(())
        }
        Err(_) => Err(fault.unwrap_or_else(|| Fault::field(Reason::NotJson, "extra"))),
    }
}

/// A value of `extra`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// A whole number beyond 64 bits, as its digits.
    Digits(Cow<'a, str>),
    Text(Cow<'a, str>),
}

/// Appends the canonical text of an object; sorts the keys.
pub(crate) fn write(scalars: &[(Cow<'_, str>, Scalar<'_>)], out: &mut String) {
    let mut order: Vec<&(Cow<'_, str>, Scalar<'_>)> = scalars.iter().collect();
    order.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    out.push('{');
    for (place, (key, value)) in order.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        quote(key, out);
        out.push(':');
        write_scalar(value, out);
    }
    out.push('}');
}

/// Appends one value in its canonical form.
pub(crate) fn write_scalar(value: &Scalar<'_>, out: &mut String) {
    match value {
        Scalar::Null => out.push_str("null"),
        Scalar::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Scalar::Int(value) => out.push_str(&value.to_string()),
        Scalar::Uint(value) => out.push_str(&value.to_string()),
        Scalar::Float(value) => {
            out.push_str(&serde_json::Number::from_f64(*value).map_or("null".to_owned(), |n| n.to_string()))
        }
        Scalar::Digits(digits) => out.push_str(digits),
        Scalar::Text(value) => quote(value, out),
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => out.push_str(&format!("\\u{control:04x}")),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Deserializes the object of `extra`. On failure `fault` has the reason.
pub(crate) struct ScalarsSeed<'p, 'f> {
    pub(crate) privacy: &'p Privacy,
    pub(crate) fault: &'f mut Option<Fault>,
}

/// Keys and values in the order sent.
pub(crate) type Scalars<'de> = Vec<(Cow<'de, str>, Scalar<'de>)>;

impl<'de> DeserializeSeed<'de> for ScalarsSeed<'_, '_> {
    type Value = Scalars<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl ScalarsSeed<'_, '_> {
    fn refuse<E: serde::de::Error, T>(&mut self, fault: Fault) -> Result<T, E> {
        *self.fault = Some(fault);
        Err(E::custom("refused"))
    }
}

impl<'de> Visitor<'de> for ScalarsSeed<'_, '_> {
    type Value = Scalars<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of scalars")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut scalars = Scalars::new();
        while let Some(key) = map.next_key_seed(TextSeed)? {
            if scalars.len() == EXTRA_KEYS_MAX {
                return self.refuse(Fault::field(Reason::ExtraTooManyKeys, "extra"));
            }
            if self.privacy.denies_key(&key) {
                return self.refuse(Fault::field(Reason::DeniedKey, printable_key(&key, self.privacy)));
            }
            if let Some(reason) = self.privacy.text(&key) {
                return self.refuse(Fault::field(reason, "extra"));
            }
            if scalars.iter().any(|(other, _)| *other == key) {
                return self.refuse(Fault::field(Reason::DuplicateKey, printable_key(&key, self.privacy)));
            }
            let Some(value) = scalar(map.next_value()?).map_err(serde::de::Error::custom)? else {
                return self.refuse(Fault::field(Reason::ExtraNested, printable_key(&key, self.privacy)));
            };
            if let Some(reason) = personal_data_in(&value, self.privacy) {
                return self.refuse(Fault::field(reason, printable_key(&key, self.privacy)));
            }
            scalars.push((key, value));
        }
        Ok(scalars)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, _: A) -> Result<Self::Value, A::Error> {
        self.refuse(Fault::field(Reason::ExtraNested, "extra"))
    }

    fn visit_bool<E: serde::de::Error>(mut self, _: bool) -> Result<Self::Value, E> {
        self.refuse(Fault::field(Reason::WrongType, "extra"))
    }

    fn visit_i64<E: serde::de::Error>(mut self, _: i64) -> Result<Self::Value, E> {
        self.refuse(Fault::field(Reason::WrongType, "extra"))
    }

    fn visit_u64<E: serde::de::Error>(mut self, _: u64) -> Result<Self::Value, E> {
        self.refuse(Fault::field(Reason::WrongType, "extra"))
    }

    fn visit_f64<E: serde::de::Error>(mut self, _: f64) -> Result<Self::Value, E> {
        self.refuse(Fault::field(Reason::WrongType, "extra"))
    }

    fn visit_str<E: serde::de::Error>(mut self, _: &str) -> Result<Self::Value, E> {
        self.refuse(Fault::field(Reason::WrongType, "extra"))
    }
}

/// A value of `extra`; `None` for an object or array. No number changes: a whole one beyond 64 bits keeps its digits.
fn scalar(raw: &RawValue) -> serde_json::Result<Option<Scalar<'_>>> {
    let text = raw.get();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.len() > 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole && text.parse::<i64>().is_err() && text.parse::<u64>().is_err() {
        return Ok(Some(Scalar::Digits(Cow::Borrowed(text))));
    }
    ScalarSeed.deserialize(&mut serde_json::Deserializer::from_str(text))
}

/// Numbers are screened as text too, because a card number may be written as a number.
fn personal_data_in(value: &Scalar<'_>, privacy: &Privacy) -> Option<Reason> {
    match value {
        Scalar::Text(text) => privacy.text(text),
        Scalar::Uint(number) if *number > 999_999_999_999 => privacy.text(&number.to_string()),
        _ => None,
    }
}

/// The key as messages may repeat it: only if it is short, plain, and no personal data.
pub(crate) fn printable_key(key: &str, privacy: &Privacy) -> Cow<'static, str> {
    let plain = key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.$".contains(&b));
    if plain && privacy.text(key).is_none() { Cow::Owned(key.to_owned()) } else { Cow::Borrowed("(unprintable key)") }
}

/// A JSON string, borrowed where it has no escapes.
pub(crate) struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// A JSON scalar; `None` for an object or array, which is skipped.
pub(crate) struct ScalarSeed;

impl<'de> DeserializeSeed<'de> for ScalarSeed {
    type Value = Option<Scalar<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed {
    type Value = Option<Scalar<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some(Scalar::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Scalar::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(Scalar::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(Scalar::Uint(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(Scalar::Float(value)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Scalar::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Scalar::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, (Reason, &str)>) {
        let privacy = Privacy::new(&crate::privacy::PrivacySettings::default());
        let mut out = String::new();
        let found = canonical(text, &privacy, &mut out);
        match expected {
            Ok(canonical) => assert_eq!((found, out.as_str()), (Ok(()), canonical), "{text}"),
            Err((reason, field)) => assert_eq!(found, Err(Fault::field(reason, field.to_owned())), "{text}"),
        }
    }

    #[test]
    fn keys_are_sorted_and_spaces_go() {
        check(
            r#" { "b" : 1.50, "a": "x\n\u00e4" , "c":null,"d":true,"e":-3} "#,
            Ok(r#"{"a":"x\nä","b":1.5,"c":null,"d":true,"e":-3}"#),
        );
        check("{}", Ok("{}"));
        let digits = r#"{"a":123456789012345678901234567890,"b":-9223372036854775809,"c":18446744073709551615}"#;
        check(digits, Ok(digits));
    }

    #[test]
    fn nesting_repeats_and_personal_data_are_refused() {
        check(r#"{"a":{"b":1}}"#, Err((Reason::ExtraNested, "a")));
        check(r#"{"a":[1]}"#, Err((Reason::ExtraNested, "a")));
        check("[1]", Err((Reason::ExtraNested, "extra")));
        check("3", Err((Reason::WrongType, "extra")));
        check(r#"{"a":1,"a":2}"#, Err((Reason::DuplicateKey, "a")));
        check(r#"{"userEmail":1}"#, Err((Reason::DeniedKey, "userEmail")));
        check(r#"{"a":"ann@example.org"}"#, Err((Reason::Email, "a")));
        check(r#"{"a":4111111111111111}"#, Err((Reason::CardNumber, "a")));
        check(r#"{"a":1"#, Err((Reason::NotJson, "extra")));
        check(r#"{"a":1} x"#, Err((Reason::NotJson, "extra")));
    }

    #[test]
    fn four_kib_and_32_keys_are_the_border() {
        let keys = |n: usize| format!("{{{}}}", (0..n).map(|i| format!("\"k{i:02}\":1")).collect::<Vec<_>>().join(","));
        check(&keys(32), Ok(&keys(32)));
        check(&keys(33), Err((Reason::ExtraTooManyKeys, "extra")));
        let long = |n: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(n - 8));
        check(&long(4096), Ok(&long(4096)));
        check(&long(4097), Err((Reason::ExtraTooLong, "extra")));
    }
}
