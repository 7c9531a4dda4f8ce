//! The gate: the only way from exact cells to a release.
//!
//!     cell ─▶ enough organisations and sessions? ─ yes ─▶ noise on every query ─▶ released cell
//!              └─ no ─▶ merged into an OTHER cell ─▶ the same question ─ yes ─▶ released
//!                                                                       └─ no ─▶ suppressed
//!
//! The gate decides on noisy numbers, and every number that it releases has noise. One test sees an exact number: a
//! cell with fewer than `min_orgs` organisations is never released. That test can only withhold a cell.

use std::collections::HashSet;

use netcrab_schema::WhoActs;

use crate::bound::SEPARATOR;
use crate::definition::Kind;
use crate::method::{self, OTHER};
use crate::noise::{self, Noise};
use crate::plan::{ReleasePlan, WEIGHT};
use crate::release::{NoisyCell, PackRelease};
use crate::tallies::{self, Cell, Tallies};

/// What can go wrong in the gate. Nothing is released then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No noise could be drawn.
    #[error(transparent)]
    Noise(#[from] noise::Error),
    /// The tallies could not be read.
    #[error(transparent)]
    Tally(#[from] tallies::Error),
}

impl Error {
    /// Who must act before the gate can release anything.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            Self::Noise(error) => error.who_acts(),
            Self::Tally(error) => error.who_acts(),
        }
    }
}

/// Releases what may be released of a window. Each call draws fresh noise and so costs the window's budget once more;
/// the ledger in the database records it.
///
/// # Errors
///
/// [`Error::Noise`] when no noise could be drawn, and [`Error::Tally`] when the tallies could not be read.
pub fn open(kind: Kind, plan: &ReleasePlan, tallies: &Tallies, noise: &mut dyn Noise) -> Result<PackRelease, Error> {
    let mut gate = Gate { plan, noise, released: Vec::new() };
    let cells = |merge_into: &dyn Fn(&str) -> Option<String>| {
        tallies.cells(plan.org_sessions_max, plan.whole_org_units, merge_into)
    };
    // First pass: each cell on its own. Only cells with `min_orgs` organisations are unpacked.
    let org_counts = tallies.org_counts()?;
    for (key, cell) in cells(&|key| (org_counts.orgs(key) >= plan.min_orgs).then(|| key.to_owned()))? {
        gate.pass(&key, &cell, 1.0)?;
    }
    drop(org_counts);
    // Second pass: cells not released above, merged into `OTHER`.
    let alone: HashSet<String> = gate.released.iter().map(|cell| cell.key.clone()).collect();
    let (mut suppressed, mut merged) = (0, 0);
    for (key, cell) in cells(&|key| (!alone.contains(key)).then(|| merged_key(kind, key)))? {
        let count = if gate.pass(&key, &cell, plan.merged_factor)? { &mut merged } else { &mut suppressed };
        *count += i64::from(cell.cells);
    }
    let Gate { released: mut cells, .. } = gate;
    cells.sort_by(|a, b| a.key.cmp(&b.key));
    let counts = noise.add(&[suppressed, merged], plan.summary_sigma)?;
    let count = |place: usize| counts.get(place).copied().unwrap_or(0).max(0);
    Ok(PackRelease { kind, cells, suppressed: count(0), merged: count(1) })
}

/// The key of the `OTHER` cell that a cell is merged into.
fn merged_key(kind: Kind, key: &str) -> String {
    let merged = method::merged_key_part(kind);
    let parts = key.split(SEPARATOR).enumerate();
    let parts: Vec<&str> = parts.map(|(place, part)| if Some(place) == merged { OTHER } else { part }).collect();
    parts.join(&SEPARATOR.to_string())
}

struct Gate<'a> {
    plan: &'a ReleasePlan,
    noise: &'a mut dyn Noise,
    released: Vec<NoisyCell>,
}

impl Gate<'_> {
    /// Releases a cell with `factor` times the noise of the plan, and answers true; or withholds it.
    fn pass(&mut self, key: &str, cell: &Cell, factor: f64) -> Result<bool, Error> {
        let plan = self.plan;
        if cell.orgs < plan.min_orgs {
            return Ok(false);
        }
        let org_parts = self.with_noise(cell.org_parts, plan.orgs_sigma * factor)?;
        let sessions = self.with_noise(cell.tally.sessions, plan.sessions_sigma * factor)?;
        if (org_parts as f64) < plan.orgs_threshold(factor) || sessions < i64::from(plan.min_sessions) * WEIGHT {
            return Ok(false);
        }
        let mut answers = Vec::with_capacity(plan.queries.len());
        for noisy in &plan.queries {
            answers.push(self.noise.add(&cell.tally.answer(noisy.query), noisy.sigma * factor)?);
        }
        self.released.push(NoisyCell { key: key.to_owned(), org_parts, sessions, answers, factor });
        Ok(true)
    }

    fn with_noise(&mut self, number: i64, sigma: f64) -> Result<i64, Error> {
        Ok(self.noise.add(&[number], sigma)?.first().copied().unwrap_or(0))
    }
}
