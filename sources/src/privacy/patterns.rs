//! Recognizes personal data by its shape: e-mail addresses, JWTs, card numbers.

use memchr::memmem::Finder;

/// Whether the text has a JWT: three base64url parts, of which the first opens a JSON object (RFC 7519).
pub(super) fn holds_jwt(finder: &Finder<'static>, bytes: &[u8]) -> bool {
    let in_part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-';
    finder.find_iter(bytes).any(|at| {
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

/// Whether the text has `local@domain.tld`; the `@` may be written as `%40`.
pub(super) fn holds_email(bytes: &[u8]) -> bool {
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

/// Whether the text has a card number: 13 to 19 digits, separated by single spaces or dashes at most, that a card
/// scheme may have issued.
pub(super) fn holds_card_number(bytes: &[u8]) -> bool {
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

/// Prefixes and lengths of Visa, Mastercard, Amex, Diners, JCB, Discover, UnionPay and Maestro.
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

/// The check digit of Luhn, ISO/IEC 7812-1 annex B.
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
