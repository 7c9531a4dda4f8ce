//! A pack's definition, out of YAML.
//!
//!     packs/definitions/crm_friction.yaml ─▶ Definition, or every fault with its line
//!
//! A definition says what a buyer gets and what the privacy costs; it holds no code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a pack is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Clicks, durations and friction of tasks, by day.
    UxBenchmarks,
    /// The ways that tasks are done.
    TaskFlows,
    /// What releases did to friction and efficiency.
    ReleaseDeltas,
    /// Findings out of the other kinds.
    InsightReports,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::UxBenchmarks, Self::TaskFlows, Self::ReleaseDeltas, Self::InsightReports];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::UxBenchmarks => "ux_benchmarks",
            Self::TaskFlows => "task_flows",
            Self::ReleaseDeltas => "release_deltas",
            Self::InsightReports => "insight_reports",
        }
    }

    /// The table that its rows belong to.
    pub fn table(self) -> &'static str {
        match self {
            Self::UxBenchmarks => "mp_ux_friction_daily",
            Self::TaskFlows => "mp_task_flows",
            Self::ReleaseDeltas => "mp_release_deltas",
            Self::InsightReports => "mp_insight_reports",
        }
    }
}

/// The verticals that an organisation may be of.
pub const VERTICALS: [&str; 5] = ["B2B_CRM", "SUPPORT_DESK", "ERP", "HRIS", "CUSTOM"];

/// The vertical of a pack that all organisations may contribute to.
pub const ANY: &str = "ANY";

/// How often a pack is built; each build covers one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// A day.
    Daily,
    /// A week, from Monday.
    Weekly,
    /// A calendar month.
    Monthly,
}

impl Frequency {
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("daily", Self::Daily), ("weekly", Self::Weekly), ("monthly", Self::Monthly)];
}

/// Whose presence the noise hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// All that a visitor does in an organisation's product on a day.
    VisitorDay,
    /// The same, in a calendar month.
    VisitorMonth,
    /// All that an organisation's visitors do in a calendar month.
    OrgMonth,
}

impl Unit {
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("visitor_day", Self::VisitorDay), ("visitor_month", Self::VisitorMonth), ("org_month", Self::OrgMonth)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, unit)| *unit == self).map_or("", |(name, _)| name)
    }

    /// The most windows of a frequency that one unit's period reaches into: a month has 31 days, and parts of 6 weeks.
    pub fn windows(self, frequency: Frequency) -> u32 {
        match (self, frequency) {
            (Self::VisitorDay, _) | (_, Frequency::Monthly) => 1,
            (_, Frequency::Weekly) => 6,
            (_, Frequency::Daily) => 31,
        }
    }
}

/// What a pack may tell of anybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Privacy {
    /// Whose presence the noise hides. Default: visitor_month.
    pub unit: Unit,
    /// How well, over all builds of the unit's period. Default: 4.
    pub epsilon: f64,
    /// The chance that it does not. Default: 1e-6.
    pub delta: f64,
    /// Most cells of one build that a unit counts in, with one session each. Default: 4.
    pub max_cells_per_unit: u32,
    /// Most of a cell's weight that comes from one organisation. Default: 0.1.
    pub max_share_of_cell: f64,
    /// Visitors that make an organisation count whole in a cell; fewer count as a part of one, so that no single
    /// visitor makes an organisation appear. Default: 10.
    pub whole_org_units: u32,
}

impl Default for Privacy {
    fn default() -> Self {
        Self {
            unit: Unit::VisitorMonth,
            epsilon: 4.0,
            delta: 1e-6,
            max_cells_per_unit: 4,
            max_share_of_cell: 0.1,
            whole_org_units: 10,
        }
    }
}

/// A pack's definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Its name, of lower-case letters, digits and _.
    pub pack_id: String,
    /// What it is made of.
    pub kind: Kind,
    /// Its title.
    pub title: String,
    /// The vertical whose organisations contribute, or ANY.
    pub vertical: String,
    /// What it is, in a sentence.
    pub short_description: String,
    /// What it is, in full.
    pub long_description: String,
    /// The columns that buyers get; all of the kind's where none are named.
    pub fields: Vec<String>,
    /// How often it is built.
    pub update_frequency: Frequency,
    /// Fewest organisations of a cell that leaves. Default: 20.
    pub min_orgs: u32,
    /// Fewest sessions of a cell that leaves. Default: 10 000.
    pub min_sessions: u32,
    /// How long a version is kept, in days. Default: 365.
    pub retention_days: u32,
    /// Whether anybody may see that it is there. Default: true.
    pub public: bool,
    /// Its price a month, in US cents. Default: 49 900.
    pub base_price_cents: i64,
    /// What organisations opt in to; at least one.
    pub categories: Vec<String>,
    /// What it may tell of anybody.
    pub privacy: Privacy,
    /// For insight_reports: the packs that it is made from.
    pub sources: Vec<String>,
}

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, and what is expected.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl Definition {
    /// Most weight that an organisation has in a cell, in sessions: its share of the smallest cell that leaves.
    pub fn org_sessions_max(&self) -> u32 {
        (f64::from(self.min_sessions) * self.privacy.max_share_of_cell).floor().max(1.0) as u32
    }
}
