//! A generated event: keys and numbers, turned into columns or wire JSON at the end.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Int32Array, RecordBatch, StringDictionaryBuilder,
    StringViewBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{Int32Type, SchemaRef};
use arrow::error::ArrowError;

use super::world::{NONE, World};
use crate::event_id::shaped;

/// Keys of event types: their places in `EVENT_TYPES`.
pub(super) mod event_type {
    pub(in super::super) const CLICK: u16 = 0;
    pub(in super::super) const SCROLL: u16 = 1;
    pub(in super::super) const INPUT_META: u16 = 2;
    pub(in super::super) const NAVIGATION: u16 = 3;
    pub(in super::super) const FOCUS_CHANGE: u16 = 4;
    pub(in super::super) const CUSTOM: u16 = 5;
}

/// Whether the event begins or ends a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    None,
    Start,
    Success,
    Failure,
}

/// One event; symbols are keys into the world's dictionaries, numbers that are absent are NaN.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) received_at: i64,
    pub(super) ts: i64,
    pub(super) id: u128,
    pub(super) session: u128,
    pub(super) user: u128,
    pub(super) latency_ms: f32,
    pub(super) page_x: f32,
    pub(super) page_y: f32,
    pub(super) reaction_ms: f32,
    pub(super) org: u16,
    pub(super) product: u16,
    pub(super) event_type: u16,
    pub(super) screen: u16,
    pub(super) route: u16,
    pub(super) app: u16,
    pub(super) element_type: u16,
    pub(super) label: u16,
    pub(super) error: u16,
    pub(super) system: u16,
    pub(super) browser: u16,
    pub(super) device_type: u16,
    pub(super) event_name: u16,
    pub(super) task_type: u16,
    pub(super) version: u16,
    pub(super) segment: u16,
    /// A number that `extra` carries; 0 is none.
    pub(super) extra: u16,
    pub(super) reaction_observed: bool,
    pub(super) phase: Phase,
}

impl Event {
    pub(super) const EMPTY: Event = Event {
        received_at: 0,
        ts: 0,
        id: 0,
        session: 0,
        user: 0,
        latency_ms: f32::NAN,
        page_x: f32::NAN,
        page_y: f32::NAN,
        reaction_ms: f32::NAN,
        org: 0,
        product: 0,
        event_type: 0,
        screen: 0,
        route: 0,
        app: NONE,
        element_type: NONE,
        label: NONE,
        error: NONE,
        system: NONE,
        browser: NONE,
        device_type: 0,
        event_name: NONE,
        task_type: NONE,
        version: NONE,
        segment: NONE,
        extra: 0,
        reaction_observed: false,
        phase: Phase::None,
    };

    fn phase_key(&self) -> u16 {
        match self.phase {
            Phase::None => NONE,
            Phase::Start => 0,
            Phase::Success | Phase::Failure => 1,
        }
    }

    fn success(&self) -> Option<bool> {
        match self.phase {
            Phase::Success => Some(true),
            Phase::Failure => Some(false),
            _ => None,
        }
    }
}

/// Builds batches that share the world's dictionaries.
#[derive(Debug)]
pub(super) struct Columns {
    schema: SchemaRef,
    orgs: ArrayRef,
    products: ArrayRef,
    event_types: ArrayRef,
    screens: ArrayRef,
    routes: ArrayRef,
    apps: ArrayRef,
    element_types: ArrayRef,
    labels: ArrayRef,
    errors: ArrayRef,
    systems: ArrayRef,
    browsers: ArrayRef,
    device_types: ArrayRef,
    event_names: ArrayRef,
    task_types: ArrayRef,
    task_phases: ArrayRef,
    versions: ArrayRef,
    segments: ArrayRef,
}

impl Columns {
    pub(super) fn new(world: &World) -> Self {
        Self {
            schema: netcrab_schema::arrow::event_in_flight(),
            orgs: world.orgs.array(),
            products: world.product_ids.array(),
            event_types: world.event_types.array(),
            screens: world.screens.array(),
            routes: world.routes.array(),
            apps: world.apps.array(),
            element_types: world.element_types.array(),
            labels: world.labels.array(),
            errors: world.errors.array(),
            systems: world.systems.array(),
            browsers: world.browsers.array(),
            device_types: world.device_types.array(),
            event_names: world.event_names.array(),
            task_types: world.task_types.array(),
            task_phases: world.task_phases.array(),
            versions: world.versions.array(),
            segments: world.segments.array(),
        }
    }

