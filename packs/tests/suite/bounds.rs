//! Dropping any one unit changes no answer by more than its sensitivity in the plan.

use std::collections::BTreeMap;

use netcrab_packs::bound::{Contribution, bound_contributions};
use netcrab_packs::definition::Unit as PrivacyUnit;
use netcrab_packs::method::measures;
use netcrab_packs::tallies::{Cell, Tallies, TalliesBuilder};
use netcrab_packs::{Definition, ReleasePlan};
use proptest::prelude::*;

use crate::population::{Unit, definition, tallied, world};

/// The largest change of an answer of a cell, divided by its sensitivity.
fn differ(plan: &ReleasePlan, with: &Cell, without: Option<&Cell>, factor: f64) -> f64 {
    // With `factor` times the noise, each of a unit's `factor²` cells in a merged one costs the ρ of a cell alone.
    let allowed = factor * factor;
    let apart = |number: fn(&Cell) -> i64| (number(with) - without.map_or(0, number)).abs() as f64;
    let mut worst = apart(|cell| cell.org_parts) / (plan.orgs_sensitivity * allowed);
    worst = worst.max(apart(|cell| cell.tally.sessions) / (plan.sessions_sensitivity * allowed));
    for noisy in &plan.queries {
        let left = with.tally.answer(noisy.query);
        let right = without.map_or_else(|| vec![0; left.len()], |cell| cell.tally.answer(noisy.query));
        let square: f64 = left.iter().zip(&right).map(|(a, b)| ((a - b) as f64).powi(2)).sum();
        worst = worst.max(square.sqrt() / (noisy.sensitivity * allowed));
    }
    worst
}

fn check(seed: u64, by_org: bool, cells: u32, share: f64) {
    let definition = definition(|definition| {
        definition.privacy.max_cells_per_unit = cells;
        definition.privacy.max_share_of_cell = share;
        if by_org {
            definition.privacy.unit = PrivacyUnit::OrgMonth;
        }
    });
    let plan = ReleasePlan::of(&definition).unwrap();
    let units = world(seed, 8, 40);
    let dropped = &units[seed as usize % units.len()];
    let same = |unit: &&Unit| if by_org { unit.0 == dropped.0 } else { unit.1 == dropped.1 };
    let rest: Vec<_> = units.iter().filter(|unit| !same(unit)).cloned().collect();
    let [with, without] = [&units, &rest].map(|units| {
        if by_org { tallied_by_org(&definition, &plan, units) } else { tallied(&definition, &plan, units) }
    });
    let cells_of = |tallies: &Tallies, merge_into: fn(&str) -> Option<String>| -> BTreeMap<String, Cell> {
        tallies.cells(plan.org_sessions_max, plan.whole_org_units, merge_into).unwrap()
    };
    let [all_with, all_without] = [&with, &without].map(|tallies| cells_of(tallies, |key| Some(key.to_owned())));
    let mut touched = 0;
    for (key, with) in &all_with {
        let worst = differ(&plan, with, all_without.get(key), 1.0);
        assert!(worst <= 1.0 + 1e-9, "{key}: {worst} times its sensitivity");
        touched += u32::from(Some(with) != all_without.get(key));
    }
    assert!(touched <= cells, "a unit counts in {touched} cells");
    let [with, without] = [&with, &without].map(|tallies| cells_of(tallies, |_| Some(String::new())));
    let worst = differ(&plan, &with[""], without.get(""), plan.merged_factor);
    assert!(worst <= 1.0 + 1e-9, "merged: {worst} times its sensitivity");
}

/// The tallies where an organisation is the unit: all its sessions count, in a bounded number of cells.
fn tallied_by_org(definition: &Definition, plan: &ReleasePlan, units: &[Unit]) -> Tallies {
    let measures = measures(definition.kind);
    let mut tallies = TalliesBuilder::of_orgs(measures, 1 << 20, &definition.pack_id, plan.cells_per_unit);
    for (org, _, contributions) in units {
        contributions.iter().for_each(|contribution| tallies.take(&org.to_string(), contribution).unwrap());
    }
    tallies.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn dropping_a_visitor_changes_no_answer_by_more_than_its_sensitivity(seed: u64, cells in 1u32..6, share in 0.02..1.0) {
        check(seed, false, cells, share);
    }

    #[test]
    fn dropping_an_organisation_changes_no_answer_by_more_than_its_sensitivity(seed: u64, cells in 1u32..6, share in 0.02..1.0) {
        check(seed, true, cells, share);
    }
}

#[test]
fn a_plan_spends_what_opendp_computes_and_stays_within_epsilon_and_delta() {
    for (epsilon, delta, cells) in [(4.0, 1e-6, 4), (1.0, 1e-9, 1), (0.1, 1e-5, 30)] {
        let definition = definition(|definition| {
            (definition.privacy.epsilon, definition.privacy.delta) = (epsilon, delta);
            definition.privacy.max_cells_per_unit = cells;
        });
        let plan = ReleasePlan::of(&definition).unwrap();
        let cost = |sensitivity: f64, sigma: f64| netcrab_packs::noise::cost(sensitivity, sigma).unwrap();
        let mut cell =
            cost(plan.orgs_sensitivity, plan.orgs_sigma) + cost(plan.sessions_sensitivity, plan.sessions_sigma);
        cell += plan.queries.iter().map(|noisy| cost(noisy.sensitivity, noisy.sigma)).sum::<f64>();
        let window = cell * f64::from(cells) + cost(f64::from(cells), plan.summary_sigma);
        let total = window * f64::from(plan.windows);
        assert!((total / plan.rho_total - 1.0).abs() < 1e-6, "{total} of {}", plan.rho_total);
        let spent = netcrab_packs::noise::epsilon(plan.rho_total, delta / 2.0).unwrap();
        assert!(spent <= epsilon && spent > epsilon * 0.999, "{spent} of {epsilon}");
        // A unit with all its cells in a merged one pays no more for it than for these cells on their own.
        let merged = |sensitivity: f64, sigma: f64| cost(sensitivity * f64::from(cells), sigma * plan.merged_factor);
        let of_one_cell = merged(plan.orgs_sensitivity, plan.orgs_sigma) / cost(plan.orgs_sensitivity, plan.orgs_sigma);
        assert!(of_one_cell <= f64::from(cells) * (1.0 + 1e-9), "{of_one_cell}");
    }
}

#[test]
fn bounding_parts_and_then_what_is_left_gives_what_bounding_all_at_once_gives() {
    let all = |seed: u64| -> Vec<_> { world(seed, 1, 60).into_iter().flat_map(|(_, _, all)| all).collect() };
    let bounded = |all: Vec<Contribution>| bound_contributions("p", "u", 4, all);
    let mut excluded = 0;
    for seed in 0..200 {
        let all = all(seed);
        let at = seed as usize * 7 % (all.len() + 1);
        let mut parts = bounded(all[..at].to_vec());
        parts.extend(bounded(all[at..].to_vec()));
        excluded += u32::from(bounded(all.clone()).len() == 4 && all.len() > 20);
        assert_eq!(bounded(parts), bounded(all), "{seed}");
    }
    assert!(excluded > 100, "most populations have something to exclude");
}
