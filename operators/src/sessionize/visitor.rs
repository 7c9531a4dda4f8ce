//! The visitor that an event is from: organisation, product, session_id and user_hash.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use datafusion::common::Result;
use xxhash_rust::xxh3::xxh3_64;

use super::bytes::{put_signed, put_varint};
use super::text;
use crate::session::wrong_type;
use crate::symbols;

/// The visitor that an event is from.
#[derive(Debug, Default)]
pub struct Visitor {
    /// Hash of the session key; the same in every task and process.
    pub hash: u64,
    /// Codes of org_id and product_id.
    pub owner: [u32; 2],
    /// session_id and user_hash, packed.
    pub key: Vec<u8>,
}

impl Visitor {
    /// Appends the definition of a new visitor.
    pub fn define(&self, base_ts: i64, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.hash.to_le_bytes());
        self.owner.iter().for_each(|&code| put_varint(u64::from(code), to));
        put_signed(base_ts, to);
        to.extend_from_slice(&self.key);
    }
}

/// A visitor by its keys in the dictionaries of a batch. It identifies the visitor until a dictionary changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchVisitor {
    /// Keys of session_id and user_hash.
    pub keys: [i32; 2],
    /// Codes of org_id and product_id.
    pub owner: [u32; 2],
}

/// The texts of a batch's dictionary, each packed and hashed once.
#[derive(Default)]
pub(super) struct PackedDictionary {
    given: Option<ArrayRef>,
    packed: Vec<u8>,
    pub(super) ends: Vec<usize>,
    pub(super) hashes: Vec<u64>,
    /// Counts the dictionaries seen.
    pub(super) edition: u64,
}

impl PackedDictionary {
    pub(super) fn read(&mut self, given: &ArrayRef) -> Result<()> {
        if self.given.as_ref().is_some_and(|last| symbols::same_buffers(last, given)) {
            return Ok(());
        }
        let texts = given.as_string_opt::<i32>().ok_or_else(|| wrong_type("session_id"))?;
        self.packed.clear();
        self.ends.clear();
        self.hashes.clear();
        for at in 0..texts.len() {
            let start = self.packed.len();
            text::pack(if texts.is_null(at) { "" } else { texts.value(at) }, &mut self.packed);
            self.ends.push(self.packed.len());
            self.hashes.push(xxh3_64(&self.packed[start..]));
        }
        self.given = Some(Arc::clone(given));
        self.edition += 1;
        Ok(())
    }

    pub(super) fn packed(&self, key: usize) -> &[u8] {
        let start = if key == 0 { 0 } else { self.ends[key - 1] };
        &self.packed[start..self.ends[key]]
    }
}
