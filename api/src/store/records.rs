//! The rows and sums that a store answers with.

use serde::Serialize;
use utoipa::ToSchema;

use crate::period::Day;

/// A product that has sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// The product.
    pub product_id: String,
    /// First day with a session.
    #[schema(value_type = String, format = Date)]
    pub first_day: Day,
    /// Last day with a session.
    #[schema(value_type = String, format = Date)]
    pub last_day: Day,
    /// Sessions on all days.
    pub sessions: i64,
}

/// The sessions of one day and version, summed.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionDay {
    /// The day.
    pub day: Day,
    /// Release of the product; `None` where the sessions name none.
    pub version: Option<String>,
    /// How many.
    pub sessions: i64,
    /// Sum of their frustration scores.
    pub frustration_sum: f64,
    /// Sum of their efficiency scores.
    pub efficiency_sum: f64,
}

/// One screen over a period, summed; the columns of `fact_screen_hotspots`.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct ScreenSums {
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

impl ScreenSums {
    /// Whether nobody visited it and no incident is filed under it.
    pub fn is_nothing(&self) -> bool {
        let incidents = [self.rage_clicks, self.dead_clicks, self.error_clicks, self.backtracks, self.abandoned_tasks];
        self.visits == 0 && incidents == [0; 5]
    }
}

/// One move over a period, summed; the columns of `fact_flows`.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct MoveSums {
    pub from_screen: String,
    pub to_screen: String,
    pub moves: i64,
    pub sessions: i64,
    pub frustration_sum: f64,
}

/// A release of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductRelease {
    /// Its tag.
    pub version: String,
    /// Time of the first event that carries it, in microseconds since 1970.
    pub first_seen_at_us: i64,
    /// When it was released, in microseconds since 1970, where somebody recorded it.
    pub released_at_us: Option<i64>,
}

/// One session; the columns of `fact_sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Stable hash of the session; the name to ask for its timeline by.
    pub session_key: String,
    /// Day of its first event, UTC.
    #[schema(value_type = String, format = Date)]
    pub date: Day,
    /// Session id as sent; empty where the sender has none.
    pub session_id: String,
    /// Number of the session within its key, from 0.
    pub session_no: i64,
    /// Visitor, not reversible.
    pub user_hash: String,
    /// Time of the first event.
    #[schema(format = DateTime)]
    pub start_ts: String,
    /// Time of the last event.
    #[schema(format = DateTime)]
    pub end_ts: String,
    /// Between the two, in milliseconds.
    pub duration_ms: i64,
    /// Events, repeats counted once.
    pub event_count: i64,
    /// Clicks.
    pub click_count: i64,
    /// Visits to screens.
    pub screen_visits: i64,
    /// Distinct screens.
    pub unique_screens: i64,
    /// Incidents of kind rage_click.
    pub rage_clicks: i64,
    /// Incidents of kind dead_click.
    pub dead_clicks: i64,
    /// Incidents of kind error_click.
    pub error_clicks: i64,
    /// Incidents of kind backtrack.
    pub backtracks: i64,
    /// Changes of focus.
    pub context_switches: i64,
    /// Tasks begun.
    pub tasks_started: i64,
    /// Tasks completed.
    pub tasks_completed: i64,
    /// Tasks that ended without success.
    pub tasks_failed: i64,
    /// Incidents of kind abandoned_task.
    pub abandoned_tasks: i64,
    /// Events with an error.
    pub error_events: i64,
    /// Frustration, in (0, 1); 0.047 without any incident.
    pub frustration_score: f64,
    /// Efficiency, in (0, 1).
    pub efficiency_score: f64,
    /// Screen of the first visit.
    pub entry_screen: Option<String>,
    /// Screen of the last visit.
    pub exit_screen: Option<String>,
    /// Distinct task types, sorted.
    pub task_types: Vec<String>,
    /// desktop, mobile or tablet.
    pub device_type: Option<String>,
    /// Operating system.
    pub os: Option<String>,
    /// Browser.
    pub browser: Option<String>,
    /// Release of the product.
    pub version_tag: Option<String>,
    /// Visitor segment.
    pub segment: Option<String>,
    /// Whether it may still go on: then its numbers are those so far.
    pub open: bool,
    /// `start_ts` in microseconds since 1970, for the cursor.
    #[serde(skip)]
    pub start_us: i64,
    /// The product, which a request by session key need not name.
    #[serde(skip)]
    pub product_id: String,
}

/// One moment of friction; the columns of `fact_incidents`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// Stable hash of the incident.
    pub incident_id: String,
    /// Session it happened in.
    pub session_key: String,
    /// Session id as sent.
    pub session_id: String,
    /// Day of the session's first event, UTC.
    #[schema(value_type = String, format = Date)]
    pub date: Day,
    /// rage_click, dead_click, error_click, backtrack or abandoned_task.
    pub kind: String,
    /// Rule set that found it.
    pub rule_id: String,
    /// Version of the rule set.
    pub rule_version: String,
    /// Screen it is filed under.
    pub screen_id: String,
    /// Route of the first event named.
    pub route: String,
    /// Type of the element clicked.
    pub element_type: Option<String>,
    /// Hash of the label clicked.
    pub element_label_hash: Option<String>,
    /// When it began.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    pub ended_at: String,
    /// Events that the rule names.
    pub event_count: i64,
    /// The first 50 of them, by event id.
    pub evidence: Vec<String>,
    /// Numbers of the kind.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
    /// `started_at` in microseconds since 1970, for the cursor.
    #[serde(skip)]
    pub started_us: i64,
}

/// One event of a session's timeline; the columns of `events_sessionized`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEvent {
    /// Its place in the session, from 0.
    pub position: i64,
    /// Its id.
    pub event_id: String,
    /// When it happened.
    #[schema(format = DateTime)]
    pub ts: String,
    /// click, scroll, input_meta, navigation, focus_change or custom.
    pub event_type: String,
    /// Named place in the product.
    pub screen_id: String,
    /// Path without ids or query.
    pub route: String,
    /// Type of the element.
    pub element_type: Option<String>,
    /// Hash of the element's label.
    pub element_label_hash: Option<String>,
    /// Error the visitor met.
    pub error_code: Option<String>,
    /// How long the product took to answer, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Milliseconds until the page first reacted to a click.
    pub reaction_ms: Option<f64>,
    /// Whether the SDK watched for a reaction.
    pub reaction_observed: bool,
    /// Name of a custom event.
    pub event_name: Option<String>,
    /// Task begun or completed.
    pub task_type: Option<String>,
    /// start or complete.
    pub task_phase: Option<String>,
    /// Of a completion.
    pub task_success: Option<bool>,
}
