//! Many visitors at once, as a busy site sends them: what the memory of open sessions is measured with.
//!
//!     step 0   event 0 of sessions 0 1 2 3 …
//!     step 1   event 1 of sessions 0 1 2 3 …        20 s later, all sessions stay open
//!
//! UUIDs as session and event ids, 32 hexadecimal digits as user hashes, 16 products of 40 screens
//! with 10 elements each; two in five events are clicks with a place and a reaction time. Every value
//! follows from the numbers of its session and step.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int32Array, RecordBatch, StringArray, StringViewArray,
    TimestampMillisecondArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::FieldRef;
use netcrab_operators::symbols::SymbolArray;
use netcrab_schema::arrow::event_in_flight;

/// 2026-10-01T00:00:00Z.
const START: i64 = 1_790_812_800_000;
/// Between two events of a session.
const STEP_MS: i64 = 20_000;

const EVENT_TYPES: [&str; 6] = ["click", "navigation", "scroll", "input_meta", "focus_change", "custom"];
/// How many events of ten are of each type; the last tenth is custom.
const OF_TEN: [u64; 6] = [4, 2, 2, 1, 1, 0];

/// One event of each of these sessions.
pub(crate) fn events(step: u64, sessions: Range<u64>) -> RecordBatch {
    let events: Vec<TrafficEvent> = sessions.map(|session| TrafficEvent::new(session, step)).collect();
    // An id travels as a text or as a symbol: as the schema has it.
    let column = |field: &FieldRef| cast(&column(field.name(), &events), field.data_type());
    let columns: Result<_, _> = event_in_flight().fields().iter().map(column).collect();
    RecordBatch::try_new(event_in_flight(), columns.expect("every column has a type that becomes its field's"))
        .expect("a column for each field, all of one length")
}

/// A watermark that closes nothing: the first time of `step`.
pub(crate) fn watermark(step: u64) -> i64 {
    START + step as i64 * STEP_MS
}

/// Numbers that decide everything of an event.
struct TrafficEvent {
    /// Of the session.
    session: u64,
    product: u64,
    /// Of the event.
    luck: u64,
    ts: i64,
    event_type: usize,
    screen: u64,
    element: u64,
}

impl TrafficEvent {
    fn new(session: u64, step: u64) -> Self {
        let luck = mix(session << 8 | step);
        let product = mix(session) % 16;
        let mut tenth = luck % 10;
        let event_type = OF_TEN.iter().position(|&tenths| {
            let found = tenth < tenths;
            tenth = tenth.saturating_sub(tenths);
            found
        });
        Self {
            session: mix(session ^ 0xabcd_0000_0000),
            product,
            luck,
            ts: watermark(step) + (luck >> 20) as i64 % STEP_MS,
            event_type: event_type.unwrap_or(5),
            screen: product * 40 + (luck >> 8) % 40,
            element: (luck >> 16) % 10,
        }
    }

    fn click(&self) -> bool {
        self.event_type == 0
    }
}

fn column(name: &str, events: &[TrafficEvent]) -> ArrayRef {
    match name {
        "org_id" => symbols(events, 8, |event| Some(event.product / 2), |org| format!("org-{org}")),
        "product_id" => symbols(events, 16, |event| Some(event.product), |product| format!("product-{product}")),
        "session_id" => texts(events, |event| uuid(event.session, mix(event.session))),
        "user_hash" => texts(events, |event| format!("{:016x}{:016x}", mix(event.session ^ 1), mix(event.session ^ 2))),
        "event_id" => texts(events, |event| uuid(event.ts as u64, mix(event.luck))),
        "ts" => instants(events, |event| event.ts),
        "received_at" => instants(events, |event| event.ts + 20 + (event.luck >> 40) as i64 % 5000),
        "event_type" => {
            symbols(events, 6, |event| Some(event.event_type as u64), |kind| EVENT_TYPES[kind as usize].to_owned())
        }
        "screen_id" => symbols(events, 640, |event| Some(event.screen), |screen| format!("screen-{screen}")),
        "route" => {
            symbols(events, 640, |event| Some(event.screen), |screen| format!("/section/{}/page/{screen}", screen % 7))
        }
        "app_name" => symbols(events, 2, |event| Some(event.session % 2), |app| format!("app-{app}")),
        "element_type" => {
            symbols(events, 4, |event| event.click().then_some(event.element % 4), |kind| format!("kind-{kind}"))
        }
        "element_label_h" => {
            symbols(events, 10, |event| event.click().then_some(event.element), |label| format!("{:016x}", mix(label)))
        }
        "error_code" => symbols(
            events,
            9,
            |event| Some((event.luck >> 30) % 500).filter(|code| *code < 9),
            |code| format!("E{code}"),
        ),
        "os" => symbols(events, 5, |event| Some(event.session % 5), |os| format!("os-{os}")),
        "browser" => symbols(events, 4, |event| Some(event.session % 4), |browser| format!("browser-{browser}")),
        "device_type" => symbols(events, 3, |event| Some(event.session % 3), |device| format!("device-{device}")),
        "version_tag" => symbols(events, 3, |event| Some(event.session % 16 / 6), |version| format!("v1.{version}")),
        "segment" => symbols(events, 4, |event| Some(event.session % 7 / 2), |segment| format!("segment-{segment}")),
        "latency_ms" => {
            reals(events, |event| (event.event_type == 1).then_some(80.0 + (event.luck >> 24 & 255) as f32))
        }
        "page_x" => reals(events, |event| event.click().then_some((event.luck >> 24 & 1023) as f32)),
        "page_y" => reals(events, |event| event.click().then_some((event.luck >> 34 & 2047) as f32)),
        "reaction_ms" => reals(events, |event| event.click().then_some((event.luck >> 45 & 2047) as f32)),
        "reaction_observed" => Arc::new(events.iter().map(|event| Some(event.click())).collect::<BooleanArray>()),
        _ => {
            let field = event_in_flight().field_with_name(name).expect("the name of a field").clone();
            new_null_array(field.data_type(), events.len())
        }
    }
}

fn symbols(
    events: &[TrafficEvent],
    count: u64,
    code: impl Fn(&TrafficEvent) -> Option<u64>,
    text: impl Fn(u64) -> String,
) -> ArrayRef {
    let codes: Int32Array = events.iter().map(|event| code(event).map(|code| code as i32)).collect();
    let texts = StringArray::from_iter_values((0..count).map(text));
    Arc::new(SymbolArray::new(codes, Arc::new(texts)))
}

fn texts(events: &[TrafficEvent], text: impl Fn(&TrafficEvent) -> String) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(events.iter().map(text)))
}

fn instants(events: &[TrafficEvent], at: impl Fn(&TrafficEvent) -> i64) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(events.iter().map(at)).with_timezone("UTC"))
}

fn reals(events: &[TrafficEvent], real: impl Fn(&TrafficEvent) -> Option<f32>) -> ArrayRef {
    Arc::new(events.iter().map(real).collect::<Float32Array>())
}

fn uuid(high: u64, low: u64) -> String {
    let (third, fourth) = (high & 0xfff, low >> 48 & 0x3fff);
    format!(
        "{:08x}-{:04x}-7{third:03x}-{:04x}-{:012x}",
        high >> 16 & 0xffff_ffff,
        high & 0xffff,
        0x8000 | fourth,
        low & 0xffff_ffff_ffff
    )
}

/// One step of splitmix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
