//! Refuses personal data: keys that name it, values that look like it.
//!
//!     key    `userEmail`   words  user · email   denied by `email`
//!     text   `write to ann@example.org please`   looks like an e-mail address
//!
//! A value is judged by its shape alone, and is never repeated in what is said about it.

use hashbrown::HashSet;
use memchr::memmem::Finder;
use serde::Deserialize;

use crate::reject::Reason;

/// PrivacySettings of the privacy checks; table `[sources.privacy]` of `netcrab.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrivacySettings {
    /// Keys that are refused at the top level, in `extra` and as columns. An entry refuses every key
    /// that contains its words (`phone` refuses `phone_number` and `userPhone`, not `iphone`); with `=`
    /// in front only the whole key (`=name` refuses `name`, not `screen_name`). Case and `_ - .` do not matter.
    pub denied_keys: Vec<String>,
    /// Whether values that look like an e-mail address, a card number or a JWT are refused. Default: true.
    pub check_values: bool,
}

/// The keys that are refused unless the settings say otherwise.
pub const DENIED_KEYS: &[&str] = &[
    "email",
    "mail",
    "=name",
    "=username",
    "user_name",
    "first_name",
    "firstname",
    "last_name",
    "lastname",
    "full_name",
    "fullname",
    "surname",
    "given_name",
    "family_name",
    "maiden_name",
    "phone",
    "phonenumber",
    "telephone",
    "mobile_number",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "pin_code",
    "token",
    "secret",
    "credential",
    "credentials",
    "jwt",
    "cookie",
    "authorization",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "ssn",
    "social_security",
    "national_id",
    "passport",
    "tax_id",
    "iban",
    "bic",
    "credit_card",
    "creditcard",
    "card_number",
    "cardnumber",
    "cvv",
    "cvc",
    "birth_date",
    "birthdate",
    "birthday",
    "date_of_birth",
    "dob",
    "street",
    "=address",
    "street_address",
    "home_address",
    "postal_address",
    "zip_code",
    "=ip",
    "ip_address",
    "remote_addr",
    "latitude",
    "longitude",
];

impl Default for PrivacySettings {
    fn default() -> Self {
        Self { denied_keys: DENIED_KEYS.iter().map(|key| (*key).to_owned()).collect(), check_values: true }
    }
}

/// The checks, ready to run.
#[derive(Debug, Clone)]
pub struct Privacy {
    /// Keys refused whole, their words joined.
    whole: HashSet<String>,
    /// Entries of several words, refused wherever these stand in a key.
    phrases: Vec<Vec<String>>,
    /// Entries of one word.
    words: HashSet<String>,
    /// Where a JWT may begin.
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

    /// Why a text of free content is refused, if it is.
    pub fn text(&self, text: &str) -> Option<Reason> {
        if !self.check_values {
            return None;
        }
        let bytes = text.as_bytes();
        if holds_email(bytes) {
            return Some(Reason::Email);
        }
        if self.holds_jwt(bytes) {
            return Some(Reason::Jwt);
        }
        holds_card_number(bytes).then_some(Reason::CardNumber)
    }

    /// Why a random id or a hash is refused, if it is. Digits alone are no sign of a card number here:
    /// one random number in ten passes Luhn's check.
    pub fn identifier(&self, text: &str) -> Option<Reason> {
        if !self.check_values {
            return None;
        }
        if holds_email(text.as_bytes()) {
            return Some(Reason::Email);
        }
        self.holds_jwt(text.as_bytes()).then_some(Reason::Jwt)
    }

    /// Whether `bytes`, many texts in a row, may hold something that [`Self::identifier`] refuses.
    /// Texts that touch may raise a false alarm, never hide one.
    pub(crate) fn may_hold_identity(&self, bytes: &[u8]) -> bool {
        self.check_values && (memchr::memchr2(b'@', b'%', bytes).is_some() || self.jwt.find(bytes).is_some())
    }
}

