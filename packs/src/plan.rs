//! What a build may spend and how much noise that buys, out of the definition alone.
//!
//!     epsilon, delta of a unit's period ─▶ rho ─▶ a window's ─▶ a cell's ─▶ scale of each query
//!
//! **Accounting** is in zero-concentrated differential privacy (Bun and Steinke 2016, arXiv:1605.02065): Gaussian
//! noise of scale σ on a query of sensitivity Δ costs ρ = Δ²/2σ², and costs add up. A unit is in at most C cells of a
//! window, and its period reaches into at most W windows, so a cell may cost ρ/(W·C).
//!
//! **What one unit changes** in a cell: one session less, or one in place of another, for an organisation above its
//! share is scaled down to it (see [`crate::tally`]). A session is one step in one bin of each histogram, so
//! putting one in place of another changes two bins by one: Δ = √2.
//!
//! **Organisations** are counted by their visitors: one with `whole_org_units` of them counts whole, one with fewer
//! in part. So a visitor changes the count by at most a part, and the count needs little noise. A cell with fewer
//! than k organisations is never released. One that has k because of a single visitor could tell of him: so the
//! count must exceed k − 1 by more than noise reaches with probability δ (pre-thresholding at k − 1: what is below k
//! counts as empty).

use serde::Serialize;

use crate::definition::{Definition, Unit};
use crate::method::{self, Measure};
use crate::noise;

/// Sessions are weighed in parts of one: an organisation above its share counts each in part.
pub const WEIGHT: i64 = 4096;

/// The share of a cell's ρ that decides whether it is released; half of it for organisations, half for sessions.
const SELECTION: f64 = 0.2;

/// The share of a window's ρ that tells how many cells did not leave.
const SUMMARY: f64 = 0.01;

/// One query over a measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Sessions in each bin of a measure, by its place.
    Histogram(usize),
    /// The sum of a measure about its middle.
    Sum(usize),
    /// Sessions that say something of an optional measure.
    Count(usize),
}

/// A query with its noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Noised {
    /// What is asked.
    pub query: Query,
    /// The most that one unit changes the answer, in the L2 norm.
    pub sensitivity: f64,
    /// The scale of the noise on each number of it.
    pub sigma: f64,
}

/// How a window of a pack is built.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// ρ of all builds of a unit's period, from ε and half of δ.
    pub rho_total: f64,
    /// Windows that a unit's period reaches into.
    pub windows: u32,
    /// ρ of one build.
    pub rho_window: f64,
    /// δ of one build, for the thresholds.
    pub delta_window: f64,
    /// Most cells of a window that a unit is in.
    pub cells_per_unit: u32,
    /// Most sessions of an organisation in a cell, in weight.
    pub org_sessions_max: u32,
    /// Visitors that make an organisation count whole.
    pub whole_org_units: u32,
    /// Fewest organisations of a cell that leaves.
    pub min_orgs: u32,
    /// Fewest sessions of a cell that leaves, with noise.
    pub min_sessions: u32,
    /// Scale of the noise on the count of organisations, in parts of one.
    pub orgs_sigma: f64,
    /// The most that one unit changes the count of organisations, in parts of one.
    pub orgs_sensitivity: f64,
    /// How far the noise on the count of organisations reaches, but for the δ of a cell.
    pub orgs_reach: f64,
    /// The most that one unit changes the weight of all sessions.
    pub sessions_sensitivity: f64,
    /// Scale of the noise on sessions, in weight.
    pub sessions_sigma: f64,
    /// The queries of a released cell.
    pub queries: Vec<Noised>,
    /// Scale of the noise on the number of cells that did not leave: a unit may make as many as it has cells.
    pub summary_sigma: f64,
    /// By how much more noise there is in a cell of several brought together: a unit may be in it with all its cells.
    pub merged_factor: f64,
}