    /// The events as a batch in the in-flight schema.
    pub(super) fn batch(&self, events: &[Event]) -> Result<RecordBatch, ArrowError> {
        let columns = vec![
            symbols(&self.orgs, events, |event| event.org)?,
            symbols(&self.products, events, |event| event.product)?,
            repeated(events, |event, text| hyphenated(event.session, text)),
            repeated(events, |event, text| hexadecimal(event.user, text)),
            texts(events, |event, text| {
                shaped(event.ts, event.id).encode_lower(text);
                36
            }),
            instants(events, |event| event.ts),
            instants(events, |event| event.received_at),
            symbols(&self.event_types, events, |event| event.event_type)?,
            symbols(&self.screens, events, |event| event.screen)?,
            symbols(&self.routes, events, |event| event.route)?,
            symbols(&self.apps, events, |event| event.app)?,
            symbols(&self.element_types, events, |event| event.element_type)?,
            symbols(&self.labels, events, |event| event.label)?,
            symbols(&self.errors, events, |event| event.error)?,
            symbols(&self.systems, events, |event| event.system)?,
            symbols(&self.browsers, events, |event| event.browser)?,
            symbols(&self.device_types, events, |event| event.device_type)?,
            floats(events, |event| event.latency_ms),
            floats(events, |event| event.page_x),
            floats(events, |event| event.page_y),
            floats(events, |event| event.reaction_ms),
            Arc::new(events.iter().map(|event| Some(event.reaction_observed)).collect::<BooleanArray>()),
            symbols(&self.event_names, events, |event| event.event_name)?,
            symbols(&self.task_types, events, |event| event.task_type)?,
            symbols(&self.task_phases, events, Event::phase_key)?,
            Arc::new(events.iter().map(Event::success).collect::<BooleanArray>()),
            symbols(&self.versions, events, |event| event.version)?,
            symbols(&self.segments, events, |event| event.segment)?,
            extras(events),
        ];
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

fn symbols(values: &ArrayRef, events: &[Event], key: impl Fn(&Event) -> u16) -> Result<ArrayRef, ArrowError> {
    let absent = events.iter().fold(false, |absent, event| absent | (key(event) == NONE));
    let keys: Int32Array = if absent {
        events.iter().map(|event| Some(key(event)).filter(|key| *key != NONE).map(i32::from)).collect()
    } else {
        events.iter().map(|event| i32::from(key(event))).collect::<Vec<i32>>().into()
    };
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values.clone())?))
}

fn instants(events: &[Event], instant: impl Fn(&Event) -> i64) -> ArrayRef {
    let values: Vec<i64> = events.iter().map(instant).collect();
    Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC"))
}

fn floats(events: &[Event], number: impl Fn(&Event) -> f32) -> ArrayRef {
    Arc::new(events.iter().map(|event| Some(number(event)).filter(|number| !number.is_nan())).collect::<Float32Array>())
}

fn texts(events: &[Event], write: impl Fn(&Event, &mut [u8; 36]) -> usize) -> ArrayRef {
    let mut texts = StringViewBuilder::with_capacity(events.len()).with_fixed_block_size(1 << 19);
    let mut text = [0; 36];
    for event in events {
        let length = write(event, &mut text);
        // ids are ASCII, so the text is never empty
        texts.append_value(std::str::from_utf8(&text[..length]).unwrap_or_default());
    }
    Arc::new(texts.finish())
}

fn repeated(events: &[Event], write: impl Fn(&Event, &mut [u8; 36]) -> usize) -> ArrayRef {
    let mut texts = StringDictionaryBuilder::<Int32Type>::with_capacity(events.len(), 1024, 1 << 15);
    let mut text = [0; 36];
    for event in events {
        let length = write(event, &mut text);
        texts.append_value(std::str::from_utf8(&text[..length]).unwrap_or_default());
    }
    Arc::new(texts.finish())
}

fn hyphenated(bits: u128, text: &mut [u8; 36]) -> usize {
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().hyphenated().encode_lower(text);
    36
}

fn hexadecimal(bits: u128, text: &mut [u8; 36]) -> usize {
    uuid::Uuid::from_u128(bits).simple().encode_lower(text);
    32
}

fn extra(number: u16) -> String {
    format!(r#"{{"items":{number},"source":"{}"}}"#, if number.is_multiple_of(3) { "toolbar" } else { "menu" })
}

fn extras(events: &[Event]) -> ArrayRef {
    let mut texts = StringViewBuilder::with_capacity(events.len());
    for event in events {
        texts.append_option((event.extra > 0).then(|| extra(event.extra)));
    }
    Arc::new(texts.finish())
}

/// Appends the event as one line of wire JSON.
pub(super) fn write_json(event: &Event, world: &World, line: &mut String) {
    let mut text = [0; 36];
    let mut id = [0; 36];
    hyphenated(event.session, &mut text);
    let session = std::str::from_utf8(&text).unwrap_or_default();
    let _ = write!(
        line,
        r#"{{"orgId":"{}","productId":"{}","sessionId":"{session}","userHash":"{:032x}","eventId":"{}","ts":{}"#,
        world.orgs.value(event.org),
        world.product_ids.value(event.product),
        event.user,
        shaped(event.ts, event.id).encode_lower(&mut id),
        event.ts,
    );
    let mut symbol = |key: &str, value: u16, symbols: &super::world::Symbols| {
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
