//! Adds bounded contributions up by cell and organisation, and organisations up to cells.
//!
//!     contributions, organisation by organisation ─▶ a tally for each (cell, organisation), packed ─▶ cells
//!                                                                       each scaled to its share ─┘
//!
//! **Why tallies are packed.** One organisation can make any number of cells that no other has. None of them is
//! released on its own, but each counts in the `OTHER` cell that it is merged into. So all of them must be retained
//! until the last organisation is read. Packed, they take a fraction of the memory; only cells that enough
//! organisations share are unpacked.

use std::collections::{BTreeMap, HashMap, HashSet};

use netcrab_schema::WhoActs;
use xxhash_rust::xxh3::xxh3_64;

use crate::bound::{Contribution, rank};
use crate::method::Measure;
use crate::packed::PackedCells;
use crate::tally::Tally;

/// Cells of one organisation that are added to before they are packed.
const OPEN_CELLS_MAX: usize = 1 << 18;

/// A cell before it passes the gate. Its numbers are exact and are never released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// How many cells were merged into it; 1 for a cell on its own.
    pub cells: u32,
    /// Organisations with a session in the cell.
    pub orgs: u32,
    /// Organisations in parts: one with `whole_org_units` sessions or more has that many parts, any other as many parts
    /// as sessions.
    pub org_parts: i64,
    /// The tallies of all organisations, each scaled to its share.
    pub tally: Tally,
}

/// What can go wrong with tallies.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are more pairs of a cell and an organisation than `entries_max`.
    #[error(
        "more than {0} pairs of a cell and an organisation; give the pack fewer keys, a narrower window, or more \
         memory (packs.entries_max)"
    )]
    TooMany(usize),
    /// The bytes of a packed tally are damaged.
    #[error("a packed tally cannot be read; this is a fault of netcrab")]
    Packed(#[from] postcard::Error),
}

impl Error {
    /// Who must act before the tallies can be computed.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            Self::TooMany(_) | Self::Packed(_) => WhoActs::Operator,
        }
    }
}

/// Adds up the contributions of one organisation after another.
#[derive(Debug)]
pub struct TalliesBuilder {
    measures: &'static [Measure],
    /// The pack, and in how many cells an organisation counts, where the organisation is the unit.
    org_bound: Option<(String, u32)>,
    /// The organisation whose contributions are being added up.
    org: String,
    open: BTreeMap<String, Tally>,
    packed: BTreeMap<String, Vec<PackedCells>>,
    /// Pairs of a cell and an organisation that are packed.
    entries: usize,
    entries_max: usize,
}

impl TalliesBuilder {
    /// An empty builder for contributions that are bounded already, of at most `entries_max` pairs of a cell and an
    /// organisation.
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

    /// An empty builder that bounds each organisation itself, where the organisation is the unit: it counts with all
    /// its sessions, in at most `cells` cells. A hash of the pack, the organisation and the cell decides which ones.
    pub fn of_orgs(measures: &'static [Measure], entries_max: usize, pack_id: &str, cells: u32) -> Self {
        Self { org_bound: Some((pack_id.to_owned(), cells)), ..Self::of_visitors(measures, entries_max) }
    }

    /// Takes a contribution of an organisation.
    ///
    /// # Errors
    ///
    /// [`Error::TooMany`] when there are more than `entries_max` pairs of a cell and an organisation.
    pub fn take(&mut self, org: &str, contribution: &Contribution) -> Result<(), Error> {
        if self.org != org {
            self.end_org()?;
            org.clone_into(&mut self.org);
        }
        let measures = self.measures;
        if let Some(known) = self.open.get_mut(&contribution.cell) {
            known.add_session(measures, &contribution.values);
            return Ok(());
        }
        if self.open.len() >= OPEN_CELLS_MAX {
            match self.org_bound {
                // A cell that is dropped now has so high a rank that the bound would drop it at the end too.
                Some(_) => self.bound_org(),
                None => self.end_org()?,
            }
        }
        let mut tally = Tally::empty(measures);
        tally.add_session(measures, &contribution.values);
        self.open.insert(contribution.cell.clone(), tally);
        Ok(())
    }

    /// The tallies of all that was taken.
    ///
    /// # Errors
    ///
    /// [`Error::TooMany`] when there are more than `entries_max` pairs of a cell and an organisation.
    pub fn finish(mut self) -> Result<Tallies, Error> {
        self.end_org()?;
        Ok(Tallies { measures: self.measures, packed: self.packed })
    }

