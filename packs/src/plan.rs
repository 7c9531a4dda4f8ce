//! The plan of a release: what a build spends, and the noise and thresholds that follow from it.
//!
//!     ε, δ of a unit's period ─▶ ρ of the period ─▶ ρ of a window ─▶ ρ of a cell ─▶ σ of each query
//!
//! The plan follows from the definition alone; no number of the data enters it.
//!
//! **Accounting** is in zero-concentrated differential privacy (Bun and Steinke 2016, arXiv:1605.02065): Gaussian
//! noise of scale σ on a query of sensitivity Δ costs ρ = Δ²/2σ², and costs add up. A unit counts in at most C cells
//! of a window, and its period reaches into at most W windows, so a cell may cost ρ/(W·C).
//!
//! **Sensitivity.** One unit more or less changes a cell by one session, or by one session in place of another where
//! its organisation is scaled down to its share (see [`crate::tally`]). A session is in one bin of each histogram, so
//! one in place of another changes two bins by one each: Δ = √2.
//!
//! **Counting organisations.** An organisation with `whole_org_units` visitors in a cell counts whole, one with fewer
//! in part. So one visitor changes the count by at most one part, and the count needs little noise.
//!
//! **Pre-threshold.** A cell with fewer than k = `min_orgs` organisations is never released. That alone would reveal
//! the one visitor who makes the k-th organisation appear. So the noisy count must also exceed k − 1 by an amount
//! that the noise exceeds only with probability δ: then a cell with k organisations looks empty, as one with k − 1
//! does, except with probability δ.

use serde::Serialize;

use crate::definition::{Definition, Unit};
use crate::method::{self, Measure};
use crate::noise;

/// Parts of one session. An organisation above its share is scaled down, so each of its sessions counts in part.
pub const WEIGHT: i64 = 4096;

/// The share of a cell's ρ for the decision whether it is released: half for organisations, half for sessions.
const SELECTION_SHARE: f64 = 0.2;

/// The share of a window's ρ for the number of cells that were suppressed or merged.
const SUMMARY_SHARE: f64 = 0.01;

/// A query over the sessions of a cell; the number is the index of a measure of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Sessions in each bin of a measure.
    Histogram(usize),
    /// The sum of a measure, each value less the middle of the measure's range.
    Sum(usize),
    /// Sessions that have a value of an optional measure.
    Count(usize),
}

/// A query with its noise, in parts of [`WEIGHT`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NoisyQuery {
    /// The query.
    pub query: Query,
    /// The most that one unit changes the answer, in the L2 norm.
    pub sensitivity: f64,
    /// The scale of the noise on each number of the answer.
    pub sigma: f64,
}

/// The budget, the bounds, the thresholds and the noise of one window's release. It is written into the manifest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReleasePlan {
    /// ρ of all builds of a unit's period, from ε and half of δ.
    pub rho_total: f64,
    /// Windows that a unit's period reaches into.
    pub windows: u32,
    /// ρ of one build.
    pub rho_window: f64,
    /// δ of one build for the thresholds: its part of the other half of δ.
    pub delta_window: f64,
    /// Most cells of a window that a unit counts in.
    pub cells_per_unit: u32,
    /// Most sessions that an organisation weighs in a cell.
    pub org_sessions_max: u32,
    /// Visitors that make an organisation count whole; also the number of parts of one organisation.
    pub whole_org_units: u32,
    /// Fewest organisations of a released cell.
    pub min_orgs: u32,
    /// Fewest sessions of a released cell, counted with noise.
    pub min_sessions: u32,
    /// Scale of the noise on the count of organisations, in parts of one.
    pub orgs_sigma: f64,
    /// The most that one unit changes the count of organisations, in parts of one.
    pub orgs_sensitivity: f64,
    /// The amount, in parts, that the noise on the count of organisations exceeds with at most a cell's part of
    /// `delta_window` as probability.
    pub orgs_reach: f64,
    /// The most that one unit changes the number of sessions, in parts of [`WEIGHT`].
    pub sessions_sensitivity: f64,
    /// Scale of the noise on the number of sessions, in parts of [`WEIGHT`].
    pub sessions_sigma: f64,
    /// The queries of a released cell.
    pub queries: Vec<NoisyQuery>,
    /// Scale of the noise on the numbers of suppressed and merged cells. A unit may make as many as it has cells.
    pub summary_sigma: f64,
    /// The noise on a merged cell over the noise on one alone. A unit may be in a merged cell with all its cells.
    pub merged_factor: f64,
}

