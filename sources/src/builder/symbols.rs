//! Builds one symbol column: each distinct value is validated once, and is a dictionary key from then on.
//!
//! ```text
//! "crm" "crm" "erp"  ─▶  keys 0 0 1 · values crm erp
//! ```
//!
//! Validated values are remembered from batch to batch, within bounds. The dictionary of a batch holds either all
//! remembered values, so that the batches of a file share it, or only the values of the batch, so that a small batch
//! of one sender stays small and shows nothing of another sender.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::Int32Type;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::validity::validity;
use crate::privacy::Privacy;
use crate::reject::Reason;
use crate::rules::{Rule, violation};
use crate::{Error, SourceSettings, route};

/// Most values remembered from batch to batch; with more, all are forgotten.
const VALUES_MAX: usize = 32_768;

/// Most bytes of values remembered from batch to batch; with more, all are forgotten.
const BYTES_MAX: usize = 4 << 20;

/// Builder of one symbol column.
#[derive(Debug)]
pub(crate) struct SymbolBuilder {
    rule: Rule,
    scope: DictionaryScope,
    /// The keys of the rows; negative where a row has no value.
    keys: Vec<i32>,
    known: Texts,
    /// For [`DictionaryScope::PerBatch`]: the key of each known value in this batch; negative if the batch does not
    /// have it.
    key_of: Vec<i32>,
    /// For [`DictionaryScope::PerBatch`]: the known values of this batch, by key.
    in_batch: Vec<u32>,
    /// The value of the last row, which often comes again, and its key.
    last: (u32, i32),
    /// For [`DictionaryScope::Shared`]: the values as an array, until a new value is added.
    array: Option<ArrayRef>,
}

/// How long the values of a dictionary are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DictionaryScope {
    /// All remembered values are the dictionary of every batch.
    Shared,
    /// Values are remembered, but each batch has a dictionary of its own.
    PerBatch,
    /// Values rarely come again in another batch, so none are remembered.
    Transient,
}

impl SymbolBuilder {
    /// A column whose batches share one dictionary.
    pub(crate) fn shared(rule: Rule) -> Self {
        Self::new(rule, DictionaryScope::Shared)
    }

    /// A column whose batches each have their own dictionary.
    pub(crate) fn per_batch(rule: Rule) -> Self {
        Self::new(rule, DictionaryScope::PerBatch)
    }

    /// A column of ids, which repeat within a batch but rarely beyond it.
    pub(crate) fn transient(rule: Rule) -> Self {
        Self::new(rule, DictionaryScope::Transient)
    }

    fn new(rule: Rule, scope: DictionaryScope) -> Self {
        Self {
            rule,
            scope,
            keys: Vec::new(),
            known: Texts::default(),
            key_of: Vec::new(),
            in_batch: Vec::new(),
            last: (u32::MAX, -1),
            array: None,
        }
    }

    /// The key of a text.
    ///
    /// # Errors
    ///
    /// The reason why the column refuses the text.
    pub(crate) fn key(&mut self, text: &str, settings: &SourceSettings, privacy: &Privacy) -> Result<i32, Reason> {
        let text = if self.rule == Rule::Route { route::template(text) } else { Cow::Borrowed(text) };
        if let Some(value) = self.known.find(&text) {
            return Ok(self.key_here(value));
        }
        if let Some(reason) = violation(self.rule, &text, settings, privacy) {
            return Err(reason);
        }
        Ok(self.intern(&text))
    }

    /// The key of a text; `None` if the text may be invalid. Ids are stored without being screened: call
    /// [`Self::may_hold_personal_data`] before the batch is finished.
    #[inline]
    pub(crate) fn fast_key(&mut self, text: &str, settings: &SourceSettings, privacy: &Privacy) -> Option<i32> {
        if self.known.is(self.last.0, text) {
            return Some(self.last.1);
        }
        // A known route is a template, and templating a template changes nothing.
        if let Some(value) = self.known.find(text) {
            self.last = (value, self.key_here(value));
            return Some(self.last.1);
        }
        if self.scope == DictionaryScope::Transient {
            return (text.len() <= settings.text_bytes_max).then(|| self.intern(text));
        }
        self.key(text, settings, privacy).ok()
    }

    /// The key of a text that is known to be valid; a new key if the text is new.
    pub(crate) fn intern(&mut self, text: &str) -> i32 {
        let value = self.known.find(text).unwrap_or_else(|| self.known.insert(text));
        self.last = (value, self.key_here(value));
        self.last.1
    }

