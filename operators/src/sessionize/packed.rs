//! Events as short runs of bytes: the form in which `sessionize` keeps and spills them.
//!
//!     visitor  client  action  ts − base  event_id  received_at − ts  reals   texts
//!     varint   varint  varint  varint     packed    varint            4 each  packed
//!
//! `visitor` is a number of [`super::batch::visitor_dictionary`]. The first event with a new number defines it: hash,
//! org, product, base ts, session_id and user_hash follow the number. `client` and `action` are one more than the code
//! of a tuple, or 0 followed by the tuple itself. An absent value takes no byte: the action's bits say which values are
//! present. An event of a browser takes about 40 bytes, and writing it touches one place in memory instead of one for
//! each column.
//!
//! The open sessions ([`super::streaming`]) keep the events of one session key together. There a *head* comes first,
//! and a row holds only what differs from it. From ts on both forms are the same, except that a real that is a whole
//! number is a varint.
//!
//!     head   org  product  client  session_id  user_hash  base ts
//!     row    action · 2 + differs  (which, then client, session_id, user_hash)  ts − base  event_id  …
//!
//! The sort of events_raw ([`crate::sort`]) reads each event by itself, and keeps it as a *record*:
//!
//!     org  product  session_id  user_hash  client  action  ts  event_id  …

use arrow::array::Array;

use super::bytes::{Reader, put_real, put_signed, put_varint};
use super::encoded_batch::{Columns, EncodedBatch, TupleCode};
use super::head::{Head, OTHER_CLIENT, OTHER_SESSION, OTHER_USER};
use super::layout::{ACTION, CLIENT, Layout};
use super::packer::Packer;
use super::text;
use super::visitor::{BatchVisitor, Visitor};

impl Packer {
    /// Appends row `row` without its visitor; its ts is relative to `base_ts`.
    pub fn append_body(&self, layout: &Layout, batch: &EncodedBatch, row: usize, base_ts: i64, to: &mut Vec<u8>) {
        self.append_tuple(layout, CLIENT, batch, row, |tuple| tuple, to);
        self.append_tuple(layout, ACTION, batch, row, |tuple| tuple, to);
        append_event(layout, &batch.events, row, base_ts, |real, to| to.extend_from_slice(&real.to_le_bytes()), to);
    }

    /// Appends row `row` as a record that is read by itself: what [`Rows::read_records`](super::rows::Rows) reads.
    pub fn append_record(&self, layout: &Layout, batch: &EncodedBatch, row: usize, to: &mut Vec<u8>) {
        let BatchVisitor { keys: [session, user], owner } = batch.batch_visitor(row);
        owner.iter().for_each(|&code| put_varint(u64::from(code), to));
        to.extend_from_slice(self.ids[0].packed(session as usize));
        to.extend_from_slice(self.ids[1].packed(user as usize));
        self.append_body(layout, batch, row, 0, to);
    }

    /// Appends one more than the code of a row's tuple, or 0 and the tuple itself; `lead` maps the first number.
    #[inline]
    fn append_tuple(
        &self,
        layout: &Layout,
        group: usize,
        batch: &EncodedBatch,
        row: usize,
        lead: impl Fn(u64) -> u64,
        to: &mut Vec<u8>,
    ) {
        match batch.tuples[group][row] {
            TupleCode::Known(code) => put_varint(lead(u64::from(code) + 1), to),
            TupleCode::Inline(start) => {
                put_varint(lead(0), to);
                let tuple = &batch.inline[start as usize..][..layout.width(group)];
                tuple.iter().for_each(|&code| put_varint(u64::from(code), to));
            }
        }
    }

    /// Appends the head of a key that begins with row `row`, which is from `visitor`.
    pub fn append_head(&self, layout: &Layout, batch: &EncodedBatch, row: usize, visitor: &Visitor, to: &mut Vec<u8>) {
        visitor.owner.iter().for_each(|&code| put_varint(u64::from(code), to));
        self.append_tuple(layout, CLIENT, batch, row, |tuple| tuple, to);
        to.extend_from_slice(&visitor.key);
        put_signed(batch.ts(row), to);
    }

    /// Appends row `row` to the rows under `head`. Where its `own` head differs, the row says how.
    pub fn append_under(
        &self,
        layout: &Layout,
        batch: &EncodedBatch,
        row: usize,
        head: &Head<'_>,
        own: &Head<'_>,
        to: &mut Vec<u8>,
    ) {
        let differs = head.differs(own);
        self.append_tuple(layout, ACTION, batch, row, |tuple| tuple << 1 | u64::from(differs != 0), to);
        if differs != 0 {
            to.push(differs);
            let parts = [(OTHER_CLIENT, own.client), (OTHER_SESSION, own.session), (OTHER_USER, own.user)];
            parts.iter().filter(|(bit, _)| differs & bit != 0).for_each(|(_, part)| to.extend_from_slice(part));
        }
        append_event(layout, &batch.events, row, head.base_ts, put_real, to);
    }
}

/// The packed event_id of a record; `None` where the bytes are damaged.
pub fn event_id_of_record<'a>(layout: &Layout, record: &'a [u8]) -> Option<&'a [u8]> {
    let mut reader = Reader::new(record);
    (0..2).try_for_each(|_| reader.varint().map(|_| ()))?;
    (0..2).try_for_each(|_| text::skip(&mut reader).map(|_| ()))?;
    for group in [CLIENT, ACTION] {
        if reader.varint()? == 0 {
            (0..layout.width(group)).try_for_each(|_| reader.varint().map(|_| ()))?;
        }
    }
    reader.signed()?;
    text::skip(&mut reader)
}

/// Appends the part of a row that both forms share: from ts on.
#[inline]
fn append_event(
    layout: &Layout,
    columns: &Columns,
    row: usize,
    base_ts: i64,
    put_real: impl Fn(f32, &mut Vec<u8>),
    to: &mut Vec<u8>,
) {
    let ts = columns.ts[row];
    put_signed(ts.wrapping_sub(base_ts), to);
    text::pack(columns.event_id.value(row), to);
    let instants = columns.instants.iter().zip(&layout.instants);
    for (instants, packed) in instants.filter(|(instants, _)| instants.is_valid(row)) {
        put_signed(instants.value(row).wrapping_sub(if packed.since_ts { ts } else { 0 }), to);
    }
    for reals in columns.reals.iter().filter(|reals| reals.is_valid(row)) {
        put_real(reals.value(row), to);
    }
    for texts in columns.texts.iter().filter(|texts| texts.is_valid(row)) {
        text::pack(texts.value(row), to);
    }
}
