//! The packed events of one partition, unpacked as far as ordering needs.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use datafusion::common::Result;

use super::bytes::Reader;
use super::dictionaries::{Dictionaries, TupleColumns, structs};
use super::layout::{ACTION, CLIENT, ColumnEncoding, Id, Layout};
use super::text;
use crate::symbols::NULL_CODE;

/// An absent instant or whole number. It is after any other, so it sorts last.
pub const NO_INSTANT: i64 = i64::MAX;

/// The rows of one partition.
pub struct Rows {
    pub(super) dictionaries: Arc<Dictionaries>,
    /// Tuples that were stored with their events; their codes follow those of `dictionaries`.
    pub(super) inline: [TupleColumns; 2],
    /// All tuples as structs, where some were stored with their events.
    pub(super) extended: [OnceLock<ArrayRef>; 2],
    /// The packed events. The event_ids of session batches are views into them.
    pub(super) bytes: Buffer,
    pub(super) visitors: Vec<Visitor>,
    pub(super) visitor: Vec<u32>,
    /// When each event happened.
    pub ts: Vec<i64>,
    pub(super) tuples: [Vec<u32>; 2],
    /// Where each packed event_id begins.
    pub(super) event_id: Vec<u32>,
    pub(super) instants: Vec<Vec<i64>>,
    /// Where the reals of each row begin; its texts follow.
    pub(super) rest: Vec<u32>,
}

/// Who an event is from, see [`super::batch::visitor_dictionary`].
#[derive(Clone, Copy)]
pub(super) struct Visitor {
    pub(super) hash: u64,
    pub(super) owner: [u32; 2],
    pub(super) base_ts: i64,
    /// Where the packed session_id and user_hash begin.
    pub(super) session: u32,
    pub(super) user: u32,
}

impl Rows {
    /// No rows yet; their codes are those of `dictionaries`.
    pub fn new(layout: &Layout, dictionaries: Arc<Dictionaries>) -> Self {
        Self {
            inline: [CLIENT, ACTION].map(|group| TupleColumns::new(layout.width(group))),
            extended: <[OnceLock<ArrayRef>; 2]>::default(),
            dictionaries,
            bytes: Buffer::default(),
            visitors: Vec::new(),
            visitor: Vec::new(),
            ts: Vec::new(),
            tuples: [Vec::new(), Vec::new()],
            event_id: Vec::new(),
            instants: vec![Vec::new(); layout.instants.len()],
            rest: Vec::new(),
        }
    }

    /// Removes all rows and keeps the allocations.
    pub fn clear(&mut self) {
        self.inline.iter_mut().for_each(TupleColumns::clear);
        self.extended = <[OnceLock<ArrayRef>; 2]>::default();
        let mut bytes =
            std::mem::take(&mut self.bytes).into_vec().unwrap_or_else(|held| Vec::with_capacity(held.len()));
        bytes.clear();
        self.bytes = Buffer::from_vec::<u8>(bytes);
        self.visitors.clear();
        self.visitor.clear();
        self.ts.clear();
        self.tuples.iter_mut().for_each(Vec::clear);
        self.event_id.clear();
        self.instants.iter_mut().for_each(Vec::clear);
        self.rest.clear();
    }

