//! The tables, in the order of the flow.

use crate::events::EVENT;
use crate::table::Fold::{Max, Min, Sum};
use crate::table::{Column, Engine, Table, Type::*, nullable, required};

const EVENT_DATE: &[Column] = &[required("date", Date, "UTC day", "Day of ts.")];

const SESSION_DATE: Column = required("date", Date, "UTC day", "Day of the session's first event.");

const OWNER: &[Column] = &[
    required("org_id", Symbol, "", "Organisation the product belongs to."),
    required("product_id", Symbol, "", "Product that was used."),
];

const OWNER_AND_DATE: &[Column] = &[OWNER[0], OWNER[1], SESSION_DATE];

const SESSION_KEY: Column =
    required("session_key", Text, "32 hex digits", "Stable hash of the session: its key, first ts and first event_id.");

/// Every accepted event as it arrived, repeats included.
pub static EVENTS_RAW: Table = Table {
    name: "events_raw",
    row: "one accepted event, as it arrived; a repeated event_id is still here and counts once from events_sessionized on",
    groups: &[EVENT, EVENT_DATE],
    key: &["org_id", "product_id", "event_id"],
    sort: &["org_id", "product_id", "ts", "event_id"],
    by_date: true,
    engine: Engine::Append,
};

/// Every event with its session.
pub static EVENTS_SESSIONIZED: Table = Table {
    name: "events_sessionized",
    row: "one event of a session; the events of a session are contiguous and in order",
    groups: &[
        EVENT,
        &[
            SESSION_DATE,
            SESSION_KEY,
            required("session_no", Int64, "", "Number of the session within its key, from 0."),
            required("position", Int64, "", "Number of the event within its session, from 0."),
        ],
    ],
    key: &["org_id", "product_id", "session_key", "position"],
    sort: &["org_id", "product_id", "session_key", "position"],
    by_date: true,
    engine: Engine::Append,
};

/// One row for each session.
pub static FACT_SESSIONS: Table = Table {
    name: "fact_sessions",
    row: "one session: one visit of one visitor to one product",
    groups: &[
        OWNER_AND_DATE,
        &[
            SESSION_KEY,
            required("session_id", Text, "", "Session id as sent; empty where the sender has none."),
            required("session_no", Int64, "", "Number of the session within its key, from 0."),
            required("user_hash", Text, "", "Visitor, not reversible; of the first event."),
            required("start_ts", Timestamp, "ms, UTC", "Time of the first event."),
            required("end_ts", Timestamp, "ms, UTC", "Time of the last event."),
            required("duration_ms", Int64, "ms", "end_ts − start_ts."),
            required("event_count", Int64, "events", "Events, repeats counted once."),
            required("click_count", Int64, "events", "Events of type click."),
            required("screen_visits", Int64, "visits", "Entries of the navigation sequence."),
            required("unique_screens", Int64, "screens", "Distinct screens over all events."),
            required("rage_clicks", Int64, "incidents", "Incidents of kind rage_click."),
            required("dead_clicks", Int64, "incidents", "Incidents of kind dead_click."),
            required("error_clicks", Int64, "incidents", "Incidents of kind error_click."),
            required("backtracks", Int64, "incidents", "Incidents of kind backtrack."),
            required("context_switches", Int64, "events", "Events of type focus_change."),
            required("tasks_started", Int64, "events", "Task starts."),
            required("tasks_completed", Int64, "events", "Completions whose task_success is not false."),
            required("tasks_failed", Int64, "events", "Completions whose task_success is false."),
            required("abandoned_tasks", Int64, "incidents", "Incidents of kind abandoned_task."),
            required("error_events", Int64, "events", "Events with an error_code."),
            required("frustration_score", Float64, "0 to 1", "sigmoid of the weighted incidents; 0.047 without any."),
            required(
                "efficiency_score",
                Float64,
                "0 to 1",
                "sigmoid of duration, clicks for each task, and screens seen again.",
            ),
            nullable("entry_screen", Symbol, "", "Screen of the first visit; null without visits."),
            nullable("exit_screen", Symbol, "", "Screen of the last visit; null without visits."),
            required("task_types", TextList, "", "Distinct task types, sorted."),
            nullable("device_type", Symbol, "desktop, mobile, tablet, unknown", "First one seen in the session."),
            nullable("os", Symbol, "", "First one seen in the session."),
            nullable("browser", Symbol, "", "First one seen in the session."),
            nullable("version_tag", Symbol, "", "Release of the product; first one seen in the session."),
            nullable("segment", Symbol, "", "Visitor segment; first one seen in the session."),
            required(
                "row_version",
                Int64,
                "",
                "Higher replaces lower: 0 provisional, 1 closed, then one more for each repair.",
            ),
        ],
    ],
    key: &["org_id", "product_id", "date", "session_key"],
    sort: &["org_id", "product_id", "start_ts", "session_key"],
    by_date: true,
    engine: Engine::Latest("row_version"),
};

