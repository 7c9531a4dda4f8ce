//! What a query is about: which sessions, which incidents, and where a page begins.

use crate::period::{Day, Period};

/// The sessions that a query is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The organisation.
    pub org_id: String,
    /// The product.
    pub product_id: String,
    /// The days on which the sessions began.
    pub period: Period,
    /// Which of these sessions.
    pub filter: Filter,
}

impl Scope {
    /// The same sessions in another period.
    pub fn during(&self, period: Period) -> Self {
        Self { period, ..self.clone() }
    }
}

/// Sessions that have all of these values; `None` allows any value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Visitor segment.
    pub segment: Option<String>,
    /// Release of the product.
    pub version: Option<String>,
    /// Kind of device.
    pub device: Option<String>,
    /// One of the session's task types.
    pub task_type: Option<String>,
}

impl Filter {
    /// Whether it allows every session.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The position of a session in a list that is newest first, then by session key: a page begins after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPosition {
    /// Start of the last session of the page before, in microseconds since 1970.
    pub start_us: i64,
    /// Its key.
    pub session_key: String,
}

/// Which incidents of a scope a query is about; `None` allows any value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    /// Of this kind only.
    pub kind: Option<String>,
    /// Filed under this screen only.
    pub screen_id: Option<String>,
}

/// The position of an incident in a list that is newest day first, newest first within a day, then by id: a page
/// begins after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentPosition {
    /// Day of the last incident of the page before.
    pub day: Day,
    /// When it began, in microseconds since 1970.
    pub started_us: i64,
    /// Its id.
    pub incident_id: String,
}

/// A session looked up by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLookup {
    /// The organisation.
    pub org_id: String,
    /// The product, where the request names it.
    pub product_id: Option<String>,
    /// The key.
    pub session_key: String,
    /// The days to search; `None` searches all days.
    pub period: Option<Period>,
}
