//! The method of each kind of pack: what is measured of a session in a cell, and what is released of it.
//!
//!     a session in a cell ─▶ values of measures, each clamped to bounds ─▶ columns of the table
//!
//! Bounds and grids are part of the method. Were they taken from the data, a release would reveal something of it.

use serde::Serialize;

use crate::definition::Kind;

/// The version of the method. It is in every manifest, and a new one makes a new minor version of a pack.
pub const METHOD: u32 = 1;

/// A number of a session, as a whole number of steps of `1 / per_unit`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// How many steps make one unit of the column.
    pub per_unit: i64,
    /// The least value; a lower one counts as this one.
    pub least: i64,
    /// The greatest value; a higher one counts as this one.
    pub greatest: i64,
    /// Where the bins of its histogram begin, the first at `least`; empty where no quantile is released.
    pub edges: &'static [i64],
    /// Whether its mean is released.
    pub averaged: bool,
    /// Whether a session may have no value of it.
    pub optional: bool,
}

impl Measure {
    /// The middle of its range. Sums add up the distances from it, which halves what all sessions of an organisation
    /// change.
    pub fn middle(&self) -> i64 {
        i64::midpoint(self.least, self.greatest)
    }

    /// The width of its range.
    pub fn range(&self) -> i64 {
        self.greatest - self.least
    }

    /// The value clamped to the bounds.
    pub fn clamp(&self, value: i64) -> i64 {
        value.clamp(self.least, self.greatest)
    }

    /// The bin of a value that lies within the bounds.
    pub fn bin(&self, value: i64) -> usize {
        self.edges.partition_point(|edge| *edge <= value).saturating_sub(1)
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A part of the cell's key, by its index.
    Key(usize),
    /// A part of the cell's key that is a whole number, by its index.
    KeyNumber(usize),
    /// The vertical of the pack.
    Vertical,
    /// The days of the window, as `2026-10-01/2026-10-31`.
    Window,
    /// An id of a part of the key: xxh3 of its text, 16 hex digits.
    KeyId(usize),
    /// How many steps a part of the key names, separated by ` > `.
    KeySteps(usize),
    /// A quantile of a measure: the measure's index, and the quantile in thousandths.
    Quantile(usize, u16),
    /// The mean of a measure, by its index.
    Mean(usize),
    /// The mean of the first measure less the mean of the second.
    Difference(usize, usize),
    /// Sessions counted.
    Sessions,
    /// Organisations counted.
    Orgs,
}

impl Content {
    /// Whether it has noise, and so a column `…_moe95` with its margin of error.
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

// A column's name, unit and meaning are written into each version's files, and a change of any makes a new major version.
const fn column(name: &'static str, content: Content, unit: &'static str, meaning: &'static str) -> Column {
    Column { name, content, unit, meaning }
}

// The grids of the histograms that quantiles are computed from.
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

/// The measures of a kind, in the order of a contribution's values.
pub fn measures(kind: Kind) -> &'static [Measure] {
    match kind {
        Kind::UxBenchmarks => &UX,
        Kind::TaskFlows => &FLOWS,
        Kind::ReleaseDeltas => &DELTAS,
        Kind::InsightReports => &[],
    }
}

/// The columns of the kind's table, without those of margins.
pub fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::UxBenchmarks => &UX_COLUMNS,
        Kind::TaskFlows => &FLOW_COLUMNS,
        Kind::ReleaseDeltas => &DELTA_COLUMNS,
        Kind::InsightReports => &REPORT_COLUMNS,
    }
}

/// The index of the key's part that becomes [`OTHER`] where a cell is merged.
pub fn merged_key_part(kind: Kind) -> Option<usize> {
    (kind != Kind::InsightReports).then_some(1)
}

/// Stands in the key of a merged cell for the part in which the cells differ.
pub const OTHER: &str = "OTHER";
