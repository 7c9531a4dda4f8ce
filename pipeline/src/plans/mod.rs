//! What the plans of runs, streams and packs share: the leaf, the `date` column, the order of tables, memory, staging.

pub(crate) mod event_columns;
pub mod events_exec;
pub mod resources;
pub mod staging;
pub mod table_order;
pub(crate) mod unstored_exec;
