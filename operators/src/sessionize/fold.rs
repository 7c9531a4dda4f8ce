//! Cuts the ordered events of each key into sessions.
//!
//!     ts        0  10  25 min ········ 56 min   ─▶   sessions 0..3, 3..4

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch, StringViewArray, StringViewBuilder};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use xxhash_rust::xxh3::Xxh3;

use super::layout::{Id, Layout};
use super::order::Order;
use super::rows::Rows;
use super::text;
use crate::rules::Sessionize;
use crate::session::{day_of, event_fields, list_column};

/// Most events in one session batch, unless one session alone has more.
const BATCH_EVENTS: usize = 16_384;

/// A session as a range of an [`Order`]'s rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// First row.
    pub start: u32,
    /// One past the last row.
    pub end: u32,
    /// Number within the key, from 0.
    pub session_no: i64,
}

/// Cuts the rows of each key where the gap or the length ends a session.
pub fn cut(settings: &Sessionize, ts: &[i64], order: &Order) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut key_start = 0;
    for &key_end in &order.key_ends {
        let mut session_no = 0;
        let mut start = key_start;
        let at = |place: u32| ts[order.rows[place as usize] as usize];
        for place in key_start + 1..key_end {
            let goes_on = at(place) - at(place - 1) <= settings.gap_ms && at(place) - at(start) < settings.length_ms;
            if !goes_on {
                cuts.push(Cut { start, end: place, session_no });
                start = place;
                session_no += 1;
            }
        }
        if key_start < key_end {
            cuts.push(Cut { start, end: key_end, session_no });
        }
        key_start = key_end;
    }
    cuts
}

/// The first of `cuts` that fit into one batch of [`BATCH_EVENTS`] events; at least one.
pub fn one_batch(cuts: &[Cut]) -> &[Cut] {
    let Some(first) = cuts.first() else { return cuts };
    let fits = |cut: &&Cut| (cut.end - first.start) as usize <= BATCH_EVENTS;
    &cuts[..cuts.iter().take_while(fits).count().max(1)]
}

/// The session batch of `cuts`, which are neighbours in `order`, with this schema.
///
/// # Errors
/// An internal error where `schema` is not that of a session batch.
pub fn session_batch(
    layout: &Layout,
    schema: &SchemaRef,
    rows: &Rows,
    order: &Order,
    cuts: &[Cut],
) -> Result<RecordBatch> {
    let (Some(first), Some(last)) = (cuts.first(), cuts.last()) else {
        return Ok(RecordBatch::new_empty(Arc::clone(schema)));
    };
    let first_rows: Vec<u32> = cuts.iter().map(|cut| order.rows[cut.start as usize]).collect();
    let of_first = rows.select(layout, &first_rows);
    let of_events = rows.select(layout, &order.rows[first.start as usize..last.end as usize]);
    let dates = first_rows.iter().map(|&row| day_of(rows.ts[row as usize]));
    let lengths = cuts.iter().map(|cut| (cut.end - cut.start) as usize);
    let fields = event_fields(schema)?;
    let events = fields.iter().map(|field| of_events.take(field.name()));
    let columns: Vec<ArrayRef> = vec![
        of_first.take("org_id")?,
        of_first.take("product_id")?,
        Arc::new(dates.map(Some).collect::<Date32Array>()),
        Arc::new(session_keys(layout, rows, &first_rows)),
        of_first.take("session_id")?,
        Arc::new(cuts.iter().map(|cut| cut.session_no).collect::<Int64Array>()),
        of_first.take("user_hash")?,
        list_column(fields.clone(), lengths, events.collect::<Result<_>>()?)?,
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The column `session_key` of the sessions that begin with these rows.
fn session_keys(layout: &Layout, rows: &Rows, first_rows: &[u32]) -> StringViewArray {
    let text = |place: usize, row: usize| {
        rows.dictionary(place).as_string::<i32>().value(rows.symbol(layout, place, row) as usize)
    };
    let mut keys = StringViewBuilder::with_capacity(first_rows.len());
    let (mut visitor, mut event, mut digits) = ([0; 64], [0; 64], [0; 32]);
    for &row in first_rows {
        let row = row as usize;
        let visitor = text::unpack(rows.session_or_user(rows.visitor()[row] as usize), &mut visitor);
        let event = text::unpack(rows.packed(Id::Event, row), &mut event);
        let [org, product] = layout.owner.map(|place| text(place, row));
        let parts = [org, product, visitor, event];
        keys.append_value(hex(session_key(parts, rows.ts[row]), &mut digits));
    }
    keys.finish()
}

/// The hash that names a session (`docs/rules.md`, section 3): XXH3-128 over org_id, product_id, session_id or user_hash,
/// and the first event_id, each after its length in bytes (u32, little-endian), then the first ts.
pub fn session_key(parts: [&str; 4], first_ts: i64) -> u128 {
    let mut hasher = Xxh3::new();
    for part in parts {
        hasher.update(&(part.len() as u32).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(&first_ts.to_le_bytes());
    hasher.digest128()
}

/// 32 lower-case hex digits, most significant first.
pub fn hex(value: u128, digits: &mut [u8; 32]) -> &str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (place, byte) in value.to_be_bytes().into_iter().enumerate() {
        digits[place * 2] = DIGITS[usize::from(byte >> 4)];
        digits[place * 2 + 1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(digits).unwrap_or_default()
}
