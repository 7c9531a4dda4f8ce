//! Dictionaries with one code for each text, across batches.
//!
//! Batches arrive with dictionaries of their own. [`Interner`] gives each distinct text one code. It remembers how the
//! codes of the last dictionary are remapped, so a batch costs one table look-up for each row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::Int32Type;
use hashbrown::HashTable;

/// A dictionary column: every symbol between stages is one.
pub type SymbolArray = DictionaryArray<Int32Type>;

/// The code that stands for null in a plain slice of codes.
pub const NULL_CODE: u32 = u32::MAX;

/// Gives each distinct text a code, in order of first sight.
#[derive(Default)]
pub struct Interner {
    codes: HashTable<u32>,
    bytes: String,
    ends: Vec<usize>,
    lookup: Lookup,
}

impl Interner {
    /// How many distinct texts were seen.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text of a code.
    pub fn text(&self, code: u32) -> &str {
        text(&self.bytes, &self.ends, code)
    }

    /// The code of a text that was seen before.
    pub fn find(&self, value: &str) -> Option<u32> {
        let hash = xxhash_rust::xxh3::xxh3_64(value.as_bytes());
        self.codes.find(hash, |&code| self.text(code) == value).copied()
    }

    /// The code of a text; a text that was not seen before gets a new one.
    pub fn intern(&mut self, value: &str) -> u32 {
        let hash = xxhash_rust::xxh3::xxh3_64(value.as_bytes());
        let Self { codes, bytes, ends, .. } = self;
        if let Some(&code) = codes.find(hash, |&code| text(bytes, ends, code) == value) {
            return code;
        }
        let code = u32::try_from(ends.len()).expect("fewer than 2³² distinct symbols fit in memory");
        debug_assert!(code < UNASKED);
        bytes.push_str(value);
        ends.push(bytes.len());
        codes.insert_unique(hash, code, |&code| xxhash_rust::xxh3::xxh3_64(text(bytes, ends, code).as_bytes()));
        code
    }

    /// Writes the interner's code for each row of `column`, [`NULL_CODE`] for null.
    ///
    /// New codes are given in the order of the rows. So the codes of the same rows do not depend on batches, nor on
    /// what else the dictionaries hold.
    pub fn write_codes<'a>(&mut self, column: &SymbolArray, codes: impl Iterator<Item = &'a mut u32>) {
        let mut lookup = std::mem::take(&mut self.lookup);
        lookup.begin(column.values());
        let keys = column.keys();
        match keys.nulls() {
            None => keys.values().iter().zip(codes).for_each(|(&key, code)| *code = lookup.code(self, key as usize)),
            Some(nulls) => {
                let rows = keys.values().iter().zip(nulls).zip(codes);
                rows.for_each(|((&key, valid), code)| {
                    *code = if valid { lookup.code(self, key as usize) } else { NULL_CODE };
                });
            }
        }
        self.lookup = lookup;
    }

    /// The interner's code for each row of `column`, [`NULL_CODE`] for null.
    pub fn codes(&mut self, column: &SymbolArray) -> Vec<u32> {
        let mut codes = vec![NULL_CODE; column.len()];
        self.write_codes(column, codes.iter_mut());
        codes
    }

    /// Every text, in the order of codes.
    pub fn texts(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|code| self.text(code as u32))
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 8 + self.codes.capacity() * 5 + self.lookup.memory()
    }
}

/// The interner's codes for the values of one dictionary, each looked up when a row first needs it.
#[derive(Default)]
pub struct Lookup {
    given: Option<ArrayRef>,
    codes: Vec<u32>,
}

/// Stands in a [`Lookup`] for a value whose code no row needed yet.
const UNASKED: u32 = u32::MAX - 1;

impl Lookup {
    /// Begins with `dictionary`; `true` where it differs from the one before.
    pub fn begin(&mut self, dictionary: &ArrayRef) -> bool {
        if self.given.as_ref().is_some_and(|given| same_buffers(given, dictionary)) {
            return false;
        }
        self.codes.clear();
        self.codes.resize(dictionary.len(), UNASKED);
        self.given = Some(Arc::clone(dictionary));
        true
    }

    /// The code that `interner` has for value `key` of the dictionary, [`NULL_CODE`] for null.
    pub fn code(&mut self, interner: &mut Interner, key: usize) -> u32 {
        let (Some(given), Some(code)) = (&self.given, self.codes.get_mut(key)) else { return NULL_CODE };
        if *code == UNASKED {
            let values = given.as_string::<i32>();
            *code = if values.is_null(key) { NULL_CODE } else { interner.intern(values.value(key)) };
        }
        *code
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        self.codes.capacity() * 4
    }
}