    /// The bytes, to append to them. Where session batches still share them, this copies them.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes).into_vec().unwrap_or_else(|shared| {
            let mut bytes = Vec::with_capacity(shared.capacity());
            bytes.extend_from_slice(&shared);
            bytes
        })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    /// How many visitors were defined.
    pub fn visitors(&self) -> usize {
        self.visitors.len()
    }

    /// The visitor of each row.
    pub fn visitor(&self) -> &[u32] {
        &self.visitor
    }

    /// The hash of visitor number `visitor`.
    pub fn hash(&self, visitor: usize) -> u64 {
        self.visitors[visitor].hash
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.ts.capacity() * (28 + 8 * self.instants.len())
    }

    #[inline]
    pub(super) fn code_in_tuple(&self, group: usize, at: usize, tuple: u32) -> u32 {
        let (tuple, known) = (tuple as usize, &self.dictionaries.groups[group]);
        match tuple.checked_sub(known.rows) {
            None => known.columns[at][tuple],
            Some(inline) => self.inline[group].columns[at][inline],
        }
    }

    pub(super) fn bits(&self, action: u32) -> Option<u32> {
        let (tuple, known) = (action as usize, &self.dictionaries.groups[ACTION]);
        match tuple.checked_sub(known.rows) {
            None => known.columns.last()?.get(tuple).copied(),
            Some(inline) => self.inline[ACTION].columns.last()?.get(inline).copied(),
        }
    }

    /// The codes of org_id and product_id of visitor number `visitor`.
    pub fn owner(&self, visitor: usize) -> [u32; 2] {
        self.visitors[visitor].owner
    }

    /// The code of the symbol column at `place` of the layout in row `row`.
    pub fn symbol(&self, layout: &Layout, place: usize, row: usize) -> u32 {
        match layout.encodings[place] {
            ColumnEncoding::Owner(at) => self.visitors[self.visitor[row] as usize].owner[at],
            ColumnEncoding::Symbol { group, at } => self.code_in_tuple(group, at, self.tuples[group][row]),
            _ => NULL_CODE,
        }
    }

    /// The texts of the symbol column at `place`, in the order of their codes.
    pub fn dictionary(&self, place: usize) -> &ArrayRef {
        &self.dictionaries.symbols[place]
    }

    /// When row `row` was received; [`NO_INSTANT`] where that is not known.
    pub fn received_at(&self, layout: &Layout, row: usize) -> i64 {
        self.instants[layout.received_at][row]
    }

    /// The `seq` of row `row`; [`NO_INSTANT`] where it has none.
    pub fn seq(&self, layout: &Layout, row: usize) -> i64 {
        layout.seq.map_or(NO_INSTANT, |at| self.instants[at][row])
    }

    /// A text of row `row`, packed.
    pub fn packed(&self, id: Id, row: usize) -> &[u8] {
        let visitor = &self.visitors[self.visitor[row] as usize];
        self.packed_at(match id {
            Id::Session => visitor.session,
            Id::User => visitor.user,
            Id::Event => self.event_id[row],
        })
    }

    pub(super) fn packed_at(&self, start: u32) -> &[u8] {
        text::skip(&mut Reader { bytes: &self.bytes, at: start as usize }).unwrap_or_default()
    }

    /// The session_id of a visitor or, where that is empty, its user_hash, packed.
    pub fn session_or_user(&self, visitor: usize) -> &[u8] {
        let visitor = &self.visitors[visitor];
        let session = self.packed_at(visitor.session);
        if text::is_empty(session) { self.packed_at(visitor.user) } else { session }
    }

    /// Compares two rows column by column, in table order; null is last.
    pub fn compare(&self, layout: &Layout, a: usize, b: usize) -> Ordering {
        let mut columns = layout.encodings.iter().enumerate();
        let differs = columns.find_map(|(place, encoding)| {
            let order = match *encoding {
                ColumnEncoding::Owner(_) | ColumnEncoding::Symbol { .. } => {
                    self.symbol(layout, place, a).cmp(&self.symbol(layout, place, b))
                }
                ColumnEncoding::Flag { shift } => self.flag(shift, a).cmp(&self.flag(shift, b)),
                ColumnEncoding::Ts => self.ts[a].cmp(&self.ts[b]),
                ColumnEncoding::Id(id) => text::compare(self.packed(id, a), self.packed(id, b)),
                ColumnEncoding::Instant { at, .. } | ColumnEncoding::Whole { at, .. } => {
                    self.instants[at][a].cmp(&self.instants[at][b])
                }
                ColumnEncoding::Real { bit } => {
                    let of = |row| self.real(layout, bit, row).unwrap_or(f32::NAN);
                    of(a).total_cmp(&of(b))
                }
                ColumnEncoding::Text { bit } => match (self.text(layout, bit, a), self.text(layout, bit, b)) {
                    (Some(a), Some(b)) => text::compare(a, b),
                    (a, b) => a.is_none().cmp(&b.is_none()),
                },
            };
            Some(order).filter(|order| order.is_ne())
        });
        differs.unwrap_or(Ordering::Equal)
    }

    fn bits_of(&self, row: usize) -> u32 {
        self.bits(self.tuples[ACTION][row]).unwrap_or(0)
    }

    fn flag(&self, shift: u32, row: usize) -> u32 {
        self.bits_of(row) >> shift & 3
    }

    fn real(&self, layout: &Layout, bit: u32, row: usize) -> Option<f32> {
        self.real_of(layout, bit, self.bits_of(row), row)
    }

    pub(super) fn real_of(&self, layout: &Layout, bit: u32, bits: u32, row: usize) -> Option<f32> {
        if bits >> bit & 1 == 0 {
            return None;
        }
        let before = (bits & layout.reals & ((1 << bit) - 1)).count_ones() as usize;
        let start = self.rest[row] as usize + before * size_of::<f32>();
        Some(f32::from_le_bytes(self.bytes.get(start..start + 4)?.try_into().ok()?))
    }

    pub(super) fn text(&self, layout: &Layout, bit: u32, row: usize) -> Option<&[u8]> {
        let bits = self.bits_of(row);
        if bits >> bit & 1 == 0 {
            return None;
        }
        let start = self.rest[row] as usize + (bits & layout.reals).count_ones() as usize * size_of::<f32>();
        let mut reader = Reader { bytes: &self.bytes, at: start };
        for _ in 0..(bits & layout.texts & ((1 << bit) - 1)).count_ones() {
            text::skip(&mut reader)?;
        }
        text::skip(&mut reader)
    }

    /// The tuples of one group as structs, in the order of their codes.
    pub(super) fn structs(&self, layout: &Layout, group: usize) -> Result<ArrayRef> {
        let (dictionaries, inline) = (&self.dictionaries, &self.inline[group]);
        if inline.rows == 0 {
            return dictionaries.structs(layout, group);
        }
        if let Some(extended) = self.extended[group].get() {
            return Ok(Arc::clone(extended));
        }
        let extended = structs(layout, group, [&dictionaries.groups[group], inline], &dictionaries.symbols)?;
        Ok(Arc::clone(self.extended[group].get_or_init(|| extended)))
    }
}
