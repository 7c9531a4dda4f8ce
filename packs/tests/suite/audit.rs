//! An audit: can two worlds that differ in one visitor be told apart better than was promised?
//!
//!     world, world without him ─▶ many builds of each ─▶ how often a test tells which ─▶ ε at least
//!
//! The test is the best one there is for Gaussian noise: the likelihood ratio over all that left. From how often it
//! is right and wrong a lower bound on ε follows at each δ, with Clopper and Pearson's intervals (1934) at 99.9 %
//! for each; it must lie below the ε that the plan's ρ promises there. Faults that a build could have are built in
//! on purpose, and each must be found.

use netcrab_packs::noise::{self, Noise, OpenDp};
use netcrab_packs::tally::Tallies;
use netcrab_packs::{Contribution, Definition, Plan, Release, open};
use statrs::distribution::{Beta, ContinuousCDF};

use crate::population::{Unit, contribution, definition, tallied};

/// What a build does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    ScaleHalved,
    BoundSkipped,
    ExactCountLeaked,
}

/// Where ε is looked at.
const DELTAS: [f64; 4] = [1e-3, 0.01, 0.05, 0.1];

/// One minus the confidence of each interval.
const DOUBT: f64 = 1e-3;

struct Faulty(Fault);

impl Noise for Faulty {
    fn add(&mut self, answers: &[i64], sigma: f64) -> Result<Vec<i64>, noise::Error> {
        match self.0 {
            Fault::ScaleHalved => OpenDp.add(answers, sigma / 2.0),
            Fault::ExactCountLeaked if answers.len() == 1 => Ok(answers.to_vec()),
            _ => OpenDp.add(answers, sigma),
        }
    }
}

/// A pack of six cells, of which a visitor may count in two.
fn pack() -> (Definition, Plan) {
    let definition = definition(|definition| {
        (definition.min_orgs, definition.min_sessions) = (2, 20);
        definition.privacy.max_cells_per_unit = 2;
        definition.privacy.epsilon = 6.0;
    });
    let plan = Plan::of(&definition).unwrap();
    (definition, plan)
}

/// Twenty organisations of sixty visitors, and one visitor who is everywhere, again and again.
fn worlds() -> (Vec<Unit>, Vec<Unit>) {
    let of = |visitor: u32| -> Vec<Contribution> {
        (0..6).map(|task| contribution(1, task, 1, visitor, [Some(5), Some(100), Some(500)])).collect()
    };
    let without: Vec<Unit> = (0..20)
        .flat_map(|org| (0..60).map(move |visitor| (org, visitor)))
        .map(|(org, visitor)| (org, format!("{org}/{visitor}"), of(visitor)))
        .collect();
    let everywhere = (0..6).flat_map(|task| {
        (0..12).map(move |session| contribution(1, task, 1, session, [Some(90), Some(9000), Some(1000)]))
    });
    let mut with = without.clone();
    with.push((3, "3/he".to_owned(), everywhere.collect()));
    (with, without)
}

fn tally(fault: Fault, definition: &Definition, plan: &Plan, units: &[Unit]) -> Tallies {
    if fault != Fault::BoundSkipped {
        return tallied(definition, plan, units);
    }
    let mut tallies = Tallies::new(netcrab_packs::method::measures(definition.kind), 1 << 20);
    for (org, _, contributions) in units {
        contributions.iter().for_each(|contribution| tallies.take(*org, contribution).unwrap());
    }
    tallies
}

/// What leaves of each world were there no noise, as one row of numbers, each over its scale.
fn numbers(plan: &Plan, release: &Release) -> Vec<f64> {
    let mut numbers = Vec::new();
    for cell in &release.cells {
        numbers.push(cell.org_parts as f64 / plan.orgs_sigma);
        numbers.push(cell.sessions as f64 / plan.sessions_sigma);
        for (answer, noised) in cell.answers.iter().zip(&plan.queries) {
            numbers.extend(answer.iter().map(|number| *number as f64 / noised.sigma));
        }
    }
    numbers
}

