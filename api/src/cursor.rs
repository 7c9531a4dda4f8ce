//! Cursors: where the next page begins, opaque to the asker.
//!
//!     place of the last item + period ─▶ JSON ─▶ checksum with the question ─▶ hex
//!
//! A cursor names a place in an order without ties (a keyset), so rows that come or go between
//! pages neither repeat nor hide others. It carries the period too: a default that moves on
//! between two pages does not move the pages. The checksum covers route and parameters; it is
//! no secret and guards no data, for a cursor only says where to go on. What may be seen is
//! decided by the key, each time.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::period::Period;
use crate::problem::{Code, Problem};

const SEED: u64 = u64::from_le_bytes(*b"netcrab1");

/// What a cursor says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The period of the first page.
    pub period: Option<Period>,
    /// The place of the last item seen, in the list's own terms.
    pub place: serde_json::Value,
}

impl Cursor {
    /// The cursor as text, good for `question` only.
    pub(crate) fn seal(period: Option<Period>, place: impl Serialize, question: &str) -> Option<String> {
        let place = serde_json::to_value(place).ok()?;
        let mut sealed = serde_json::to_vec(&Self { period, place }).ok()?;
        let checksum = checksum(&sealed, question);
        sealed.extend_from_slice(&checksum);
        Some(to_hex(&sealed))
    }

    /// Reads what [`Cursor::seal`] wrote for the same question.
    pub(crate) fn open(text: &str, question: &str) -> Result<Self, Problem> {
        let sealed = from_hex(text).ok_or_else(refused)?;
        let (cursor, found) = sealed.split_last_chunk::<8>().ok_or_else(refused)?;
        if *found != checksum(cursor, question) {
            return Err(refused());
        }
        serde_json::from_slice(cursor).map_err(|_| refused())
    }

    /// The place, as the list that made it has it.
    pub(crate) fn place<P: DeserializeOwned>(&self) -> Result<P, Problem> {
        serde_json::from_value(self.place.clone()).map_err(|_| refused())
    }
}

/// The one answer to every cursor that is not ours, or not for this question.
pub(crate) fn refused() -> Problem {
    Problem::new(
        Code::InvalidCursor,
        "the cursor does not belong to this question",
        "use `nextCursor` as it came, with the same other parameters, or leave it out to begin again",
    )
}

fn checksum(cursor: &[u8], question: &str) -> [u8; 8] {
    let question = xxh3_64_with_seed(question.as_bytes(), SEED);
    xxh3_64_with_seed(cursor, question).to_le_bytes()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower-case hex, two digits a byte; anything else is `None`.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    rest.is_empty().then(|| bytes.collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::Day;

    #[test]
    fn a_cursor_opens_for_its_question_alone() {
        let period = Some(Period { from: Day(1), to: Day(2) });
        let text = Cursor::seal(period, (7, "b"), "/sessions?productId=crm").expect("plain values");
        let cursor = Cursor::open(&text, "/sessions?productId=crm").expect("untouched");
        assert_eq!((cursor.period, cursor.place::<(i64, String)>().expect("as sealed")), (period, (7, "b".into())));
        assert!(Cursor::open(&text, "/sessions?productId=erp").is_err());
        assert!(Cursor::open(&text, "/incidents?productId=crm").is_err());
    }

    #[test]
    fn a_cursor_with_any_digit_changed_or_lost_is_refused() {
        let text = Cursor::seal(None, 1, "q").expect("plain values");
        for at in 0..text.len() {
            let mut touched = text.clone().into_bytes();
            touched[at] = if touched[at] == b'0' { b'1' } else { b'0' };
            let touched = String::from_utf8(touched).expect("ASCII");
            assert!(Cursor::open(&touched, "q").is_err(), "{at}");
            assert!(Cursor::open(&text[..at], "q").is_err(), "{at}");
        }
        assert!(Cursor::open("zz", "q").is_err());
    }
}
