//! The watermark of a shard: no event before it is expected any more.
//!
//!     latest ts ──── lateness ────▶ W          while events arrive
//!     latest ts ──── lateness ──── idle ──▶ W  while none do: W advances with the clock
//!
//! The clock is used only here, when an epoch is planned. The manifest records the watermark, so a repeated epoch closes
//! the same sessions.

use crate::config::stream::StreamSettings;

/// What the next watermark depends on.
#[derive(Debug, Clone, Copy)]
pub struct WatermarkInput {
    /// The watermark of the previous epoch.
    pub previous_ms: i64,
    /// The latest ts of any event so far.
    pub latest_ms: i64,
    /// How long the bus has had no new event for the shard.
    pub idle_ms: i64,
    /// The clock.
    pub now_ms: i64,
}

/// The watermark of the next epoch, ms; it never goes back.
pub fn next(settings: &StreamSettings, input: WatermarkInput) -> i64 {
    let behind = input.latest_ms.saturating_sub(settings.lateness_ms).saturating_add(input.idle_ms.max(0));
    // A sender whose clock is ahead must not make the events of others late.
    let ahead_max = input.now_ms.saturating_add(settings.skew_max_ms);
    input.previous_ms.max(behind.min(ahead_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(previous_ms: i64, latest_ms: i64, idle_ms: i64, expected: i64) {
        let settings = StreamSettings { lateness_ms: 100, skew_max_ms: 10, ..StreamSettings::default() };
        assert_eq!(next(&settings, WatermarkInput { previous_ms, latest_ms, idle_ms, now_ms: 1000 }), expected);
    }

    #[test]
    fn it_follows_the_latest_event_at_a_distance_and_never_goes_back() {
        check(i64::MIN, 500, 0, 400);
        check(399, 500, 0, 400);
        check(401, 500, 0, 401);
        check(i64::MIN, i64::MIN, 0, i64::MIN);
    }

    #[test]
    fn it_goes_on_with_the_clock_while_nothing_comes() {
        check(400, 500, 1, 401);
        check(400, 500, 700, 1010);
    }

    #[test]
    fn an_event_of_the_future_moves_it_no_further_than_the_skew_allows() {
        check(0, 1110, 0, 1010);
        check(0, 1111, 0, 1010);
        check(0, 1109, 0, 1009);
        check(0, i64::MAX, i64::MAX, 1010);
    }
}