impl ReleasePlan {
    /// The plan of a definition.
    ///
    /// # Errors
    ///
    /// [`noise::Error`] when OpenDP cannot account for the definition's ε and δ.
    pub fn of(definition: &Definition) -> Result<Self, noise::Error> {
        let privacy = &definition.privacy;
        let windows = privacy.unit.windows(definition.update_frequency);
        let rho_total = noise::rho(privacy.epsilon, privacy.delta / 2.0)?;
        let rho_window = rho_total / f64::from(windows);
        let delta_window = privacy.delta / 2.0 / f64::from(windows);
        let cells = f64::from(privacy.max_cells_per_unit);
        let rho_cell = rho_window * (1.0 - SUMMARY_SHARE) / cells;
        let change = UnitChange::of(definition);
        let orgs_sensitivity = change.orgs(privacy.whole_org_units);
        let orgs_sigma = sigma(orgs_sensitivity, rho_cell * SELECTION_SHARE / 2.0);
        Ok(Self {
            rho_total,
            windows,
            rho_window,
            delta_window,
            cells_per_unit: privacy.max_cells_per_unit,
            org_sessions_max: definition.org_sessions_max(),
            whole_org_units: privacy.whole_org_units,
            min_orgs: definition.min_orgs,
            min_sessions: definition.min_sessions,
            orgs_sigma,
            orgs_sensitivity,
            // A Gaussian exceeds σ·√(2·ln(1/p)) with a probability below p. Each cell of a unit, and each merged cell
            // that it is in, may be the one that reveals the unit: p is the window's δ over 2·C.
            orgs_reach: orgs_sigma * (2.0 * (2.0 * cells / delta_window).ln()).sqrt(),
            sessions_sensitivity: change.sessions(),
            sessions_sigma: sigma(change.sessions(), rho_cell * SELECTION_SHARE / 2.0),
            queries: noisy_queries(definition, change, rho_cell * (1.0 - SELECTION_SHARE)),
            summary_sigma: sigma(cells, rho_window * SUMMARY_SHARE),
            merged_factor: cells.sqrt(),
        })
    }

    /// The noisy count of organisations, in parts of one, that a cell must reach when its noise is `factor` times the
    /// plan's.
    pub fn orgs_threshold(&self, factor: f64) -> f64 {
        let below = f64::from(self.whole_org_units) * f64::from(self.min_orgs.saturating_sub(1));
        below + self.orgs_sensitivity * factor.powi(2) + self.orgs_reach * factor
    }

    /// How many organisations, each with `whole_org_units` visitors or more, a cell needs to be released in nineteen of
    /// twenty draws of the noise.
    pub fn orgs_needed(&self) -> u32 {
        // 1.645 is the one-sided 95 % quantile of the standard normal distribution.
        let parts = self.orgs_threshold(1.0) + 1.645 * self.orgs_sigma;
        (parts / f64::from(self.whole_org_units)).ceil().max(f64::from(self.min_orgs)) as u32
    }
}

/// What one unit more or less changes in a cell.
#[derive(Debug, Clone, Copy)]
enum UnitChange {
    /// A visitor: one session, or one session in place of another.
    Visitor,
    /// An organisation: all its sessions, which weigh at most so many.
    Org { sessions: f64 },
}

impl UnitChange {
    fn of(definition: &Definition) -> Self {
        match definition.privacy.unit {
            Unit::OrgMonth => Self::Org { sessions: f64::from(definition.org_sessions_max()) },
            Unit::VisitorDay | Unit::VisitorMonth => Self::Visitor,
        }
    }

    /// The most that the count of organisations changes, in parts of one.
    fn orgs(self, whole_org_units: u32) -> f64 {
        match self {
            Self::Visitor => 1.0,
            Self::Org { .. } => f64::from(whole_org_units),
        }
    }

    /// The most that the number of sessions changes. A weight is rounded down, so it may change by one part more.
    fn sessions(self) -> f64 {
        match self {
            Self::Visitor => WEIGHT as f64 + 1.0,
            Self::Org { sessions } => sessions * WEIGHT as f64,
        }
    }

    /// The most that the answer to a query changes, in the L2 norm; rounding included.
    fn sensitivity(self, query: Query, measures: &[Measure]) -> f64 {
        let weight = WEIGHT as f64;
        match (self, query) {
            (Self::Visitor, Query::Histogram(measure)) => {
                2.0_f64.sqrt() * weight + (measures[measure].edges.len() as f64).sqrt()
            }
            (Self::Visitor, Query::Sum(measure)) => measures[measure].range() as f64 * weight + 1.0,
            (Self::Org { sessions }, Query::Sum(measure)) => {
                sessions * weight * (measures[measure].range() as f64 / 2.0).ceil() + 1.0
            }
            (Self::Visitor, Query::Count(_)) => weight + 1.0,
            (Self::Org { sessions }, Query::Histogram(_) | Query::Count(_)) => sessions * weight,
        }
    }
}

/// The queries of a definition's kind, which share `rho` in equal parts.
fn noisy_queries(definition: &Definition, change: UnitChange, rho: f64) -> Vec<NoisyQuery> {
    let measures = method::measures(definition.kind);
    let queries: Vec<Query> =
        measures.iter().enumerate().flat_map(|(place, measure)| queries(place, measure)).collect();
    let rho_query = rho / queries.len().max(1) as f64;
    let noisy = |query: Query| {
        let sensitivity = change.sensitivity(query, measures);
        NoisyQuery { query, sensitivity, sigma: sigma(sensitivity, rho_query) }
    };
    queries.into_iter().map(noisy).collect()
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
