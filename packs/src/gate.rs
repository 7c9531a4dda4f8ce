//! The gate: the only way from exact cells to what leaves.
//!
//!     cell ─▶ enough organisations? enough sessions? ─▶ queries with noise ─▶ released cell
//!              └ no ─▶ together with others as OTHER ─▶ the same ─▶ released, or left out
//!
//! Everything that leaves has noise: what is decided is decided on noisy numbers, but for one test that only ever
//! withholds, that a cell has enough organisations at all.

use std::collections::BTreeMap;

use crate::bound::SEPARATOR;
use crate::definition::Kind;
use crate::method::{self, OTHER};
use crate::noise::{Error, Noise};
use crate::plan::{Plan, WEIGHT};
use crate::release::{NoisyCell, Release};
use crate::tally::{Cell, Tallies};

/// Opens the gate for the cells of a window.
pub fn open(kind: Kind, plan: &Plan, tallies: &Tallies, noise: &mut dyn Noise) -> Result<Release, Error> {
    let mut gate = Gate { plan, noise, cells: Vec::new() };
    let mut apart: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for key in tallies.keys() {
        let cell = tallies.cell(&[key], plan.org_sessions_max, plan.whole_org_units);
        if !gate.pass(key, &cell, 1.0)? {
            apart.entry(merged_key(kind, key)).or_default().push(key);
        }
    }
    let mut left_out = 0;
    for (key, keys) in &apart {
        let cell = tallies.cell(keys, plan.org_sessions_max, plan.whole_org_units);
        if !gate.pass(key, &cell, plan.merged_factor)? {
            left_out += keys.len() as i64;
        }
    }
    let Gate { mut cells, .. } = gate;
    cells.sort_by(|a, b| a.key.cmp(&b.key));
    let brought_together = apart.values().map(|keys| keys.len() as i64).sum::<i64>() - left_out;
    let told = noise.add(&[left_out, brought_together], plan.summary_sigma)?;
    let count = |place: usize| told.get(place).copied().unwrap_or(0).max(0);
    Ok(Release { kind, cells, left_out: count(0), brought_together: count(1) })
}

/// The key of the cell that a cell joins where it cannot stand alone.
fn merged_key(kind: Kind, key: &str) -> String {
    let merged = method::merged(kind);
    let parts = key.split(SEPARATOR).enumerate();
    let parts: Vec<&str> = parts.map(|(place, part)| if Some(place) == merged { OTHER } else { part }).collect();
    parts.join(&SEPARATOR.to_string())
}

struct Gate<'a> {
    plan: &'a Plan,
    noise: &'a mut dyn Noise,
    cells: Vec<NoisyCell>,
}

impl Gate<'_> {
    /// Releases a cell, where it may leave.
    fn pass(&mut self, key: &str, cell: &Cell, factor: f64) -> Result<bool, Error> {
        let plan = self.plan;
        if cell.orgs < plan.min_orgs {
            return Ok(false);
        }
        let org_parts = self.one(cell.org_parts, plan.orgs_sigma * factor)?;
        let sessions = self.one(cell.tally.sessions, plan.sessions_sigma * factor)?;
        if (org_parts as f64) < plan.orgs_threshold(factor) || sessions < i64::from(plan.min_sessions) * WEIGHT {
            return Ok(false);
        }
        let mut answers = Vec::with_capacity(plan.queries.len());
        for noised in &plan.queries {
            answers.push(self.noise.add(&cell.tally.answer(noised.query), noised.sigma * factor)?);
        }
        self.cells.push(NoisyCell { key: key.to_owned(), org_parts, sessions, answers, factor });
        Ok(true)
    }

    fn one(&mut self, number: i64, sigma: f64) -> Result<i64, Error> {
        Ok(self.noise.add(&[number], sigma)?.first().copied().unwrap_or(0))
    }
}