/// One row for each moment of friction.
pub static FACT_INCIDENTS: Table = Table {
    name: "fact_incidents",
    row: "one moment of friction in a session, with its evidence",
    groups: &[
        OWNER_AND_DATE,
        &[
            required("incident_id", Text, "32 hex digits", "Stable hash of session, kind, rule and first event."),
            SESSION_KEY,
            required("session_id", Text, "", "Session id as sent; empty where the sender has none."),
            required(
                "kind",
                Symbol,
                "rage_click, dead_click, error_click, backtrack, abandoned_task",
                "Which detector found it.",
            ),
            required("rule_id", Symbol, "", "Rule set that found it."),
            required("rule_version", Symbol, "", "Version of the rule set."),
            required("screen_id", Symbol, "", "Screen it is filed under."),
            required("route", Symbol, "", "Route of the first event named."),
            nullable("element_type", Symbol, "", "Type of the element clicked; null for backtracks and tasks."),
            nullable("element_label_h", Symbol, "", "Hash of the label clicked; null for backtracks and tasks."),
            required("started_at", Timestamp, "ms, UTC", "When it began."),
            required("ended_at", Timestamp, "ms, UTC", "When it ended."),
            required("event_count", Int64, "events", "Events the rule names."),
            required("evidence", TextList, "event_ids", "The events the rule names, in order, at most 50."),
            required("detail", Text, "JSON", "Numbers of the kind; see docs/rules.md."),
            required("row_version", Int64, "", "As in fact_sessions."),
        ],
    ],
    key: &["org_id", "product_id", "date", "incident_id"],
    sort: &["org_id", "product_id", "started_at", "incident_id"],
    by_date: true,
    engine: Engine::Latest("row_version"),
};

/// One row for each task begun in a session.
pub static FACT_TASKS: Table = Table {
    name: "fact_tasks",
    row: "one task of one session: a start with its completion, or a completion alone",
    groups: &[
        OWNER_AND_DATE,
        &[
            SESSION_KEY,
            required("task_no", Int64, "", "Number of the task within its session, from 0."),
            required("task_type", Symbol, "", "What the visitor set out to do."),
            nullable("started_at", Timestamp, "ms, UTC", "Time of the start; null for a completion without one."),
            nullable("completed_at", Timestamp, "ms, UTC", "Time of the completion; null without one."),
            nullable("duration_ms", Int64, "ms", "completed_at − started_at."),
            required("clicks", Int64, "events", "Clicks between start and end."),
            required("screens", Int64, "screens", "Distinct screens between start and end."),
            nullable("success", Bool, "", "task_success is not false; null without a completion."),
            required("abandoned", Bool, "", "An abandoned_task incident was filed for it."),
            required("flow_complexity", Int32, "1 to 5", "By screens: ≤ 2, ≤ 4, ≤ 7, ≤ 12, more."),
        ],
    ],
    key: &["org_id", "product_id", "date", "session_key", "task_no"],
    sort: &["org_id", "product_id", "task_type", "session_key", "task_no"],
    by_date: true,
    engine: Engine::Append,
};

/// One row for each screen and day.
pub static FACT_SCREEN_HOTSPOTS: Table = Table {
    name: "fact_screen_hotspots",
    row: "one screen on one day; every count and sum adds up over days",
    groups: &[
        OWNER_AND_DATE,
        &[
            required("screen_id", Symbol, "", "The screen."),
            required("route", Symbol, "", "Alphabetically first route on it in these sessions."),
            required("sessions", Int64, "sessions", "Sessions that visited it."),
            required("visits", Int64, "visits", "Visits to it."),
            required(
                "frustration_sum",
                Float64,
                "sum of scores",
                "Over the sessions that visited it; divide by sessions.",
            ),
            required(
                "efficiency_sum",
                Float64,
                "sum of scores",
                "Over the sessions that visited it; divide by sessions.",
            ),
            required("rage_clicks", Int64, "incidents", "Filed under it."),
            required("dead_clicks", Int64, "incidents", "Filed under it."),
            required("error_clicks", Int64, "incidents", "Filed under it."),
            required("backtracks", Int64, "incidents", "Filed under it."),
            required("abandoned_tasks", Int64, "incidents", "Filed under it."),
            required("dropoffs", Int64, "sessions", "Sessions whose last visit is here."),
            required("time_spent_ms_sum", Int64, "ms", "Length of its visits; divide by visits."),
        ],
    ],
    key: &["org_id", "product_id", "date", "screen_id"],
    sort: &["org_id", "product_id", "screen_id"],
    by_date: true,
    engine: Engine::Fold(&[
        ("route", Min),
        ("sessions", Sum),
        ("visits", Sum),
        ("frustration_sum", Sum),
        ("efficiency_sum", Sum),
        ("rage_clicks", Sum),
        ("dead_clicks", Sum),
        ("error_clicks", Sum),
        ("backtracks", Sum),
        ("abandoned_tasks", Sum),
        ("dropoffs", Sum),
        ("time_spent_ms_sum", Sum),
    ]),
};

