//! Means, changes and places in a list, rounded to six decimals.

/// `sum` / `count`, rounded.
pub(super) fn mean(sum: f64, count: i64) -> Option<f64> {
    (count > 0).then(|| rounded(sum / count as f64))
}

/// How much of `before` was gained or lost: 0.1 is a tenth more. Null without a `before`.
pub(super) fn change(now: Option<f64>, before: Option<f64>) -> Option<f64> {
    match (now, before) {
        (Some(now), Some(before)) if before != 0.0 => Some(rounded((now - before) / before)),
        _ => None,
    }
}

pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// A rounded number as a place in a list: largest first.
pub(super) fn descending(number: f64) -> std::cmp::Reverse<i64> {
    std::cmp::Reverse((number * 1e6).round() as i64)
}
