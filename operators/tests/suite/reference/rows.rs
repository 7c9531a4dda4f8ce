//! The rows of every table as the reference has them, and each as a line that can be compared.

/// One interaction; the columns of `events_raw` in table order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Event {
    pub org_id: String,
    pub product_id: String,
    /// Empty where the sender has none; never null.
    pub session_id: String,
    pub user_hash: String,
    pub event_id: String,
    /// Milliseconds since 1970 UTC.
    pub ts: i64,
    /// Milliseconds since 1970 UTC.
    pub received_at: Option<i64>,
    /// `click`, `scroll`, `input_meta`, `navigation`, `focus_change` or `custom`.
    pub event_type: String,
    pub seq: Option<i64>,
    pub screen_id: String,
    pub route: String,
    pub app_name: Option<String>,
    pub element_type: Option<String>,
    pub element_label_h: Option<String>,
    pub error_code: Option<String>,
    pub os: Option<String>,
    pub browser: Option<String>,
    /// `desktop`, `mobile` or `tablet`.
    pub device_type: String,
    pub latency_ms: Option<f32>,
    pub page_x: Option<f32>,
    pub page_y: Option<f32>,
    pub reaction_ms: Option<f32>,
    pub reaction_observed: bool,
    pub event_name: Option<String>,
    pub task_type: Option<String>,
    /// `start` or `complete`.
    pub task_phase: Option<String>,
    pub task_success: Option<bool>,
    pub version_tag: Option<String>,
    pub segment: Option<String>,
    /// JSON text.
    pub extra: Option<String>,
}

/// A row that prints as one line: its columns in order, `|` between them, null as `\N`.
pub(crate) trait Row {
    /// The columns' names, in the order of `fields`.
    const COLUMNS: &'static [&'static str];

    /// The columns' texts.
    fn fields(&self) -> Vec<String>;

    /// The row as one line.
    fn to_line(&self) -> String {
        self.fields().join("|")
    }
}

/// One event in its session: the event, session_key, session_no, position.
pub(crate) type SessionizedRow = (Event, String, i64, i64);

/// A row of `fact_sessions`. Order: date, org_id, product_id, session_key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionRow {
    pub org_id: String,
    pub product_id: String,
    /// Days since 1970.
    pub date: i32,
    pub session_key: String,
    pub session_id: String,
    pub session_no: i64,
    pub user_hash: String,
    pub start_ts: i64,
    pub end_ts: i64,
    pub duration_ms: i64,
    pub event_count: i64,
    pub click_count: i64,
    pub screen_visits: i64,
    pub unique_screens: i64,
    pub rage_clicks: i64,
    pub dead_clicks: i64,
    pub error_clicks: i64,
    pub backtracks: i64,
    pub context_switches: i64,
    pub tasks_started: i64,
    pub tasks_completed: i64,
    pub tasks_failed: i64,
    pub abandoned_tasks: i64,
    pub error_events: i64,
    pub frustration_score: f64,
    pub efficiency_score: f64,
    pub entry_screen: Option<String>,
    pub exit_screen: Option<String>,
    pub task_types: Vec<String>,
    pub device_type: String,
    pub os: Option<String>,
    pub browser: Option<String>,
    pub version_tag: Option<String>,
    pub segment: Option<String>,
    pub row_version: i64,
}

/// A row of `fact_incidents`. Order: date, org_id, product_id, session_key, started_at, kind, incident_id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IncidentRow {
    pub org_id: String,
    pub product_id: String,
    pub date: i32,
    pub incident_id: String,
    pub session_key: String,
    /// That of the session's first event, as in `fact_sessions`.
    pub session_id: String,
    pub kind: String,
    pub rule_id: String,
    pub rule_version: i64,
    pub screen_id: String,
    pub route: String,
    pub element_type: Option<String>,
    pub element_label_h: Option<String>,
    pub started_at: i64,
    pub ended_at: i64,
    pub event_count: i64,
    pub evidence: Vec<String>,
    /// JSON text.
    pub detail: String,
}

