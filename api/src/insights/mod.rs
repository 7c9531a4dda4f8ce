//! What the sums and rows say: one file for each question, its answer and its arithmetic.
//!
//! A mean without anything to take it of is null, never 0. Numbers are rounded to six decimals, so
//! that stores which add in another order give the same answer, and the order of a list is the
//! order of the numbers it shows.

pub(crate) mod flows;
pub(crate) mod hotspots;
pub(crate) mod incidents;
pub(crate) mod notes;
pub(crate) mod overview;
pub(crate) mod products;
pub(crate) mod releases;
pub(crate) mod sessions;

/// `sum` / `count`, rounded.
fn mean(sum: f64, count: i64) -> Option<f64> {
    (count > 0).then(|| rounded(sum / count as f64))
}

/// How much of `before` was gained or lost: 0.1 is a tenth more. Null without a `before`.
fn change(now: Option<f64>, before: Option<f64>) -> Option<f64> {
    match (now, before) {
        (Some(now), Some(before)) if before != 0.0 => Some(rounded((now - before) / before)),
        _ => None,
    }
}

fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// A rounded number as a place in a list: largest first.
fn descending(number: f64) -> std::cmp::Reverse<i64> {
    std::cmp::Reverse((number * 1e6).round() as i64)
}