fn text<'a>(bytes: &'a str, ends: &[usize], code: u32) -> &'a str {
    let code = code as usize;
    let start = if code == 0 { 0 } else { ends[code - 1] };
    &bytes[start..ends[code]]
}

/// Whether two dictionaries are the same buffers in memory.
pub(crate) fn same_buffers(a: &ArrayRef, b: &ArrayRef) -> bool {
    Arc::ptr_eq(a, b) || a.to_data().ptr_eq(&b.to_data())
}

/// Merges the texts of several interners into one dictionary, sorted by bytes.
///
/// Returns the dictionary and, for each interner, the new code for each of its codes.
pub fn unify(interners: &[&Interner]) -> (ArrayRef, Vec<Vec<u32>>) {
    let mut texts: Vec<&str> =
        interners.iter().flat_map(|interner| (0..interner.len()).map(|code| interner.text(code as u32))).collect();
    texts.sort_unstable();
    texts.dedup();
    let place = |text: &str| texts.binary_search(&text).expect("every text was collected") as u32;
    let tables =
        interners.iter().map(|interner| (0..interner.len()).map(|code| place(interner.text(code as u32))).collect());
    let tables = tables.collect();
    (Arc::new(StringArray::from_iter_values(texts.iter())), tables)
}

/// The codes of a column as plain numbers, −1 for null. Borrowed where nothing is null.
pub fn codes(column: &SymbolArray) -> std::borrow::Cow<'_, [i32]> {
    let keys = column.keys();
    let Some(nulls) = keys.nulls() else { return keys.values().as_ref().into() };
    keys.values().iter().zip(nulls).map(|(&key, valid)| if valid { key } else { -1 }).collect()
}

/// The text of `code` in a column; empty for −1.
pub fn text_of(column: &SymbolArray, code: i32) -> &str {
    usize::try_from(code).map_or("", |code| column.values().as_string::<i32>().value(code))
}

/// A column of `codes` (−1 for null) over the dictionary `values`.
pub fn column(mut codes: Vec<i32>, values: &ArrayRef) -> SymbolArray {
    let some_null = codes.iter().fold(false, |found, &code| found | (code < 0));
    let nulls = some_null.then(|| NullBuffer::from(BooleanBuffer::collect_bool(codes.len(), |row| codes[row] >= 0)));
    if some_null {
        codes.iter_mut().for_each(|code| *code = (*code).max(0));
    }
    let keys = arrow::array::PrimitiveArray::new(codes.into(), nulls);
    SymbolArray::new(keys, Arc::clone(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(texts: &[Option<&str>]) -> SymbolArray {
        texts.iter().copied().collect()
    }

    #[test]
    fn a_text_has_one_code_whatever_dictionary_it_comes_in() {
        let mut interner = Interner::default();
        let mut codes = [7; 5];
        interner.write_codes(&symbols(&[Some("b"), None, Some("a")]), codes[..3].iter_mut());
        interner.write_codes(&symbols(&[Some("a"), Some("b")]), codes[3..].iter_mut());
        assert_eq!(codes, [0, NULL_CODE, 1, 1, 0]);
    }

    #[test]
    fn a_value_that_no_row_has_gets_no_code() {
        let (mut interner, mut lookup) = (Interner::default(), Lookup::default());
        let first = symbols(&[Some("unused"), Some("b"), Some("a")]);
        assert!(lookup.begin(first.values()));
        assert_eq!([2, 1, 2].map(|key| lookup.code(&mut interner, key)), [0, 1, 0]);
        assert!(!lookup.begin(first.values()));
        let second = symbols(&[Some("b"), Some("c")]);
        assert!(lookup.begin(second.values()));
        assert_eq!([0, 1, 7].map(|key| lookup.code(&mut interner, key)), [1, 2, NULL_CODE]);
        assert_eq!(interner.len(), 3);
    }

    #[test]
    fn unified_codes_sort_as_their_texts() {
        let (mut one, mut two) = (Interner::default(), Interner::default());
        one.intern("m");
        one.intern("a");
        two.intern("z");
        two.intern("m");
        let (dictionary, tables) = unify(&[&one, &two]);
        assert_eq!(dictionary.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "m", "z"]);
        assert_eq!(tables, [vec![1, 0], vec![2, 1]]);
    }
}