/// A row of `fact_tasks`. Order: date, org_id, product_id, session_key, task_no.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskRow {
    pub org_id: String,
    pub product_id: String,
    pub date: i32,
    pub session_key: String,
    pub task_no: i64,
    pub task_type: String,
    pub started_at: Option<i64>,
    pub completed_at: Option<i64>,
    pub duration_ms: Option<i64>,
    pub clicks: i64,
    pub screens: i64,
    pub success: Option<bool>,
    pub abandoned: bool,
    pub flow_complexity: i64,
}

/// A row of `fact_screen_hotspots`. Order: date, org_id, product_id, screen_id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HotspotRow {
    pub org_id: String,
    pub product_id: String,
    pub date: i32,
    pub screen_id: String,
    pub route: String,
    pub sessions: i64,
    pub visits: i64,
    pub frustration_sum: f64,
    pub efficiency_sum: f64,
    pub rage_clicks: i64,
    pub dead_clicks: i64,
    pub error_clicks: i64,
    pub backtracks: i64,
    pub abandoned_tasks: i64,
    pub dropoffs: i64,
    pub time_spent_ms_sum: i64,
}

/// A row of `fact_flows`. Order: date, org_id, product_id, from_screen, to_screen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FlowRow {
    pub org_id: String,
    pub product_id: String,
    pub date: i32,
    /// Empty: the entry.
    pub from_screen: String,
    /// Empty: the exit.
    pub to_screen: String,
    pub moves: i64,
    pub sessions: i64,
    pub frustration_sum: f64,
}

/// A row of `dim_task_types`. Order: org_id, product_id, task_type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskTypeRow {
    pub org_id: String,
    pub product_id: String,
    pub task_type: String,
    pub first_seen_at: i64,
    pub last_seen_at: i64,
    pub starts: i64,
    /// Every completion, whatever its success.
    pub completions: i64,
}

/// A row of `dim_releases`. Order: org_id, product_id, version_tag.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReleaseRow {
    pub org_id: String,
    pub product_id: String,
    pub version_tag: String,
    pub first_seen_at: i64,
    /// Null until somebody records it.
    pub released_at: Option<i64>,
}

/// Every table of the chain. Texts are ordered by bytes, numbers by value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tables {
    /// Order: org_id, product_id, session_key, position.
    pub sessionized: Vec<SessionizedRow>,
    pub sessions: Vec<SessionRow>,
    pub incidents: Vec<IncidentRow>,
    pub tasks: Vec<TaskRow>,
    pub hotspots: Vec<HotspotRow>,
    pub flows: Vec<FlowRow>,
    pub task_types: Vec<TaskTypeRow>,
    pub releases: Vec<ReleaseRow>,
}

fn show(value: &impl ToString) -> String {
    value.to_string()
}

fn show_option(value: &Option<impl ToString>) -> String {
    value.as_ref().map_or("\\N".to_string(), |value| value.to_string())
}

fn show_list(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

impl Row for Event {
    const COLUMNS: &'static [&'static str] = &[
        "org_id",
        "product_id",
        "session_id",
        "user_hash",
        "event_id",
        "ts",
        "received_at",
        "event_type",
        "seq",
        "screen_id",
        "route",
        "app_name",
        "element_type",
        "element_label_h",
        "error_code",
        "os",
        "browser",
        "device_type",
        "latency_ms",
        "page_x",
        "page_y",
        "reaction_ms",
        "reaction_observed",
        "event_name",
        "task_type",
        "task_phase",
        "task_success",
        "version_tag",
        "segment",
        "extra",
    ];

    fn fields(&self) -> Vec<String> {
        vec![
            show(&self.org_id),
            show(&self.product_id),
            show(&self.session_id),
            show(&self.user_hash),
            show(&self.event_id),
            show(&self.ts),
            show_option(&self.received_at),
            show(&self.event_type),
            show_option(&self.seq),
            show(&self.screen_id),
            show(&self.route),
            show_option(&self.app_name),
            show_option(&self.element_type),
            show_option(&self.element_label_h),
            show_option(&self.error_code),
            show_option(&self.os),
            show_option(&self.browser),
            show(&self.device_type),
            show_option(&self.latency_ms),
            show_option(&self.page_x),
            show_option(&self.page_y),
            show_option(&self.reaction_ms),
            show(&self.reaction_observed),
            show_option(&self.event_name),
            show_option(&self.task_type),
            show_option(&self.task_phase),
            show_option(&self.task_success),
            show_option(&self.version_tag),
            show_option(&self.segment),
            show_option(&self.extra),
        ]
    }
}

