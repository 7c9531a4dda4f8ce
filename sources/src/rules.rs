//! What each event column accepts, whatever the format of the file.

use netcrab_schema::events::{DEVICE_TYPES, EVENT_TYPES, TASK_PHASES};

use crate::SourceSettings;
use crate::privacy::Privacy;
use crate::reject::Reason;

/// What a text column accepts; the name of the column decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// `[A-Za-z0-9_.-]`, 1 to 64 bytes.
    Identifier,
    /// One of these values.
    OneOf(&'static [&'static str]),
    /// A route; it is templated first.
    Route,
    /// A hash or a random id.
    Hash,
    /// Any text without personal data.
    Free,
}

/// The rule of the event column of that name.
pub(crate) fn rule_of(column: &str) -> Rule {
    match column {
        "org_id" | "product_id" => Rule::Identifier,
        "event_type" => Rule::OneOf(EVENT_TYPES),
        "device_type" => Rule::OneOf(DEVICE_TYPES),
        "task_phase" => Rule::OneOf(TASK_PHASES),
        "route" => Rule::Route,
        "session_id" | "user_hash" | "event_id" | "element_label_h" => Rule::Hash,
        _ => Rule::Free,
    }
}

/// Why the column refuses a text, if it does. `text` is not empty.
pub(crate) fn violation(rule: Rule, text: &str, settings: &SourceSettings, privacy: &Privacy) -> Option<Reason> {
    if text.len() > settings.text_bytes_max {
        return Some(Reason::TooLong);
    }
    match rule {
        Rule::Identifier => {
            let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
            (!plain || text.len() > 64).then_some(Reason::BadIdentifier)
        }
        Rule::OneOf(values) => (!values.contains(&text)).then_some(Reason::UnknownValue),
        Rule::Hash => privacy.identifier(text),
        Rule::Route | Rule::Free => privacy.text(text),
    }
}
