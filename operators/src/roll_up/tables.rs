//! How each table is rolled up: its key and its measures.

use netcrab_schema::{Table, tables};

/// How a table is rolled up from the list that `aggregate` gives.
#[derive(Debug)]
pub struct RollUp {
    /// The table that results.
    pub table: &'static Table,
    pub(super) list: &'static str,
    pub(super) symbols: &'static [&'static str],
    pub(super) measures: &'static [Measure],
}

impl RollUp {
    /// The columns of the key, in the order in which [`super::Totals::finish`] sorts by them.
    pub(super) fn key_columns(&self) -> impl Iterator<Item = &&'static str> {
        self.table.partition().iter().chain(&["org_id", "product_id"]).chain(self.symbols)
    }
}

/// One column that is not part of the key.
#[derive(Debug)]
pub(super) struct Measure {
    pub(super) column: &'static str,
    pub(super) from: MeasureSource,
}

/// What a measure is computed from; the names are those of fields of the list.
#[derive(Debug)]
pub(super) enum MeasureSource {
    Sum(&'static str),
    /// A sum of scores in units.
    Scores(&'static str),
    /// The smallest text, by bytes.
    FirstText(&'static str),
    /// The earliest instant, where the first of these columns that has a value counts for a row.
    Earliest(&'static [&'static str]),
    /// The latest instant, where the first of these columns that has a value counts for a row.
    Latest(&'static [&'static str]),
    /// The number of rows where this instant has a value.
    Present(&'static str),
    /// Always null.
    Null,
}

const fn sum(column: &'static str) -> Measure {
    Measure { column, from: MeasureSource::Sum(column) }
}

/// fact_screen_hotspots.
pub static HOTSPOTS: RollUp = RollUp {
    table: &tables::FACT_SCREEN_HOTSPOTS,
    list: "screens",
    symbols: &["screen_id"],
    measures: &[
        Measure { column: "route", from: MeasureSource::FirstText("route") },
        sum("sessions"),
        sum("visits"),
        Measure { column: "frustration_sum", from: MeasureSource::Scores("frustration_units") },
        Measure { column: "efficiency_sum", from: MeasureSource::Scores("efficiency_units") },
        sum("rage_clicks"),
        sum("dead_clicks"),
        sum("error_clicks"),
        sum("backtracks"),
        sum("abandoned_tasks"),
        sum("dropoffs"),
        sum("time_spent_ms_sum"),
    ],
};

/// fact_flows.
pub static FLOWS: RollUp = RollUp {
    table: &tables::FACT_FLOWS,
    list: "moves",
    symbols: &["from_screen", "to_screen"],
    measures: &[
        sum("moves"),
        sum("sessions"),
        Measure { column: "frustration_sum", from: MeasureSource::Scores("frustration_units") },
    ],
};

/// dim_task_types.
pub static TASK_TYPES: RollUp = RollUp {
    table: &tables::DIM_TASK_TYPES,
    list: "tasks",
    symbols: &["task_type"],
    measures: &[
        Measure { column: "first_seen_at", from: MeasureSource::Earliest(&["started_at", "completed_at"]) },
        Measure { column: "last_seen_at", from: MeasureSource::Latest(&["completed_at", "started_at"]) },
        Measure { column: "starts", from: MeasureSource::Present("started_at") },
        Measure { column: "completions", from: MeasureSource::Present("completed_at") },
    ],
};

/// dim_releases.
pub static RELEASES: RollUp = RollUp {
    table: &tables::DIM_RELEASES,
    list: "releases",
    symbols: &["version_tag"],
    measures: &[
        Measure { column: "first_seen_at", from: MeasureSource::Earliest(&["first_seen_at"]) },
        Measure { column: "released_at", from: MeasureSource::Null },
    ],
};