impl Row for SessionizedRow {
    const COLUMNS: &'static [&'static str] = &[
        "org_id",
        "product_id",
        "session_id",
        "user_hash",
        "event_id",
        "ts",
        "received_at",
        "event_type",
        "seq",
        "screen_id",
        "route",
        "app_name",
        "element_type",
        "element_label_h",
        "error_code",
        "os",
        "browser",
        "device_type",
        "latency_ms",
        "page_x",
        "page_y",
        "reaction_ms",
        "reaction_observed",
        "event_name",
        "task_type",
        "task_phase",
        "task_success",
        "version_tag",
        "segment",
        "extra",
        "session_key",
        "session_no",
        "position",
    ];

    fn fields(&self) -> Vec<String> {
        let (event, session_key, session_no, position) = self;
        let mut fields = event.fields();
        fields.extend([show(session_key), show(session_no), show(position)]);
        fields
    }
}

impl Row for SessionRow {
    const COLUMNS: &'static [&'static str] = &[
        "org_id",
        "product_id",
        "date",
        "session_key",
        "session_id",
        "session_no",
        "user_hash",
        "start_ts",
        "end_ts",
        "duration_ms",
        "event_count",
        "click_count",
        "screen_visits",
        "unique_screens",
        "rage_clicks",
        "dead_clicks",
        "error_clicks",
        "backtracks",
        "context_switches",
        "tasks_started",
        "tasks_completed",
        "tasks_failed",
        "abandoned_tasks",
        "error_events",
        "frustration_score",
        "efficiency_score",
        "entry_screen",
        "exit_screen",
        "task_types",
        "device_type",
        "os",
        "browser",
        "version_tag",
        "segment",
        "row_version",
    ];

    fn fields(&self) -> Vec<String> {
        vec![
            show(&self.org_id),
            show(&self.product_id),
            show(&self.date),
            show(&self.session_key),
            show(&self.session_id),
            show(&self.session_no),
            show(&self.user_hash),
            show(&self.start_ts),
            show(&self.end_ts),
            show(&self.duration_ms),
            show(&self.event_count),
            show(&self.click_count),
            show(&self.screen_visits),
            show(&self.unique_screens),
            show(&self.rage_clicks),
            show(&self.dead_clicks),
            show(&self.error_clicks),
            show(&self.backtracks),
            show(&self.context_switches),
            show(&self.tasks_started),
            show(&self.tasks_completed),
            show(&self.tasks_failed),
            show(&self.abandoned_tasks),
            show(&self.error_events),
            show(&self.frustration_score),
            show(&self.efficiency_score),
            show_option(&self.entry_screen),
            show_option(&self.exit_screen),
            show_list(&self.task_types),
            show(&self.device_type),
            show_option(&self.os),
            show_option(&self.browser),
            show_option(&self.version_tag),
            show_option(&self.segment),
            show(&self.row_version),
        ]
    }
}

