//! What the gate never releases, and what it does.

use std::collections::{BTreeMap, BTreeSet};

use netcrab_packs::method::OTHER;
use netcrab_packs::noise::OpenDp;
use netcrab_packs::{ReleasePlan, open, rows};

use crate::population::{Off, contribution, definition, orgs_of_cells, tallied, world};

#[test]
fn in_ten_thousand_random_populations_no_cell_of_too_few_organisations_is_released() {
    let definition = definition(|definition| definition.min_sessions = 1);
    // Without the pre-threshold, so that the rule on exact organisations works alone.
    let plan = ReleasePlan { orgs_reach: f64::MIN, ..ReleasePlan::of(&definition).unwrap() };
    let (mut alone, mut merged) = (0, 0);
    for seed in 0..10_000 {
        let units = world(seed, 14, 4);
        let release = open(definition.kind, &plan, &tallied(&definition, &plan, &units), &mut Off).unwrap();
        let orgs = orgs_of_cells(&units);
        for cell in &release.cells {
            if cell.key.contains(OTHER) {
                merged += 1;
                assert!(orgs_of_merged(&orgs, &cell.key) >= 5, "{cell:?}");
            } else {
                alone += 1;
                assert!(orgs[&cell.key].len() >= 5, "{cell:?}");
            }
        }
    }
    assert!(alone > 100 && merged > 100, "{alone} cells alone, {merged} merged ones");
}

/// Organisations of all cells that may be part of a merged one.
fn orgs_of_merged(orgs: &BTreeMap<String, BTreeSet<u32>>, key: &str) -> usize {
    let (before, after) = key.split_once(OTHER).unwrap();
    let of = orgs.iter().filter(|(key, _)| key.starts_with(before) && key.ends_with(after));
    of.flat_map(|(_, orgs)| orgs).collect::<BTreeSet<_>>().len()
}

/// `orgs` organisations of `visitors` each, all in one cell.
fn even(orgs: u32, visitors: u32) -> Vec<crate::population::Unit> {
    let unit = |org: u32, visitor: u32| {
        let values = [Some(i64::from(visitor % 10)), Some(100), Some(300)];
        (org, format!("{org}/{visitor}"), vec![contribution(1, 1, 1, 0, values)])
    };
    (0..orgs).flat_map(|org| (0..visitors).map(move |visitor| unit(org, visitor))).collect()
}

#[test]
fn one_organisation_less_than_asked_for_is_never_released_and_enough_always_are() {
    let definition = definition(|definition| definition.min_sessions = 40);
    let plan = ReleasePlan::of(&definition).unwrap();
    let needed = plan.orgs_needed();
    assert!((6..30).contains(&needed), "{needed}");
    let releases = |orgs: u32| {
        let tallies = tallied(&definition, &plan, &even(orgs, 20));
        (0..40).filter(|_| !open(definition.kind, &plan, &tallies, &mut OpenDp).unwrap().cells.is_empty()).count()
    };
    assert_eq!(releases(4), 0);
    assert!(releases(needed) > 30 && releases(needed + 5) == 40);
}

#[test]
fn an_organisation_above_its_share_weighs_no_more_than_it() {
    let definition = definition(|definition| definition.min_sessions = 100);
    let plan = ReleasePlan { orgs_reach: f64::MIN, ..ReleasePlan::of(&definition).unwrap() };
    // Each may weigh a quarter of a hundred sessions; one has two thousand, all with the same values.
    let mut units = even(12, 20);
    for visitor in 0..2000 {
        let values = [Some(90), Some(9000), Some(1000)];
        units.push((99, format!("99/{visitor}"), vec![contribution(1, 1, 1, 0, values)]));
    }
    let release = open(definition.kind, &plan, &tallied(&definition, &plan, &units), &mut Off).unwrap();
    let rows = rows::rows(&definition, &plan, &release, "2026-10-01/2026-10-31").unwrap();
    let number = |name: &str| {
        let column =
            arrow::compute::cast(rows.column_by_name(name).unwrap(), &arrow::datatypes::DataType::Float64).unwrap();
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(&column).value(0)
    };
    assert_eq!(number("sample_sessions"), 12.0 * 20.0 + 25.0);
    assert!((3.0..8.0).contains(&number("median_clicks")), "{}", number("median_clicks"));
    let mean = (240.0 * 0.3 + 25.0 * 1.0) / 265.0;
    assert!((number("mean_frict_score") - mean).abs() < 1e-3, "{}", number("mean_frict_score"));
}
