//! The operator for bounded input: [`BatchSessionizeExec`](exec::SessionizeExec).

mod exec;
pub mod hash_partitioner;
pub mod visitor_dictionary;

pub use exec::{SessionizeExec, Sizes};
