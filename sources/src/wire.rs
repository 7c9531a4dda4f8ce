//! Decodes events as they go over the wire: JSON, camelCase, one event or one batch to a line.
//!
//!     {"orgId":"acme","ts":"…Z",…}                    ─▶ one row
//!     {"agentId":"a1","sdkVersion":"1.0","events":[…]} ─▶ a row each
//!
//! Strings are borrowed from the line; an event is refused at the first key that is unknown, denied,
//! repeated or of the wrong type, and the rest of its batch goes on.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use hashbrown::HashMap;
use netcrab_schema::Type;
use netcrab_schema::events::{EVENT, wire_name};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::nearest;
use crate::event_id::EventIds;
use crate::extra::{self, Scalar, ScalarSeed, ScalarsSeed, TextSeed, named};
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason};
use crate::row::{COLUMNS, Columns, Row, Value, place};
use crate::{Error, SourceSettings, time};

mod cursor;
mod quick;

use quick::{Quick, Terms};

/// Clock skew below which an event's time stays as sent, in ms.
pub const SKEW_MIN_MS: i64 = 1000;

/// The key under which `extra` keeps the time as sent, once corrected.
pub const TS_CLIENT: &str = "ts_client";

const TS: usize = place("ts");
const RECEIVED_AT: usize = place("received_at");
const EXTRA: usize = place("extra");

/// The place of the column that a wire key stands for; `received_at` has none.
static PLACES: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    let columns = EVENT.iter().enumerate().filter(|(_, column)| column.name != "received_at");
    columns.map(|(at, column)| (wire_name(column.name), at)).collect()
});

/// A batch as sent, its events not yet read.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    /// Who forwarded it.
    pub agent_id: Option<Cow<'a, str>>,
    /// The sender's version.
    pub sdk_version: Option<Cow<'a, str>>,
    /// The sender's clock when it was sent, ms.
    pub sent_at_ms: Option<i64>,
    /// The events.
    pub events: Vec<&'a RawValue>,
}

/// A batch, decoded.
#[derive(Debug)]
pub struct DecodedBatch {
    /// Who forwarded it.
    pub agent_id: Option<String>,
    /// The sender's version.
    pub sdk_version: Option<String>,
    /// The events that are good, in the order sent.
    pub events: RecordBatch,
    /// For each row of `events`, its place in the batch sent.
    pub indexes: Vec<usize>,
    /// The events that are not, by their place, in order.
    pub faults: Vec<(usize, Fault)>,
}

/// Decodes batches as the ingestion API receives them; one for each thread that does.
#[derive(Debug)]
pub struct BatchDecoder {
    columns: Columns,
    quick: Quick,
}

impl BatchDecoder {
    /// A decoder with these bounds.
    pub fn new(settings: SourceSettings) -> Self {
        let privacy = Arc::new(Privacy::new(&settings.privacy));
        Self { columns: Columns::of_senders(Arc::new(settings), privacy), quick: Quick::new() }
    }

    /// Decodes one batch (or one bare event) received at `received_at_ms`. Events beyond `events_max` are
    /// refused. `seed` makes the ids of events without one; it must differ from batch to batch.
    pub fn batch(
        &mut self,
        body: &[u8],
        received_at_ms: i64,
        events_max: usize,
        seed: u128,
    ) -> Result<DecodedBatch, BatchError> {
        let text = std::str::from_utf8(body).map_err(|_| Fault::line(Reason::NotUtf8))?;
        let event_ids = EventIds::known(seed);
        let terms = Terms { received_at_ms, events_max, event_ids: &event_ids };
        let Some(read) = self.quick.batch(&mut self.columns, text, terms) else {
            self.columns.finish()?;
            return self.carefully(text, terms);
        };
        Ok(DecodedBatch {
            agent_id: read.agent_id.map(str::to_owned),
            sdk_version: read.sdk_version.map(str::to_owned),
            events: self.columns.finish()?,
            indexes: read.indexes,
            faults: read.faults,
        })
    }

