//! Adds bounded contributions up, by cell and organisation, and scales an organisation down to its share.
//!
//!     contributions ─▶ (cell, organisation): sessions, bins, sums ─▶ × min(1, cap / sessions) ─▶ cell
//!                      packed as soon as another organisation begins
//!
//! **Why packed.** One organisation may make any number of cells that nobody shares. They are never told apart, but
//! each counts in the cell of what stands nowhere alone, so all are kept until it is known which are shared: packed,
//! in a fraction of what a tally takes. Only what many organisations have is spread out.

use std::collections::{BTreeMap, HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_64;

use crate::bound::{Contribution, lot};
use crate::method::Measure;
use crate::packed::Run;
use crate::tally::Tally;

/// Cells of one organisation that are added to before they are packed.
const OPEN_CELLS: usize = 1 << 18;

/// A cell before it passes the gate. Its numbers are exact and never leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// How many cells it brings together.
    pub cells: u32,
    /// Organisations that are there.
    pub orgs: u32,
    /// The same in parts: one counts whole from so many visitors on.
    pub org_parts: i64,
    /// All organisations together, each scaled to its share.
    pub tally: Tally,
}

/// What can go wrong with tallies.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are more pairs of a cell and an organisation than fit.
    #[error(
        "more than {0} pairs of a cell and an organisation; give the pack fewer keys, a narrower window, or more \
         memory (packs.entries_max)"
    )]
    TooMany(usize),
    /// Memory does not hold what was packed into it.
    #[error("a packed tally cannot be read; this is a fault of netcrab")]
    Packed(#[from] postcard::Error),
}

/// Adds the contributions of one organisation after another up.
#[derive(Debug)]
pub struct TalliesBuilder {
    measures: &'static [Measure],
    /// The pack, and in how many cells an organisation counts, where it is the unit.
    org_bound: Option<(String, u32)>,
    org: String,
    open: BTreeMap<String, Tally>,
    packed: BTreeMap<String, Vec<Run>>,
    entries: usize,
    entries_max: usize,
}

impl TalliesBuilder {
    /// None yet; at most so many pairs of a cell and an organisation. Visitors are bounded already.
    pub fn of_visitors(measures: &'static [Measure], entries_max: usize) -> Self {
        Self {
            measures,
            org_bound: None,
            org: String::new(),
            open: BTreeMap::new(),
            packed: BTreeMap::new(),
            entries: 0,
            entries_max,
        }
    }

    /// The same where an organisation is the unit: it counts in at most `cells` cells, all its sessions there; which
    /// ones, its lots in the pack decide.
    pub fn of_orgs(measures: &'static [Measure], entries_max: usize, pack_id: &str, cells: u32) -> Self {
        Self { org_bound: Some((pack_id.to_owned(), cells)), ..Self::of_visitors(measures, entries_max) }
    }

    /// Takes a contribution of an organisation.
    pub fn take(&mut self, org: &str, contribution: &Contribution) -> Result<(), Error> {
        if self.org != org {
            self.end_org()?;
            org.clone_into(&mut self.org);
        }
        let measures = self.measures;
        if let Some(known) = self.open.get_mut(&contribution.cell) {
            known.take(measures, &contribution.values);
            return Ok(());
        }
        if self.open.len() >= OPEN_CELLS {
            match self.org_bound {
                // Its lots would leave out again what they leave out now.
                Some(_) => self.bound(),
                None => self.end_org()?,
            }
        }
        let mut tally = Tally::empty(measures);
        tally.take(measures, &contribution.values);
        self.open.insert(contribution.cell.clone(), tally);
        Ok(())
    }

    /// What was taken.
    pub fn finish(mut self) -> Result<Tallies, Error> {
        self.end_org()?;
        Ok(Tallies { measures: self.measures, packed: self.packed })
    }

