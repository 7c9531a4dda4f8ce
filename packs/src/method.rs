//! How each kind of pack is reckoned: what a session says of a cell, and what of it is released.
//!
//!     a session in a cell ─▶ values of measures, each within bounds ─▶ columns of the table
//!
//! Bounds and grids are part of the method and never come from the data: what leaves would tell of it.

use serde::Serialize;

use crate::definition::Kind;

/// The version of the method; it is in every manifest, and another one makes another minor version.
pub const METHOD: u32 = 1;

/// What a session says, as a whole number of `1 / per_unit`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// How many steps make one unit of the column.
    pub per_unit: i64,
    /// The least value that counts; what is below counts as it.
    pub least: i64,
    /// The greatest value that counts; what is above counts as it.
    pub greatest: i64,
    /// Where the bins of its histogram begin, the first at `least`; empty where none is needed.
    pub edges: &'static [i64],
    /// Whether its mean is released.
    pub averaged: bool,
    /// Whether a session may say nothing of it.
    pub optional: bool,
}

impl Measure {
    /// The middle of its range, which sums are taken about.
    pub fn middle(&self) -> i64 {
        i64::midpoint(self.least, self.greatest)
    }

    /// The width of its range.
    pub fn range(&self) -> i64 {
        self.greatest - self.least
    }

    /// The value within the bounds.
    pub fn bounded(&self, value: i64) -> i64 {
        value.clamp(self.least, self.greatest)
    }

