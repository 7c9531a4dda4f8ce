//! Decodes events in the wire format: JSON with camelCase keys, one event or one batch to a line.
//!
//! ```text
//! {"orgId":"acme","ts":"…Z",…}                    ─▶ one row
//! {"agentId":"a1","sdkVersion":"1.0","events":[…]} ─▶ one row for each event
//! ```
//!
//! There are two decoders. The serde decoder (`event.rs`) decodes event by event, and decides what is refused and
//! why: an event is refused at the first key that is unknown, denied, repeated or of the wrong type, and the rest of
//! its batch goes on. The fast decoder (`fast.rs`) decodes a whole batch in one pass and accepts only what the serde
//! decoder accepts too. Both borrow strings from the line.

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