    fn bound(&mut self) {
        let Some((pack_id, cells)) = &self.org_bound else { return };
        if self.open.len() > *cells as usize {
            let mut cells_of: Vec<(String, Tally)> = std::mem::take(&mut self.open).into_iter().collect();
            cells_of.sort_by_cached_key(|(key, _)| lot(pack_id, &self.org, key));
            cells_of.truncate(*cells as usize);
            self.open.extend(cells_of);
        }
    }

    fn end_org(&mut self) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        if self.org_bound.is_some() {
            // Should it have begun before, it is bounded as a whole.
            for run in self.packed.remove(&self.org).unwrap_or_default() {
                let open = &mut self.open;
                run.each(|key, tally| {
                    self.entries -= 1;
                    open.entry(key.to_owned()).and_modify(|known| known.add(&tally)).or_insert(tally);
                })?;
            }
            self.bound();
        }
        self.entries += self.open.len();
        if self.entries > self.entries_max {
            return Err(Error::TooMany(self.entries_max));
        }
        let run = Run::of(std::mem::take(&mut self.open))?;
        self.packed.entry(self.org.clone()).or_default().push(run);
        Ok(())
    }
}

/// The tallies of a window.
#[derive(Debug)]
pub struct Tallies {
    measures: &'static [Measure],
    packed: BTreeMap<String, Vec<Run>>,
}

/// How many organisations each cell has, by the hash of its key. Should two cells have the same, it says too many.
#[derive(Debug)]
pub struct Presence(HashMap<u64, u32>);

impl Presence {
    /// Organisations of a cell, at most.
    pub fn orgs(&self, key: &str) -> u32 {
        self.0.get(&xxh3_64(key.as_bytes())).copied().unwrap_or(0)
    }
}

impl Tallies {
    /// The sessions of each organisation, before scaling: what it contributed.
    pub fn contributed(&self) -> Result<BTreeMap<&str, i64>, Error> {
        let mut contributed = BTreeMap::new();
        for (org, runs) in &self.packed {
            let sessions: &mut i64 = contributed.entry(org.as_str()).or_default();
            for run in runs {
                run.each(|_, tally| *sessions += tally.sessions)?;
            }
        }
        Ok(contributed)
    }

    /// How many organisations each cell has.
    pub fn presence(&self) -> Result<Presence, Error> {
        let mut orgs: HashMap<u64, u32> = HashMap::new();
        for runs in self.packed.values() {
            let mut keys = HashSet::new();
            for run in runs {
                run.each(|key, _| {
                    keys.insert(xxh3_64(key.as_bytes()));
                })?;
            }
            keys.into_iter().for_each(|key| *orgs.entry(key).or_default() += 1);
        }
        Ok(Presence(orgs))
    }

    /// Cells brought together under the keys that `together` gives theirs; those it gives none are left out. Each
    /// organisation is scaled to weigh `cap` sessions at most, and counts whole from `whole_org_units` on.
    pub fn cells(
        &self,
        cap: u32,
        whole_org_units: u32,
        together: impl Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, Cell>, Error> {
        let empty = || Cell { cells: 0, orgs: 0, org_parts: 0, tally: Tally::empty(self.measures) };
        let mut cells: BTreeMap<String, Cell> = BTreeMap::new();
        let mut counted = HashSet::new();
        for runs in self.packed.values() {
            let mut of_org: BTreeMap<String, Tally> = BTreeMap::new();
            for run in runs {
                run.each(|key, tally| {
                    let Some(under) = together(key) else { return };
                    if counted.insert(xxh3_64(key.as_bytes())) {
                        cells.entry(under.clone()).or_insert_with(empty).cells += 1;
                    }
                    of_org.entry(under).and_modify(|known| known.add(&tally)).or_insert(tally);
                })?;
            }
            for (under, tally) in of_org {
                let cell = cells.entry(under).or_insert_with(empty);
                cell.orgs += 1;
                cell.org_parts += tally.sessions.min(i64::from(whole_org_units));
                cell.tally.add(&tally.weighed(i64::from(cap)));
            }
        }
        Ok(cells)
    }
}
