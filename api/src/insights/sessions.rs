//! `GET /v1/insights/sessions` and `/v1/insights/sessions/{sessionKey}`: who came, and what happened to them.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use serde::Serialize;
use utoipa::ToSchema;

use crate::insight_request::{Asked, List};
use crate::params::{self, quoted};
use crate::problem::{Code, Problem};
use crate::store::{Incident, Session, SessionName, SessionPlace, TimelineEvent};

/// Answers with a page of sessions, newest first.
pub(crate) async fn sessions(asked: Asked) -> Result<Json<List<Session>>, Problem> {
    let scope = asked.scope().await?;
    let after = asked.after::<(i64, String)>()?.map(|(start_us, session_key)| SessionPlace { start_us, session_key });
    let sessions = asked.store().sessions(&scope, after.as_ref(), asked.limit() + 1).await?;
    Ok(Json(asked.page(&scope, sessions, |session| (session.start_us, session.session_key.clone()))))
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
pub(crate) async fn session(asked: Asked, key: Result<Path<String>, PathRejection>) -> Result<Json<Timeline>, Problem> {
    let Path(session_key) = key.map_err(|_| session_not_found("?"))?;
    let name = SessionName {
        org_id: asked.org_id().to_owned(),
        product_id: asked.text(&params::PRODUCT_ID),
        period: asked.period_hint()?,
        session_key,
    };
    let session = asked.store().session(&name).await?.ok_or_else(|| session_not_found(&name.session_key))?;
    let mut events = asked.store().timeline(asked.org_id(), &session, asked.after()?, asked.limit() + 1).await?;
    let next_cursor = asked.cut(None, &mut events, |event| event.position);
    let mut incidents = asked.store().session_incidents(asked.org_id(), &session).await?;
    incidents.retain(|incident| begins_among(&events, incident));
    Ok(Json(Timeline {
        org_id: name.org_id,
        product_id: session.product_id.clone(),
        session,
        events,
        incidents,
        next_cursor,
    }))
}

// Every incident names its events in order, so it is on exactly one page.
fn begins_among(events: &[TimelineEvent], incident: &Incident) -> bool {
    let first = incident.evidence.first();
    first.is_some_and(|first| events.iter().any(|event| event.event_id == *first))
}

fn session_not_found(session_key: &str) -> Problem {
    let detail = format!("there is no session {}", quoted(session_key));
    Problem::new(Code::SessionNotFound, detail, "take `sessionKey` from /v1/insights/sessions or an incident")
}
