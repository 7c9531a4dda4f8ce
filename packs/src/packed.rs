//! The cells of one organisation, packed.
//!
//!     cells, sorted by key ─▶ for each: bytes shared with the key before, the rest of the key, its tally (postcard)

use std::collections::BTreeMap;

use crate::tally::Tally;

/// Cells of one organisation, sorted by key, as bytes.
#[derive(Debug)]
pub(crate) struct PackedCells(Vec<u8>);

impl PackedCells {
    pub(crate) fn pack(cells: BTreeMap<String, Tally>) -> Result<Self, postcard::Error> {
        let mut bytes = Vec::new();
        let mut before = String::new();
        for (key, tally) in cells {
            let shared = shared_prefix(&before, &key);
            bytes = postcard::to_extend(&(shared, &key[shared..], tally), bytes)?;
            before = key;
        }
        bytes.shrink_to_fit();
        Ok(Self(bytes))
    }

    /// Unpacks one cell after another and hands it to `take`.
    pub(crate) fn for_each(&self, mut take: impl FnMut(&str, Tally)) -> Result<(), postcard::Error> {
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

/// The bytes of the longest common prefix of two texts, in whole characters.
fn shared_prefix(before: &str, text: &str) -> usize {
    let alike = text.char_indices().zip(before.chars()).take_while(|((_, ours), theirs)| ours == theirs);
    alike.last().map_or(0, |((at, last), _)| at + last.len_utf8())
}
