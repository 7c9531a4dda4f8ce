//! What an organisation has in a cell, added up, and scaled down to its share.
//!
//!     values of a session ─▶ sessions, bins, sums ─▶ × min(1, cap / sessions)
//!
//! **Why scaling is safe.** Let an organisation have n > K sessions in a cell, h of them by bin, scaled to h·K/n.
//! One session less makes it (h − e)·K/(n − 1); the difference is K·(n·e − h)/(n·(n − 1)), whose L1 norm is
//! at most 2K/n < 2 and whose L2 norm is less than √2: no more than one session in place of another.

use serde::{Deserialize, Serialize};

use crate::method::Measure;
use crate::plan::{Query, WEIGHT};

/// What an organisation, or all of them, have in a cell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Sessions.
    pub sessions: i64,
    /// For each measure: sessions by bin, the sum about its middle, and how many said something.
    pub measures: Vec<MeasureTally>,
}

/// The part of a [`Tally`] about one measure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MeasureTally {
    /// Sessions by bin.
    pub bins: Vec<i64>,
    /// The sum of values, each less the middle of the range.
    pub sum: i64,
    /// Sessions that said something.
    pub count: i64,
}

impl Tally {
    pub(crate) fn empty(measures: &[Measure]) -> Self {
        let measure =
            |measure: &Measure| MeasureTally { bins: vec![0; measure.edges.len()], ..MeasureTally::default() };
        Self { sessions: 0, measures: measures.iter().map(measure).collect() }
    }

    pub(crate) fn take(&mut self, measures: &[Measure], values: &[Option<i64>]) {
        self.sessions += 1;
        for ((measure, tally), value) in measures.iter().zip(&mut self.measures).zip(values) {
            let Some(value) = value.map(|value| measure.bounded(value)) else { continue };
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

    /// In parts of [`WEIGHT`], and scaled so that it weighs no more than `cap` sessions.
    pub(crate) fn weighed(&self, cap: i64) -> Self {
        let (over, of) = (self.sessions.min(cap), self.sessions.max(1));
        // Towards zero, so that nothing weighs more than it is.
        let scale = |number: i64| (i128::from(number) * i128::from(WEIGHT * over) / i128::from(of)) as i64;
        Self {
            sessions: scale(self.sessions),
            measures: self
                .measures
                .iter()
                .map(|tally| MeasureTally {
                    bins: tally.bins.iter().map(|bin| scale(*bin)).collect(),
                    sum: scale(tally.sum),
                    count: scale(tally.count),
                })
                .collect(),
        }
    }

    /// The exact answer to a query.
    pub fn answer(&self, query: Query) -> Vec<i64> {
        match query {
            Query::Histogram(place) => self.measures[place].bins.clone(),
            Query::Sum(place) => vec![self.measures[place].sum],
            Query::Count(place) => vec![self.measures[place].count],
        }
    }
}
