//! The scores of a session: frustration and efficiency, both in (0, 1). Their formulas are those of `docs/rules.md`,
//! section 6.

use crate::rules::Score;

/// The counts that scores are computed from.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "each is the fact_sessions column of that name")]
pub struct ScoreInputs {
    pub rage_clicks: i64,
    pub backtracks: i64,
    pub error_events: i64,
    pub abandoned_tasks: i64,
    pub dead_clicks: i64,
    pub duration_ms: i64,
    pub click_count: i64,
    pub tasks_started: i64,
    pub screen_visits: i64,
    pub unique_screens: i64,
}

/// Scores are whole multiples of this, 2⁻⁴⁰, so that sums of scores are exact in any order.
pub const UNIT: f64 = 1.0 / (1_u64 << 40) as f64;

/// The frustration score: sigmoid(base + weights · counts), `docs/rules.md`, section 6.
pub fn frustration(weights: &Score, counts: &ScoreInputs) -> f64 {
    let x = weights.frustration_base
        + weights.rage_click * counts.rage_clicks as f64
        + weights.backtrack * counts.backtracks as f64
        + weights.error_event * counts.error_events as f64
        + weights.abandoned_task * counts.abandoned_tasks as f64
        + weights.dead_click * counts.dead_clicks as f64;
    rounded(sigmoid(x))
}

/// The efficiency score: sigmoid(base − duration − clicks for each task − revisits), `docs/rules.md`, section 6.
pub fn efficiency(weights: &Score, counts: &ScoreInputs) -> f64 {
    let d = (counts.duration_ms as f64 / 600_000.0).min(3.0);
    let c = (counts.click_count as f64 / counts.tasks_started.max(1) as f64 / 20.0).min(3.0);
    let u = (counts.screen_visits - counts.unique_screens).max(0) as f64 / counts.screen_visits.max(1) as f64;
    rounded(sigmoid(
        weights.efficiency_base - weights.duration * d - weights.clicks_per_task * c - weights.revisits * u,
    ))
}

/// A score as a whole number of [`UNIT`]s.
pub fn units(score: f64) -> i64 {
    (score / UNIT).round() as i64
}

/// A number of [`UNIT`]s as a score: exact for sums over fewer than 2¹³ sessions, else the nearest double.
pub fn from_units(units: i128) -> f64 {
    units as f64 * UNIT
}

fn rounded(score: f64) -> f64 {
    from_units(i128::from(units(score)))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_without_incidents_scores_0_047() {
        let score = frustration(&Score::default(), &ScoreInputs::default());
        assert!((score - 0.047_425_873).abs() < 1e-8, "{score}");
    }

    #[test]
    fn duration_and_clicks_count_three_times_at_most() {
        let weights = Score::default();
        let long = ScoreInputs { duration_ms: 1_800_000, click_count: 60, ..ScoreInputs::default() };
        let longer = ScoreInputs { duration_ms: 9_800_000, click_count: 600, ..ScoreInputs::default() };
        assert_eq!(efficiency(&weights, &long), efficiency(&weights, &longer));
        let shorter = ScoreInputs { duration_ms: 1_799_999, ..long };
        assert!(efficiency(&weights, &shorter) > efficiency(&weights, &long));
    }

    #[test]
    fn sums_of_scores_do_not_depend_on_their_order() {
        let scores = [0.1, 0.7, 0.3, 1e-9].map(|score| i128::from(units(score)));
        let backwards: i128 = scores.iter().rev().sum();
        assert_eq!(from_units(scores.iter().sum()), from_units(backwards));
    }
}
