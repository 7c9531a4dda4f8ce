//! Adds bounded contributions up, by cell and organisation, and scales an organisation down to its share.
//!
//!     contributions ─▶ (cell, organisation): sessions, bins, sums ─▶ × min(1, cap / sessions) ─▶ cell
//!
//! **Why scaling is safe.** Let an organisation have n > K sessions in a cell, h of them by bin, scaled to h·K/n.
//! One session less makes it (h − e)·K/(n − 1); the difference is K·(n·e − h)/(n·(n − 1)), whose L1 norm is
//! at most 2K/n < 2 and whose L2 norm is less than √2: no more than one session in place of another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::bound::{Contribution, lot};
use crate::method::Measure;
use crate::plan::{Query, WEIGHT};

/// What an organisation, or all of them, have in a cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Sessions.
    pub sessions: i64,
    /// For each measure: sessions by bin, the sum about its middle, and how many said something.
    pub measures: Vec<MeasureTally>,
}

/// The part of a [`Tally`] about one measure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MeasureTally {
    /// Sessions by bin.
    pub bins: Vec<i64>,
    /// The sum of values, each less the middle of the range.
    pub sum: i64,
    /// Sessions that said something.
    pub count: i64,
}

impl Tally {
    fn empty(measures: &[Measure]) -> Self {
        let measure =
            |measure: &Measure| MeasureTally { bins: vec![0; measure.edges.len()], ..MeasureTally::default() };
        Self { sessions: 0, measures: measures.iter().map(measure).collect() }
    }

    fn take(&mut self, measures: &[Measure], values: &[Option<i64>]) {
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

    fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        for (ours, theirs) in self.measures.iter_mut().zip(&other.measures) {
            ours.sum += theirs.sum;
            ours.count += theirs.count;
            ours.bins.iter_mut().zip(&theirs.bins).for_each(|(ours, theirs)| *ours += theirs);
        }
    }

    /// In parts of [`WEIGHT`], and scaled so that it weighs no more than `cap` sessions.
    fn weighed(&self, cap: i64) -> Self {
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

/// A cell before it passes the gate. Its numbers are exact and never leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Organisations that are there.
    pub orgs: u32,
    /// The same in parts: one counts whole from so many visitors on.
    pub org_parts: i64,
    /// All organisations together, each scaled to its share.
    pub tally: Tally,
}

/// The tallies of a window.
#[derive(Debug)]
pub struct Tallies {
    measures: &'static [Measure],
    cells: BTreeMap<String, BTreeMap<u32, Tally>>,
    entries: usize,
    /// Most pairs of a cell and an organisation.
    entries_max: usize,
}

/// There are more pairs of a cell and an organisation than fit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "more than {0} pairs of a cell and an organisation; give the pack fewer keys, a narrower window, or more memory"
)]
pub struct TooMany(pub usize);

impl Tallies {
    /// None yet; at most so many pairs of a cell and an organisation.
    pub fn new(measures: &'static [Measure], entries_max: usize) -> Self {
        Self { measures, cells: BTreeMap::new(), entries: 0, entries_max }
    }

    /// Takes a bounded contribution of an organisation, known by a number.
    pub fn take(&mut self, org: u32, contribution: &Contribution) -> Result<(), TooMany> {
        let measures = self.measures;
        if !self.cells.contains_key(&contribution.cell) {
            self.cells.insert(contribution.cell.clone(), BTreeMap::new());
        }
        let Some(orgs) = self.cells.get_mut(&contribution.cell) else { return Ok(()) };
        let tally = match orgs.entry(org) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if self.entries == self.entries_max => return Err(TooMany(self.entries_max)),
            Entry::Vacant(place) => {
                self.entries += 1;
                place.insert(Tally::empty(measures))
            }
        };
        tally.take(measures, &contribution.values);
        Ok(())
    }

    /// Keeps at most `cells` cells of an organisation, where it is the unit; which ones, its lots decide.
    pub fn bound_org(&mut self, pack_id: &str, org: u32, unit: &str, cells: u32) {
        let of_org = self.cells.iter().filter(|(_, orgs)| orgs.contains_key(&org)).map(|(key, _)| key.clone());
        let mut keys: Vec<String> = of_org.collect();
        keys.sort_by_cached_key(|key| lot(pack_id, unit, key));
        for key in keys.into_iter().skip(cells as usize) {
            let Some(orgs) = self.cells.get_mut(&key) else { continue };
            orgs.remove(&org);
            self.entries -= 1;
            if orgs.is_empty() {
                self.cells.remove(&key);
            }
        }
    }

    /// The keys of all cells, ascending.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.cells.keys().map(String::as_str)
    }

    /// The sessions of each organisation, before scaling: what it contributed.
    pub fn contributed(&self) -> BTreeMap<u32, i64> {
        let mut contributed = BTreeMap::new();
        for (org, tally) in self.cells.values().flatten() {
            *contributed.entry(*org).or_default() += tally.sessions;
        }
        contributed
    }

    /// Several cells as one, each organisation scaled to weigh `cap` sessions at most.
    pub fn cell(&self, keys: &[&str], cap: u32, whole_org_units: u32) -> Cell {
        let mut by_org: BTreeMap<u32, Tally> = BTreeMap::new();
        for (org, tally) in keys.iter().filter_map(|key| self.cells.get(*key)).flatten() {
            by_org.entry(*org).or_insert_with(|| Tally::empty(self.measures)).add(tally);
        }
        let mut all = Tally::empty(self.measures);
        by_org.values().for_each(|tally| all.add(&tally.weighed(i64::from(cap))));
        let parts = by_org.values().map(|tally| tally.sessions.min(i64::from(whole_org_units))).sum();
        Cell { orgs: by_org.len() as u32, org_parts: parts, tally: all }
    }
}
