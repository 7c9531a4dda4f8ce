//! Counts, means and quantiles out of noisy answers, each with its margin of error.
//!
//! **Margins** (`…_moe95`) are how far, nineteen times of twenty, the number lies from the one without noise; they
//! are reckoned out of the noisy answers and the scales of the noise, and hold neither the sampling of visitors nor
//! the bounds.

use crate::method::Measure;
use crate::plan::{Plan, Query, WEIGHT};
use crate::release::NoisyCell;

/// The normal quantile that nineteen of twenty lie within.
const Z95: f64 = 1.96;

/// A number and its margin of error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// How far it may be off.
    pub moe95: f64,
}

/// Estimates numbers out of noisy cells.
pub(crate) struct Estimates<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) measures: &'static [Measure],
}

impl Estimates<'_> {
    /// The sessions of a cell.
    pub(crate) fn sessions(&self, cell: &NoisyCell) -> Estimate {
        let weight = WEIGHT as f64;
        let moe95 = Z95 * (self.plan.sessions_sigma * cell.factor) / weight;
        Estimate { value: cell.sessions as f64 / weight, moe95 }
    }

    /// The organisations of a cell.
    pub(crate) fn orgs(&self, cell: &NoisyCell) -> Estimate {
        let whole = f64::from(self.plan.whole_org_units);
        let moe95 = Z95 * (self.plan.orgs_sigma * cell.factor) / whole;
        Estimate { value: cell.org_parts as f64 / whole, moe95 }
    }

    /// The mean of one measure less that of another.
    pub(crate) fn difference(&self, after: usize, before: usize, cell: &NoisyCell) -> Option<Estimate> {
        let both = self.mean(after, cell).zip(self.mean(before, cell));
        both.map(|(after, before)| Estimate {
            value: after.value - before.value,
            moe95: after.moe95.hypot(before.moe95),
        })
    }

    fn measure(&self, place: usize) -> &'static Measure {
        &self.measures[place]
    }

    /// The answer to a query, and the scale of its noise.
    fn answer<'c>(&self, query: Query, cell: &'c NoisyCell) -> Option<(&'c [i64], f64)> {
        let place = self.plan.queries.iter().position(|noised| noised.query == query)?;
        Some((cell.answers.get(place)?, self.plan.queries[place].sigma * cell.factor))
    }

    /// A sum over a count, both with noise.
    pub(crate) fn mean(&self, place: usize, cell: &NoisyCell) -> Option<Estimate> {
        let measure = self.measure(place);
        let (sum, sum_sigma) = self.answer(Query::Sum(place), cell)?;
        let (count, count_sigma) = match self.answer(Query::Count(place), cell) {
            Some((count, sigma)) => (*count.first()?, sigma),
            None => (cell.sessions, self.plan.sessions_sigma * cell.factor),
        };
        // Where the count is mostly noise there is nothing to say.
        if (count as f64) < 4.0 * count_sigma.max(1.0) {
            return None;
        }
        let about = *sum.first()? as f64 / count as f64;
        let moe = Z95 * sum_sigma.hypot(about * count_sigma) / count as f64;
        let steps = (about + measure.middle() as f64).clamp(measure.least as f64, measure.greatest as f64);
        let per_unit = measure.per_unit as f64;
        Some(Estimate { value: steps / per_unit, moe95: moe.min(measure.range() as f64) / per_unit })
    }

    /// A quantile of a noisy histogram: where its running sum comes to that part of the whole.
    pub(crate) fn quantile(&self, place: usize, part: f64, cell: &NoisyCell) -> Option<Estimate> {
        let measure = self.measure(place);
        let (bins, sigma) = self.answer(Query::Histogram(place), cell)?;
        let mut running = Vec::with_capacity(bins.len());
        let mut sum = 0_i64;
        for bin in bins {
            sum += bin;
            // What noise made fall, does not fall.
            running.push(sum.max(running.last().copied().unwrap_or(0)));
        }
        let all = *running.last()? as f64;
        let at = running.partition_point(|below| (*below as f64) < part * all).min(bins.len() - 1);
        // Of the difference between the running sum and that part of the whole.
        let (below, above) = ((at + 1) as f64, (bins.len() - at - 1) as f64);
        let rank = Z95 * sigma * (below * (1.0 - part).powi(2) + above * part.powi(2)).sqrt();
        if all <= 2.0 * rank {
            return None;
        }
        let value = |target: f64| self.within(measure, &running, target);
        let (low, high) = (value(part * all - rank), value(part * all + rank));
        let middle = value(part * all);
        let per_unit = measure.per_unit as f64;
        Some(Estimate { value: middle / per_unit, moe95: (high - middle).max(middle - low) / per_unit })
    }

    /// The value, in steps of the measure, that so much weight lies at or below.
    fn within(&self, measure: &Measure, running: &[i64], target: f64) -> f64 {
        let at = running.partition_point(|below| (*below as f64) < target).min(running.len() - 1);
        let before = if at == 0 { 0 } else { running[at - 1] } as f64;
        let inside = running[at] as f64 - before;
        let first = measure.edges[at] as f64;
        // A bin ends one step before the next begins.
        let last = measure.edges.get(at + 1).map_or(measure.greatest, |next| next - 1) as f64;
        let along = if inside > 0.0 { ((target - before) / inside).clamp(0.0, 1.0) } else { 0.0 };
        first + (last - first).max(0.0) * along
    }
}
