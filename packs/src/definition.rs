//! A pack's definition: what a buyer gets, and the privacy that contributors are promised.
//!
//! It is read out of YAML (`yaml.rs`) and stored as JSON with each version.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a pack is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Clicks, durations and friction of tasks, by day.
    UxBenchmarks,
    /// The steps by which tasks are done, with their durations and friction.
    TaskFlows,
    /// Friction and efficiency after product releases, compared with before.
    ReleaseDeltas,
    /// Findings computed from released versions of the other kinds.
    InsightReports,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::UxBenchmarks, Self::TaskFlows, Self::ReleaseDeltas, Self::InsightReports];

    /// Its name in definitions.
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

/// The verticals of organisations.
pub const VERTICALS: [&str; 5] = ["B2B_CRM", "SUPPORT_DESK", "ERP", "HRIS", "CUSTOM"];

/// The vertical of a pack that organisations of all verticals contribute to.
pub const ANY: &str = "ANY";

/// How often a pack is built. Each build covers one window of this length.
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

    /// The most windows that one period of the unit overlaps: a month has up to 31 days and overlaps up to 6 weeks.
    pub fn windows(self, frequency: Frequency) -> u32 {
        match (self, frequency) {
            (Self::VisitorDay, _) | (_, Frequency::Monthly) => 1,
            (_, Frequency::Weekly) => 6,
            (_, Frequency::Daily) => 31,
        }
    }
}

/// The privacy of a pack's contributors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Privacy {
    /// Whose presence the noise hides. Default: visitor_month.
    pub unit: Unit,
    /// ε over all builds of a unit's period. Default: 4.
    pub epsilon: f64,
    /// δ over all builds of a unit's period. Default: 1e-6.
    pub delta: f64,
    /// Most cells of one build that a unit counts in, with one session each. Default: 4.
    pub max_cells_per_unit: u32,
    /// The largest share of a cell's sessions that one organisation may weigh. Default: 0.1.
    pub max_share_of_cell: f64,
    /// Visitors that make an organisation count whole in a cell. With fewer it counts in part, so that no single visitor
    /// makes an organisation appear. Default: 10.
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
    /// What it is about.
    pub kind: Kind,
    /// Its title.
    pub title: String,
    /// The vertical whose organisations contribute, or [`ANY`].
    pub vertical: String,
    /// What it is, in a sentence.
    pub short_description: String,
    /// What it is, in full.
    pub long_description: String,
    /// The columns that buyers get; all columns of the kind where none is named.
    pub fields: Vec<String>,
    /// How often it is built.
    pub update_frequency: Frequency,
    /// Fewest organisations of a released cell. Default: 20.
    pub min_orgs: u32,
    /// Fewest sessions of a released cell. Default: 10 000.
    pub min_sessions: u32,
    /// How long a version is meant to be retained, in days; nothing deletes versions yet. Default: 365.
    pub retention_days: u32,
    /// Whether a catalog may list it; nothing reads this yet. Default: true.
    pub public: bool,
    /// Its price per month, in US cents. Default: 49 900.
    pub base_price_cents: i64,
    /// The categories that organisations opt in to; at least one.
    pub categories: Vec<String>,
    /// The privacy of its contributors.
    pub privacy: Privacy,
    /// For insight reports: the packs that the report is made from.
    pub sources: Vec<String>,
}

/// A fault of a definition, for its author to correct.
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
    /// The most sessions that an organisation may weigh in a cell: its share of the smallest cell that is released.
    pub fn org_sessions_max(&self) -> u32 {
        (f64::from(self.min_sessions) * self.privacy.max_share_of_cell).floor().max(1.0) as u32
    }
}