    fn key_here(&mut self, value: u32) -> i32 {
        if self.scope != DictionaryScope::PerBatch {
            return value as i32;
        }
        if self.key_of.len() <= value as usize {
            self.key_of.resize(value as usize + 1, -1);
        }
        let key = &mut self.key_of[value as usize];
        if *key < 0 {
            *key = self.in_batch.len() as i32;
            self.in_batch.push(value);
        }
        *key
    }

    /// Appends a row; a negative key means no value.
    #[inline]
    pub(crate) fn append(&mut self, key: i32) {
        self.keys.push(key);
    }

    /// Whether an id of this batch may hold personal data.
    pub(crate) fn may_hold_personal_data(&self, privacy: &Privacy) -> bool {
        self.scope == DictionaryScope::Transient && privacy.may_hold_identity(self.known.bytes.as_bytes())
    }

    /// Takes the rows as an array and leaves the column empty.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, Error> {
        let mut keys = std::mem::take(&mut self.keys);
        let nulls = validity(&keys, |key| *key >= 0);
        if nulls.is_some() {
            keys.iter_mut().for_each(|key| *key = (*key).max(0));
        }
        let values = self.values()?;
        let keys = Int32Array::try_new(keys.into(), nulls)?;
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values)?))
    }

    fn values(&mut self) -> Result<ArrayRef, Error> {
        self.last = (u32::MAX, -1);
        match self.scope {
            DictionaryScope::Transient => {
                let (ends, bytes) = self.known.take();
                let offsets = OffsetBuffer::new(ends.into());
                Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(bytes.into_bytes()), None)?))
            }
            DictionaryScope::Shared => {
                let known = self.array.take().filter(|array| array.len() == self.known.len());
                let values = known.unwrap_or_else(|| Arc::new(self.known.iter().map(Some).collect::<StringArray>()));
                self.array = Some(values.clone());
                self.forget_too_many();
                Ok(values)
            }
            DictionaryScope::PerBatch => {
                let values = self.in_batch.iter().map(|value| Some(self.known.text(*value))).collect::<StringArray>();
                for value in self.in_batch.drain(..) {
                    self.key_of[value as usize] = -1;
                }
                self.forget_too_many();
                Ok(Arc::new(values))
            }
        }
    }

    fn forget_too_many(&mut self) {
        if self.known.len() > VALUES_MAX || self.known.bytes.len() > BYTES_MAX {
            self.known.take();
            self.key_of.clear();
            self.array = None;
        }
    }
}

/// Distinct texts, numbered in the order they were added and stored in one run of bytes.
#[derive(Debug)]
struct Texts {
    bytes: String,
    /// Where each text begins; the last entry is where the last text ends.
    ends: Vec<i32>,
    table: HashTable<u32>,
    state: RandomState,
}

impl Default for Texts {
    fn default() -> Self {
        Self { bytes: String::new(), ends: vec![0], table: HashTable::new(), state: RandomState::default() }
    }
}

impl Texts {
    fn len(&self) -> usize {
        self.ends.len() - 1
    }

    fn text(&self, value: u32) -> &str {
        let at = value as usize;
        &self.bytes[self.ends[at] as usize..self.ends[at + 1] as usize]
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.text(at as u32))
    }

    #[inline]
    fn is(&self, value: u32, text: &str) -> bool {
        (value as usize) < self.len() && self.text(value) == text
    }

    #[inline]
    fn find(&self, text: &str) -> Option<u32> {
        let hash = self.state.hash_one(text);
        self.table.find(hash, |value| self.text(*value) == text).copied()
    }

    /// Adds a text that is not in the set yet.
    fn insert(&mut self, text: &str) -> u32 {
        let value = self.len() as u32;
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len() as i32);
        let Self { bytes, ends, table, state } = self;
        let hash_of = |value: &u32| {
            let at = *value as usize;
            state.hash_one(&bytes[ends[at] as usize..ends[at + 1] as usize])
        };
        table.insert_unique(hash_of(&value), value, hash_of);
        value
    }

    /// Takes the offsets and the bytes of all texts and leaves the set empty.
    fn take(&mut self) -> (Vec<i32>, String) {
        self.table.clear();
        (std::mem::replace(&mut self.ends, vec![0]), std::mem::take(&mut self.bytes))
    }
}
