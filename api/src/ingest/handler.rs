//! `POST /v1/events/batch`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Json};
use uuid::Uuid;

use super::{Sender, Verdict, append, body, content};
use crate::problem::{Code, Problem};
use crate::state::AppState;

/// Takes a batch of events; answers once they are durable.
pub(crate) async fn batch(
    State(state): State<AppState>,
    Extension(sender): Extension<Arc<Sender>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Verdict>, Problem> {
    let ingest = state.ingest()?;
    let encoding = content::encoding(&headers)?;
    sender.admit(state.now().as_millisecond()).map_err(too_many)?;

    let body::BufferedBody { bytes, reservation } =
        body::read(&ingest.settings, &sender, &ingest.memory, &headers, body).await?;
    let received_at_ms = state.now().as_millisecond();
    let seed = Uuid::now_v7().as_u128();
    let decoded = ingest.decoders.decode(&ingest.settings, encoding, &bytes, received_at_ms, seed)?;
    let events = decoded.batch.events.num_rows() + decoded.batch.faults.len();
    sender.spend(events, received_at_ms);
    ingest.counters.decoded(bytes.len(), decoded.bytes, events, decoded.took);
    ingest.counters.ahead(&sender.org_id, decoded.batch.ahead);
    drop(bytes);

    let owned = append::owned(&sender, decoded.batch)?;
    let (accepted, faults) = (owned.events.num_rows(), owned.faults);
    // A task of its own: when a client disconnects, the append still runs to its end.
    let ingest_of_task = ingest.clone();
    let written = tokio::spawn(async move {
        let known = append::write(ingest_of_task, owned.events, received_at_ms).await;
        drop(reservation);
        known
    });
    let known = written.await.unwrap_or_else(|_| Err(broken()))?;

    ingest.counters.answered(&sender.org_id, accepted, known, &faults);
    ingest.rejects.push(&sender.org_id, received_at_ms, &faults);
    Ok(Json(Verdict::new(accepted, &faults, ingest.settings.errors_max)))
}

fn too_many(retry_after_s: u32) -> Problem {
    let detail = "the key has sent more events than it may in this time";
    Problem::new(Code::RateLimited, detail, "send again after the time in Retry-After").retry_after(retry_after_s)
}

fn broken() -> Problem {
    tracing::error!("writing a batch panicked");
    Problem::new(Code::Internal, "something broke", "ask the operator to look into the log")
}