/// The greatest ε that is sure, over the one promised, for each δ; the largest of them.
pub(crate) fn excess(fault: Fault, builds: usize) -> f64 {
    let (definition, plan) = pack();
    let (with, without) = worlds();
    let tallies = [with, without].map(|units| tally(fault, &definition, &plan, &units));
    let exact = tallies.each_ref().map(|tallies| {
        numbers(&plan, &open(definition.kind, &plan, tallies, &mut crate::population::Off).unwrap())
    });
    let score = |tallies: &Tallies| -> f64 {
        let release = open(definition.kind, &plan, tallies, &mut Faulty(fault)).unwrap();
        let seen = numbers(&plan, &release);
        assert_eq!(seen.len(), exact[0].len(), "the same cells leave of both worlds");
        // The logarithm of the likelihood ratio.
        seen.iter().zip(&exact[0]).zip(&exact[1]).map(|((seen, a), b)| (seen - (a + b) / 2.0) * (a - b)).sum()
    };
    let mut scores = tallies.each_ref().map(|tallies| (0..builds).map(|_| score(tallies)).collect::<Vec<_>>());
    // Half of the builds choose where to draw the line, the others tell how good it is.
    let second = scores.each_mut().map(|scores| scores.split_off(builds / 2));
    DELTAS.map(|delta| sure_epsilon(&scores, &second, delta) - noise::epsilon(plan.rho_total, delta).unwrap())
        .into_iter()
        .fold(f64::MIN, f64::max)
}

/// A lower bound on ε out of how often the score of each world lies above a line.
fn sure_epsilon(first: &[Vec<f64>; 2], second: &[Vec<f64>; 2], delta: f64) -> f64 {
    let bound = |line: f64, scores: &[Vec<f64>; 2]| {
        let above = |scores: &[f64]| scores.iter().filter(|score| **score > line).count();
        let (hits, false_hits) = (above(&scores[0]), above(&scores[1]));
        ((at_least(hits, scores[0].len()) - delta) / at_most(false_hits, scores[1].len())).max(1e-9).ln()
    };
    let mut lines = first.concat();
    lines.sort_by(f64::total_cmp);
    let lines = lines.iter().step_by((lines.len() / 100).max(1));
    let best = lines.copied().max_by(|a, b| bound(*a, first).total_cmp(&bound(*b, first))).unwrap_or(0.0);
    bound(best, second)
}

/// Clopper and Pearson's bounds on a chance of which `hits` of `all` came true.
fn at_least(hits: usize, all: usize) -> f64 {
    if hits == 0 { 0.0 } else { Beta::new(hits as f64, (all - hits + 1) as f64).unwrap().inverse_cdf(DOUBT) }
}

fn at_most(hits: usize, all: usize) -> f64 {
    if hits == all { 1.0 } else { Beta::new((hits + 1) as f64, (all - hits) as f64).unwrap().inverse_cdf(1.0 - DOUBT) }
}

/// Whether a cell with one organisation less than the cohort ever leaves, where the rule is off by `off`.
pub(crate) fn too_small_leaves(off: u32, builds: usize) -> bool {
    let (definition, plan) = pack();
    let (_, units) = worlds();
    let tallies = tallied(&definition, &plan, &units);
    // Twenty organisations are there, and one more is asked for.
    let plan = Plan { min_orgs: 21 - off, orgs_reach: 0.0, ..plan };
    (0..builds).any(|_| !open(definition.kind, &plan, &tallies, &mut OpenDp).unwrap().cells.is_empty())
}

#[test]
fn one_visitor_cannot_be_told_apart_and_each_fault_is_found() {
    let builds = std::env::var("NETCRAB_AUDIT_BUILDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1500);
    let sound = excess(Fault::None, builds);
    assert!(sound <= 0.0, "ε is {sound} more than promised");
    for fault in [Fault::ScaleHalved, Fault::BoundSkipped, Fault::ExactCountLeaked] {
        let excess = excess(fault, builds);
        assert!(excess > 0.0, "{fault:?} is not found: {excess}");
    }
    assert!(!too_small_leaves(0, builds) && too_small_leaves(1, builds));
}