    /// The same as [`Self::batch`] by the careful reader alone, for tests to compare.
    #[doc(hidden)]
    pub fn batch_carefully(
        &mut self,
        body: &[u8],
        received_at_ms: i64,
        events_max: usize,
        seed: u128,
    ) -> Result<DecodedBatch, BatchError> {
        let text = std::str::from_utf8(body).map_err(|_| Fault::line(Reason::NotUtf8))?;
        self.carefully(text, Terms { received_at_ms, events_max, event_ids: &EventIds::known(seed) })
    }

    /// Decodes a batch event by event, and says of each what is wrong with it.
    fn carefully(&mut self, text: &str, terms: Terms<'_>) -> Result<DecodedBatch, BatchError> {
        let envelope = match is_envelope(text) {
            true => Envelope::parse(text)?,
            false => Envelope {
                events: vec![serde_json::from_str(text).map_err(|_| Fault::line(Reason::NotJson))?],
                ..Envelope::default()
            },
        };
        let received = Received {
            at_ms: Some(terms.received_at_ms),
            skew_ms: envelope.sent_at_ms.map(|sent| terms.received_at_ms.saturating_sub(sent)),
            stated: false,
        };
        let (mut indexes, mut faults) = (Vec::new(), Vec::new());
        for (index, event) in envelope.events.iter().enumerate() {
            let pushed = match index < terms.events_max {
                true => push(&mut self.columns, event.get(), received, terms.event_ids, 0, index as u32),
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
        })
    }
}

/// Why a whole batch was refused.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The body is not a batch; the sender must act.
    #[error("the body is not a batch of events ({}); {}", .0.reason.name(), .0.reason.hint())]
    Body(Fault),
    /// Building the batch failed.
    #[error(transparent)]
    Batch(#[from] Error),
}

impl From<Fault> for BatchError {
    fn from(fault: Fault) -> Self {
        BatchError::Body(fault)
    }
}

/// When an event was received, where that is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Received {
    pub(crate) at_ms: Option<i64>,
    pub(crate) skew_ms: Option<i64>,
    /// The event itself may say when, as `receivedAt`.
    stated: bool,
}

impl Received {
    /// When the event says, if it does.
    pub(crate) fn stated() -> Self {
        Self { stated: true, ..Self::default() }
    }
}

/// `received_at` on the wire, where an event may say it.
const RECEIVED_AT_KEY: &str = "receivedAt";

/// Reads one line: an event, or a batch of them. `refuse` is told what did not become an event.
pub(crate) fn line(columns: &mut Columns, text: &str, event_ids: &EventIds, line: u64, refuse: &mut dyn FnMut(Fault)) {
    if !is_envelope(text) {
        if let Err(fault) = push(columns, text, Received::default(), event_ids, line, 0) {
            refuse(fault);
        }
        return;
    }
    match Envelope::parse(text) {
        Err(fault) => refuse(fault),
        Ok(envelope) => {
            for (at, event) in envelope.events.iter().enumerate() {
                if let Err(fault) = push(columns, event.get(), Received::default(), event_ids, line, at as u32) {
                    refuse(fault);
                }
            }
        }
    }
}

/// An event and a batch have no key in common, so the first one tells.
fn is_envelope(text: &str) -> bool {
    let after = text.trim_start().strip_prefix('{').map(str::trim_start);
    let key = after.and_then(|after| after.strip_prefix('"')).and_then(|key| key.split('"').next());
    matches!(key, Some("agentId" | "sdkVersion" | "sentAt" | "events"))
}

/// Reads one event and keeps it, or says what is wrong with it.
pub(crate) fn push(
    columns: &mut Columns,
    text: &str,
    received: Received,
    event_ids: &EventIds,
    line: u64,
    at: u32,
) -> Result<(), Fault> {
    let privacy = columns.privacy().clone();
    let mut fault = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let seed = EventSeed { privacy: &privacy, stated: received.stated, fault: &mut fault };
    let read = seed.deserialize(&mut json);
    let read = read.and_then(|event| json.end().map(|()| event));
    let Ok(mut event) = read else {
        let syntax = || if text.trim_start().starts_with('{') { Reason::NotJson } else { not_an_event(text) };
        return Err(fault.unwrap_or_else(|| Fault::line(syntax())));
    };
    if let Some(at_ms) = received.at_ms {
        event.row.set(RECEIVED_AT, Value::Instant(at_ms));
    }
    correct_skew(&mut event, received.skew_ms.unwrap_or(0), columns.settings());
    if !event.extra.is_empty() {
        let mut canonical = String::new();
        extra::write(&event.extra, &mut canonical);
        event.row.set(EXTRA, Value::Text(canonical.into()));
    }
    columns.push(&event.row, event_ids, line, at)
}

