//! Insights: one file for each route, with its answer and its arithmetic.
//!
//!     sums and rows of the store ─▶ means, rates, ranks, trends
//!
//! A mean of nothing is null, never 0. Numbers are rounded to six decimals: stores that add in another order give the
//! same answer, and a list is sorted by the numbers that it shows.

mod arithmetic;
pub(crate) mod flows;
pub(crate) mod hotspots;
pub(crate) mod incidents;
pub(crate) mod overview;
pub(crate) mod products;
pub(crate) mod releases;
pub(crate) mod sessions;
mod totals;
