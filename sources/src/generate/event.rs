//! A generated event: dictionary keys and numbers.

use super::world::NONE;

/// Keys of event types: their indexes in `EVENT_TYPES`.
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

/// One event. Symbols are keys into the dictionaries of the world; an absent number is NaN.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) received_at: i64,
    pub(super) ts: i64,
    pub(super) id: u128,
    pub(super) session: u128,
    pub(super) user: u128,
    /// Counts the events of the visit.
    pub(super) seq: u32,
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
    /// A number for `extra`; 0 means no `extra`.
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
        seq: 0,
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

    pub(super) fn phase_key(&self) -> u16 {
        match self.phase {
            Phase::None => NONE,
            Phase::Start => 0,
            Phase::Success | Phase::Failure => 1,
        }
    }

    pub(super) fn success(&self) -> Option<bool> {
        match self.phase {
            Phase::Success => Some(true),
            Phase::Failure => Some(false),
            _ => None,
        }
    }
}

/// Writes a UUID as 36 characters.
pub(super) fn hyphenated(bits: u128, text: &mut [u8; 36]) -> usize {
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().hyphenated().encode_lower(text);
    36
}

pub(super) fn extra(number: u16) -> String {
    format!(r#"{{"items":{number},"source":"{}"}}"#, if number.is_multiple_of(3) { "toolbar" } else { "menu" })
}