impl Row for IncidentRow {
    const COLUMNS: &'static [&'static str] = &[
        "org_id",
        "product_id",
        "date",
        "incident_id",
        "session_key",
        "session_id",
        "kind",
        "rule_id",
        "rule_version",
        "screen_id",
        "route",
        "element_type",
        "element_label_h",
        "started_at",
        "ended_at",
        "event_count",
        "evidence",
        "detail",
    ];

    fn fields(&self) -> Vec<String> {
        vec![
            show(&self.org_id),
            show(&self.product_id),
            show(&self.date),
            show(&self.incident_id),
            show(&self.session_key),
            show(&self.session_id),
            show(&self.kind),
            show(&self.rule_id),
            show(&self.rule_version),
            show(&self.screen_id),
            show(&self.route),
            show_option(&self.element_type),
            show_option(&self.element_label_h),
            show(&self.started_at),
            show(&self.ended_at),
            show(&self.event_count),
            show_list(&self.evidence),
            show(&self.detail),
        ]
    }
}

impl Row for TaskRow {
    const COLUMNS: &'static [&'static str] = &[
        "org_id",
        "product_id",
        "date",
        "session_key",
        "task_no",
        "task_type",
        "started_at",
        "completed_at",
        "duration_ms",
        "clicks",
        "screens",
        "success",
        "abandoned",
        "flow_complexity",
    ];

    fn fields(&self) -> Vec<String> {
        vec![
            show(&self.org_id),
            show(&self.product_id),
            show(&self.date),
            show(&self.session_key),
            show(&self.task_no),
            show(&self.task_type),
            show_option(&self.started_at),
            show_option(&self.completed_at),
            show_option(&self.duration_ms),
            show(&self.clicks),
            show(&self.screens),
            show_option(&self.success),
            show(&self.abandoned),
            show(&self.flow_complexity),
        ]
    }
}

impl Row for HotspotRow {
    const COLUMNS: &'static [&'static str] = &[
        "org_id",
        "product_id",
        "date",
        "screen_id",
        "route",
        "sessions",
        "visits",
        "frustration_sum",
        "efficiency_sum",
        "rage_clicks",
        "dead_clicks",
        "error_clicks",
        "backtracks",
        "abandoned_tasks",
        "dropoffs",
        "time_spent_ms_sum",
    ];

    fn fields(&self) -> Vec<String> {
        vec![
            show(&self.org_id),
            show(&self.product_id),
            show(&self.date),
            show(&self.screen_id),
            show(&self.route),
            show(&self.sessions),
            show(&self.visits),
            show(&self.frustration_sum),
            show(&self.efficiency_sum),
            show(&self.rage_clicks),
            show(&self.dead_clicks),
            show(&self.error_clicks),
            show(&self.backtracks),
            show(&self.abandoned_tasks),
            show(&self.dropoffs),
            show(&self.time_spent_ms_sum),
        ]
    }
}

impl Row for FlowRow {
    const COLUMNS: &'static [&'static str] =
        &["org_id", "product_id", "date", "from_screen", "to_screen", "moves", "sessions", "frustration_sum"];

    fn fields(&self) -> Vec<String> {
        vec![
            show(&self.org_id),
            show(&self.product_id),
            show(&self.date),
            show(&self.from_screen),
            show(&self.to_screen),
            show(&self.moves),
            show(&self.sessions),
            show(&self.frustration_sum),
        ]
    }
}

impl Row for TaskTypeRow {
    const COLUMNS: &'static [&'static str] =
        &["org_id", "product_id", "task_type", "first_seen_at", "last_seen_at", "starts", "completions"];

    fn fields(&self) -> Vec<String> {
        vec![
            show(&self.org_id),
            show(&self.product_id),
            show(&self.task_type),
            show(&self.first_seen_at),
            show(&self.last_seen_at),
            show(&self.starts),
            show(&self.completions),
        ]
    }
}

impl Row for ReleaseRow {
    const COLUMNS: &'static [&'static str] = &["org_id", "product_id", "version_tag", "first_seen_at", "released_at"];

    fn fields(&self) -> Vec<String> {
        vec![
            show(&self.org_id),
            show(&self.product_id),
            show(&self.version_tag),
            show(&self.first_seen_at),
            show_option(&self.released_at),
        ]
    }
}
