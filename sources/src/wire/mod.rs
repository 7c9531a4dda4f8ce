//! Decodes events as they go over the wire: JSON, camelCase, one event or one batch to a line.
//!
//!     {"orgId":"acme","ts":"…Z",…}                    ─▶ one row
//!     {"agentId":"a1","sdkVersion":"1.0","events":[…]} ─▶ a row each
//!
//! Strings are borrowed from the line; an event is refused at the first key that is unknown, denied,
//! repeated or of the wrong type, and the rest of its batch goes on.

mod cursor;
mod decoder;
mod envelope;
mod event;
mod fast;
mod fast_extra;
mod line;

pub use decoder::{BatchDecoder, BatchError, DecodedBatch};
pub use envelope::Envelope;
pub(crate) use event::{ReceiveTime, push_event};
pub use event::{SKEW_MIN_MS, TS_CLIENT};
pub(crate) use line::push_line;
