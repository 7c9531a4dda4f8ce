//! Sorts rows into the order of their table's files, by numbers where it can.
//!
//!     events             ─▶ SortEventsExec    by day · owner · ts, packed    ─▶ events_raw
//!     session batches    ─▶ SortSessionsExec  session by session, packed     ─▶ events_sessionized
//!     rows of one table  ─▶ SortRowsExec      by day · owner · instant       ─▶ fact_sessions, fact_incidents, …
//!     other rows         ─▶ DataFusion's sort
//!
//! A general sort compares all columns of the order row by row and copies rows as wide as the table. Here a row is sorted
//! by one or a few numbers, and moves once. See `docs/decisions/0013-sorts-by-numbers.md`.

mod events;
mod fallback;
mod records;
mod rows;
mod rows_exec;
mod session_record;
mod sessions;
mod take;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use netcrab_schema::Table;

pub use self::events::SortEventsExec;
pub use self::rows_exec::SortRowsExec;
pub use self::sessions::SortSessionsExec;
use crate::table_order::{by_numbers, order};

/// Sorts the rows of `table` that the one partition of `input` gives, by date and then in the order of the table's files.
///
/// # Errors
/// Where `input` lacks a column of that order.
pub fn sort_rows(input: Arc<dyn ExecutionPlan>, table: &'static Table) -> Result<Arc<dyn ExecutionPlan>> {
    if by_numbers(table) {
        return Ok(Arc::new(SortRowsExec::new(input, table)?));
    }
    Ok(Arc::new(SortExec::new(order(table, &input.schema())?, input)))
}
