//! Cells of one organisation, packed.
//!
//!     cells in the order of their keys ─▶ for each: bytes shared with the key before, the rest of the key, its tally

use std::collections::BTreeMap;

use crate::tally::Tally;

/// Cells of one organisation in the order of their keys, packed: what a key shares with the one before, its rest, the
/// tally.
#[derive(Debug)]
pub(crate) struct Run(Vec<u8>);

impl Run {
    pub(crate) fn of(cells: BTreeMap<String, Tally>) -> Result<Self, postcard::Error> {
        let mut bytes = Vec::new();
        let mut before = String::new();
        for (key, tally) in cells {
            let shared = shared(&before, &key);
            bytes = postcard::to_extend(&(shared, &key[shared..], tally), bytes)?;
            before = key;
        }
        bytes.shrink_to_fit();
        Ok(Self(bytes))
    }

    pub(crate) fn each(&self, mut take: impl FnMut(&str, Tally)) -> Result<(), postcard::Error> {
        let (mut rest, mut key) = (self.0.as_slice(), String::new());
        while !rest.is_empty() {
            let ((shared, ending, tally), after): ((usize, &str, Tally), _) = postcard::take_from_bytes(rest)?;
            key.truncate(shared);
            key.push_str(ending);
            take(&key, tally);
            rest = after;
        }
        Ok(())
    }
}

/// How many bytes two texts begin with alike, whole characters.
fn shared(before: &str, text: &str) -> usize {
    let alike = text.char_indices().zip(before.chars()).take_while(|((_, ours), theirs)| ours == theirs);
    alike.last().map_or(0, |((at, last), _)| at + last.len_utf8())
}
