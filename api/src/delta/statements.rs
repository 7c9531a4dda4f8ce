//! The `.sql` files that answer requests, and the values bound to their `$names`.

use datafusion::scalar::ScalarValue;

use super::query::{Params, Sql};
use crate::period::Day;
use crate::store::{Scope, Session};

pub(super) fn of(scope: &Scope) -> Params {
    vec![
        ("org", text(Some(&scope.org_id))),
        ("product", text(Some(&scope.product_id))),
        ("from", date(scope.period.from)),
        ("to", date(scope.period.to)),
        ("segment", text(scope.filter.segment.as_deref())),
        ("version", text(scope.filter.version.as_deref())),
        ("device", text(scope.filter.device.as_deref())),
        ("task_type", text(scope.filter.task_type.as_deref())),
    ]
}

pub(super) fn of_session(org_id: &str, session: &Session) -> Params {
    vec![
        ("org", text(Some(org_id))),
        ("product", text(Some(&session.product_id))),
        ("session", text(Some(&session.session_key))),
        ("from", date(session.date)),
        ("to", date(session.date)),
    ]
}

pub(super) fn date(day: Day) -> ScalarValue {
    ScalarValue::Date32(Some(day.0))
}

pub(super) fn text(text: Option<&str>) -> ScalarValue {
    ScalarValue::Utf8View(text.map(str::to_owned))
}

pub(super) fn number(number: usize) -> ScalarValue {
    ScalarValue::Int64(i64::try_from(number).ok())
}

pub(super) fn instant(micros: Option<i64>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(micros, Some("UTC".into()))
}

pub(super) const SESSION_DAYS: Sql = Sql { name: "session_days", text: include_str!("sql/session_days.sql") };
pub(super) const SCREENS_OF_SESSIONS: Sql =
    Sql { name: "screens_of_sessions", text: include_str!("sql/screens_of_sessions.sql") };
pub(super) const SCREENS_OF_DAYS: Sql = Sql { name: "screens_of_days", text: include_str!("sql/screens_of_days.sql") };
pub(super) const MOVES_OF_SESSIONS: Sql =
    Sql { name: "moves_of_sessions", text: include_str!("sql/moves_of_sessions.sql") };
pub(super) const MOVES_OF_DAYS: Sql = Sql { name: "moves_of_days", text: include_str!("sql/moves_of_days.sql") };
pub(super) const SESSIONS: Sql = Sql { name: "sessions", text: include_str!("sql/sessions.sql") };
pub(super) const SESSION: Sql = Sql { name: "session", text: include_str!("sql/session.sql") };
pub(super) const TIMELINE: Sql = Sql { name: "timeline", text: include_str!("sql/timeline.sql") };
pub(super) const SESSION_INCIDENTS: Sql =
    Sql { name: "session_incidents", text: include_str!("sql/session_incidents.sql") };
pub(super) const INCIDENTS: Sql = Sql { name: "incidents", text: include_str!("sql/incidents.sql") };
pub(super) const INCIDENTS_OF_SESSIONS: Sql =
    Sql { name: "incidents_of_sessions", text: include_str!("sql/incidents_of_sessions.sql") };