/// One row for each move between two screens, by day.
pub static FACT_FLOWS: Table = Table {
    name: "fact_flows",
    row: "one move between two screens on one day; every count and sum adds up over days",
    groups: &[
        OWNER_AND_DATE,
        &[
            required("from_screen", Symbol, "", "Screen left; empty = entry."),
            required("to_screen", Symbol, "", "Screen reached; empty = exit."),
            required("moves", Int64, "moves", "How often."),
            required("sessions", Int64, "sessions", "Sessions that made the move."),
            required(
                "frustration_sum",
                Float64,
                "sum of scores",
                "Over those sessions, once each; divide by sessions.",
            ),
        ],
    ],
    key: &["org_id", "product_id", "date", "from_screen", "to_screen"],
    sort: &["org_id", "product_id", "from_screen", "to_screen"],
    by_date: true,
    engine: Engine::Fold(&[("moves", Sum), ("sessions", Sum), ("frustration_sum", Sum)]),
};

/// One row for each task type of a product.
pub static DIM_TASK_TYPES: Table = Table {
    name: "dim_task_types",
    row: "one task type of one product",
    groups: &[
        OWNER,
        &[
            required("task_type", Symbol, "", "The task type."),
            required("first_seen_at", Timestamp, "ms, UTC", "Time of its first event."),
            required("last_seen_at", Timestamp, "ms, UTC", "Time of its last event."),
            required("starts", Int64, "events", "Starts in all history."),
            required("completions", Int64, "events", "Completions in all history, failed ones included."),
        ],
    ],
    key: &["org_id", "product_id", "task_type"],
    sort: &["org_id", "product_id", "task_type"],
    by_date: false,
    engine: Engine::Fold(&[("first_seen_at", Min), ("last_seen_at", Max), ("starts", Sum), ("completions", Sum)]),
};

/// One row for each release of a product.
pub static DIM_RELEASES: Table = Table {
    name: "dim_releases",
    row: "one release of one product",
    groups: &[
        OWNER,
        &[
            required("version_tag", Symbol, "", "The release."),
            required("first_seen_at", Timestamp, "ms, UTC", "Time of the first event that carries it."),
            nullable("released_at", Timestamp, "ms, UTC", "When it was released, where somebody recorded it."),
        ],
    ],
    key: &["org_id", "product_id", "version_tag"],
    sort: &["org_id", "product_id", "version_tag"],
    by_date: false,
    engine: Engine::Fold(&[("first_seen_at", Min), ("released_at", Max)]),
};

/// One row for each line or row that did not become an event.
pub static REJECTS: Table = Table {
    name: "rejects",
    row: "one line or row that did not become an event; the value itself is never kept",
    groups: &[&[
        required("file", Symbol, "", "File it stood in."),
        required("line", Int64, "from 1", "Line of a text file, row of a Parquet file."),
        required("reason", Symbol, "", "Stable name of the fault."),
        nullable("field", Symbol, "", "Column or key at fault; never its value."),
    ]],
    key: &["file", "line"],
    sort: &["file", "line"],
    by_date: false,
    engine: Engine::Append,
};

/// All tables of events and facts, in the order of the flow.
pub static ALL: &[&Table] = &[
    &EVENTS_RAW,
    &EVENTS_SESSIONIZED,
    &FACT_SESSIONS,
    &FACT_INCIDENTS,
    &FACT_TASKS,
    &FACT_SCREEN_HOTSPOTS,
    &FACT_FLOWS,
    &DIM_TASK_TYPES,
    &DIM_RELEASES,
    &REJECTS,
];

/// The table of that name.
pub fn by_name(name: &str) -> Option<&'static Table> {
    ALL.iter().copied().find(|table| table.name == name)
}
