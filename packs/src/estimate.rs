//! Counts, means and quantiles out of noisy answers, each with its margin of error.
//!
//!     sums, counts, histograms with noise ─▶ value ± moe95
//!
//! **Margin** (`moe95`): in nineteen of twenty draws of the noise the value is no farther than this from the value
//! without noise. Margins follow from the noisy answers and the scales of the noise. They include neither the
//! sampling of visitors nor the bounds on contributions.
//!
//! The margin of a mean S/N is that of a ratio of two independent normal variables, to first order (delta method):
//! σ²(S/N) ≈ (σ²(S) + (S/N)²·σ²(N)) / N². The margin of a quantile is the interval between the values at the ranks
//! p·N ± z·σ(rank), where the rank's σ follows from the bins below and above it.

use crate::definition::Kind;
use crate::method::{self, Measure};
use crate::plan::{NoisyQuery, Query, ReleasePlan, WEIGHT};
use crate::release::NoisyCell;

/// The quantile of the standard normal distribution that bounds nineteen of twenty draws, on both sides.
const Z95: f64 = 1.96;

/// A number with noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its margin of error, in the same unit.
    pub moe95: f64,
}

impl Estimate {
    /// This number less another one with noise of its own.
    pub fn minus(self, other: Self) -> Self {
        Self { value: self.value - other.value, moe95: self.moe95.hypot(other.moe95) }
    }

    /// Whether the number differs from 0 by more than its margin.
    pub fn beyond_margin(self) -> bool {
        self.value.abs() > self.moe95
    }
}

/// A mean of estimates, weighted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WeightedMean {
    weight: f64,
    sum: f64,
    /// The sum of the squares of the weighted margins.
    square: f64,
}

impl WeightedMean {
    pub(crate) fn add(&mut self, weight: f64, estimate: Estimate) {
        self.weight += weight;
        self.sum += weight * estimate.value;
        self.square += (weight * estimate.moe95).powi(2);
    }

    /// The mean; the weights must not add up to 0.
    pub(crate) fn estimate(self) -> Estimate {
        Estimate { value: self.sum / self.weight, moe95: self.square.sqrt() / self.weight }
    }
}

/// The margin that a query of the plan gives a cell of so many sessions: of a mean in the unit of its measure, of a
/// count in percent of the sessions, and of a histogram in percent of the rank of the median.
pub fn expected_moe95(kind: Kind, noisy: &NoisyQuery, sessions: u64) -> f64 {
    let measures = method::measures(kind);
    let divisor = match noisy.query {
        // Half of the bins lie below the median's rank and half above, each with a weight of (1/2)².
        Query::Histogram(measure) => 0.01 / (measures[measure].edges.len() as f64 / 4.0).sqrt(),
        Query::Sum(measure) => measures[measure].per_unit as f64,
        Query::Count(_) => 0.01,
    };
    Z95 * noisy.sigma / (WEIGHT as f64 * sessions as f64 * divisor)
}

/// Reads estimates out of released cells.
pub(crate) struct Estimates<'a> {
    pub(crate) plan: &'a ReleasePlan,
    pub(crate) measures: &'static [Measure],
}

