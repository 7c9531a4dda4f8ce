//! Means, changes and sort keys, rounded to six decimals.

/// `sum` / `count`, rounded; `None` where `count` is 0.
pub(super) fn mean(sum: f64, count: i64) -> Option<f64> {
    (count > 0).then(|| rounded(sum / count as f64))
}

/// The change since `before`, as a share of it: 0.1 is a tenth more. `None` without a `before`.
pub(super) fn change(now: Option<f64>, before: Option<f64>) -> Option<f64> {
    match (now, before) {
        (Some(now), Some(before)) if before != 0.0 => Some(rounded((now - before) / before)),
        _ => None,
    }
}

/// A number rounded to six decimals.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// A rounded number as a sort key: largest first.
pub(super) fn descending(number: f64) -> std::cmp::Reverse<i64> {
    std::cmp::Reverse((number * 1e6).round() as i64)
}