fn not_an_event(text: &str) -> Reason {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Reason::NotAnObject,
        Err(_) => Reason::NotJson,
    }
}

/// `ts += received_at − sent_at` where they differ by more than a second; what was sent stays in `extra`.
fn correct_skew(event: &mut Event<'_>, skew_ms: i64, settings: &SourceSettings) {
    let Some(sent_ms) = event.row.instant(TS).filter(|_| skew_ms.abs() > SKEW_MIN_MS) else { return };
    // A time that is absurd as sent is refused as sent.
    if (settings.ts_min_ms..settings.ts_end_ms).contains(&sent_ms) {
        event.row.set(TS, Value::Instant(sent_ms.saturating_add(skew_ms)));
        event.extra.retain(|(key, _)| key != TS_CLIENT);
        event.extra.push((Cow::Borrowed(TS_CLIENT), Scalar::Int(sent_ms)));
    }
}

struct Event<'a> {
    row: Row<'a>,
    extra: extra::Scalars<'a>,
}

struct EventSeed<'p, 'f> {
    privacy: &'p Privacy,
    stated: bool,
    fault: &'f mut Option<Fault>,
}

impl<'de> DeserializeSeed<'de> for EventSeed<'_, '_> {
    type Value = Event<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl EventSeed<'_, '_> {
    fn refuse<E: serde::de::Error, T>(&mut self, reason: Reason, field: Cow<'static, str>) -> Result<T, E> {
        *self.fault = Some(Fault::field(reason, field));
        Err(E::custom("refused"))
    }

    fn unknown<E: serde::de::Error, T>(&mut self, key: &str) -> Result<T, E> {
        if self.privacy.denies_key(key) {
            return self.refuse(Reason::DeniedKey, named(key, self.privacy));
        }
        let near = nearest(key, PLACES.keys().map(String::as_str));
        let field = match near {
            Some(near) => format!("{} (nearest: {near})", named(key, self.privacy)).into(),
            None => named(key, self.privacy),
        };
        self.refuse(Reason::UnknownKey, field)
    }
}

impl<'de> Visitor<'de> for EventSeed<'_, '_> {
    type Value = Event<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an event object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut event = Event { row: Row::new(), extra: Vec::new() };
        let mut seen = [false; COLUMNS];
        while let Some(key) = map.next_key_seed(TextSeed)? {
            let stated = (self.stated && key == RECEIVED_AT_KEY).then_some(RECEIVED_AT);
            let Some(at) = stated.or_else(|| PLACES.get(key.as_ref()).copied()) else { return self.unknown(&key) };
            let column = EVENT[at].name;
            if std::mem::replace(&mut seen[at], true) {
                return self.refuse(Reason::DuplicateKey, Cow::Borrowed(column));
            }
            if at == EXTRA {
                let raw: &RawValue = map.next_value()?;
                if raw.get().len() > extra::EXTRA_BYTES_MAX {
                    return self.refuse(Reason::ExtraTooLong, Cow::Borrowed(column));
                }
                let scalars = ScalarsSeed { privacy: self.privacy, fault: self.fault };
                let scalars = scalars.deserialize(&mut serde_json::Deserializer::from_str(raw.get()));
                event.extra = scalars.map_err(serde::de::Error::custom)?;
                continue;
            }
            let Some(value) = map.next_value_seed(ScalarSeed)? else {
                return self.refuse(Reason::WrongType, Cow::Borrowed(column));
            };
            match read(EVENT[at].kind, value) {
                Ok(value) => event.row.set(at, value),
                Err(reason) => return self.refuse(reason, Cow::Borrowed(column)),
            }
        }
        Ok(event)
    }
}

