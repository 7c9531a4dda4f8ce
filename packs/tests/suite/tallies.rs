//! Tallies are the same for any number of cells, and for contributions in any order.

use std::collections::BTreeMap;

use netcrab_packs::definition::Kind;
use netcrab_packs::method::measures;
use netcrab_packs::plan::WEIGHT;
use netcrab_packs::tallies::{Cell, Error, Tallies, TalliesBuilder};
use netcrab_packs::{Contribution, ReleasePlan};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::population::{definition, world};

/// More cells than an organisation has open at once.
const MANY: usize = 300_000;

fn flow(cell: &str, score: i64) -> Contribution {
    Contribution { cell: cell.to_owned(), session: "s".to_owned(), values: vec![Some(100), Some(score)] }
}

fn alone(tallies: &Tallies, cap: u32) -> BTreeMap<String, Cell> {
    tallies.cells(cap, 4, |key| Some(key.to_owned())).unwrap()
}

#[test]
fn an_organisation_with_any_number_of_cells_is_added_up_like_another() {
    let mut builder = TalliesBuilder::of_visitors(measures(Kind::TaskFlows), 2 * MANY + 1);
    for _ in 0..2 {
        // Not in the order of the keys. All but the last cells are packed when their second session comes.
        (0..MANY).for_each(|number| builder.take("a", &flow(&format!("{}·é", number * 7 % MANY), 1)).unwrap());
    }
    builder.take("b", &flow("5·é", 3)).unwrap();
    let tallies = builder.finish().unwrap();
    assert_eq!(tallies.contributed().unwrap(), [("a", 2 * MANY as i64), ("b", 1)].into());
    let org_counts = tallies.org_counts().unwrap();
    assert_eq!(["5·é", "6·é", "·é"].map(|key| org_counts.orgs(key)), [2, 1, 0]);
    let all = tallies.cells(u32::MAX, 4, |key| Some(if key == "5·é" { "five" } else { "others" }.to_owned())).unwrap();
    let [five, others] = ["five", "others"].map(|key| &all[key]);
    assert_eq!((five.cells, five.orgs, five.org_parts), (1, 2, 3));
    assert_eq!((others.cells as usize, others.orgs, others.org_parts), (MANY - 1, 1, 4));
    let (weight, middle) = (WEIGHT, measures(Kind::TaskFlows)[1].middle());
    assert_eq!(five.tally.measures[1].sum, weight * (1 + 1 + 3 - 3 * middle));
    assert_eq!((five.tally.sessions, others.tally.sessions), (3 * weight, 2 * (MANY as i64 - 1) * weight));
}

#[test]
fn an_organisation_that_is_the_unit_counts_in_the_same_cells_however_many_it_has() {
    let cells = |of: &[(&str, std::ops::Range<usize>)]| -> Vec<(String, u32, i64)> {
        let mut builder = TalliesBuilder::of_orgs(measures(Kind::TaskFlows), 100, "p", 5);
        for (org, range) in of {
            range.clone().for_each(|number| builder.take(org, &flow(&number.to_string(), 1)).unwrap());
        }
        let cell = |(key, cell): (String, Cell)| (key, cell.orgs, cell.tally.sessions);
        alone(&builder.finish().unwrap(), u32::MAX).into_iter().map(cell).collect()
    };
    let once = cells(&[("a", 0..MANY)]);
    assert_eq!(once.len(), 5);
    let twice = cells(&[("a", 0..MANY), ("a", 0..MANY)]);
    let doubled = |(key, orgs, sessions): &(String, u32, i64)| (key.clone(), *orgs, 2 * sessions);
    assert_eq!(twice, once.iter().map(doubled).collect::<Vec<_>>());
    // An organisation that comes again after another one is bounded as a whole.
    let mut apart = cells(&[("a", 0..MANY / 2), ("b", MANY..MANY + 1), ("a", MANY / 2..MANY)]);
    let of_b = (MANY.to_string(), 1, WEIGHT);
    assert!(apart.contains(&of_b));
    apart.retain(|cell| *cell != of_b);
    assert_eq!(apart, once);
}

#[test]
fn one_pair_more_than_fits_is_refused_with_the_name_of_the_setting() {
    let taken = |pairs: usize| {
        let mut builder = TalliesBuilder::of_visitors(measures(Kind::TaskFlows), 6);
        (0..pairs).try_for_each(|pair| builder.take(&(pair / 2).to_string(), &flow(&(pair % 2).to_string(), 1)))?;
        builder.finish()
    };
    assert_eq!(taken(6).unwrap().contributed().unwrap().len(), 3);
    let refused = taken(7).unwrap_err();
    assert!(matches!(refused, Error::TooMany(6)), "{refused}");
    assert!(refused.to_string().contains("packs.entries_max"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn the_order_of_contributions_changes_nothing(seed: u64, by_org: bool) {
        let definition = definition(|_| ());
        let plan = ReleasePlan::of(&definition).unwrap();
        let units = world(seed, 6, 20);
        let mut contributions: Vec<(String, Contribution)> = units
            .into_iter()
            .flat_map(|(org, _, contributions)| contributions.into_iter().map(move |one| (org.to_string(), one)))
            .collect();
        let tallied = |contributions: &[(String, Contribution)]| {
            let measures = measures(definition.kind);
            let mut builder = match by_org {
                true => TalliesBuilder::of_orgs(measures, 1000, "p", plan.cells_per_unit),
                false => TalliesBuilder::of_visitors(measures, 100_000),
            };
            contributions.iter().for_each(|(org, one)| builder.take(org, one).unwrap());
            alone(&builder.finish().unwrap(), plan.org_sessions_max)
        };
        let sorted = tallied(&contributions);
        if by_org {
            // One organisation after another, as in a build; the contributions of each in any order.
            let mut chance = ChaCha8Rng::seed_from_u64(seed);
            contributions.sort_by_cached_key(|(org, _)| (org.clone(), chance.random::<u64>()));
        } else {
            contributions.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        }
        prop_assert_eq!(sorted, tallied(&contributions));
    }
}
