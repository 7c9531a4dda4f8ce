//! Cuts the ordered events of each key into sessions.
//!
//!     ts        0  10  25 min ········ 56 min   ─▶   sessions 0..3, 3..4

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringViewBuilder};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use xxhash_rust::xxh3::Xxh3;

use super::order::{Order, visit};
use super::packed::{Layout, Rows};
use crate::session::{DAY_MS, list_column};
use crate::settings::Sessionize;
use crate::symbols;

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

/// The session batch of `cuts`, which are neighbours in `order`.
pub fn session_batch(
    layout: &Layout,
    schema: &SchemaRef,
    rows: &Rows,
    order: &Order,
    cuts: &[Cut],
    dictionaries: &[ArrayRef],
) -> Result<RecordBatch> {
    let (Some(first), Some(last)) = (cuts.first(), cuts.last()) else {
        return Ok(RecordBatch::new_empty(Arc::clone(schema)));
    };
    let place = &layout.place;
    let first_row = |cut: &Cut| order.rows[cut.start as usize] as usize;
    let symbol = |place: usize| -> ArrayRef {
        let codes = rows.symbol(place);
        let codes = cuts.iter().map(|cut| codes[first_row(cut)].cast_signed()).collect();
        Arc::new(symbols::column(codes, &dictionaries[place]))
    };
    let ts = rows.instant(place.ts);
    let dates = cuts.iter().map(|cut| ts[first_row(cut)].div_euclid(DAY_MS) as i32);
    let mut keys = StringViewBuilder::with_capacity(cuts.len());
    for cut in cuts {
        let row = first_row(cut);
        let text = |place: usize| {
            use arrow::array::AsArray;
            dictionaries[place].as_string::<i32>().value(rows.symbol(place)[row] as usize)
        };
        let parts =
            [text(place.org_id), text(place.product_id), visit(layout, rows, row), rows.text(place.event_id, row)];
        keys.append_value(hex(session_key(parts, ts[row]), &mut [0; 32]));
    }
    let lengths = cuts.iter().map(|cut| (cut.end - cut.start) as usize);
    let events = rows.take(layout, &order.rows[first.start as usize..last.end as usize], dictionaries)?;
    let columns: Vec<ArrayRef> = vec![
        symbol(place.org_id),
        symbol(place.product_id),
        Arc::new(dates.map(Some).collect::<Date32Array>()),
        Arc::new(keys.finish()),
        Arc::new(cuts.iter().map(|cut| cut.session_no).collect::<Int64Array>()),
        list_column(layout.fields.clone(), lengths, events)?,
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The stable hash of a session: org_id, product_id, visit and first event_id, each after its
/// length, then the first ts.
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
