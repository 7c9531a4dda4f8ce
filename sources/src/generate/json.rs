//! Turns a generated event into wire JSON.

use std::fmt::Write as _;

use super::event::{Event, extra, hyphenated};
use super::world::{NONE, World};
use crate::event_id::uuid_v7;

/// Appends the event as one line of wire JSON.
pub(super) fn write_json(event: &Event, world: &World, line: &mut String) {
    let mut text = [0; 36];
    let mut id = [0; 36];
    hyphenated(event.session, &mut text);
    let session = std::str::from_utf8(&text).unwrap_or_default();
    let _ = write!(
        line,
        r#"{{"orgId":"{}","productId":"{}","sessionId":"{session}","userHash":"{:032x}","eventId":"{}","ts":{},"seq":{}"#,
        world.orgs.value(event.org),
        world.product_ids.value(event.product),
        event.user,
        uuid_v7(event.ts, event.id).encode_lower(&mut id),
        event.ts,
        event.seq,
    );
    let mut symbol = |key: &str, value: u16, symbols: &super::world::SymbolTable| {
        if value != NONE {
            let _ = write!(line, r#","{key}":"{}""#, symbols.value(value));
        }
    };
    symbol("eventType", event.event_type, &world.event_types);
    symbol("screenId", event.screen, &world.screens);
    symbol("route", event.route, &world.routes);
    symbol("appName", event.app, &world.apps);
    symbol("elementType", event.element_type, &world.element_types);
    symbol("elementLabelHash", event.label, &world.labels);
    symbol("errorCode", event.error, &world.errors);
    symbol("os", event.system, &world.systems);
    symbol("browser", event.browser, &world.browsers);
    symbol("deviceType", event.device_type, &world.device_types);
    symbol("eventName", event.event_name, &world.event_names);
    symbol("taskType", event.task_type, &world.task_types);
    symbol("taskPhase", event.phase_key(), &world.task_phases);
    symbol("versionTag", event.version, &world.versions);
    symbol("segment", event.segment, &world.segments);
    for (key, number) in [
        ("latencyMs", event.latency_ms),
        ("pageX", event.page_x),
        ("pageY", event.page_y),
        ("reactionMs", event.reaction_ms),
    ] {
        if !number.is_nan() {
            let _ = write!(line, r#","{key}":{number}"#);
        }
    }
    if event.reaction_observed {
        line.push_str(r#","reactionObserved":true"#);
    }
    if let Some(success) = event.success() {
        let _ = write!(line, r#","taskSuccess":{success}"#);
    }
    if event.extra > 0 {
        let _ = write!(line, r#","extra":{}"#, extra(event.extra));
    }
    line.push_str("}\n");
}
