//! The operator for bounded input in any order: [`BatchSessionizeExec`].

mod exec;
pub mod hash_partitioner;
pub mod partition;
pub mod slabs;
pub mod spill;
pub mod visitor_dictionary;

pub use exec::{BatchSessionizeExec, Sizes};
