//! The gate: the only way from exact cells to what leaves.
//!
//!     cell ─▶ enough organisations? enough sessions? ─▶ queries with noise ─▶ released cell
//!              └ no ─▶ together with others as OTHER ─▶ the same ─▶ released, or left out
//!
//! Everything that leaves has noise: what is decided is decided on noisy numbers, but for one test that only ever
//! withholds, that a cell has enough organisations at all.

use std::collections::HashSet;

use crate::bound::SEPARATOR;
use crate::definition::Kind;
use crate::method::{self, OTHER};
use crate::noise::{self, Noise};
use crate::plan::{Plan, WEIGHT};
use crate::release::{NoisyCell, Release};
use crate::tallies::{self, Cell, Tallies};

/// What can go wrong in the gate; nothing has left then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No noise could be drawn.
    #[error(transparent)]
    Noise(#[from] noise::Error),
    /// The tallies could not be read.
    #[error(transparent)]
    Tally(#[from] tallies::Error),
}

/// Opens the gate for the cells of a window.
pub fn open(kind: Kind, plan: &Plan, tallies: &Tallies, noise: &mut dyn Noise) -> Result<Release, Error> {
    let mut gate = Gate { plan, noise, cells: Vec::new() };
    let cells = |together: &dyn Fn(&str) -> Option<String>| {
        tallies.cells(plan.org_sessions_max, plan.whole_org_units, together)
    };
    let presence = tallies.presence()?;
    for (key, cell) in cells(&|key| (presence.orgs(key) >= plan.min_orgs).then(|| key.to_owned()))? {
        gate.pass(&key, &cell, 1.0)?;
    }
    drop(presence);
    let alone: HashSet<String> = gate.cells.iter().map(|cell| cell.key.clone()).collect();
    let (mut left_out, mut brought_together) = (0, 0);
    for (key, cell) in cells(&|key| (!alone.contains(key)).then(|| merged_key(kind, key)))? {
        let told = if gate.pass(&key, &cell, plan.merged_factor)? { &mut brought_together } else { &mut left_out };
        *told += i64::from(cell.cells);
    }
    let Gate { mut cells, .. } = gate;
    cells.sort_by(|a, b| a.key.cmp(&b.key));
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
