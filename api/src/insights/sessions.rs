//! `GET /v1/insights/sessions` and `/v1/insights/sessions/{sessionKey}`: sessions, and one session with its events.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use serde::Serialize;
use utoipa::ToSchema;

use crate::insight_request::{InsightRequest, ListPage};
use crate::params::{self, quoted};
use crate::problem::{Code, Problem};
use crate::store::{Incident, Session, SessionLookup, SessionPosition, TimelineEvent};

/// Answers with a page of sessions, newest first.
pub(crate) async fn sessions(request: InsightRequest) -> Result<Json<ListPage<Session>>, Problem> {
    let scope = request.scope().await?;
    let after =
        request.after::<(i64, String)>()?.map(|(start_us, session_key)| SessionPosition { start_us, session_key });
    let sessions = request.store().sessions(&scope, after.as_ref(), request.limit() + 1).await?;
    Ok(Json(request.page(&scope, sessions, |session| (session.start_us, session.session_key.clone()))))
}

/// A session with a page of its events.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timeline {
    /// The organisation.
    pub org_id: String,
    /// The product.
    pub product_id: String,
    /// The session.
    pub session: Session,
    /// Its events, in order.
    pub events: Vec<TimelineEvent>,
    /// The incidents whose first event is on this page.
    pub incidents: Vec<Incident>,
    /// Where the next page of events begins; null on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// Answers with one session.
pub(crate) async fn session(
    request: InsightRequest,
    key: Result<Path<String>, PathRejection>,
) -> Result<Json<Timeline>, Problem> {
    let Path(session_key) = key.map_err(|_| session_not_found("?"))?;
    let lookup = SessionLookup {
        org_id: request.org_id().to_owned(),
        product_id: request.text(&params::PRODUCT_ID),
        period: request.period_hint()?,
        session_key,
    };
    let session = request.store().session(&lookup).await?.ok_or_else(|| session_not_found(&lookup.session_key))?;
    let mut events =
        request.store().timeline(request.org_id(), &session, request.after()?, request.limit() + 1).await?;
    let next_cursor = request.cut(None, &mut events, |event| event.position);
    let mut incidents = request.store().session_incidents(request.org_id(), &session).await?;
    incidents.retain(|incident| begins_among(&events, incident));
    Ok(Json(Timeline {
        org_id: lookup.org_id,
        product_id: session.product_id.clone(),
        session,
        events,
        incidents,
        next_cursor,
    }))
}

// The first event of an incident is on exactly one page, so the incident is too.
fn begins_among(events: &[TimelineEvent], incident: &Incident) -> bool {
    let first = incident.evidence.first();
    first.is_some_and(|first| events.iter().any(|event| event.event_id == *first))
}

fn session_not_found(session_key: &str) -> Problem {
    let detail = format!("there is no session {}", quoted(session_key));
    Problem::new(Code::SessionNotFound, detail, "take `sessionKey` from /v1/insights/sessions or an incident")
}
