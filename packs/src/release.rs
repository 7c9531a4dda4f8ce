//! What left through the gate: all numbers with noise.
//!
//! A release is stored as it is, and may be read back from a database to give the same rows to the byte.

use serde::{Deserialize, Serialize};

use crate::definition::Kind;

/// The cells that left, all numbers with noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The kind of the pack.
    pub kind: Kind,
    /// The cells, in the order of their keys.
    pub cells: Vec<NoisyCell>,
    /// How many cells did not leave, about.
    pub left_out: i64,
    /// How many cells left as part of another, about.
    pub brought_together: i64,
}

/// A cell that left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoisyCell {
    /// Its key.
    pub key: String,
    /// Organisations, in parts of one.
    pub org_parts: i64,
    /// Sessions, in weight.
    pub sessions: i64,
    /// The answers to the queries of the plan.
    pub answers: Vec<Vec<i64>>,
    /// By how much more noise they have than the plan's.
    pub factor: f64,
}
