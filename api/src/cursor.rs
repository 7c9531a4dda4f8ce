//! Cursors: where the next page begins, opaque to the client.
//!
//!     position of the last item + period ─▶ JSON ─▶ checksum with route and parameters ─▶ hex
//!
//! Paging is by keyset: a cursor names a position in an order without ties, so rows that appear or disappear between
//! two pages neither repeat nor hide other rows. A cursor also carries the period: when the default period moves on
//! between two pages, the pages do not. The checksum binds a cursor to its route and parameters. It is no secret and
//! protects no data: the key decides what a request may see, on every page.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::period::Period;
use crate::problem::{Code, Problem};

const SEED: u64 = u64::from_le_bytes(*b"netcrab1");

/// The content of a cursor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The period of the first page.
    pub period: Option<Period>,
    /// The position of the last item of the page before, in the form that the list uses.
    #[serde(rename = "place")]
    pub position: serde_json::Value,
}

impl Cursor {
    /// The cursor as text, for `question` only, which is route and parameters.
    pub(crate) fn seal(period: Option<Period>, position: impl Serialize, question: &str) -> Option<String> {
        let position = serde_json::to_value(position).ok()?;
        let mut bytes = serde_json::to_vec(&Self { period, position }).ok()?;
        let checksum = checksum(&bytes, question);
        bytes.extend_from_slice(&checksum);
        Some(to_hex(&bytes))
    }

    /// Reads what [`Cursor::seal`] wrote for the same `question`.
    pub(crate) fn open(text: &str, question: &str) -> Result<Self, Problem> {
        let bytes = from_hex(text).ok_or_else(refused)?;
        let (cursor, found) = bytes.split_last_chunk::<8>().ok_or_else(refused)?;
        if *found != checksum(cursor, question) {
            return Err(refused());
        }
        serde_json::from_slice(cursor).map_err(|_| refused())
    }

    /// The position, in the form that the list uses.
    pub(crate) fn position<P: DeserializeOwned>(&self) -> Result<P, Problem> {
        serde_json::from_value(self.position.clone()).map_err(|_| refused())
    }
}

/// The answer to every cursor that this server did not make, or made for another request.
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
        assert_eq!(
            (cursor.period, cursor.position::<(i64, String)>().expect("as it was encoded")),
            (period, (7, "b".into()))
        );
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
