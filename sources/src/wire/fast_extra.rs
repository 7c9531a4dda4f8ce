//! Decodes `extra` for the fast decoder.

use hashbrown::HashSet;

use super::cursor::Cursor;
use crate::extra::{EXTRA_BYTES_MAX, EXTRA_KEYS_MAX, Scalar, quote, write_scalar};
use crate::privacy::Privacy;

/// Most keys of `extra` remembered as harmless; with more, all are forgotten.
const HARMLESS_KEYS_MAX: usize = 1024;

/// Decodes `extra`, and remembers from batch to batch which keys are harmless.
#[derive(Debug, Default)]
pub(super) struct ExtraReader {
    /// Keys that are neither denied nor personal data.
    harmless: HashSet<Box<str>>,
    canonical: String,
}

/// A value of `extra`, close to its canonical form.
#[derive(Clone, Copy)]
pub(super) enum ExtraItem<'a> {
    Plain(&'a str),
    Text(&'a str),
    Float(f64),
    Instant(i64),
}

/// The members of `extra`. There is room for one more than a sender may send, the time as sent.
pub(super) struct ExtraItems<'a> {
    items: [(&'a str, ExtraItem<'a>); EXTRA_KEYS_MAX + 1],
    pub(super) length: usize,
}

impl ExtraReader {
    /// Decodes `extra`; no members if it is empty.
    pub(super) fn read<'a>(&mut self, cursor: &mut Cursor<'a>, privacy: &Privacy) -> Option<Option<ExtraItems<'a>>> {
        let start = cursor.at;
        let mut items = ExtraItems::new();
        cursor.take(b'{')?;
        cursor.skip_space();
        if cursor.take(b'}').is_some() {
            return Some(None);
        }
        loop {
            let key = cursor.string()?;
            if items.length == EXTRA_KEYS_MAX || items.has(key) || !self.harmless(key, privacy) {
                return None;
            }
            cursor.skip_space();
            cursor.take(b':')?;
            cursor.skip_space();
            items.set(key, item(cursor, privacy)?);
            cursor.skip_space();
            if cursor.take(b',').is_none() {
                break;
            }
            cursor.skip_space();
        }
        cursor.take(b'}')?;
        (cursor.at - start <= EXTRA_BYTES_MAX).then_some(Some(items))
    }

    /// Whether a key is neither denied nor personal data.
    fn harmless(&mut self, key: &str, privacy: &Privacy) -> bool {
        if self.harmless.contains(key) {
            return true;
        }
        if privacy.denies_key(key) || privacy.text(key).is_some() {
            return false;
        }
        if self.harmless.len() == HARMLESS_KEYS_MAX {
            self.harmless.clear();
        }
        self.harmless.insert(key.into());
        true
    }

    /// Writes the canonical form: keys sorted by bytes, no spaces, numbers in their shortest form.
    pub(super) fn write(&mut self, mut extra: ExtraItems<'_>) -> &str {
        let out = &mut self.canonical;
        out.clear();
        let items = &mut extra.items[..extra.length];
        items.sort_unstable_by_key(|(key, _)| key.as_bytes());
        for (place, (key, item)) in items.iter().enumerate() {
            out.push(if place == 0 { '{' } else { ',' });
            quote(key, out);
            out.push(':');
            match item {
                ExtraItem::Plain(text) => out.push_str(text),
                ExtraItem::Text(text) => quote(text, out),
                ExtraItem::Float(number) => write_scalar(&Scalar::Float(*number), out),
                ExtraItem::Instant(ms) => write_scalar(&Scalar::Int(*ms), out),
            }
        }
        out.push('}');
        out
    }
}

impl<'a> ExtraItems<'a> {
    pub(super) fn new() -> Self {
        Self { items: [("", ExtraItem::Plain("")); EXTRA_KEYS_MAX + 1], length: 0 }
    }

    fn has(&self, key: &str) -> bool {
        self.items[..self.length].iter().any(|(known, _)| *known == key)
    }

    /// Sets a member; replaces one with the same key.
    pub(super) fn set(&mut self, key: &'a str, item: ExtraItem<'a>) {
        let place = self.items[..self.length].iter().position(|(known, _)| *known == key).unwrap_or(self.length);
        self.items[place] = (key, item);
        self.length = self.length.max(place + 1);
    }
}

/// Steps over a value; `None` if it may be personal data.
fn item<'a>(cursor: &mut Cursor<'a>, privacy: &Privacy) -> Option<ExtraItem<'a>> {
    let start = cursor.at;
    match cursor.peek()? {
        b'"' => {
            let text = cursor.string()?;
            privacy.text(text).is_none().then_some(ExtraItem::Text(text))
        }
        b't' | b'f' => cursor.boolean().map(|_| ExtraItem::Plain(cursor.since(start))),
        b'n' => cursor.take_word(b"null").map(|()| ExtraItem::Plain("null")),
        _ => {
            let number = cursor.number()?;
            let text = cursor.since(start);
            match number.scale {
                Some(_) => Some(ExtraItem::Float(number.value())),
                // A long number may be a card number. A negative zero is not written as an integer.
                None if text.len() > 12 || text == "-0" => None,
                None => Some(ExtraItem::Plain(text)),
            }
        }
    }
}
