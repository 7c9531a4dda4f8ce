//! Refuses personal data: keys that name it, values that look like it.
//!
//! ```text
//! key    `userEmail`   words  user · email   denied by `email`
//! text   `write to ann@example.org please`   looks like an e-mail address
//! ```
//!
//! A value is refused by its shape alone, also where it is percent-encoded. No message repeats it.

mod patterns;
mod settings;

use hashbrown::HashSet;
use memchr::memmem::Finder;

use patterns::{holds_card_number, holds_email, holds_jwt};
pub use settings::{DENIED_KEYS, PrivacySettings};

use crate::percent;
use crate::reject::Reason;

/// The prepared checks.
#[derive(Debug, Clone)]
pub struct Privacy {
    /// Keys that are refused as a whole, their words joined.
    whole: HashSet<String>,
    /// Entries of several words. A key that contains them in a row is refused.
    phrases: Vec<Vec<String>>,
    /// Entries of one word. A key that contains it is refused.
    words: HashSet<String>,
    /// Finds where a JWT may begin.
    jwt: Finder<'static>,
    check_values: bool,
}

impl Privacy {
    /// Prepares the checks.
    pub fn new(settings: &PrivacySettings) -> Self {
        let mut checks = Self {
            whole: HashSet::new(),
            phrases: Vec::new(),
            words: HashSet::new(),
            jwt: Finder::new(b"eyJ"),
            check_values: settings.check_values,
        };
        for entry in &settings.denied_keys {
            let words = key_words(entry);
            checks.whole.insert(words.concat());
            match words.len() {
                _ if entry.starts_with('=') => {}
                0 => {}
                1 => checks.words.extend(words),
                _ => checks.phrases.push(words),
            }
        }
        checks.whole.remove("");
        checks
    }

    /// Whether the name of a key says that it holds personal data.
    pub fn denies_key(&self, key: &str) -> bool {
        let words = key_words(key);
        self.whole.contains(words.concat().as_str())
            || words.iter().any(|word| self.words.contains(word))
            || self.phrases.iter().any(|phrase| words.windows(phrase.len()).any(|window| window == phrase.as_slice()))
    }

    /// The reason why a free text is refused, if it is.
    pub fn text(&self, text: &str) -> Option<Reason> {
        if !self.check_values {
            return None;
        }
        let decoded = percent::decoded(text).text;
        let bytes = decoded.as_bytes();
        if holds_email(bytes) {
            return Some(Reason::Email);
        }
        if holds_jwt(&self.jwt, bytes) {
            return Some(Reason::Jwt);
        }
        holds_card_number(bytes).then_some(Reason::CardNumber)
    }

    /// The reason why a random id or a hash is refused, if it is. Digits alone do not make it a card number: one
    /// random number in ten passes Luhn's check.
    pub fn identifier(&self, text: &str) -> Option<Reason> {
        if !self.check_values {
            return None;
        }
        let decoded = percent::decoded(text).text;
        if holds_email(decoded.as_bytes()) {
            return Some(Reason::Email);
        }
        holds_jwt(&self.jwt, decoded.as_bytes()).then_some(Reason::Jwt)
    }

    /// Whether `bytes`, many texts in a row, may hold something that [`Self::identifier`] refuses. Adjacent texts may
    /// cause a false alarm, but never hide a true one.
    pub(crate) fn may_hold_identity(&self, bytes: &[u8]) -> bool {
        self.check_values && (memchr::memchr2(b'@', b'%', bytes).is_some() || self.jwt.find(bytes).is_some())
    }
}

/// `userEmail`, `user-email`, `USER_EMAIL` → user, email.
fn key_words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in key.chars() {
        let starts = c.is_uppercase() && after_lower;
        let splits = !c.is_alphanumeric();
        if (starts || splits) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        after_lower = c.is_lowercase() || c.is_numeric();
        if let (false, Some(word)) = (splits, words.last_mut()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn privacy() -> Privacy {
        Privacy::new(&PrivacySettings::default())
    }

    #[test]
    fn a_key_is_denied_by_its_words_not_by_its_letters() {
        for key in [
            "email",
            "userEmail",
            "user_e-mail",
            "Phone",
            "phone_number",
            "USER_PHONE",
            "name",
            "authToken",
            "firstName",
        ] {
            assert!(privacy().denies_key(key), "{key}");
        }
        for key in ["iphone", "screen_name", "smartphones", "ship", "emailed", "tokens", "", "__"] {
            assert!(!privacy().denies_key(key), "{key}");
        }
    }

    #[test]
    fn an_email_address_is_seen_anywhere_in_a_text() {
        for text in [
            "ann@example.org",
            "to: ann.b+c@mail.example.co.uk!",
            "/u/ann%40example.org/x",
            "/u/ann%2540example%2Eorg",
            "ann%40b%c3%bccher.de",
            "a@b.io",
            "ünal@exämple.de",
        ] {
            assert_eq!(privacy().text(text), Some(Reason::Email), "{text}");
        }
        for text in ["npm@1.2.3", "@handle", "ann@localhost", "50%", "a @ b.de", "100%40", "x@.de"] {
            assert_eq!(privacy().text(text), None, "{text}");
        }
    }

    #[test]
    fn a_card_number_passes_luhn_and_stands_alone() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111%201111%201111%201111",
            "card 5555-5555-5555-4444.",
            "378282246310005",
        ] {
            assert_eq!(privacy().text(text), Some(Reason::CardNumber), "{text}");
        }
        for text in [
            "4111111111111112",
            "a4111111111111111",
            "4111111111111111f",
            "1699999999999",
            "20240517100503126",
            "411111111111",
        ] {
            assert_eq!(privacy().text(text), None, "{text}");
        }
        assert_eq!(privacy().identifier("4111111111111111"), None);
    }

    #[test]
    fn a_jwt_has_three_parts() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
        assert_eq!(privacy().text(jwt), Some(Reason::Jwt));
        assert_eq!(privacy().identifier(&format!("Bearer {jwt}")), Some(Reason::Jwt));
        assert_eq!(privacy().text("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0"), None);
        assert_eq!(privacy().text("keyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"), None);
    }
}
