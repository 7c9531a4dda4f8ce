//! `GET /v1/insights/notes`: Crab Notes. Nothing writes them yet, so there are none.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::insight_request::{InsightRequest, ListPage};
use crate::period::Day;
use crate::problem::Problem;

/// A short note in plain words, every number of it recomputed from the tables.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Note {
    /// The day it is about.
    #[schema(value_type = String, format = Date)]
    pub date: Day,
    /// What was seen.
    pub text: String,
    /// What to try.
    pub suggestion: String,
}

/// Answers with a page of notes.
pub(crate) async fn notes(request: InsightRequest) -> Result<Json<ListPage<Note>>, Problem> {
    let scope = request.scope().await?;
    Ok(Json(request.page(&scope, Vec::new(), |note: &Note| note.date)))
}
