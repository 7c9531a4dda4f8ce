//! `GET /v1/insights/incidents`: moments of friction, newest day first.

use axum::Json;

use crate::insight_request::{Asked, List};
use crate::params;
use crate::period::Day;
use crate::problem::Problem;
use crate::store::{Incident, IncidentFilter, IncidentPlace};

/// Answers with a page of incidents.
pub(crate) async fn incidents(asked: Asked) -> Result<Json<List<Incident>>, Problem> {
    let scope = asked.scope().await?;
    let only = IncidentFilter { kind: asked.text(&params::INCIDENT_KIND), screen_id: asked.text(&params::SCREEN_ID) };
    let after = asked.after::<(Day, i64, String)>()?;
    let after = after.map(|(day, started_us, incident_id)| IncidentPlace { day, started_us, incident_id });
    let incidents = asked.store().incidents(&scope, &only, after.as_ref(), asked.limit() + 1).await?;
    let place = |incident: &Incident| (incident.date, incident.started_us, incident.incident_id.clone());
    Ok(Json(asked.page(&scope, incidents, place)))
}
