//! What the sums and rows say: one file for each question, its answer and its arithmetic.
//!
//! A mean without anything to take it of is null, never 0. Numbers are rounded to six decimals, so
//! that stores which add in another order give the same answer, and the order of a list is the
//! order of the numbers it shows.

mod arithmetic;
pub(crate) mod flows;
pub(crate) mod hotspots;
pub(crate) mod incidents;
pub(crate) mod overview;
pub(crate) mod products;
pub(crate) mod releases;
pub(crate) mod sessions;
mod totals;