    /// The bin of a value within the bounds.
    pub fn bin(&self, value: i64) -> usize {
        self.edges.partition_point(|edge| *edge <= value).saturating_sub(1)
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A part of the cell's key, by its place.
    Key(usize),
    /// A whole number out of the key, by its place.
    KeyNumber(usize),
    /// The vertical of the pack.
    Vertical,
    /// Days of the window, `2026-10-01/2026-10-31`.
    Window,
    /// An id made of the key: xxh3 of its text, 16 hex digits.
    KeyId(usize),
    /// How many steps the key names, parted by ` > `.
    KeySteps(usize),
    /// A quantile of a measure, by its place; in thousandths.
    Quantile(usize, u16),
    /// The mean of a measure, by its place.
    Mean(usize),
    /// The mean of the first measure less that of the second.
    Difference(usize, usize),
    /// Sessions counted.
    Sessions,
    /// Organisations counted.
    Orgs,
}

impl Content {
    /// Whether noise was added to it, so that it has an error column.
    pub fn noisy(self) -> bool {
        matches!(self, Self::Quantile(..) | Self::Mean(_) | Self::Difference(..) | Self::Sessions | Self::Orgs)
    }
}

/// A column of a pack's table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub content: Content,
    /// Its unit; empty where it has none.
    pub unit: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn column(name: &'static str, content: Content, unit: &'static str, meaning: &'static str) -> Column {
    Column { name, content, unit, meaning }
}

// The grids that quantiles are told on.
const CLICKS: &[i64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 24, 28, 32, 40, 48, 64, 96];
const TENTHS_OF_SECONDS: &[i64] =
    &[0, 10, 20, 30, 40, 50, 70, 100, 130, 160, 200, 250, 300, 400, 500, 600, 750, 900, 1200, 1800, 2400, 3600, 5400];
const SCORES: &[i64] =
    &[0, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600, 650, 700, 750, 800, 850, 900, 950];

const fn score(name: &'static str, edges: &'static [i64], optional: bool) -> Measure {
    Measure { name, per_unit: 1000, least: 0, greatest: 1000, edges, averaged: true, optional }
}

static UX: [Measure; 3] = [
    Measure { name: "clicks", per_unit: 1, least: 0, greatest: 128, edges: CLICKS, averaged: false, optional: false },
    Measure {
        name: "duration_s",
        per_unit: 10,
        least: 0,
        greatest: 9000,
        edges: TENTHS_OF_SECONDS,
        averaged: false,
        optional: true,
    },
    score("frict_score", SCORES, false),
];

static FLOWS: [Measure; 2] = [
    Measure { name: "duration_s", per_unit: 10, least: 0, greatest: 9000, edges: &[], averaged: true, optional: true },
    score("frict_score", &[], false),
];

static DELTAS: [Measure; 4] = [
    score("friction_before", &[], true),
    score("friction_after", &[], true),
    score("efficiency_before", &[], true),
    score("efficiency_after", &[], true),
];

const SESSIONS: Column =
    column("sample_sessions", Content::Sessions, "sessions", "Sessions counted, after all bounds, with noise.");
const ORGS: Column = column(
    "org_count",
    Content::Orgs,
    "organisations",
    "Organisations counted, those with few visitors in part, with noise.",
);
const VERTICAL: Column = column("vertical", Content::Vertical, "", "The vertical.");
const WINDOW: Column = column("date_window", Content::Window, "days, both included", "The days that it covers.");

static UX_COLUMNS: [Column; 10] = [
    column("date", Content::Key(0), "day, UTC", "The day."),
    VERTICAL,
    column("task_type", Content::Key(1), "", "What visitors set out to do; OTHER where several were brought together."),
    column("flow_complexity", Content::KeyNumber(2), "1 to 5", "By screens: ≤ 2, ≤ 4, ≤ 7, ≤ 12, more."),
    column("median_clicks", Content::Quantile(0, 500), "events", "Median of clicks in the task."),
    column("median_duration_s", Content::Quantile(1, 500), "s", "Median of the time a completed task took."),
    column("mean_frict_score", Content::Mean(2), "0 to 1", "Mean of the session's frustration score."),
    column("p90_frict_score", Content::Quantile(2, 900), "0 to 1", "A tenth of the sessions had a higher one."),
    SESSIONS,
    ORGS,
];

static FLOW_COLUMNS: [Column; 10] = [
    WINDOW,
    VERTICAL,
    column("task_type", Content::Key(0), "", "What visitors set out to do; OTHER where several were brought together."),
    column("archetype_id", Content::KeyId(1), "16 hex digits", "Stable id of the archetype."),
    column("archetype_label", Content::Key(1), "", "The steps that its sessions share, in order."),
    column("steps", Content::KeySteps(1), "steps", "How many steps it has; 0 for OTHER."),
    column("avg_duration_s", Content::Mean(0), "s", "Mean of the time a completed task took, those above 900 as 900."),
    column("avg_frict_score", Content::Mean(1), "0 to 1", "Mean of the session's frustration score."),
    SESSIONS,
    ORGS,
];

static DELTA_COLUMNS: [Column; 8] = [
    WINDOW,
    VERTICAL,
    column("release_window", Content::Key(0), "days", "Days before and after a release that are compared."),
    column("task_type", Content::Key(1), "", "What visitors set out to do; OTHER where several were brought together."),
    column("friction_delta", Content::Difference(1, 0), "−1 to 1", "Mean frustration score after, less before."),
    column("efficiency_delta", Content::Difference(3, 2), "−1 to 1", "Mean efficiency score after, less before."),
    SESSIONS,
    ORGS,
];

static REPORT_COLUMNS: [Column; 6] = [
    column("report_date", Content::Key(0), "day, UTC", "The last day of the packs it is made from."),
    VERTICAL,
    column("report_type", Content::Key(1), "", "What it is about."),
    column("insights", Content::Key(2), "JSON", "Its findings."),
    column("sample_sessions", Content::KeyNumber(3), "sessions", "Sessions of the rows it is made from."),
    column("org_count", Content::KeyNumber(4), "organisations", "Fewest organisations of a row it is made from."),
];

/// What a session says of a cell of this kind.
pub fn measures(kind: Kind) -> &'static [Measure] {
    match kind {
        Kind::UxBenchmarks => &UX,
        Kind::TaskFlows => &FLOWS,
        Kind::ReleaseDeltas => &DELTAS,
        Kind::InsightReports => &[],
    }
}

/// The columns of the kind's table, without their error columns.
pub fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::UxBenchmarks => &UX_COLUMNS,
        Kind::TaskFlows => &FLOW_COLUMNS,
        Kind::ReleaseDeltas => &DELTA_COLUMNS,
        Kind::InsightReports => &REPORT_COLUMNS,
    }
}

/// The place in the key that becomes [`OTHER`] where a cell cannot stand alone.
pub fn merged(kind: Kind) -> Option<usize> {
    (kind != Kind::InsightReports).then_some(1)
}

/// What several keys brought together are called.
pub const OTHER: &str = "OTHER";
