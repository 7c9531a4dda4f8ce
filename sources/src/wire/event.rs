//! Decodes one event with serde. This decoder alone decides why an event is refused.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use hashbrown::HashMap;
use netcrab_schema::events::{EVENT, wire_name};
use netcrab_schema::{Type, nearest};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::builder::EventBatchBuilder;
use crate::event_columns::{COLUMNS, column_index};
use crate::event_id::EventIds;
use crate::extra::{self, Scalar, ScalarSeed, ScalarsSeed, TextSeed, printable_key};
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason};
use crate::row::{Row, Value};
use crate::time;

/// Clock skew up to which the time of an event stays as sent, in ms.
pub const SKEW_MIN_MS: i64 = 1000;

/// Longest that an event may be ahead of its receipt, in ms.
const AHEAD_MAX_MS: i64 = 600_000;

/// The key of `extra` that stores the time as sent, if it was changed.
pub const TS_CLIENT: &str = "ts_client";

const TS: usize = column_index("ts");
const RECEIVED_AT: usize = column_index("received_at");
const EXTRA: usize = column_index("extra");

/// The index of the column of each wire key; `received_at` has no wire key.
static PLACES: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    let columns = EVENT.iter().enumerate().filter(|(_, column)| column.name != "received_at");
    columns.map(|(at, column)| (wire_name(column.name), at)).collect()
});

/// When an event was received, if known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReceiveTime {
    pub(crate) at_ms: Option<i64>,
    pub(crate) skew_ms: Option<i64>,
    /// The event itself may state it, as `receivedAt`.
    pub(super) in_event: bool,
}

impl ReceiveTime {
    /// The event states it, if anyone does.
    pub(crate) fn in_event() -> Self {
        Self { in_event: true, ..Self::default() }
    }
}

/// The wire key of `received_at`, for events that may state it.
const RECEIVED_AT_KEY: &str = "receivedAt";

/// Decodes one event and stores it.
///
/// # Errors
///
/// The first fault of the event; nothing of it is stored then.
pub(crate) fn push_event(
    columns: &mut EventBatchBuilder,
    text: &str,
    received: ReceiveTime,
    event_ids: &EventIds,
    line: u64,
    at: u32,
) -> Result<(), Fault> {
    let privacy = columns.privacy().clone();
    let mut fault = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let seed = EventSeed { privacy: &privacy, in_event: received.in_event, fault: &mut fault };
    let read = seed.deserialize(&mut json);
    let read = read.and_then(|event| json.end().map(|()| event));
    let Ok(mut event) = read else {
        let syntax = || if text.trim_start().starts_with('{') { Reason::NotJson } else { not_an_event(text) };
        return Err(fault.unwrap_or_else(|| Fault::line(syntax())));
    };
    if let Some(at_ms) = received.at_ms {
        event.row.set(RECEIVED_AT, Value::Instant(at_ms));
    }
    let ahead = correct_time(&mut event, received);
    if !event.extra.is_empty() {
        let mut canonical = String::new();
        extra::write(&event.extra, &mut canonical);
        event.row.set(EXTRA, Value::Text(canonical.into()));
    }
    columns.push(&event.row, event_ids, line, at)?;
    if ahead {
        columns.count_ahead();
    }
    Ok(())
}

fn not_an_event(text: &str) -> Reason {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Reason::NotAnObject,
        Err(_) => Reason::NotJson,
    }
}

/// When an event happened by the clock of its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CorrectedTime {
    pub(super) ts_ms: i64,
    /// Whether it was ahead of its receipt, and is the time of receipt now.
    pub(super) ahead: bool,
}

/// Corrects clock skew of more than a second, `ts += received_at − sent_at`. A time that is then more than
/// [`AHEAD_MAX_MS`] after its receipt becomes the time of receipt.
pub(super) fn corrected(sent_ms: i64, received: ReceiveTime) -> CorrectedTime {
    let skew_ms = received.skew_ms.filter(|skew| skew.saturating_abs() > SKEW_MIN_MS).unwrap_or(0);
    let ts_ms = sent_ms.saturating_add(skew_ms);
    match received.at_ms {
        Some(at_ms) if ts_ms.saturating_sub(at_ms) > AHEAD_MAX_MS => CorrectedTime { ts_ms: at_ms, ahead: true },
        _ => CorrectedTime { ts_ms, ahead: false },
    }
}