fn read(kind: Type, value: Scalar<'_>) -> Result<Value<'_>, Reason> {
    Ok(match (kind, value) {
        (_, Scalar::Null) => Value::Absent,
        (Type::Text | Type::Repeated | Type::Symbol, Scalar::Text(text)) if text.is_empty() => Value::Absent,
        (Type::Text | Type::Repeated | Type::Symbol, Scalar::Text(text)) => Value::Text(text),
        (Type::Timestamp, Scalar::Text(text)) => Value::Instant(time::parse(&text).ok_or(Reason::BadTime)?),
        (Type::Timestamp, Scalar::Int(ms)) => Value::Instant(ms),
        (Type::Timestamp, Scalar::Uint(ms)) => Value::Instant(i64::try_from(ms).unwrap_or(i64::MAX)),
        (Type::Timestamp, Scalar::Float(ms)) => Value::Instant(ms.floor() as i64),
        (Type::Float32, Scalar::Int(number)) => Value::Number(number as f64),
        (Type::Float32, Scalar::Uint(number)) => Value::Number(number as f64),
        (Type::Float32, Scalar::Float(number)) => Value::Number(number),
        (Type::Bool, Scalar::Bool(truth)) => Value::Truth(truth),
        _ => return Err(Reason::WrongType),
    })
}

impl<'a> Envelope<'a> {
    /// Reads the batch; its events are found but not yet read.
    pub fn parse(text: &'a str) -> Result<Self, Fault> {
        let mut fault = None;
        let mut json = serde_json::Deserializer::from_str(text);
        let envelope = json_map(&mut json, EnvelopeVisitor { fault: &mut fault });
        match envelope.and_then(|envelope| json.end().map(|()| envelope)) {
            Ok(envelope) => Ok(envelope),
            Err(_) => Err(fault.unwrap_or(Fault::line(Reason::NotJson))),
        }
    }
}

fn json_map<'de, V: Visitor<'de>>(
    json: &mut serde_json::Deserializer<serde_json::de::StrRead<'de>>,
    visitor: V,
) -> Result<V::Value, serde_json::Error> {
    json.deserialize_map(visitor)
}

struct EnvelopeVisitor<'f> {
    fault: &'f mut Option<Fault>,
}

impl EnvelopeVisitor<'_> {
    fn refuse<E: serde::de::Error, T>(&mut self, reason: Reason, field: &'static str) -> Result<T, E> {
        *self.fault = Some(Fault::field(reason, field));
        Err(E::custom("refused"))
    }
}

impl<'de> Visitor<'de> for EnvelopeVisitor<'_> {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a batch object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        const KEYS: [&str; 4] = ["agentId", "sdkVersion", "sentAt", "events"];
        let mut envelope = Envelope::default();
        let mut seen = [false; KEYS.len()];
        while let Some(key) = map.next_key_seed(TextSeed)? {
            let Some(at) = KEYS.iter().position(|known| *known == key) else {
                return self
                    .refuse(Reason::UnknownKey, nearest(&key, KEYS).unwrap_or("agentId, sdkVersion, sentAt, events"));
            };
            if std::mem::replace(&mut seen[at], true) {
                return self.refuse(Reason::DuplicateKey, KEYS[at]);
            }
            if KEYS[at] == "events" {
                let raw: &RawValue = map.next_value()?;
                match serde_json::from_str(raw.get()) {
                    Ok(events) => envelope.events = events,
                    Err(_) => return self.refuse(Reason::WrongType, "events"),
                }
                continue;
            }
            match (KEYS[at], map.next_value_seed(ScalarSeed)?) {
                (_, Some(Scalar::Null)) => {}
                ("agentId", Some(Scalar::Text(text))) => envelope.agent_id = Some(text),
                ("sdkVersion", Some(Scalar::Text(text))) => envelope.sdk_version = Some(text),
                ("sentAt", Some(value)) => match read(Type::Timestamp, value) {
                    Ok(Value::Instant(ms)) => envelope.sent_at_ms = Some(ms),
                    _ => return self.refuse(Reason::BadTime, "sentAt"),
                },
                (key, _) => return self.refuse(Reason::WrongType, key),
            }
        }
        if !seen[3] {
            return self.refuse(Reason::MissingField, "events");
        }
        Ok(envelope)
    }
}
