//! The tables of released packs, with all their versions. Their rows passed the release gate.

use crate::table::Type::{Date, Float64, Int64, Symbol, Text};
use crate::table::{Column, Engine, Table, nullable, required};

const RELEASED: &[Column] = &[
    required("pack_id", Symbol, "", "The pack."),
    required("version", Symbol, "major.minor", "The version; it never changes."),
];

/// One row for each task type and day, over organisations.
pub static MP_UX_FRICTION_DAILY: Table = Table {
    name: "mp_ux_friction_daily",
    row: "a task type's day, over organisations",
    groups: &[
        RELEASED,
        &[
            required("date", Date, "day, UTC", "The day."),
            required("vertical", Symbol, "", "The vertical."),
            required(
                "task_type",
                Symbol,
                "",
                "What visitors set out to do; OTHER where several were brought together.",
            ),
            required("flow_complexity", Int64, "1 to 5", "By screens: ≤ 2, ≤ 4, ≤ 7, ≤ 12, more."),
            nullable("median_clicks", Float64, "events", "Median of clicks in the task."),
            nullable("median_clicks_moe95", Float64, "events", "Its margin of error, for the noise on it."),
            nullable("median_duration_s", Float64, "s", "Median of the time a completed task took."),
            nullable("median_duration_s_moe95", Float64, "s", "Its margin of error, for the noise on it."),
            nullable("mean_frict_score", Float64, "0 to 1", "Mean of the session's frustration score."),
            nullable("mean_frict_score_moe95", Float64, "0 to 1", "Its margin of error, for the noise on it."),
            nullable("p90_frict_score", Float64, "0 to 1", "A tenth of the sessions had a higher one."),
            nullable("p90_frict_score_moe95", Float64, "0 to 1", "Its margin of error, for the noise on it."),
            nullable("sample_sessions", Int64, "sessions", "Sessions counted, after all bounds."),
            nullable("sample_sessions_moe95", Int64, "sessions", "Its margin of error, for the noise on it."),
            nullable("org_count", Int64, "organisations", "Organisations counted, those with few visitors in part."),
            nullable("org_count_moe95", Int64, "organisations", "Its margin of error, for the noise on it."),
        ],
    ],
    key: &["pack_id", "version", "date", "task_type", "flow_complexity"],
    sort: &["pack_id", "version", "date", "task_type", "flow_complexity"],
    by_date: false,
    engine: Engine::Append,
};

/// One row for each way in which a task is done, over organisations.
pub static MP_TASK_FLOWS: Table = Table {
    name: "mp_task_flows",
    row: "a way that a task is done, over organisations",
    groups: &[
        RELEASED,
        &[
            required("date_window", Symbol, "days, both included", "The days that it covers."),
            required("vertical", Symbol, "", "The vertical."),
            required(
                "task_type",
                Symbol,
                "",
                "What visitors set out to do; OTHER where several were brought together.",
            ),
            required("archetype_id", Text, "16 hex digits", "Stable id of the archetype."),
            nullable("archetype_label", Text, "", "The steps that its sessions share, in order."),
            nullable("steps", Int64, "steps", "How many steps it has; 0 for OTHER."),
            nullable("avg_duration_s", Float64, "s", "Mean of the time a completed task took, those above 900 as 900."),
            nullable("avg_duration_s_moe95", Float64, "s", "Its margin of error, for the noise on it."),
            nullable("avg_frict_score", Float64, "0 to 1", "Mean of the session's frustration score."),
            nullable("avg_frict_score_moe95", Float64, "0 to 1", "Its margin of error, for the noise on it."),
            nullable("sample_sessions", Int64, "sessions", "Sessions counted, after all bounds."),
            nullable("sample_sessions_moe95", Int64, "sessions", "Its margin of error, for the noise on it."),
            nullable("org_count", Int64, "organisations", "Organisations counted, those with few visitors in part."),
            nullable("org_count_moe95", Int64, "organisations", "Its margin of error, for the noise on it."),
        ],
    ],
    key: &["pack_id", "version", "date_window", "task_type", "archetype_id"],
    sort: &["pack_id", "version", "date_window", "task_type", "archetype_id"],
    by_date: false,
    engine: Engine::Append,
};

/// One row for each effect of releases on a task type, over organisations.
pub static MP_RELEASE_DELTAS: Table = Table {
    name: "mp_release_deltas",
    row: "what releases did to a task type, over organisations",
    groups: &[
        RELEASED,
        &[
            required("date_window", Symbol, "days, both included", "The days that it covers."),
            required("vertical", Symbol, "", "The vertical."),
            required("release_window", Symbol, "days", "Days before and after a release that are compared."),
            required(
                "task_type",
                Symbol,
                "",
                "What visitors set out to do; OTHER where several were brought together.",
            ),
            nullable("friction_delta", Float64, "−1 to 1", "Mean frustration score after, less before."),
            nullable("friction_delta_moe95", Float64, "−1 to 1", "Its margin of error, for the noise on it."),
            nullable("efficiency_delta", Float64, "−1 to 1", "Mean efficiency score after, less before."),
            nullable("efficiency_delta_moe95", Float64, "−1 to 1", "Its margin of error, for the noise on it."),
            nullable("sample_sessions", Int64, "sessions", "Sessions counted, after all bounds."),
            nullable("sample_sessions_moe95", Int64, "sessions", "Its margin of error, for the noise on it."),
            nullable("org_count", Int64, "organisations", "Organisations counted, those with few visitors in part."),
            nullable("org_count_moe95", Int64, "organisations", "Its margin of error, for the noise on it."),
        ],
    ],
    key: &["pack_id", "version", "date_window", "release_window", "task_type"],
    sort: &["pack_id", "version", "date_window", "release_window", "task_type"],
    by_date: false,
    engine: Engine::Append,
};

/// One row for each report on a released pack.
pub static MP_INSIGHT_REPORTS: Table = Table {
    name: "mp_insight_reports",
    row: "what a report finds in one released pack",
    groups: &[
        RELEASED,
        &[
            required("report_date", Date, "day, UTC", "The last day of the packs it is made from."),
            required("vertical", Symbol, "", "The vertical."),
            required("report_type", Symbol, "", "What it is about."),
            nullable("insights", Text, "JSON", "Its findings."),
            nullable("sample_sessions", Int64, "sessions", "Sessions of the rows it is made from."),
            nullable("org_count", Int64, "organisations", "Fewest organisations of a row it is made from."),
        ],
    ],
    key: &["pack_id", "version", "report_date", "report_type"],
    sort: &["pack_id", "version", "report_date", "report_type"],
    by_date: false,
    engine: Engine::Append,
};

/// All tables of released packs.
pub static RELEASED_TABLES: &[&Table] =
    &[&MP_UX_FRICTION_DAILY, &MP_TASK_FLOWS, &MP_RELEASE_DELTAS, &MP_INSIGHT_REPORTS];
