//! Dropping any one unit changes each answer by no more than the plan says.

use std::collections::BTreeMap;

use netcrab_packs::bound::{Contribution, bound};
use netcrab_packs::definition::Unit as PrivacyUnit;
use netcrab_packs::method::measures;
use netcrab_packs::tallies::{Cell, Tallies, TalliesBuilder};
use netcrab_packs::{Definition, Plan};
use proptest::prelude::*;

use crate::population::{Unit, definition, tallied, world};

/// By how much each answer of a cell differs, over what the plan allows.
fn differ(plan: &Plan, with: &Cell, without: Option<&Cell>, factor: f64) -> f64 {
    // Noise is `factor` times what it is in a cell alone, and buys the same ρ for `factor²` times the change.
    let allowed = factor * factor;
    let apart = |number: fn(&Cell) -> i64| (number(with) - without.map_or(0, number)).abs() as f64;
    let mut worst = apart(|cell| cell.org_parts) / (plan.orgs_sensitivity * allowed);
    worst = worst.max(apart(|cell| cell.tally.sessions) / (plan.sessions_sensitivity * allowed));
    for noised in &plan.queries {
        let left = with.tally.answer(noised.query);
        let right = without.map_or_else(|| vec![0; left.len()], |cell| cell.tally.answer(noised.query));
        let square: f64 = left.iter().zip(&right).map(|(a, b)| ((a - b) as f64).powi(2)).sum();
        worst = worst.max(square.sqrt() / (noised.sensitivity * allowed));
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
    let plan = Plan::of(&definition).unwrap();
    let units = world(seed, 8, 40);
    let dropped = &units[seed as usize % units.len()];
    let same = |unit: &&Unit| if by_org { unit.0 == dropped.0 } else { unit.1 == dropped.1 };
    let rest: Vec<_> = units.iter().filter(|unit| !same(unit)).cloned().collect();
    let [with, without] = [&units, &rest].map(|units| {
        if by_org { tallied_by_org(&definition, &plan, units) } else { tallied(&definition, &plan, units) }
    });
    let cells_of = |tallies: &Tallies, together: fn(&str) -> Option<String>| -> BTreeMap<String, Cell> {
        tallies.cells(plan.org_sessions_max, plan.whole_org_units, together).unwrap()
    };
    let [all_with, all_without] = [&with, &without].map(|tallies| cells_of(tallies, |key| Some(key.to_owned())));
    let mut touched = 0;
    for (key, with) in &all_with {
        let worst = differ(&plan, with, all_without.get(key), 1.0);
        assert!(worst <= 1.0 + 1e-9, "{key}: {worst} times what the plan says");
        touched += u32::from(Some(with) != all_without.get(key));
    }
    assert!(touched <= cells, "a unit counts in {touched} cells");
    let [with, without] = [&with, &without].map(|tallies| cells_of(tallies, |_| Some(String::new())));
    let worst = differ(&plan, &with[""], without.get(""), plan.merged_factor);
    assert!(worst <= 1.0 + 1e-9, "together: {worst} times what the plan says");
}

/// The same where an organisation is the unit: all its sessions count, in so many cells.
fn tallied_by_org(definition: &Definition, plan: &Plan, units: &[Unit]) -> Tallies {
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
fn what_a_plan_spends_is_what_opendp_reckons_and_stays_within_epsilon_and_delta() {
    for (epsilon, delta, cells) in [(4.0, 1e-6, 4), (1.0, 1e-9, 1), (0.1, 1e-5, 30)] {
        let definition = definition(|definition| {
            (definition.privacy.epsilon, definition.privacy.delta) = (epsilon, delta);
            definition.privacy.max_cells_per_unit = cells;
        });
        let plan = Plan::of(&definition).unwrap();
        let cost = |sensitivity: f64, sigma: f64| netcrab_packs::noise::cost(sensitivity, sigma).unwrap();
        let mut cell =
            cost(plan.orgs_sensitivity, plan.orgs_sigma) + cost(plan.sessions_sensitivity, plan.sessions_sigma);
        cell += plan.queries.iter().map(|noised| cost(noised.sensitivity, noised.sigma)).sum::<f64>();
        let window = cell * f64::from(cells) + cost(f64::from(cells), plan.summary_sigma);
        let total = window * f64::from(plan.windows);
        assert!((total / plan.rho_total - 1.0).abs() < 1e-6, "{total} of {}", plan.rho_total);
        let kept = netcrab_packs::noise::epsilon(plan.rho_total, delta / 2.0).unwrap();
        assert!(kept <= epsilon && kept > epsilon * 0.999, "{kept} of {epsilon}");
        // The merged cell costs a unit that has all its cells there no more than these cells cost.
        let merged = |sensitivity: f64, sigma: f64| cost(sensitivity * f64::from(cells), sigma * plan.merged_factor);
        let together = merged(plan.orgs_sensitivity, plan.orgs_sigma) / cost(plan.orgs_sensitivity, plan.orgs_sigma);
        assert!(together <= f64::from(cells) * (1.0 + 1e-9), "{together}");
    }
}

#[test]
fn what_is_kept_of_parts_bounded_once_more_is_what_is_kept_of_all() {
    let all = |seed: u64| -> Vec<_> { world(seed, 1, 60).into_iter().flat_map(|(_, _, all)| all).collect() };
    let kept = |all: Vec<Contribution>| bound("p", "he", 4, all);
    let mut left_out = 0;
    for seed in 0..200 {
        let all = all(seed);
        let at = seed as usize * 7 % (all.len() + 1);
        let mut parts = kept(all[..at].to_vec());
        parts.extend(kept(all[at..].to_vec()));
        left_out += u32::from(kept(all.clone()).len() == 4 && all.len() > 20);
        assert_eq!(kept(parts), kept(all), "{seed}");
    }
    assert!(left_out > 100, "there is something to leave out");
}
