//! The `.sql` files that answer requests, and the values bound to their `{names}`.

use crate::period::Day;
use crate::store::{Filter, Scope, Session};

/// A `.sql` file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql {
    pub name: &'static str,
    pub text: &'static str,
}

/// Values bound by name. `None` is NULL, for a condition that a request does not use.
pub(super) type Params = Vec<(&'static str, Option<String>)>;

/// A text.
pub(super) fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A number.
pub(super) fn number(number: impl ToString) -> Option<String> {
    Some(number.to_string())
}

/// A day.
pub(super) fn date(day: Day) -> Option<String> {
    Some(day.to_string())
}

/// The values of a scope, its filter included.
pub(super) fn of(scope: &Scope) -> Params {
    let Filter { segment, version, device, task_type } = scope.filter.clone();
    vec![
        ("org", text(&scope.org_id)),
        ("product", text(&scope.product_id)),
        ("from", date(scope.period.from)),
        ("to", date(scope.period.to)),
        ("segment", segment),
        ("version", version),
        ("device", device),
        ("task_type", task_type),
    ]
}

/// The values that name one session.
pub(super) fn of_session(org_id: &str, session: &Session) -> Params {
    vec![
        ("org", text(org_id)),
        ("product", text(&session.product_id)),
        ("session", text(&session.session_key)),
        ("from", date(session.date)),
        ("to", date(session.date)),
    ]
}

macro_rules! sql {
    ($name:literal) => {
        Sql { name: $name, text: include_str!(concat!("sql/", $name, ".sql")) }
    };
}

pub(super) const PRODUCTS: Sql = sql!("products");
pub(super) const NEWEST_DAY: Sql = sql!("newest_day");
pub(super) const SESSION_DAYS: Sql = sql!("session_days");
pub(super) const SCREENS_OF_DAYS: Sql = sql!("screens_of_days");
pub(super) const SCREENS_OF_SESSIONS: Sql = sql!("screens_of_sessions");
pub(super) const MOVES_OF_DAYS: Sql = sql!("moves_of_days");
pub(super) const MOVES_OF_SESSIONS: Sql = sql!("moves_of_sessions");
pub(super) const RELEASES: Sql = sql!("releases");
pub(super) const SESSIONS: Sql = sql!("sessions");
pub(super) const SESSION: Sql = sql!("session");
pub(super) const TIMELINE: Sql = sql!("timeline");
pub(super) const SESSION_INCIDENTS: Sql = sql!("session_incidents");
pub(super) const INCIDENTS: Sql = sql!("incidents");
pub(super) const INCIDENTS_OF_SESSIONS: Sql = sql!("incidents_of_sessions");