/// Sets the time of an event by the clock of its receipt. `extra` keeps a time as sent that was changed. Returns
/// whether the event was ahead of its receipt.
fn correct_time(event: &mut ParsedEvent<'_>, received: ReceiveTime) -> bool {
    let Some(sent_ms) = event.row.instant(TS) else { return false };
    let received = ReceiveTime { at_ms: event.row.instant(RECEIVED_AT), ..received };
    let corrected = corrected(sent_ms, received);
    if corrected.ts_ms != sent_ms {
        event.row.set(TS, Value::Instant(corrected.ts_ms));
        event.extra.retain(|(key, _)| key != TS_CLIENT);
        event.extra.push((Cow::Borrowed(TS_CLIENT), Scalar::Int(sent_ms)));
    }
    corrected.ahead
}

struct ParsedEvent<'a> {
    row: Row<'a>,
    extra: extra::Scalars<'a>,
}

struct EventSeed<'p, 'f> {
    privacy: &'p Privacy,
    in_event: bool,
    fault: &'f mut Option<Fault>,
}

impl<'de> DeserializeSeed<'de> for EventSeed<'_, '_> {
    type Value = ParsedEvent<'de>;

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
            return self.refuse(Reason::DeniedKey, printable_key(key, self.privacy));
        }
        let near = nearest(key, PLACES.keys().map(String::as_str));
        let field = match near {
            Some(near) => format!("{} (nearest: {near})", printable_key(key, self.privacy)).into(),
            None => printable_key(key, self.privacy),
        };
        self.refuse(Reason::UnknownKey, field)
    }
}

impl<'de> Visitor<'de> for EventSeed<'_, '_> {
    type Value = ParsedEvent<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an event object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut event = ParsedEvent { row: Row::new(), extra: Vec::new() };
        let mut seen = [false; COLUMNS];
        while let Some(key) = map.next_key_seed(TextSeed)? {
            let in_event = (self.in_event && key == RECEIVED_AT_KEY).then_some(RECEIVED_AT);
            let Some(at) = in_event.or_else(|| PLACES.get(key.as_ref()).copied()) else { return self.unknown(&key) };
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
            match typed_value(EVENT[at].kind, value) {
                Ok(value) => event.row.set(at, value),
                Err(reason) => return self.refuse(reason, Cow::Borrowed(column)),
            }
        }
        Ok(event)
    }
}

pub(super) fn typed_value(kind: Type, value: Scalar<'_>) -> Result<Value<'_>, Reason> {
    Ok(match (kind, value) {
        (_, Scalar::Null) => Value::Absent,
        (Type::Text | Type::Repeated | Type::Symbol, Scalar::Text(text)) if text.is_empty() => Value::Absent,
        (Type::Text | Type::Repeated | Type::Symbol, Scalar::Text(text)) => Value::Text(text),
        (Type::Timestamp, Scalar::Text(text)) => Value::Instant(time::parse(&text)?),
        (Type::Timestamp, Scalar::Int(ms)) => Value::Instant(ms),
        (Type::Timestamp, Scalar::Uint(ms)) => Value::Instant(i64::try_from(ms).unwrap_or(i64::MAX)),
        (Type::Timestamp, Scalar::Float(ms)) => Value::Instant(ms.floor() as i64),
        (Type::Int64, Scalar::Int(number)) => Value::Whole(number),
        (Type::Int64, Scalar::Uint(number)) => Value::Whole(i64::try_from(number).unwrap_or(i64::MAX)),
        (Type::Float32, Scalar::Int(number)) => Value::Number(number as f64),
        (Type::Float32, Scalar::Uint(number)) => Value::Number(number as f64),
        (Type::Float32, Scalar::Float(number)) => Value::Number(number),
        (Type::Bool, Scalar::Bool(truth)) => Value::Truth(truth),
        _ => return Err(Reason::WrongType),
    })
}