impl Plan {
    /// The plan of a definition.
    pub fn of(definition: &Definition) -> Result<Self, noise::Error> {
        let privacy = &definition.privacy;
        let measures = method::measures(definition.kind);
        let windows = privacy.unit.windows(definition.update_frequency);
        let rho_total = noise::rho(privacy.epsilon, privacy.delta / 2.0)?;
        let (cells, windowed) = (f64::from(privacy.max_cells_per_unit), f64::from(windows));
        let rho_window = rho_total / windowed;
        let rho_cell = rho_window * (1.0 - SUMMARY) / cells;
        let delta_window = privacy.delta / 2.0 / windowed;
        let whole = privacy.whole_org_units;
        let by_org = privacy.unit == Unit::OrgMonth;
        let orgs_sensitivity = if by_org { f64::from(whole) } else { 1.0 };
        let cap = f64::from(definition.org_sessions_max());
        let change = if by_org { Change::Org { sessions: cap } } else { Change::Visitor };
        let orgs_sigma = sigma(orgs_sensitivity, rho_cell * SELECTION / 2.0);
        // Each of a unit's cells, and of those brought together, may be the one that tells.
        let reach = orgs_sigma * (2.0 * (2.0 * cells / delta_window).ln()).sqrt();
        let asked: Vec<Query> =
            measures.iter().enumerate().flat_map(|(place, measure)| queries(place, measure)).collect();
        let rho_query = rho_cell * (1.0 - SELECTION) / asked.len().max(1) as f64;
        let noised = |query: Query| {
            let sensitivity = change.sensitivity(query, measures);
            Noised { query, sensitivity, sigma: sigma(sensitivity, rho_query) }
        };
        Ok(Self {
            rho_total,
            windows,
            rho_window,
            delta_window,
            cells_per_unit: privacy.max_cells_per_unit,
            org_sessions_max: definition.org_sessions_max(),
            whole_org_units: whole,
            min_orgs: definition.min_orgs,
            min_sessions: definition.min_sessions,
            orgs_sigma,
            orgs_sensitivity,
            orgs_reach: reach,
            sessions_sensitivity: change.sessions(),
            sessions_sigma: sigma(change.sessions(), rho_cell * SELECTION / 2.0),
            queries: asked.into_iter().map(noised).collect(),
            summary_sigma: sigma(cells, rho_window * SUMMARY),
            merged_factor: cells.sqrt(),
        })
    }

    /// The count of organisations, in parts of one and with noise, that a cell must reach; with `factor` times the
    /// noise where it is several brought together.
    pub fn orgs_threshold(&self, factor: f64) -> f64 {
        let below = f64::from(self.whole_org_units) * f64::from(self.min_orgs.saturating_sub(1));
        below + self.orgs_sensitivity * factor.powi(2) + self.orgs_reach * factor
    }

    /// How many organisations, each with enough visitors, a cell needs to be released nineteen times of twenty.
    pub fn orgs_needed(&self) -> u32 {
        let parts = self.orgs_threshold(1.0) + 1.645 * self.orgs_sigma;
        (parts / f64::from(self.whole_org_units)).ceil().max(f64::from(self.min_orgs)) as u32
    }
}

/// What one unit changes in a cell.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// A session less, or one in place of another.
    Visitor,
    /// All sessions of an organisation, in weight.
    Org { sessions: f64 },
}

impl Change {
    /// How much the weight of all sessions changes. A weight is rounded down, so it may change by one step more.
    fn sessions(self) -> f64 {
        match self {
            Self::Visitor => WEIGHT as f64 + 1.0,
            Self::Org { sessions } => sessions * WEIGHT as f64,
        }
    }

    fn sensitivity(self, query: Query, measures: &[Measure]) -> f64 {
        let weight = WEIGHT as f64;
        match (self, query) {
            (Self::Visitor, Query::Histogram(place)) => {
                2.0_f64.sqrt() * weight + (measures[place].edges.len() as f64).sqrt()
            }
            (Self::Visitor, Query::Sum(place)) => measures[place].range() as f64 * weight + 1.0,
            (Self::Org { sessions }, Query::Sum(place)) => {
                sessions * weight * (measures[place].range() as f64 / 2.0).ceil() + 1.0
            }
            (Self::Visitor, Query::Count(_)) => weight + 1.0,
            (Self::Org { sessions }, Query::Histogram(_) | Query::Count(_)) => sessions * weight,
        }
    }
}

fn queries(place: usize, measure: &Measure) -> Vec<Query> {
    let mut queries = Vec::new();
    if !measure.edges.is_empty() {
        queries.push(Query::Histogram(place));
    }
    if measure.averaged {
        queries.push(Query::Sum(place));
        if measure.optional {
            queries.push(Query::Count(place));
        }
    }
    queries
}

/// The scale of Gaussian noise that makes a query of this sensitivity cost ρ.
fn sigma(sensitivity: f64, rho: f64) -> f64 {
    sensitivity / (2.0 * rho).sqrt()
}
