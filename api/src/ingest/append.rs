//! Appends the new events of a batch, and waits for events that another request is appending.
//!
//!     events ─ ownership ─▶ the sender's own ─ claim ─▶ new ─ split, append ─▶ durable
//!                                                 └─▶ awaited ─ (that append ends) ─ claim …
//!
//! A request appends its new events before it waits for others, so two requests never wait for each other.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::Int32Type;
use netcrab_bus::Error as BusError;
use netcrab_sources::reject::{Fault, Reason};
use netcrab_sources::wire::DecodedBatch;
use tokio::time::{Instant, timeout_at};

use super::deduplication::{self, Claim};
use super::{Ingest, Sender};
use crate::problem::{Code, Problem};

/// The events of a batch that its sender may write.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) events: RecordBatch,
    /// The events with a fault, by their place in the batch.
    pub(super) faults: Vec<(usize, Fault)>,
}

/// Checks that the sender may write the events. An event of a product that it may not write is rejected.
///
/// # Errors
///
/// A problem for a batch with an event of another organisation: nothing of it is stored.
pub(super) fn owned(sender: &Sender, batch: DecodedBatch) -> Result<Owned, Problem> {
    let DecodedBatch { events, indexes, mut faults, .. } = batch;
    if let Some(row) = rows_where(&events, "org_id", |org_id| org_id != &*sender.org_id)?.first() {
        let detail = format!("event {} names an organisation that is not the key's; nothing was kept", indexes[*row]);
        let mend = "send each organisation's events with a key of its own";
        return Err(Problem::new(Code::WrongOrg, detail, mend));
    }
    let foreign = rows_where(&events, "product_id", |product_id| !sender.writes(product_id))?;
    if foreign.is_empty() {
        return Ok(Owned { events, faults });
    }
    let mut own = vec![true; events.num_rows()];
    for row in foreign {
        own[row] = false;
        faults.push((indexes[row], Fault::field(Reason::ForbiddenProduct, "product_id")));
    }
    faults.sort_by_key(|(index, _)| *index);
    let events = filter_record_batch(&events, &BooleanArray::from(own)).map_err(internal)?;
    Ok(Owned { events, faults })
}

/// The rows whose value in a dictionary column is `wanted`. Without any, only the distinct values are compared.
fn rows_where(events: &RecordBatch, column: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<usize>, Problem> {
    let symbols = events.column_by_name(column).and_then(|column| column.as_dictionary_opt::<Int32Type>());
    let Some((keys, values)) =
        symbols.and_then(|symbols| Some((symbols.keys(), symbols.values().as_string_opt::<i32>()?)))
    else {
        return Err(internal(format!("events have no `{column}`")));
    };
    let found: Vec<bool> = values.iter().map(|value| value.is_some_and(&wanted)).collect();
    if !found.contains(&true) {
        return Ok(Vec::new());
    }
    let rows = keys.iter().enumerate().filter(|(_, key)| key.is_some_and(|key| found[key as usize]));
    Ok(rows.map(|(row, _)| row).collect())
}

/// Makes the events durable. Gives how many of them were known already.
///
/// # Errors
///
/// A problem where the bus refuses them, or does not make them durable in time.
pub(super) async fn write(ingest: Arc<Ingest>, events: RecordBatch, now_ms: i64) -> Result<usize, Problem> {
    let Some(ids) = deduplication::ids(&events) else { return Err(internal("events have no ids")) };
    let deadline = Instant::now() + ingest.append_timeout();
    let mut waiting: Vec<u32> = (0..events.num_rows() as u32).collect();
    let mut known = 0;
    loop {
        let ended = ingest.window.ended();
        let asked: Vec<u128> = waiting.iter().map(|row| ids[*row as usize]).collect();
        let (found, claims) = ingest.window.claim(&asked, now_ms);
        let rows = |claim| {
            let rows = waiting.iter().zip(&found).filter(move |(_, found)| **found == claim);
            rows.map(|(row, _)| *row).collect::<Vec<u32>>()
        };
        let (new, awaited) = (rows(Claim::New), rows(Claim::Awaited));
        known += waiting.len() - new.len() - awaited.len();
        if !new.is_empty() {
            append(&ingest, &events, new, deadline).await?;
        }
        claims.commit();
        if awaited.is_empty() {
            return Ok(known);
        }
        waiting = awaited;
        if timeout_at(deadline, ended).await.is_err() {
            return Err(out_of_time(&ingest));
        }
    }
}

async fn append(ingest: &Ingest, events: &RecordBatch, rows: Vec<u32>, deadline: Instant) -> Result<(), Problem> {
    let new = match rows.len() == events.num_rows() {
        true => events.clone(),
        false => take_record_batch(events, &UInt32Array::from(rows)).map_err(internal)?,
    };
    let started = Instant::now();
    let parts = netcrab_bus::split(&new, ingest.bus.shards()).map_err(refused)?;
    let appended = timeout_at(deadline, ingest.bus.append(parts)).await;
    ingest.counters.appended(started.elapsed());
    match appended {
        Ok(appended) => appended.map_err(refused),
        Err(_) => Err(out_of_time(ingest)),
    }
}

fn refused(error: BusError) -> Problem {
    let mend = "keep the batch and send it again after the time in Retry-After";
    match &error {
        BusError::Full { retry_after, .. } | BusError::DiskFull { retry_after, .. } => {
            tracing::warn!(%error, "events refused");
            let seconds = retry_after.as_secs_f64().ceil().max(1.0) as u32;
            Problem::new(Code::BusFull, "there is no room for more events now", mend).retry_after(seconds)
        }
        BusError::TooLarge { .. } => {
            Problem::new(Code::BodyTooLarge, "an event is larger than the bus keeps", "send less in one event")
        }
        _ => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "events could not be kept");
            Problem::new(Code::BusUnavailable, "the events could not be kept", mend).retry_after(5)
        }
    }
}

fn out_of_time(ingest: &Ingest) -> Problem {
    let detail = format!("the events were not durable within {} ms", ingest.settings.append_timeout_ms);
    let mend = "send the batch again after the time in Retry-After; events that were kept are not kept twice";
    Problem::new(Code::BusUnavailable, detail, mend).retry_after(5)
}

fn internal(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "a batch could not be written");
    Problem::new(Code::Internal, "the batch could not be written", "ask the operator to look into the log")
}
