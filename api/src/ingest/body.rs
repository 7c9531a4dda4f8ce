//! Reads a body into memory, within bounds on its size, its rate and the memory of all bodies.
//!
//!     frame ─▶ in time? ─▶ within the size? ─▶ memory for it? ─▶ buffered
//!              408         413                 429 · 503
//!
//! Memory is reserved as bytes arrive, never for a length that a sender only announces, so a slow sender holds little
//! of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::reservation::{MemoryReservation, permits};
use super::sender::Sender;
use crate::config::IngestSettings;
use crate::problem::{Code, Problem};

/// A body in memory, with its reservation.
#[derive(Debug)]
pub(super) struct BufferedBody {
    /// The bytes as sent.
    pub(super) bytes: Vec<u8>,
    /// Released when dropped.
    pub(super) reservation: MemoryReservation,
}

/// Reads the body of a request. `memory` is the memory of all senders.
///
/// # Errors
///
/// A problem for a body that is too large, too slow or incomplete, or for which there is no memory.
pub(super) async fn read(
    settings: &IngestSettings,
    sender: &Sender,
    memory: &Arc<Semaphore>,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<BufferedBody, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let bytes_max = settings.body_bytes_max;
    if announced.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    let started = Instant::now();
    let grace = Duration::from_millis(settings.body_grace_ms);
    let mut buffered = BufferedBody { bytes: Vec::new(), reservation: MemoryReservation::default() };
    loop {
        // Each byte read allows more time for the next one.
        let allowed = Duration::from_millis(1000 * buffered.bytes.len() as u64 / settings.body_bytes_per_s_min);
        let Ok(frame) = timeout_at(started + grace + allowed, body.frame()).await else {
            return Err(too_slow(settings));
        };
        let Some(frame) = frame else { return Ok(buffered) };
        let frame = frame.map_err(|_| {
            let mend = "send the batch again";
            Problem::new(Code::BodyIncomplete, "the body ended before it was complete", mend)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let length = buffered.bytes.len() + data.len();
        if length > bytes_max {
            return Err(too_large(bytes_max));
        }
        buffered.reservation.grow(permits(length), &sender.memory, memory)?;
        if buffered.bytes.capacity() < length {
            let announced = announced.map_or(0, |length| length as usize);
            let ahead = announced.min(4 * length).saturating_sub(buffered.bytes.len()).max(data.len());
            buffered.bytes.reserve(ahead);
        }
        buffered.bytes.extend_from_slice(&data);
    }
}

/// The body is too large, as sent or after decompression.
pub(super) fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body is larger than {bytes_max} bytes, as sent or after decompression");
    Problem::new(Code::BodyTooLarge, detail, "send fewer events in a batch")
}

fn too_slow(settings: &IngestSettings) -> Problem {
    let detail = format!("the body came more slowly than {} bytes a second", settings.body_bytes_per_s_min);
    Problem::new(Code::BodyTooSlow, detail, "send the batch again, compressed or in smaller parts")
}
