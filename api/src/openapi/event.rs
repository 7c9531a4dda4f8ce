//! An event and a batch on the wire, as schemas.

use netcrab_schema::Type;
use netcrab_schema::events::{DEVICE_TYPES, EVENT, EVENT_TYPES, SEQ_MAX, TASK_PHASES, wire_name};
use serde_json::{Map, Value, json};

/// The schema of an event on the wire, from the event columns of `schema`.
pub(super) fn event() -> Value {
    let sent = || EVENT.iter().filter(|column| column.name != "received_at");
    let property = |kind: Type, name: &str| match (kind, name) {
        (Type::Timestamp, _) => {
            json!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "integer" }] })
        }
        (Type::Int64, _) => json!({ "type": "integer", "minimum": 0, "maximum": SEQ_MAX }),
        (Type::Float32, _) => json!({ "type": "number" }),
        (Type::Bool, _) => json!({ "type": "boolean" }),
        (_, "event_type") => json!({ "type": "string", "enum": EVENT_TYPES }),
        (_, "device_type") => json!({ "type": "string", "enum": DEVICE_TYPES }),
        (_, "task_phase") => json!({ "type": "string", "enum": TASK_PHASES }),
        (_, "extra") => json!({ "type": "object", "maxProperties": 32 }),
        _ => json!({ "type": "string" }),
    };
    let properties = sent().map(|column| {
        let mut property = property(column.kind, column.name);
        let unit = if column.unit.is_empty() { String::new() } else { format!(" ({})", column.unit) };
        property["description"] = json!(format!("{}{unit}", column.meaning));
        (wire_name(column.name), property)
    });
    let made = |name: &str| matches!(name, "session_id" | "event_id" | "route" | "device_type" | "reaction_observed");
    let required: Vec<String> =
        sent().filter(|column| !column.nullable && !made(column.name)).map(|column| wire_name(column.name)).collect();
    json!({
        "type": "object",
        "description": "One interaction. A key that is not listed here refuses the event.",
        "properties": properties.collect::<Map<_, _>>(),
        "required": required,
        "additionalProperties": false,
    })
}

pub(super) fn event_batch() -> Value {
    json!({
        "type": "object",
        "properties": {
            "agentId": { "type": "string", "description": "Who forwards the events." },
            "sdkVersion": { "type": "string", "description": "The sender's version." },
            "sentAt": {
                "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "integer" }],
                "description": "The sender's clock when the batch was sent; times of events are corrected by it.",
            },
            "events": { "type": "array", "items": { "$ref": "#/components/schemas/Event" } },
        },
        "required": ["events"],
        "additionalProperties": false,
    })
}
