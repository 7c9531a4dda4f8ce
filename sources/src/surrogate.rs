//! Replaces escapes of half a character in JSON, which JavaScript writes where a text was cut within an emoji.
//!
//! ```text
//! "Save \ud83d"   ─▶   "Save \ufffd"      "\ud83d\ude00" and "\\ud83d" stay
//! ```

use std::borrow::Cow;

use memchr::memchr;

/// The same JSON, with `\ufffd` for each surrogate without its other half. The length stays the same.
pub(crate) fn mended(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(distance) = memchr(b'\\', &bytes[at..]) {
        at += distance;
        match escape(bytes, at) {
            Some(0xd800..=0xdbff) if matches!(escape(bytes, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                mended.get_or_insert_with(|| bytes.to_vec())[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            _ => at = (at + 2).min(bytes.len()),
        }
    }
    match mended.map(String::from_utf8) {
        Some(Ok(mended)) => Cow::Owned(mended),
        _ => Cow::Borrowed(json),
    }
}

/// The code unit that the escape at `at` stands for: `\u` and four hexadecimal digits.
fn escape(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_becomes_the_replacement_character_and_nothing_else_changes() {
        for (json, expected) in [
            (r#""Save \ud83d""#, r#""Save \ufffd""#),
            (r#""\uDE00 x""#, r#""\ufffd x""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#""\ud83dé\ud83d""#, r#""\ufffdé\ufffd""#),
        ] {
            assert_eq!(mended(json), expected, "{json}");
            assert!(serde_json::from_str::<String>(expected).is_ok());
        }
        for json in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\ud83""#, r#""\u0000\\""#, r"\", "", r#""\ud83g""#] {
            assert!(matches!(mended(json), Cow::Borrowed(same) if same == json), "{json}");
        }
    }
}