impl Privacy {
    /// Three base64url parts of which the first opens a JSON object.
    fn holds_jwt(&self, bytes: &[u8]) -> bool {
        let in_part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-';
        self.jwt.find_iter(bytes).any(|at| {
            if at > 0 && in_part(&bytes[at - 1]) {
                return false;
            }
            let mut rest = &bytes[at..];
            for least in [10, 4] {
                let length = rest.iter().position(|b| !in_part(b)).unwrap_or(rest.len());
                if length < least || rest.get(length) != Some(&b'.') {
                    return false;
                }
                rest = &rest[length + 1..];
            }
            true
        })
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

/// `local@domain.tld` anywhere, also with the `@` written as `%40`.
fn holds_email(bytes: &[u8]) -> bool {
    memchr::memchr2_iter(b'@', b'%', bytes).any(|at| {
        let after = match bytes[at] {
            b'@' => &bytes[at + 1..],
            _ => match bytes[at..].strip_prefix(b"%40") {
                Some(after) => after,
                None => return false,
            },
        };
        let local_ends = at > 0
            && (bytes[at - 1].is_ascii_alphanumeric() || b"_+-.".contains(&bytes[at - 1]) || bytes[at - 1] >= 0x80);
        local_ends && starts_with_domain(after)
    })
}

fn starts_with_domain(bytes: &[u8]) -> bool {
    let end = bytes
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || b"-.".contains(b) || *b >= 0x80))
        .unwrap_or(bytes.len());
    let mut labels = bytes[..end].split(|b| *b == b'.');
    if labels.next().is_none_or(<[u8]>::is_empty) {
        return false;
    }
    labels.any(|label| label.len() >= 2 && label.iter().all(|b| b.is_ascii_alphabetic() || *b >= 0x80))
}

/// 13 to 19 digits, apart by single spaces or dashes at most, that a card scheme could have issued.
fn holds_card_number(bytes: &[u8]) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        let mut digits = [0u8; 19];
        let mut count = 0;
        let mut end = at;
        while at < bytes.len() {
            match bytes[at] {
                digit @ b'0'..=b'9' => {
                    if count < digits.len() {
                        digits[count] = digit - b'0';
                    }
                    count += 1;
                    at += 1;
                    end = at;
                }
                b' ' | b'-' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => at += 1,
                _ => break,
            }
        }
        let stands_alone = (start == 0 || !bytes[start - 1].is_ascii_alphanumeric())
            && bytes.get(end).is_none_or(|b| !b.is_ascii_alphanumeric());
        if stands_alone && (13..=19).contains(&count) && issued(&digits[..count]) && luhn(&digits[..count]) {
            return true;
        }
    }
    false
}

/// Prefix and length that a card scheme uses: Visa, Mastercard, Amex, Diners, JCB, Discover, UnionPay, Maestro.
fn issued(digits: &[u8]) -> bool {
    let prefix = digits.iter().take(4).fold(0u32, |number, digit| number * 10 + u32::from(*digit));
    matches!(
        (prefix, digits.len()),
        (4000..=4999, 13 | 16 | 19)
            | (5100..=5599 | 2221..=2720, 16)
            | (3400..=3499 | 3700..=3799, 15)
            | (3000..=3099 | 3600..=3699 | 3800..=3999, 14 | 16)
            | (3500..=3599, 16..=19)
            | (5000..=5099 | 5600..=5899 | 6000..=6999, 13..=19)
    )
}

/// Luhn's check digit, ISO/IEC 7812-1 annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits.iter().rev().enumerate().map(|(place, digit)| weigh(place, u32::from(*digit))).sum();
    sum.is_multiple_of(10)
}

fn weigh(place: usize, digit: u32) -> u32 {
    match (place % 2, digit) {
        (0, digit) => digit,
        (_, 0..=4) => digit * 2,
        (_, digit) => digit * 2 - 9,
    }
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
        for text in ["4111111111111111", "4111 1111 1111 1111", "card 5555-5555-5555-4444.", "378282246310005"] {
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
