//! The event: one interaction, one row.

use crate::table::{Column, Type::*, nullable, required};

/// The columns of an event, in table order.
pub const EVENT: &[Column] = &[
    required("org_id", Symbol, "≤ 64 bytes of [A-Za-z0-9_.-]", "Organisation the product belongs to."),
    required("product_id", Symbol, "≤ 64 bytes of [A-Za-z0-9_.-]", "Product that was used."),
    required(
        "session_id",
        Repeated,
        "",
        "Random, from the SDK; where empty, user_hash takes its place in the session key.",
    ),
    required("user_hash", Repeated, "", "Visitor, not reversible."),
    required("event_id", Text, "", "Unique per organisation; the de-duplication key."),
    required("ts", Timestamp, "ms, UTC", "When it happened."),
    nullable("received_at", Timestamp, "ms, UTC", "When the ingestion API took it."),
    required(
        "event_type",
        Symbol,
        "click, scroll, input_meta, navigation, focus_change, custom",
        "What kind of interaction.",
    ),
    required("screen_id", Symbol, "", "Named place in the product."),
    required("route", Symbol, "", "Path without ids or query, `/leads/:id`."),
    nullable("app_name", Symbol, "", "Application within the product."),
    nullable("element_type", Symbol, "", "Type of the element, `button`."),
    nullable("element_label_h", Symbol, "", "Hash of the element's label."),
    nullable("error_code", Symbol, "", "Error the visitor met."),
    nullable("os", Symbol, "", "Operating system."),
    nullable("browser", Symbol, "", "Browser."),
    required("device_type", Symbol, "desktop, mobile, tablet", "Kind of device."),
    nullable("latency_ms", Float32, "ms", "How long the product took to answer."),
    nullable("page_x", Float32, "page pixels", "Where a click fell, from the left."),
    nullable("page_y", Float32, "page pixels", "Where a click fell, from the top."),
    nullable(
        "reaction_ms",
        Float32,
        "ms",
        "Until the page first visibly reacted to a click; null with reaction_observed means not within 2.5 s.",
    ),
    required("reaction_observed", Bool, "", "The SDK watched for a reaction."),
    nullable("event_name", Symbol, "", "Name of a custom event."),
    nullable("task_type", Symbol, "", "Task begun or completed; comes with task_phase."),
    nullable("task_phase", Symbol, "start, complete", "Whether the task begins or ends here."),
    nullable("task_success", Bool, "", "Of a completion."),
    nullable("version_tag", Symbol, "", "Release of the product."),
    nullable("segment", Symbol, "", "Visitor segment."),
    nullable("extra", Text, "JSON, ≤ 4 KiB, ≤ 32 scalar values", "Whatever else the sender knows."),
];

/// Allowed values of event_type.
pub const EVENT_TYPES: &[&str] = &["click", "scroll", "input_meta", "navigation", "focus_change", "custom"];

/// Allowed values of device_type.
pub const DEVICE_TYPES: &[&str] = &["desktop", "mobile", "tablet", "unknown"];

/// Allowed values of task_phase.
pub const TASK_PHASES: &[&str] = &["start", "complete"];

/// Earliest `ts` of an event: 2000-01-01, in ms since 1970 UTC.
pub const TS_MIN_MS: i64 = 946_684_800_000;

/// First `ts` that an event may no longer have: 2100-01-01, in ms since 1970 UTC.
pub const TS_END_MS: i64 = 4_102_444_800_000;

/// The wire name of a column, in camelCase. `element_label_h` is `elementLabelHash` there.
///
/// ```
/// use netcrab_schema::events::wire_name;
///
/// assert_eq!(wire_name("screen_id"), "screenId");
/// assert_eq!(wire_name("element_label_h"), "elementLabelHash");
/// ```
pub fn wire_name(column: &str) -> String {
    if column == "element_label_h" {
        return "elementLabelHash".to_owned();
    }
    let mut name = String::with_capacity(column.len());
    let mut upper = false;
    for c in column.chars() {
        match c {
            '_' => upper = true,
            _ if upper => {
                name.extend(c.to_uppercase());
                upper = false;
            }
            _ => name.push(c),
        }
    }
    name
}
