//! Decodes one line of a file: an event, or a batch of events.

use super::envelope::{Envelope, is_envelope};
use super::event::{ReceiveTime, push_event};
use crate::builder::EventBatchBuilder;
use crate::event_id::EventIds;
use crate::reject::Fault;

/// Decodes one line: an event, or a batch of events. Calls `refuse` with the fault of each event that is refused.
pub(crate) fn push_line(
    columns: &mut EventBatchBuilder,
    text: &str,
    event_ids: &EventIds,
    line: u64,
    refuse: &mut dyn FnMut(Fault),
) {
    if !is_envelope(text) {
        if let Err(fault) = push_event(columns, text, ReceiveTime::default(), event_ids, line, 0) {
            refuse(fault);
        }
        return;
    }
    match Envelope::parse(text) {
        Err(fault) => refuse(fault),
        Ok(envelope) => {
            for (at, event) in envelope.events.iter().enumerate() {
                if let Err(fault) = push_event(columns, event.get(), ReceiveTime::default(), event_ids, line, at as u32)
                {
                    refuse(fault);
                }
            }
        }
    }
}
