//! `GET /v1/insights/incidents`: moments of friction, newest day first.

use axum::Json;

use crate::insight_request::{InsightRequest, ListPage};
use crate::params;
use crate::period::Day;
use crate::problem::Problem;
use crate::store::{Incident, IncidentFilter, IncidentPosition};

/// Answers with a page of incidents.
pub(crate) async fn incidents(request: InsightRequest) -> Result<Json<ListPage<Incident>>, Problem> {
    let scope = request.scope().await?;
    let only =
        IncidentFilter { kind: request.text(&params::INCIDENT_KIND), screen_id: request.text(&params::SCREEN_ID) };
    let after = request.after::<(Day, i64, String)>()?;
    let after = after.map(|(day, started_us, incident_id)| IncidentPosition { day, started_us, incident_id });
    let incidents = request.store().incidents(&scope, &only, after.as_ref(), request.limit() + 1).await?;
    let position = |incident: &Incident| (incident.date, incident.started_us, incident.incident_id.clone());
    Ok(Json(request.page(&scope, incidents, position)))
}