impl Estimates<'_> {
    pub(crate) fn sessions(&self, cell: &NoisyCell) -> Estimate {
        let weight = WEIGHT as f64;
        let moe95 = Z95 * (self.plan.sessions_sigma * cell.factor) / weight;
        Estimate { value: cell.sessions as f64 / weight, moe95 }
    }

    pub(crate) fn orgs(&self, cell: &NoisyCell) -> Estimate {
        let whole = f64::from(self.plan.whole_org_units);
        let moe95 = Z95 * (self.plan.orgs_sigma * cell.factor) / whole;
        Estimate { value: cell.org_parts as f64 / whole, moe95 }
    }

    /// The mean of the measure `after` less the mean of `before`.
    pub(crate) fn difference(&self, after: usize, before: usize, cell: &NoisyCell) -> Option<Estimate> {
        Some(self.mean(after, cell)?.minus(self.mean(before, cell)?))
    }

    /// The noisy answer to a query, and the scale of its noise.
    fn answer<'c>(&self, query: Query, cell: &'c NoisyCell) -> Option<(&'c [i64], f64)> {
        let place = self.plan.queries.iter().position(|noisy| noisy.query == query)?;
        Some((cell.answers.get(place)?, self.plan.queries[place].sigma * cell.factor))
    }

    /// The mean of a measure: a sum over a count, both with noise. None where the count is mostly noise.
    pub(crate) fn mean(&self, place: usize, cell: &NoisyCell) -> Option<Estimate> {
        let measure = &self.measures[place];
        let (sum, sum_sigma) = self.answer(Query::Sum(place), cell)?;
        let (count, count_sigma) = match self.answer(Query::Count(place), cell) {
            Some((count, sigma)) => (*count.first()?, sigma),
            None => (cell.sessions, self.plan.sessions_sigma * cell.factor),
        };
        if (count as f64) < 4.0 * count_sigma.max(1.0) {
            return None;
        }
        let about_middle = *sum.first()? as f64 / count as f64;
        let moe = Z95 * sum_sigma.hypot(about_middle * count_sigma) / count as f64;
        let steps = (about_middle + measure.middle() as f64).clamp(measure.least as f64, measure.greatest as f64);
        let per_unit = measure.per_unit as f64;
        Some(Estimate { value: steps / per_unit, moe95: moe.min(measure.range() as f64) / per_unit })
    }

    /// The `part` quantile of a measure: the value at which the histogram's running sum reaches that part of the total.
    /// None where the total is mostly noise.
    pub(crate) fn quantile(&self, place: usize, part: f64, cell: &NoisyCell) -> Option<Estimate> {
        let measure = &self.measures[place];
        let (bins, sigma) = self.answer(Query::Histogram(place), cell)?;
        let running = running_sums(bins);
        let total = *running.last()? as f64;
        let at = running.partition_point(|below| (*below as f64) < part * total).min(bins.len() - 1);
        // The variance of the running sum less `part` of the total: bins below weigh 1 − part, bins above −part.
        let (below, above) = ((at + 1) as f64, (bins.len() - at - 1) as f64);
        let rank = Z95 * sigma * (below * (1.0 - part).powi(2) + above * part.powi(2)).sqrt();
        if total <= 2.0 * rank {
            return None;
        }
        let value = |target: f64| value_at(measure, &running, target);
        let (low, middle, high) = (value(part * total - rank), value(part * total), value(part * total + rank));
        let per_unit = measure.per_unit as f64;
        Some(Estimate { value: middle / per_unit, moe95: (high - middle).max(middle - low) / per_unit })
    }
}

/// The running sums of a histogram. Noise can make a bin negative; a running sum does not fall for it.
fn running_sums(bins: &[i64]) -> Vec<i64> {
    let mut running = Vec::with_capacity(bins.len());
    let mut sum = 0_i64;
    for bin in bins {
        sum += bin;
        running.push(sum.max(running.last().copied().unwrap_or(0)));
    }
    running
}

/// The value, in steps of the measure, at or below which the weight `target` lies; linear within a bin.
fn value_at(measure: &Measure, running: &[i64], target: f64) -> f64 {
    let at = running.partition_point(|below| (*below as f64) < target).min(running.len() - 1);
    let before = if at == 0 { 0 } else { running[at - 1] } as f64;
    let inside = running[at] as f64 - before;
    let first = measure.edges[at] as f64;
    // A bin ends one step before the next begins.
    let last = measure.edges.get(at + 1).map_or(measure.greatest, |next| next - 1) as f64;
    let along = if inside > 0.0 { ((target - before) / inside).clamp(0.0, 1.0) } else { 0.0 };
    first + (last - first).max(0.0) * along
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_of_a_difference_and_of_a_mean_add_up_in_squares() {
        let (a, b) = (Estimate { value: 5.0, moe95: 3.0 }, Estimate { value: 1.0, moe95: 4.0 });
        let difference = a.minus(b);
        assert_eq!((difference.value, difference.moe95, difference.beyond_margin()), (4.0, 5.0, false));
        let mut mean = WeightedMean::default();
        mean.add(3.0, a);
        mean.add(1.0, b);
        // √((3·3)² + (1·4)²) / 4
        assert_eq!((mean.estimate().value, mean.estimate().moe95), (4.0, 97.0_f64.sqrt() / 4.0));
    }

    #[test]
    fn the_expected_margin_halves_with_twice_the_sessions() {
        let mean_of_scores = NoisyQuery { query: Query::Sum(2), sensitivity: 1.0, sigma: 4096.0 * 1000.0 };
        assert_eq!(expected_moe95(Kind::UxBenchmarks, &mean_of_scores, 1), 1.96);
        assert_eq!(expected_moe95(Kind::UxBenchmarks, &mean_of_scores, 2), 0.98);
        // 25 bins of clicks: √(25/4) = 2.5 times the noise of a bin, in percent.
        let rank_of_clicks = NoisyQuery { query: Query::Histogram(0), sensitivity: 1.0, sigma: 4096.0 };
        assert!((expected_moe95(Kind::UxBenchmarks, &rank_of_clicks, 1000) - 0.49).abs() < 1e-12);
    }
}