    /// Drops the cells beyond the organisation's bound.
    fn bound_org(&mut self) {
        let Some((pack_id, cells_max)) = &self.org_bound else { return };
        if self.open.len() > *cells_max as usize {
            let mut cells: Vec<(String, Tally)> = std::mem::take(&mut self.open).into_iter().collect();
            cells.sort_by_cached_key(|(key, _)| rank(pack_id, &self.org, key));
            cells.truncate(*cells_max as usize);
            self.open.extend(cells);
        }
    }

    /// Packs the open cells of the organisation.
    fn end_org(&mut self) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        if self.org_bound.is_some() {
            // The organisation may have come before: it is bounded as a whole.
            for packed in self.packed.remove(&self.org).unwrap_or_default() {
                let open = &mut self.open;
                packed.for_each(|key, tally| {
                    self.entries -= 1;
                    open.entry(key.to_owned()).and_modify(|known| known.add(&tally)).or_insert(tally);
                })?;
            }
            self.bound_org();
        }
        self.entries += self.open.len();
        if self.entries > self.entries_max {
            return Err(Error::TooMany(self.entries_max));
        }
        let packed = PackedCells::pack(std::mem::take(&mut self.open))?;
        self.packed.entry(self.org.clone()).or_default().push(packed);
        Ok(())
    }
}

/// The tallies of a window, by organisation.
#[derive(Debug)]
pub struct Tallies {
    measures: &'static [Measure],
    packed: BTreeMap<String, Vec<PackedCells>>,
}

/// How many organisations each cell has, by the hash of its key. Where two keys have one hash, the count is too high.
#[derive(Debug)]
pub struct OrgCounts(HashMap<u64, u32>);

impl OrgCounts {
    /// The most organisations that the cell of this key can have.
    pub fn orgs(&self, key: &str) -> u32 {
        self.0.get(&xxh3_64(key.as_bytes())).copied().unwrap_or(0)
    }
}

impl Tallies {
    /// How many sessions each organisation contributed, before scaling.
    ///
    /// # Errors
    ///
    /// [`Error::Packed`], which is a defect of netcrab.
    pub fn contributed(&self) -> Result<BTreeMap<&str, i64>, Error> {
        let mut contributed = BTreeMap::new();
        for (org, all_packed) in &self.packed {
            let sessions: &mut i64 = contributed.entry(org.as_str()).or_default();
            for packed in all_packed {
                packed.for_each(|_, tally| *sessions += tally.sessions)?;
            }
        }
        Ok(contributed)
    }

    /// How many organisations each cell has.
    ///
    /// # Errors
    ///
    /// [`Error::Packed`], which is a defect of netcrab.
    pub fn org_counts(&self) -> Result<OrgCounts, Error> {
        let mut orgs: HashMap<u64, u32> = HashMap::new();
        for all_packed in self.packed.values() {
            let mut keys = HashSet::new();
            for packed in all_packed {
                packed.for_each(|key, _| {
                    keys.insert(xxh3_64(key.as_bytes()));
                })?;
            }
            keys.into_iter().for_each(|key| *orgs.entry(key).or_default() += 1);
        }
        Ok(OrgCounts(orgs))
    }

    /// The cells, each under the key that `merge_into` gives for its own; a cell for which it gives none is dropped.
    /// Each organisation is scaled to weigh at most `cap` sessions, and has at most `whole_org_units` parts.
    ///
    /// # Errors
    ///
    /// [`Error::Packed`], which is a defect of netcrab.
    pub fn cells(
        &self,
        cap: u32,
        whole_org_units: u32,
        merge_into: impl Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, Cell>, Error> {
        let empty = || Cell { cells: 0, orgs: 0, org_parts: 0, tally: Tally::empty(self.measures) };
        let mut cells: BTreeMap<String, Cell> = BTreeMap::new();
        let mut counted = HashSet::new();
        for all_packed in self.packed.values() {
            let mut of_org: BTreeMap<String, Tally> = BTreeMap::new();
            for packed in all_packed {
                packed.for_each(|key, tally| {
                    let Some(merged) = merge_into(key) else { return };
                    if counted.insert(xxh3_64(key.as_bytes())) {
                        cells.entry(merged.clone()).or_insert_with(empty).cells += 1;
                    }
                    of_org.entry(merged).and_modify(|known| known.add(&tally)).or_insert(tally);
                })?;
            }
            for (key, tally) in of_org {
                let cell = cells.entry(key).or_insert_with(empty);
                cell.orgs += 1;
                cell.org_parts += tally.sessions.min(i64::from(whole_org_units));
                cell.tally.add(&tally.weighted(i64::from(cap)));
            }
        }
        Ok(cells)
    }
}
