//! Decodes batches as the ingestion API receives them.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use netcrab_schema::WhoActs;

use super::envelope::{Envelope, is_envelope};
use super::event::{ReceiveTime, push_event};
use super::fast::{BatchContext, FastDecoder};
use crate::builder::EventBatchBuilder;
use crate::event_id::EventIds;
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason};
use crate::surrogate::mended;
use crate::{Error, SourceSettings};

/// A decoded batch.
#[derive(Debug)]
pub struct DecodedBatch {
    /// The agent that forwarded it.
    pub agent_id: Option<String>,
    /// The version of the SDK.
    pub sdk_version: Option<String>,
    /// The valid events, in the order sent.
    pub events: RecordBatch,
    /// For each row of `events`, its index in the batch as sent.
    pub indexes: Vec<usize>,
    /// The refused events by their index, in order.
    pub faults: Vec<(usize, Fault)>,
    /// How many events were more than ten minutes ahead of their receipt, and have the time of receipt now.
    pub ahead: usize,
}

/// Decodes batches for the ingestion API. Each thread uses one of its own.
#[derive(Debug)]
pub struct BatchDecoder {
    columns: EventBatchBuilder,
    fast: FastDecoder,
}

impl BatchDecoder {
    /// A decoder with these settings.
    pub fn new(settings: SourceSettings) -> Self {
        let privacy = Arc::new(Privacy::new(&settings.privacy));
        Self {
            columns: EventBatchBuilder::with_batch_dictionaries(Arc::new(settings), privacy),
            fast: FastDecoder::new(),
        }
    }

    /// Decodes one batch (or one bare event) that was received at `received_at_ms`, in ms since 1970 UTC. Refuses the
    /// events beyond `events_max`. Ids that are missing are made from `seed`, which must differ from batch to batch.
    ///
    /// # Errors
    ///
    /// [`BatchError::Body`] if the body is not a batch. A refused event is no error: it stands in
    /// [`DecodedBatch::faults`].
    pub fn batch(
        &mut self,
        body: &[u8],
        received_at_ms: i64,
        events_max: usize,
        seed: u128,
    ) -> Result<DecodedBatch, BatchError> {
        let text = &mended(std::str::from_utf8(body).map_err(|_| Fault::line(Reason::NotUtf8))?);
        let event_ids = EventIds::Batch(seed);
        let context = BatchContext { received_at_ms, events_max, event_ids: &event_ids };
        let Some(read) = self.fast.batch(&mut self.columns, text, context) else {
            self.columns.finish()?;
            self.columns.take_ahead();
            return self.decode_by_serde(text, context);
        };
        Ok(DecodedBatch {
            agent_id: read.agent_id.map(str::to_owned),
            sdk_version: read.sdk_version.map(str::to_owned),
            events: self.columns.finish()?,
            indexes: read.indexes,
            faults: read.faults,
            ahead: self.columns.take_ahead(),
        })
    }

    /// Like [`Self::batch`], but with the serde decoder alone; for tests that compare the two.
    ///
    /// # Errors
    /// As for [`Self::batch`].
    #[doc(hidden)]
    pub fn batch_by_serde(
        &mut self,
        body: &[u8],
        received_at_ms: i64,
        events_max: usize,
        seed: u128,
    ) -> Result<DecodedBatch, BatchError> {
        let text = &mended(std::str::from_utf8(body).map_err(|_| Fault::line(Reason::NotUtf8))?);
        self.decode_by_serde(text, BatchContext { received_at_ms, events_max, event_ids: &EventIds::Batch(seed) })
    }

    /// Decodes a batch event by event, with the fault of each event that is refused.
    fn decode_by_serde(&mut self, text: &str, context: BatchContext<'_>) -> Result<DecodedBatch, BatchError> {
        let envelope = match is_envelope(text) {
            true => Envelope::parse(text)?,
            false => Envelope {
                events: vec![serde_json::from_str(text).map_err(|_| Fault::line(Reason::NotJson))?],
                ..Envelope::default()
            },
        };
        let received = ReceiveTime {
            at_ms: Some(context.received_at_ms),
            skew_ms: envelope.sent_at_ms.map(|sent| context.received_at_ms.saturating_sub(sent)),
            in_event: false,
        };
        let (mut indexes, mut faults) = (Vec::new(), Vec::new());
        for (index, event) in envelope.events.iter().enumerate() {
            let pushed = match index < context.events_max {
                true => push_event(&mut self.columns, event.get(), received, context.event_ids, 0, index as u32),
                false => Err(Fault::line(Reason::TooManyEvents)),
            };
            match pushed {
                Ok(()) => indexes.push(index),
                Err(fault) => faults.push((index, fault)),
            }
        }
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let events = self.columns.finish()?;
        Ok(DecodedBatch {
            agent_id: owned(envelope.agent_id),
            sdk_version: owned(envelope.sdk_version),
            events,
            indexes,
            faults,
            ahead: self.columns.take_ahead(),
        })
    }
}

/// Why a whole batch was refused.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The body is not a batch.
    #[error("the body is not a batch of events ({}); {}", .0.reason.name(), .0.reason.hint())]
    Body(Fault),
    /// Arrow refused the decoded batch.
    #[error(transparent)]
    Batch(#[from] Error),
}

impl BatchError {
    /// Who must act before the batch can be decoded.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            BatchError::Body(_) => WhoActs::Sender,
            BatchError::Batch(error) => error.who_acts(),
        }
    }
}

impl From<Fault> for BatchError {
    fn from(fault: Fault) -> Self {
        BatchError::Body(fault)
    }
}
