//! Stores the event that a mapping makes of a row.

use std::borrow::Cow;

use crate::builder::EventBatchBuilder;
use crate::event_id::EventIds;
use crate::mapping::CompiledMapping;
use crate::partitions::complete;
use crate::reject::Fault;

/// Applies a mapping to the values of a row and of its folders and stores the event; `false` if the mapping skips the
/// row.
pub(crate) fn push_mapped<'a>(
    mapping: &CompiledMapping,
    values: Vec<Option<Cow<'a, str>>>,
    partitions: &'a [(usize, Option<String>)],
    columns: &mut EventBatchBuilder,
    event_ids: &EventIds,
    line: u64,
) -> Result<bool, Fault> {
    push_timed(mapping, values, None, partitions, columns, event_ids, line)
}

/// [`push_mapped`] for a row whose time is known as an instant, whatever the mapping says about texts.
pub(crate) fn push_timed<'a>(
    mapping: &CompiledMapping,
    mut values: Vec<Option<Cow<'a, str>>>,
    ts: Option<i64>,
    partitions: &'a [(usize, Option<String>)],
    columns: &mut EventBatchBuilder,
    event_ids: &EventIds,
    line: u64,
) -> Result<bool, Fault> {
    complete(&mut values, partitions, mapping.columns())?;
    match mapping.apply(&values, ts, columns.privacy())? {
        None => Ok(false),
        Some(row) => columns.push(&row, event_ids, line, 0).map(|()| true),
    }
}
