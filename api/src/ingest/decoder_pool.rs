//! A pool of decoders for bodies. Each keeps its dictionaries and its buffer from one body to the next.
//!
//!     body ─▶ decoder from the pool ─▶ decompress ─▶ decode ─▶ events, faults ; decoder back to the pool
//!
//! A decoder is in use only while it decodes one body, which never waits, so there are at most as many decoders as
//! threads.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use netcrab_sources::SourceSettings;
use netcrab_sources::reject::{Fault, Reason};
use netcrab_sources::wire::{BatchDecoder, BatchError, DecodedBatch};

use super::content::{Encoding, decompress};
use crate::config::IngestSettings;
use crate::problem::{Code, Problem};

/// Largest buffer that a decoder keeps, in bytes.
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// Most decoders in the pool.
const DECODERS_MAX: usize = 64;

/// The decoders that are not in use.
#[derive(Debug)]
pub(super) struct DecoderPool {
    sources: SourceSettings,
    free: Mutex<Vec<PooledDecoder>>,
}

#[derive(Debug)]
struct PooledDecoder {
    decoder: BatchDecoder,
    plain: Vec<u8>,
}

/// A decoded body, and what it took.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) batch: DecodedBatch,
    /// Bytes of JSON.
    pub(super) bytes: usize,
    pub(super) took: Duration,
}

impl DecoderPool {
    pub(super) fn new(sources: SourceSettings) -> Self {
        Self { sources, free: Mutex::default() }
    }

    /// Decodes a body. Events without an id get one from `seed`.
    ///
    /// # Errors
    ///
    /// A problem for a body that is no batch of events, or has more of them than allowed.
    pub(super) fn decode(
        &self,
        settings: &IngestSettings,
        encoding: Encoding,
        sent: &[u8],
        received_at_ms: i64,
        seed: u128,
    ) -> Result<Decoded, Problem> {
        let started = Instant::now();
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decoder = free
            .unwrap_or_else(|| PooledDecoder { decoder: BatchDecoder::new(self.sources.clone()), plain: Vec::new() });
        let decoded = decoder.decode(settings, encoding, sent, received_at_ms, seed);
        if decoder.plain.capacity() > BUFFER_BYTES_MAX {
            decoder.plain = Vec::new();
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < DECODERS_MAX {
            free.push(decoder);
        }
        decoded.map(|(batch, bytes)| Decoded { batch, bytes, took: started.elapsed() })
    }
}

impl PooledDecoder {
    fn decode(
        &mut self,
        settings: &IngestSettings,
        encoding: Encoding,
        sent: &[u8],
        received_at_ms: i64,
        seed: u128,
    ) -> Result<(DecodedBatch, usize), Problem> {
        let json = match encoding {
            Encoding::Plain => sent,
            encoding => {
                decompress(encoding, sent, settings.body_bytes_max, &mut self.plain)?;
                &self.plain
            }
        };
        let decoded = self.decoder.batch(json, received_at_ms, settings.events_max, seed);
        let batch = decoded.map_err(malformed)?;
        if batch.faults.last().is_some_and(|(_, fault)| fault.reason == Reason::TooManyEvents) {
            let detail = format!("the batch has more than {} events", settings.events_max);
            return Err(Problem::new(Code::TooManyEvents, detail, "send fewer events in a batch"));
        }
        Ok((batch, json.len()))
    }
}

fn malformed(refused: BatchError) -> Problem {
    match refused {
        BatchError::Body(fault) => Problem::new(
            Code::MalformedBatch,
            format!("the body is no batch of events: {}", named(&fault)),
            mend(fault.reason),
        ),
        BatchError::Batch(error) => {
            tracing::error!(%error, "a batch could not be built");
            Problem::new(Code::Internal, "the batch could not be built", "ask the operator to look into the log")
        }
    }
}

fn named(fault: &Fault) -> String {
    match &fault.field {
        Some(field) => format!("{} at {field}", fault.reason.name()),
        None => fault.reason.name().to_owned(),
    }
}

fn mend(reason: Reason) -> &'static str {
    match reason {
        Reason::NotUtf8 => "send the body in UTF-8",
        Reason::UnknownKey => "a batch has the keys agentId, sdkVersion, sentAt and events, and no others",
        Reason::NotJson | Reason::NotAnObject => {
            "send one JSON object, {\"agentId\":…,\"sdkVersion\":…,\"sentAt\":…,\"events\":[…]}, or one event"
        }
        reason => reason.hint(),
    }
}
