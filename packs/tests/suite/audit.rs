//! An audit: does a release distinguish two worlds that differ in one visitor better than the plan promises?
//!
//!     a world with a visitor, one without ─▶ many releases of each ─▶ how often a test guesses the world ─▶ ε at least
//!
//! The test is the most powerful one for Gaussian noise: the likelihood ratio of all released numbers, with the
//! threshold half way between the worlds. The most often that it can be wrong in each world follows from the hits by
//! the interval of Clopper and Pearson (1934) at 99.9 %. Two Gaussians that are distinguished so well are at least a
//! distance μ apart (Nasr et al., "Tight Auditing of Differentially Private Machine Learning", 2023), and μ implies an
//! ε at each δ (Balle and Wang 2018, theorem 8). That ε must lie below the one that the plan's ρ promises at this δ.
//! The audit also injects faults that a build could have, and must find each of them.

use netcrab_packs::noise::{self, Noise, OpenDp};
use netcrab_packs::tallies::{Tallies, TalliesBuilder};
use netcrab_packs::{Definition, PackRelease, ReleasePlan, open};
use statrs::distribution::{Beta, ContinuousCDF, Normal};

use crate::population::{Unit, contribution, definition, tallied};

/// A fault that the audit injects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    ScaleHalved,
    BoundSkipped,
    ExactCountLeaked,
    /// Each rebuild draws noise again, and there were four.
    DrawnAgain,
}

/// The values of δ at which ε is compared.
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

/// A pack in whose window a visitor counts in two cells at most.
fn pack() -> (Definition, ReleasePlan) {
    let definition = definition(|definition| {
        (definition.min_orgs, definition.min_sessions) = (2, 60);
        definition.privacy.max_cells_per_unit = 2;
        definition.privacy.epsilon = 8.0;
    });
    let plan = ReleasePlan::of(&definition).unwrap();
    (definition, plan)
}

/// Twenty organisations whose visitors all do the same in two of six cells, and one visitor who does the opposite in all
/// six cells, many times. With this visitor the organisation exceeds its share, so scaling takes from the others what
/// the visitor adds. No visitor can change a cell more.
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
    with.push((3, "3/added".to_owned(), opposite.collect()));
    (with, without)
}

fn tally(fault: Fault, definition: &Definition, plan: &ReleasePlan, units: &[Unit]) -> Tallies {
    if fault != Fault::BoundSkipped {
        return tallied(definition, plan, units);
    }
    let mut tallies = TalliesBuilder::of_visitors(netcrab_packs::method::measures(definition.kind), 1 << 20);
    for (org, _, contributions) in units {
        contributions.iter().for_each(|contribution| tallies.take(&org.to_string(), contribution).unwrap());
    }
    tallies.finish().unwrap()
}

/// All numbers of a release, each divided by the scale of its noise.
fn numbers(plan: &ReleasePlan, release: &PackRelease) -> Vec<f64> {
    let mut numbers = Vec::new();
    for cell in &release.cells {
        numbers.push(cell.org_parts as f64 / plan.orgs_sigma);
        numbers.push(cell.sessions as f64 / plan.sessions_sigma);
        for (answer, noisy) in cell.answers.iter().zip(&plan.queries) {
            numbers.extend(answer.iter().map(|number| *number as f64 / noisy.sigma));
        }
    }
    numbers
}

/// The lower bound on ε less the promised ε, at the δ where this is largest. Noise is drawn `draws` times for each world.
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
        assert_eq!(seen.len(), exact[0].len(), "both worlds release the same cells");
        let each = || seen.iter().zip(&exact[0]).zip(&exact[1]).filter(|((_, a), b)| a != b);
        // The logarithm of the likelihood ratio; and how many numbers equal those of one world without noise.
        let ratio = each().map(|((seen, a), b)| (seen - (a + b) / 2.0) * (a - b)).sum();
        let without_noise =
            each().map(|((seen, a), b)| f64::from(u8::from(seen == a)) - f64::from(u8::from(seen == b))).sum();
        [ratio, without_noise]
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

/// The least distance of two Gaussians of variance 1 that a test distinguishes with so many wrong guesses of `builds`
/// in each world.
fn apart_at_least(missed: usize, false_hits: usize, builds: usize) -> f64 {
    let right = |wrong: usize| Normal::standard().inverse_cdf(1.0 - at_most(wrong, builds));
    (right(missed) + right(false_hits)).max(0.0)
}

/// The ε at δ of two Gaussians of variance 1 at the distance `apart` (Balle and Wang 2018, theorem 8).
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

/// Clopper and Pearson's upper bound on the probability of an event that happened in `hits` of `all` trials.
fn at_most(hits: usize, all: usize) -> f64 {
    if hits == all { 1.0 } else { Beta::new((hits + 1) as f64, (all - hits) as f64).unwrap().inverse_cdf(1.0 - DOUBT) }
}

/// Whether a cell with one organisation less than `min_orgs` is ever released, with a rule that is off by `off`.
pub(crate) fn too_small_is_released(off: u32, builds: usize) -> bool {
    let (definition, plan) = pack();
    let (_, units) = worlds();
    let tallies = tallied(&definition, &plan, &units);
    // There are twenty organisations, one less than the plan asks for.
    let plan = ReleasePlan { min_orgs: 21 - off, orgs_reach: 0.0, ..plan };
    (0..builds).any(|_| !open(definition.kind, &plan, &tallies, &mut OpenDp).unwrap().cells.is_empty())
}

#[test]
fn no_visitor_is_distinguished_better_than_promised_and_each_fault_is_found() {
    let builds = std::env::var("NETCRAB_AUDIT_BUILDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
    let sound = excess(Fault::None, builds);
    assert!(sound <= 0.0, "ε is {sound} more than promised");
    for fault in [Fault::ScaleHalved, Fault::BoundSkipped, Fault::ExactCountLeaked, Fault::DrawnAgain] {
        let excess = excess(fault, builds);
        assert!(excess > 0.0, "{fault:?} is not found: {excess}");
    }
    assert!(!too_small_is_released(0, builds) && too_small_is_released(1, builds));
}
