//! Stores the event that a mapping makes of a row.

use std::borrow::Cow;

use crate::builder::EventBatchBuilder;
use crate::event_id::EventIds;
use crate::mapping::CompiledMapping;
use crate::reject::Fault;

/// Applies a mapping to the values of a row and stores the event; `false` if the mapping skips the row.
pub(crate) fn push_mapped(
    mapping: &CompiledMapping,
    values: &[Option<Cow<'_, str>>],
    columns: &mut EventBatchBuilder,
    event_ids: &EventIds,
    line: u64,
) -> Result<bool, Fault> {
    match mapping.apply(values, columns.privacy())? {
        None => Ok(false),
        Some(row) => columns.push(&row, event_ids, line, 0).map(|()| true),
    }
}
