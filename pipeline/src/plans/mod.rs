//! What the plans of runs, streams and packs have in common: their leaf, their order, their memory, their staging.

pub mod date_exec;
pub mod events_exec;
pub mod resources;
pub mod staging;
pub mod table_order;
