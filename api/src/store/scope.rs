//! What a question is about: which sessions, which incidents, and where a page begins.

use crate::period::{Day, Period};

/// Which sessions are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The organisation.
    pub org_id: String,
    /// The product.
    pub product_id: String,
    /// The days on which the sessions began.
    pub period: Period,
    /// Which of them.
    pub filter: Filter,
}

impl Scope {
    /// The same sessions in another period.
    pub fn during(&self, period: Period) -> Self {
        Self { period, ..self.clone() }
    }
}

/// Sessions that have each of these values; without a value, any.
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
    /// Whether every session is meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which sessions of a scope a page begins after: newest first, then by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPosition {
    /// Start of the last session seen, in microseconds.
    pub start_us: i64,
    /// Its key.
    pub session_key: String,
}

/// Which incidents of a scope are meant, beyond the scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    /// Of this kind only.
    pub kind: Option<String>,
    /// Filed under this screen only.
    pub screen_id: Option<String>,
}

/// Which incidents a page begins after: newest day first, newest first within it, then by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentPosition {
    /// Day of the last incident seen.
    pub day: Day,
    /// When it began, in microseconds.
    pub started_us: i64,
    /// Its id.
    pub incident_id: String,
}

/// Which session is asked for by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLookup {
    /// The organisation.
    pub org_id: String,
    /// The product, where the asker says it.
    pub product_id: Option<String>,
    /// The key.
    pub session_key: String,
    /// Days to look in, where the asker knows; all otherwise.
    pub period: Option<Period>,
}
