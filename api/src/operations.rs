//! `/health`, `/ready`, `/metrics`: routes for the operator.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::metrics::Scrape;
use crate::problem::{Code, Problem};
use crate::state::AppState;
use crate::store::{TableState, TableStatus};

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    pub status: &'static str,
}

/// The process can answer from tables.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// `ready`, or `degraded` where something was lost and the rest goes on.
    pub status: &'static str,
    /// What was lost, where the status is `degraded`.
    pub degraded: Option<String>,
    /// How each table stands.
    pub tables: Vec<TableStatus>,
}

/// Answers 200 while the process runs.
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Answers 200 while every table can be read and the pipeline works, also where it lost events before; else 503 with
/// what is wrong.
pub(crate) async fn ready(State(state): State<AppState>) -> Result<Json<Ready>, Problem> {
    let tables = state.store().tables();
    let named = |state: TableState| {
        let tables = tables.iter().filter(|table| table.state == state).map(|table| table.table);
        tables.collect::<Vec<_>>().join(", ")
    };
    if let Some(fault) = state.companion().and_then(|companion| companion.fault()) {
        let detail = format!("the pipeline does not work now: {fault}");
        let mend = "it tries again by itself; mend what the message names";
        return Err(Problem { tables, ..Problem::new(Code::NotReady, detail, mend).retry_after(5) });
    }
    let (missing, unreadable) = (named(TableState::Missing), named(TableState::Unreadable));
    if missing.is_empty() && unreadable.is_empty() {
        let degraded = state.companion().and_then(|companion| companion.degraded());
        let status = if degraded.is_some() { "degraded" } else { "ready" };
        return Ok(Json(Ready { status, degraded, tables }));
    }
    let (detail, mend) = if unreadable.is_empty() {
        (format!("there is no {missing}"), "make the tables with `netcrab run`, or point the server at their folder")
    } else {
        (format!("{unreadable} cannot be read"), "look into the log, then make the tables again with `netcrab run`")
    };
    Err(Problem { tables, ..Problem::new(Code::NotReady, detail, mend).retry_after(5) })
}

/// Answers with all metrics in Prometheus' text format.
pub(crate) async fn metrics(State(state): State<AppState>) -> Response {
    let scrape = Scrape::default();
    scrape.tables(&state.store().tables(), state.now());
    if let Ok(ingest) = state.ingest() {
        ingest.scrape(&scrape);
    }
    if let Some(companion) = state.companion() {
        companion.metrics(&scrape);
    }
    let page = state.metrics().text(&scrape);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}
