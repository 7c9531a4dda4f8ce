//! The `.sql` files that answer requests, and the values bound to their `{names}`.

use crate::period::Day;
use crate::store::{Filter, Scope, Session};

/// A `.sql` file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql {
    pub name: &'static str,
    pub text: &'static str,
}

impl Sql {
    /// The statement with conditions in place of its marks; without any where there are none.
    pub(super) fn with(self, marks: &[(&str, &[&str])]) -> String {
        marks.iter().fold(self.text.to_owned(), |text, (mark, conditions)| {
            let conditions: String = conditions.iter().map(|condition| format!("\n  AND {condition}")).collect();
            text.replace(&format!("/* {mark} */"), &conditions)
        })
    }
}

/// Values, bound by name.
pub(super) type Params = Vec<(&'static str, String)>;

pub(super) fn day(day: Day) -> String {
    day.to_string()
}

pub(super) fn of(scope: &Scope) -> Params {
    let mut params = vec![
        ("org", scope.org_id.clone()),
        ("product", scope.product_id.clone()),
        ("from", day(scope.period.from)),
        ("to", day(scope.period.to)),
    ];
    let Filter { segment, version, device, task_type } = &scope.filter;
    let wanted = [("segment", segment), ("version", version), ("device", device), ("task_type", task_type)];
    params.extend(wanted.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    params
}

/// The conditions of a filter.
pub(super) fn values(filter: &Filter) -> Vec<&'static str> {
    let Filter { segment, version, device, task_type } = filter;
    let wanted = [
        (segment, "segment = {segment:String}"),
        (version, "version_tag = {version:String}"),
        (device, "device_type = {device:String}"),
        (task_type, "has(task_types, {task_type:String})"),
    ];
    wanted.into_iter().filter(|(value, _)| value.is_some()).map(|(_, condition)| condition).collect()
}

pub(super) fn of_session(org_id: &str, session: &Session) -> Params {
    vec![
        ("org", org_id.to_owned()),
        ("product", session.product_id.clone()),
        ("session", session.session_key.clone()),
        ("from", day(session.date)),
        ("to", day(session.date)),
    ]
}

pub(super) const AND_VALUES: &str = "and of these values";

macro_rules! sql {
    ($name:literal) => {
        Sql { name: $name, text: include_str!(concat!("sql/", $name, ".sql")) }
    };
}

pub(super) const PRODUCTS: Sql = sql!("products");
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
/// A condition: of the chosen sessions.
pub(super) const OF_SESSIONS: Sql = Sql {
    name: "of_sessions",
    text: "session_key IN (SELECT session_key FROM fact_sessions WHERE org_id = {org:String} AND product_id = {product:String} \
           AND date BETWEEN {from:Date32} AND {to:Date32} /* and of these values */)",
};
