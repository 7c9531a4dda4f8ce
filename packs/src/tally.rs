//! What an organisation has in a cell, added up, and scaled down to its share of the cell.
//!
//!     values of a session ─▶ sessions, bins, sums ─▶ × min(1, cap / sessions)
//!
//! **Why scaling keeps the sensitivity.** Let an organisation have n > K sessions in a cell, where K is the cap, and let
//! h be their histogram. Scaled, it is h·K/n. Without one session, which is in the bin e, it is (h − e)·K/(n − 1). The
//! difference is K·(n·e − h)/(n·(n − 1)). Its L1 norm is at most 2K/n < 2 and its L2 norm is less than √2, which is
//! what one session in place of another changes.

use serde::{Deserialize, Serialize};

use crate::method::Measure;
use crate::plan::{Query, WEIGHT};

/// What one organisation, or all of them together, have in a cell. The numbers are exact.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Sessions; of one organisation as a count, of a cell in parts of [`WEIGHT`].
    pub sessions: i64,
    /// One for each measure of the kind.
    pub measures: Vec<MeasureTally>,
}

/// The part of a [`Tally`] about one measure, in the unit of its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MeasureTally {
    /// Sessions in each bin of the measure's histogram.
    pub bins: Vec<i64>,
    /// The sum of the values, each less the middle of the measure's range.
    pub sum: i64,
    /// Sessions that have a value.
    pub count: i64,
}

impl Tally {
    pub(crate) fn empty(measures: &[Measure]) -> Self {
        let measure =
            |measure: &Measure| MeasureTally { bins: vec![0; measure.edges.len()], ..MeasureTally::default() };
        Self { sessions: 0, measures: measures.iter().map(measure).collect() }
    }

    /// Adds a session with these values, each clamped to the bounds of its measure.
    pub(crate) fn add_session(&mut self, measures: &[Measure], values: &[Option<i64>]) {
        self.sessions += 1;
        for ((measure, tally), value) in measures.iter().zip(&mut self.measures).zip(values) {
            let Some(value) = value.map(|value| measure.clamp(value)) else { continue };
            tally.count += 1;
            tally.sum += value - measure.middle();
            if !measure.edges.is_empty() {
                tally.bins[measure.bin(value)] += 1;
            }
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        for (ours, theirs) in self.measures.iter_mut().zip(&other.measures) {
            ours.sum += theirs.sum;
            ours.count += theirs.count;
            ours.bins.iter_mut().zip(&theirs.bins).for_each(|(ours, theirs)| *ours += theirs);
        }
    }

    /// The tally in parts of [`WEIGHT`], scaled down so that it weighs at most `cap` sessions.
    pub(crate) fn weighted(&self, cap: i64) -> Self {
        let (weight, sessions) = (self.sessions.min(cap), self.sessions.max(1));
        // Rounds towards zero, so that nothing weighs more than it is.
        let scale = |number: i64| (i128::from(number) * i128::from(WEIGHT * weight) / i128::from(sessions)) as i64;
        let measure = |tally: &MeasureTally| MeasureTally {
            bins: tally.bins.iter().map(|bin| scale(*bin)).collect(),
            sum: scale(tally.sum),
            count: scale(tally.count),
        };
        Self { sessions: scale(self.sessions), measures: self.measures.iter().map(measure).collect() }
    }

    /// The exact answer to a query: one number for each bin of a histogram, a single number otherwise.
    pub fn answer(&self, query: Query) -> Vec<i64> {
        match query {
            Query::Histogram(measure) => self.measures[measure].bins.clone(),
            Query::Sum(measure) => vec![self.measures[measure].sum],
            Query::Count(measure) => vec![self.measures[measure].count],
        }
    }
}
