//! An audit: can two worlds that differ in one visitor be told apart better than was promised?
//!
//!     world, world without him ─▶ many builds of each ─▶ how often a test tells which ─▶ ε at least
//!
//! The test is the best one there is for Gaussian noise: the likelihood ratio over all that left, with the line half
//! way between the worlds. How often it is wrong in each world, at most, follows with Clopper and Pearson (1934) at
//! 99.9 %. Two Gaussians that are told apart so well are so far apart, μ, at least (Nasr et al., "Tight Auditing of
//! Differentially Private Machine Learning", 2023), and μ is an ε at each δ (Balle and Wang 2018, theorem 8). That ε
//! must lie below the one that the plan's ρ promises there. Faults that a build could have are built in on purpose,
//! and each must be found.

use netcrab_packs::noise::{self, Noise, OpenDp};
use netcrab_packs::tallies::{Tallies, TalliesBuilder};
use netcrab_packs::{Definition, Plan, Release, open};
use statrs::distribution::{Beta, ContinuousCDF, Normal};

use crate::population::{Unit, contribution, definition, tallied};

/// What a build does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    ScaleHalved,
    BoundSkipped,
    ExactCountLeaked,
    /// Every re-build draws noise anew, and somebody asked for four.
    DrawnAgain,
}

/// Where ε is looked at.
const DELTAS: [f64; 5] = [1e-3, 0.01, 0.05, 0.1, 0.2];

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
        (definition.min_orgs, definition.min_sessions) = (2, 60);
        definition.privacy.max_cells_per_unit = 2;
        definition.privacy.epsilon = 8.0;
    });
    let plan = Plan::of(&definition).unwrap();
    (definition, plan)
}

/// Twenty organisations of visitors who all do the same in two of six cells, and one visitor who does the opposite in
/// all of them, again and again. He is the one above his organisation's share: scaling then takes from the others
/// what he brings, which is the most that a visitor can change.
fn worlds() -> (Vec<Unit>, Vec<Unit>) {
    let (definition, _) = pack();
    let visitors = |org: u32| if org == 3 { definition.org_sessions_max() } else { 40 };
    let others = (0..20)
        .flat_map(|org| (0..3).flat_map(move |pair| (0..visitors(org)).map(move |visitor| (org, pair, visitor))));
    let unit = |(org, pair, visitor): (u32, u32, u32)| {
        let both = (2 * pair..2 * pair + 2).map(|task| contribution(1, task, 1, 0, [Some(0), Some(0), Some(0)]));
        (org, format!("{org}/{pair}/{visitor}"), both.collect())
    };
    let without: Vec<Unit> = others.map(unit).collect();
    let opposite = (0..6).flat_map(|task| {
        (0..12).map(move |session| contribution(1, task, 1, session, [Some(128), Some(9000), Some(1000)]))
    });
    let mut with = without.clone();
    with.push((3, "3/he".to_owned(), opposite.collect()));
    (with, without)
}

fn tally(fault: Fault, definition: &Definition, plan: &Plan, units: &[Unit]) -> Tallies {
    if fault != Fault::BoundSkipped {
        return tallied(definition, plan, units);
    }
    let mut tallies = TalliesBuilder::of_visitors(netcrab_packs::method::measures(definition.kind), 1 << 20);
    for (org, _, contributions) in units {
        contributions.iter().for_each(|contribution| tallies.take(&org.to_string(), contribution).unwrap());
    }
    tallies.finish().unwrap()
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

/// The greatest ε that is sure, over the one promised, for each δ; the largest of them. Noise is drawn `draws` times
/// for each world.
pub(crate) fn excess(fault: Fault, draws: usize) -> f64 {
    let seen = if fault == Fault::DrawnAgain { 4 } else { 1 };
    let builds = draws / seen;
    let (definition, plan) = pack();
    let (with, without) = worlds();
    let tallies = [with, without].map(|units| tally(fault, &definition, &plan, &units));
    let exact = tallies
        .each_ref()
        .map(|tallies| numbers(&plan, &open(definition.kind, &plan, tallies, &mut crate::population::Off).unwrap()));
    let score = |tallies: &Tallies| -> [f64; 2] {
        let release = open(definition.kind, &plan, tallies, &mut Faulty(fault)).unwrap();
        let seen = numbers(&plan, &release);
        assert_eq!(seen.len(), exact[0].len(), "the same cells leave of both worlds");
        let each = || seen.iter().zip(&exact[0]).zip(&exact[1]).filter(|((_, a), b)| a != b);
        // The logarithm of the likelihood ratio; and how many numbers are those of one world without any noise.
        let ratio = each().map(|((seen, a), b)| (seen - (a + b) / 2.0) * (a - b)).sum();
        let bare = each().map(|((seen, a), b)| f64::from(u8::from(seen == a)) - f64::from(u8::from(seen == b))).sum();
        [ratio, bare]
    };
    let all_seen = |tallies: &Tallies| {
        (0..seen).map(|_| score(tallies)).fold([0.0, 0.0], |sum, score| [sum[0] + score[0], sum[1] + score[1]])
    };
    let scores = tallies.each_ref().map(|tallies| (0..builds).map(|_| all_seen(tallies)).collect::<Vec<_>>());
    let excess = |test: usize| {
        let above = scores.each_ref().map(|scores| scores.iter().filter(|score| score[test] > 0.0).count());
        let apart = apart_at_least(builds - above[0], above[1], builds);
        DELTAS
            .map(|delta| epsilon_of(apart, delta) - noise::epsilon(plan.rho_total, delta).unwrap())
            .into_iter()
            .fold(f64::MIN, f64::max)
    };
    excess(0).max(excess(1))
}

/// How far two Gaussians of variance one are apart at least, if a test is wrong this often of `builds` in each world.
fn apart_at_least(missed: usize, false_hits: usize, builds: usize) -> f64 {
    let right = |wrong: usize| Normal::standard().inverse_cdf(1.0 - at_most(wrong, builds));
    (right(missed) + right(false_hits)).max(0.0)
}

/// The ε at δ of two Gaussians of variance one that are `apart`.
fn epsilon_of(apart: f64, delta: f64) -> f64 {
    let below = |at: f64| Normal::standard().cdf(at);
    let delta_of =
        |epsilon: f64| below(apart / 2.0 - epsilon / apart) - epsilon.exp() * below(-apart / 2.0 - epsilon / apart);
    let (mut low, mut high) = (0.0, 100.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if delta_of(middle) > delta { low = middle } else { high = middle }
    }
    low
}

/// Clopper and Pearson's upper bound on a chance of which `hits` of `all` came true.
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
    let builds = std::env::var("NETCRAB_AUDIT_BUILDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
    let sound = excess(Fault::None, builds);
    assert!(sound <= 0.0, "ε is {sound} more than promised");
    for fault in [Fault::ScaleHalved, Fault::BoundSkipped, Fault::ExactCountLeaked, Fault::DrawnAgain] {
        let excess = excess(fault, builds);
        assert!(excess > 0.0, "{fault:?} is not found: {excess}");
    }
    assert!(!too_small_leaves(0, builds) && too_small_leaves(1, builds));
}
