//! The object around the events of a batch.

use std::borrow::Cow;
use std::fmt;

use netcrab_schema::{Type, nearest};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::event::typed_value;
use crate::extra::{Scalar, ScalarSeed, TextSeed};
use crate::reject::{Fault, Reason};
use crate::row::Value;

/// A batch as sent; its events are not decoded yet.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    /// The agent that forwarded it.
    pub agent_id: Option<Cow<'a, str>>,
    /// The version of the SDK.
    pub sdk_version: Option<Cow<'a, str>>,
    /// When the sender sent it by its own clock, in ms since 1970 UTC.
    pub sent_at_ms: Option<i64>,
    /// The JSON of each event.
    pub events: Vec<&'a RawValue>,
}

/// Whether the text is a batch. An event and a batch have no key in common, so the first key decides.
pub(super) fn is_envelope(text: &str) -> bool {
    let after = text.trim_start().strip_prefix('{').map(str::trim_start);
    let key = after.and_then(|after| after.strip_prefix('"')).and_then(|key| key.split('"').next());
    matches!(key, Some("agentId" | "sdkVersion" | "sentAt" | "events"))
}

impl<'a> Envelope<'a> {
    /// Finds the events of a batch without decoding them.
    ///
    /// # Errors
    ///
    /// The fault of the batch as a whole.
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
                ("sentAt", Some(value)) => match typed_value(Type::Timestamp, value) {
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
