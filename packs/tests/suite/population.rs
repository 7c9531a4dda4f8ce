//! Small random worlds of organisations, visitors and sessions.

use std::collections::BTreeMap;

use netcrab_packs::bound::{SEPARATOR, bound_contributions};
use netcrab_packs::method::measures;
use netcrab_packs::noise::{Error, Noise};
use netcrab_packs::tallies::{Tallies, TalliesBuilder};
use netcrab_packs::{Contribution, Definition, ReleasePlan};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A visitor: the organisation, the visitor's name, and the contributions.
pub(crate) type Unit = (u32, String, Vec<Contribution>);

pub(crate) const YAML: &str = "
packId: crm_friction
kind: ux_benchmarks
title: Friction of CRMs
vertical: B2B_CRM
shortDescription: Clicks and friction of tasks.
updateFrequency: monthly
minOrgs: 5
minSessions: 60
categories: [crm]
privacy: {maxCellsPerUnit: 3, maxShareOfCell: 0.25, wholeOrgUnits: 4}
";

pub(crate) fn definition(change: impl FnOnce(&mut Definition)) -> Definition {
    let mut definition = Definition::parse(YAML).unwrap();
    change(&mut definition);
    definition
}

pub(crate) fn contribution(
    date: u32,
    task: u32,
    complexity: u32,
    session: u32,
    values: [Option<i64>; 3],
) -> Contribution {
    Contribution {
        cell: format!("2026-10-{date:02}{SEPARATOR}task_{task}{SEPARATOR}{complexity}"),
        session: session.to_string(),
        values: values.to_vec(),
    }
}

/// Visitors of up to `orgs` organisations of very different sizes.
pub(crate) fn world(seed: u64, orgs: u32, visitors_max: u32) -> Vec<Unit> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut units = Vec::new();
    for org in 0..chance.random_range(1..=orgs) {
        for visitor in 0..chance.random_range(1..=visitors_max) {
            let sessions = chance.random_range(1..8);
            let contributions = (0..sessions).map(|session| {
                let clicks = Some(chance.random_range(-5..200));
                let duration = chance.random_bool(0.8).then(|| chance.random_range(0..20_000));
                let score = Some(chance.random_range(0..=1000));
                let (date, task) = (chance.random_range(1..3), chance.random_range(0..3));
                contribution(date, task, chance.random_range(1..3), session, [clicks, duration, score])
            });
            units.push((org, format!("{org}/{visitor}"), contributions.collect()));
        }
    }
    units
}

/// The tallies of a world, bounded as the plan says.
pub(crate) fn tallied(definition: &Definition, plan: &ReleasePlan, units: &[Unit]) -> Tallies {
    let mut tallies = TalliesBuilder::of_visitors(measures(definition.kind), 1 << 20);
    for (org, unit, contributions) in units {
        for bounded in bound_contributions(&definition.pack_id, unit, plan.cells_per_unit, contributions.clone()) {
            tallies.take(&org.to_string(), &bounded).unwrap();
        }
    }
    tallies.finish().unwrap()
}

/// The exact organisations of each cell.
pub(crate) fn orgs_of_cells(units: &[Unit]) -> BTreeMap<String, std::collections::BTreeSet<u32>> {
    let mut orgs: BTreeMap<String, std::collections::BTreeSet<u32>> = BTreeMap::new();
    for (org, _, contributions) in units {
        for contribution in contributions {
            orgs.entry(contribution.cell.clone()).or_default().insert(*org);
        }
    }
    orgs
}

/// No noise, to compare a release with exact numbers.
pub(crate) struct Off;

impl Noise for Off {
    fn add(&mut self, answers: &[i64], _: f64) -> Result<Vec<i64>, Error> {
        Ok(answers.to_vec())
    }
}
