//! The rules of `docs/rules.md`, done the slow and obvious way.
//!
//!     events ─▶ sessions ─▶ incidents ─▶ scores ─▶ tasks, hotspots, flows, dimensions
//!
//! Input   events in any order, normalised as rules section 1 says (no empty optional text, a task's
//!         type and phase together, `ts` in range, floats finite)
//! Output  every table, sorted by a total order that stands on its row
//!
//! One function per rule, with the rule's sentence above it. Nothing here is fast and nothing is
//! shared with the kernels that it is compared with. References like "rules 5" are sections of
//! `docs/rules.md`.

mod rows;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_128;

pub(crate) use rows::*;

/// Everything a rule takes as a parameter; the defaults are those of `docs/rules.md`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rules {
    /// Longest quiet time inside a session.
    pub gap_ms: i64,
    /// Age at which a session takes no further event.
    pub length_ms: i64,
    /// `rule_id` of every incident.
    pub rule_id: String,
    /// `rule_version` of every incident.
    pub rule_version: i64,
    pub rage: Rage,
    pub dead: Dead,
    pub error: ErrorClick,
    pub backtrack: Backtrack,
    pub abandoned: Abandoned,
    pub frustration: FrustrationWeights,
    pub efficiency: EfficiencyWeights,
}

/// Parameters of `rage_click`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rage {
    /// Clicks that make a rage, at least 2; the rule's "i − 2" is i − (clicks − 1).
    pub clicks: usize,
    /// Time from the first to the last of them, at most.
    pub window_ms: i64,
}

/// Parameters of `dead_click`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dead {
    /// A reaction later than this came too late.
    pub reaction_ms: f64,
    /// Dead clicks at most this far apart are one incident.
    pub chain_ms: i64,
}

/// Parameters of `error_click`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ErrorClick {
    /// Time from the click to the error, at most.
    pub window_ms: i64,
}

/// Parameters of `backtrack`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Backtrack {
    /// Time on the screen in between, at most.
    pub stay_ms: i64,
}

/// Parameters of `abandoned_task`, and the longest span of a task without a completion.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Abandoned {
    /// Time from the start to its completion, at most.
    pub within_ms: i64,
}

/// `sigmoid(bias + weight · count + …)`, added from left to right in this order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FrustrationWeights {
    pub bias: f64,
    pub rage_clicks: f64,
    pub backtracks: f64,
    pub error_events: f64,
    pub abandoned_tasks: f64,
    pub dead_clicks: f64,
}

/// `sigmoid(bias − duration · d − clicks · c − revisits · u)`, from left to right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EfficiencyWeights {
    pub bias: f64,
    pub duration: f64,
    pub clicks: f64,
    pub revisits: f64,
    /// Duration that makes `d` one.
    pub duration_unit_ms: f64,
    /// Clicks per task that make `c` one.
    pub clicks_unit: f64,
    /// Most that `d` and `c` each can be.
    pub cap: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            gap_ms: 1_800_000,
            length_ms: 86_400_000,
            rule_id: "netcrab".to_string(),
            rule_version: 1,
            rage: Rage { clicks: 3, window_ms: 1000 },
            dead: Dead { reaction_ms: 2500.0, chain_ms: 2500 },
            error: ErrorClick { window_ms: 1000 },
            backtrack: Backtrack { stay_ms: 20_000 },
            abandoned: Abandoned { within_ms: 900_000 },
            frustration: FrustrationWeights {
                bias: -3.0,
                rage_clicks: 1.2,
                backtracks: 0.6,
                error_events: 0.8,
                abandoned_tasks: 1.5,
                dead_clicks: 0.5,
            },
            efficiency: EfficiencyWeights {
                bias: 2.0,
                duration: 1.0,
                clicks: 1.0,
                revisits: 2.0,
                duration_unit_ms: 600_000.0,
                clicks_unit: 20.0,
                cap: 3.0,
            },
        }
    }
}

/// Events in any order to every table.
pub(crate) fn run(events: &[Event], settings: &Rules) -> Tables {
    let reports: Vec<Report> =
        sessionize(events, settings).into_iter().map(|session| report(session, settings)).collect();

    let mut sessions: Vec<SessionRow> = reports.iter().map(|report| report.row.clone()).collect();
    sessions.sort_by_key(|row| (row.date, row.org_id.clone(), row.product_id.clone(), row.session_key.clone()));

    let mut incidents: Vec<IncidentRow> = reports.iter().flat_map(|report| report.incidents.clone()).collect();
    incidents.sort_by_key(|row| {
        (
            (row.date, row.org_id.clone(), row.product_id.clone(), row.session_key.clone()),
            (row.started_at, row.kind.clone(), row.incident_id.clone()),
        )
    });

    let mut tasks: Vec<TaskRow> = reports.iter().flat_map(|report| report.tasks.clone()).collect();
    tasks.sort_by_key(|row| {
        (row.date, row.org_id.clone(), row.product_id.clone(), row.session_key.clone(), row.task_no)
    });

    let mut sessionized: Vec<SessionizedRow> =
        reports.iter().flat_map(|report| sessionized_rows(&report.session)).collect();
    sessionized.sort_by_key(|(event, session_key, _, position)| {
        (event.org_id.clone(), event.product_id.clone(), session_key.clone(), *position)
    });

    Tables {
        sessionized,
        sessions,
        incidents,
        tasks,
        hotspots: hotspots(&reports),
        flows: flows(&reports),
        task_types: task_types(&reports),
        releases: releases(&reports),
    }
}

/// A session's events, in order.
struct Session {
    org_id: String,
    product_id: String,
    session_key: String,
    session_no: i64,
    date: i32,
    events: Vec<Event>,
}

/// A session and what was found in it.
struct Report {
    session: Session,
    visits: Vec<Visit>,
    incidents: Vec<IncidentRow>,
    tasks: Vec<TaskRow>,
    row: SessionRow,
}

fn report(session: Session, settings: &Rules) -> Report {
    let visits = visits(&session);
    let incidents = incidents(&session, settings);
    let tasks = tasks(&session, &incidents, settings);
    let row = session_row(&session, &visits, &incidents, settings);
    Report { session, visits, incidents, tasks, row }
}

// Rules 2: order and repeats.

/// visit = session_id, or user_hash where session_id is empty.
fn visit_id(event: &Event) -> &str {
    if event.session_id.is_empty() { &event.user_hash } else { &event.session_id }
}

/// The session key is the triple (org_id, product_id, visit). It is the literal text.
fn by_key(events: &[Event]) -> BTreeMap<(String, String, String), Vec<Event>> {
    let mut keys: BTreeMap<(String, String, String), Vec<Event>> = BTreeMap::new();
    for event in events {
        let key = (event.org_id.clone(), event.product_id.clone(), visit_id(event).to_string());
        keys.entry(key).or_default().push(event.clone());
    }
    keys
}

/// Within a key, rows with the same event_id are one event.
fn drop_repeats(events: Vec<Event>) -> Vec<Event> {
    let mut rows_of_id: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for event in events {
        rows_of_id.entry(event.event_id.clone()).or_default().push(event);
    }
    rows_of_id.into_values().filter_map(|rows| rows.into_iter().min_by(which_counts)).collect()
}

/// The row that counts is the first by (received_at with null last, ts, then every column in table order).
fn which_counts(a: &Event, b: &Event) -> Ordering {
    null_last(&a.received_at, &b.received_at, i64::cmp).then(a.ts.cmp(&b.ts)).then(by_every_column(a, b))
}

/// Every column in table order: text by bytes, false < true, floats by IEEE total order, null last.
fn by_every_column(a: &Event, b: &Event) -> Ordering {
    let text = |a: &Option<String>, b: &Option<String>| null_last(a, b, String::cmp);
    let float = |a: &Option<f32>, b: &Option<f32>| null_last(a, b, f32::total_cmp);
    a.org_id
        .cmp(&b.org_id)
        .then(a.product_id.cmp(&b.product_id))
        .then(a.session_id.cmp(&b.session_id))
        .then(a.user_hash.cmp(&b.user_hash))
        .then(a.event_id.cmp(&b.event_id))
        .then(a.ts.cmp(&b.ts))
        .then(null_last(&a.received_at, &b.received_at, i64::cmp))
        .then(a.event_type.cmp(&b.event_type))
        .then(null_last(&a.seq, &b.seq, i64::cmp))
        .then(a.screen_id.cmp(&b.screen_id))
        .then(a.route.cmp(&b.route))
        .then(text(&a.app_name, &b.app_name))
        .then(text(&a.element_type, &b.element_type))
        .then(text(&a.element_label_h, &b.element_label_h))
        .then(text(&a.error_code, &b.error_code))
        .then(text(&a.os, &b.os))
        .then(text(&a.browser, &b.browser))
        .then(a.device_type.cmp(&b.device_type))
        .then(float(&a.latency_ms, &b.latency_ms))
        .then(float(&a.page_x, &b.page_x))
        .then(float(&a.page_y, &b.page_y))
        .then(float(&a.reaction_ms, &b.reaction_ms))
        .then(a.reaction_observed.cmp(&b.reaction_observed))
        .then(text(&a.event_name, &b.event_name))
        .then(text(&a.task_type, &b.task_type))
        .then(text(&a.task_phase, &b.task_phase))
        .then(null_last(&a.task_success, &b.task_success, bool::cmp))
        .then(text(&a.version_tag, &b.version_tag))
        .then(text(&a.segment, &b.segment))
        .then(text(&a.extra, &b.extra))
}

fn null_last<T>(a: &Option<T>, b: &Option<T>, compare: impl Fn(&T, &T) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => compare(a, b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// The rest are ordered by (ts, seq with null last, event_id by bytes).
fn in_order(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by(|a, b| a.ts.cmp(&b.ts).then(null_last(&a.seq, &b.seq, i64::cmp)).then(a.event_id.cmp(&b.event_id)));
    events
}

// Rules 3: sessions.

fn sessionize(events: &[Event], settings: &Rules) -> Vec<Session> {
    let mut sessions = Vec::new();
    for ((org_id, product_id, visit), events) in by_key(events) {
        let events = in_order(drop_repeats(events));
        for (session_no, events) in split(events, settings).into_iter().enumerate() {
            sessions.push(Session {
                session_key: session_key(&org_id, &product_id, &visit, &events[0]),
                org_id: org_id.clone(),
                product_id: product_id.clone(),
                session_no: session_no as i64,
                date: date(events[0].ts),
                events,
            });
        }
    }
    sessions
}

/// An event joins the open session of its key when ts − previous ts ≤ gap and ts − first ts < length;
/// else it opens the next.
fn split(events: Vec<Event>, settings: &Rules) -> Vec<Vec<Event>> {
    let mut sessions: Vec<Vec<Event>> = Vec::new();
    for event in events {
        let joins = match sessions.last() {
            None => false,
            Some(open) => {
                event.ts - open[open.len() - 1].ts <= settings.gap_ms && event.ts - open[0].ts < settings.length_ms
            }
        };
        if !joins {
            sessions.push(Vec::new());
        }
        let open = sessions.len() - 1;
        sessions[open].push(event);
    }
    sessions
}

/// session_key = lower-case hex of XXH3-128 over: for each of org_id, product_id, visit and the first
/// event's event_id, its length in bytes as u32 little-endian and its bytes; then the first ts as i64
/// little-endian.
fn session_key(org_id: &str, product_id: &str, visit: &str, first: &Event) -> String {
    let mut bytes = Vec::new();
    for text in [org_id, product_id, visit, &first.event_id] {
        push_with_length(&mut bytes, text);
    }
    bytes.extend_from_slice(&first.ts.to_le_bytes());
    hex_of_hash(&bytes)
}

fn push_with_length(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// The 128-bit value prints as 32 digits, most significant first.
fn hex_of_hash(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// date = UTC date, in days since 1970.
fn date(ts: i64) -> i32 {
    ts.div_euclid(86_400_000) as i32
}

/// position counts events in the session from 0.
fn sessionized_rows(session: &Session) -> Vec<SessionizedRow> {
    session
        .events
        .iter()
        .enumerate()
        .map(|(position, event)| (event.clone(), session.session_key.clone(), session.session_no, position as i64))
        .collect()
}

// Rules 4: visits.

struct Visit {
    screen_id: String,
    spent_ms: i64,
}

/// The navigation sequence is the navigation events without those that repeat the screen of the
/// navigation event before them.
fn navigation_sequence(session: &Session) -> Vec<&Event> {
    let navigations: Vec<&Event> = session.events.iter().filter(|event| event.event_type == "navigation").collect();
    let mut sequence = Vec::new();
    for i in 0..navigations.len() {
        if i == 0 || navigations[i].screen_id != navigations[i - 1].screen_id {
            sequence.push(navigations[i]);
        }
    }
    sequence
}

/// Each entry is a visit; it lasts until the next visit, the last one until the session's last event.
fn visits(session: &Session) -> Vec<Visit> {
    let sequence = navigation_sequence(session);
    let end_ts = session.events[session.events.len() - 1].ts;
    let mut visits = Vec::new();
    for i in 0..sequence.len() {
        let until = if i + 1 < sequence.len() { sequence[i + 1].ts } else { end_ts };
        visits.push(Visit { screen_id: sequence[i].screen_id.clone(), spent_ms: until - sequence[i].ts });
    }
    visits
}

// Rules 5: incidents.

fn incidents(session: &Session, settings: &Rules) -> Vec<IncidentRow> {
    let mut incidents = Vec::new();
    incidents.extend(rage_clicks(session, settings));
    incidents.extend(dead_clicks(session, settings));
    incidents.extend(error_clicks(session, settings));
    incidents.extend(backtracks(session, settings));
    incidents.extend(abandoned_tasks(session, settings));
    incidents
}

/// Every incident has evidence: the event_ids of the events that its rule names, in order, the first 50.
/// event_count counts them all. Unless said otherwise started_at and ended_at are the times of the first
/// and the last of them, and screen_id, route, element_type and element_label_h are those of the first.
fn incident(session: &Session, settings: &Rules, kind: &str, named: &[&Event], detail: String) -> IncidentRow {
    let first = named[0];
    let last = named[named.len() - 1];
    IncidentRow {
        org_id: session.org_id.clone(),
        product_id: session.product_id.clone(),
        date: session.date,
        incident_id: incident_id(&session.session_key, kind, settings, &first.event_id),
        session_key: session.session_key.clone(),
        session_id: session.events[0].session_id.clone(),
        kind: kind.to_string(),
        rule_id: settings.rule_id.clone(),
        rule_version: settings.rule_version,
        screen_id: first.screen_id.clone(),
        route: first.route.clone(),
        element_type: first.element_type.clone(),
        element_label_h: first.element_label_h.clone(),
        started_at: first.ts,
        ended_at: last.ts,
        event_count: named.len() as i64,
        evidence: named.iter().take(50).map(|event| event.event_id.clone()).collect(),
        detail,
    }
}

/// incident_id = lower-case hex of XXH3-128 over, each preceded by its length as u32 little-endian:
/// session_key (its 32 characters), kind, rule_id, rule_version (decimal text), the event_id of the first
/// event named.
fn incident_id(session_key: &str, kind: &str, settings: &Rules, event_id: &str) -> String {
    let mut bytes = Vec::new();
    push_with_length(&mut bytes, session_key);
    push_with_length(&mut bytes, kind);
    push_with_length(&mut bytes, &settings.rule_id);
    push_with_length(&mut bytes, &settings.rule_version.to_string());
    push_with_length(&mut bytes, event_id);
    hex_of_hash(&bytes)
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Label {
        screen_id: String,
        element_label_h: String,
    },
    Type {
        screen_id: String,
        element_type: String,
    },
    /// Only dead clicks use it: where there is no target, the screen is a target of its own.
    Screen {
        screen_id: String,
    },
}

/// The target of a click is (screen_id, label) where element_label_h is not null, else (screen_id, type)
/// where element_type is not null, else none. A label and a type that read alike differ.
fn target(click: &Event) -> Option<Target> {
    let screen_id = click.screen_id.clone();
    match (&click.element_label_h, &click.element_type) {
        (Some(label), _) => Some(Target::Label { screen_id, element_label_h: label.clone() }),
        (None, Some(type_)) => Some(Target::Type { screen_id, element_type: type_.clone() }),
        (None, None) => None,
    }
}

fn clicks(session: &Session) -> Vec<&Event> {
    session.events.iter().filter(|event| event.event_type == "click").collect()
}

/// Clicks with a target, numbered per target. Click i qualifies when i ≥ 2 and ts(i) − ts(i−2) ≤ 1000. A
/// maximal run of qualifying clicks in which each is at most two places after the one before it (i and
/// i+1, or i and i+2) is one incident; it names every click from (first qualifying − 2) to the last
/// qualifying.
fn rage_clicks(session: &Session, settings: &Rules) -> Vec<IncidentRow> {
    let mut of_target: BTreeMap<Target, Vec<&Event>> = BTreeMap::new();
    for click in clicks(session) {
        if let Some(target) = target(click) {
            of_target.entry(target).or_default().push(click);
        }
    }
    let back = settings.rage.clicks - 1;
    let mut incidents = Vec::new();
    for clicks in of_target.values() {
        let qualifying: Vec<usize> =
            (back..clicks.len()).filter(|&i| clicks[i].ts - clicks[i - back].ts <= settings.rage.window_ms).collect();
        for run in runs(&qualifying, |before, after| after - before <= back) {
            let named = &clicks[run[0] - back..=run[run.len() - 1]];
            let detail = format!(r#"{{"clicks":{}}}"#, named.len());
            incidents.push(incident(session, settings, "rage_click", named, detail));
        }
    }
    incidents
}

/// Cuts a list into maximal runs in which each item continues the one before it.
fn runs<T: Copy>(items: &[T], continues: impl Fn(T, T) -> bool) -> Vec<Vec<T>> {
    let mut runs: Vec<Vec<T>> = Vec::new();
    for i in 0..items.len() {
        if i == 0 || !continues(items[i - 1], items[i]) {
            runs.push(Vec::new());
        }
        let last = runs.len() - 1;
        runs[last].push(items[i]);
    }
    runs
}

/// A click is dead when reaction_ms > 2500, or reaction_observed and reaction_ms is null.
fn dead(click: &Event, settings: &Rules) -> bool {
    match click.reaction_ms {
        Some(reaction_ms) => f64::from(reaction_ms) > settings.dead.reaction_ms,
        None => click.reaction_observed,
    }
}

/// Dead clicks on one target (the screen, where there is none: a target of its own), each ≤ 2500 ms after
/// the dead click before it on that target, are one incident. Live clicks in between do not matter.
fn dead_clicks(session: &Session, settings: &Rules) -> Vec<IncidentRow> {
    let mut of_target: BTreeMap<Target, Vec<&Event>> = BTreeMap::new();
    for click in clicks(session) {
        if dead(click, settings) {
            let screen = Target::Screen { screen_id: click.screen_id.clone() };
            of_target.entry(target(click).unwrap_or(screen)).or_default().push(click);
        }
    }
    let mut incidents = Vec::new();
    for dead_clicks in of_target.values() {
        let near = |before: &Event, after: &Event| after.ts - before.ts <= settings.dead.chain_ms;
        for named in runs(dead_clicks, near) {
            let detail = format!(r#"{{"clicks":{}}}"#, named.len());
            incidents.push(incident(session, settings, "dead_click", &named, detail));
        }
    }
    incidents
}

/// Each event with an error_code belongs to the nearest click before it on the same screen (never to
/// itself), when that is ≤ 1000 ms earlier.
fn owning_click(session: &Session, error: usize, settings: &Rules) -> Option<usize> {
    let events = &session.events;
    let click = (0..error)
        .rev()
        .find(|&i| events[i].event_type == "click" && events[i].screen_id == events[error].screen_id)?;
    (events[error].ts - events[click].ts <= settings.error.window_ms).then_some(click)
}

/// Every click that owns errors is one incident; it names the click and then its errors.
fn error_clicks(session: &Session, settings: &Rules) -> Vec<IncidentRow> {
    let events = &session.events;
    let mut incidents = Vec::new();
    for click in 0..events.len() {
        let errors: Vec<&Event> = (0..events.len())
            .filter(|&i| events[i].error_code.is_some())
            .filter(|&i| owning_click(session, i, settings) == Some(click))
            .map(|i| &events[i])
            .collect();
        if errors.is_empty() {
            continue;
        }
        let detail = format!(
            r#"{{"errors":{},"error_code":{},"delay_ms":{}}}"#,
            errors.len(),
            json_text(errors[0].error_code.as_deref().unwrap_or_default()),
            errors[0].ts - events[click].ts,
        );
        let mut named = vec![&events[click]];
        named.extend(errors);
        incidents.push(incident(session, settings, "error_click", &named, detail));
    }
    incidents
}

/// In the navigation sequence, three entries in a row A, B, A with ts(third) − ts(second) ≤ 20 000. Names
/// the three; started_at is the arrival at B; screen and route are those of the first; element columns
/// null.
fn backtracks(session: &Session, settings: &Rules) -> Vec<IncidentRow> {
    let sequence = navigation_sequence(session);
    let mut incidents = Vec::new();
    for three in sequence.windows(3) {
        let stay_ms = three[2].ts - three[1].ts;
        if three[0].screen_id != three[2].screen_id || stay_ms > settings.backtrack.stay_ms {
            continue;
        }
        let via = json_text(&three[1].screen_id);
        let detail = format!(r#"{{"via_screen":{via},"stay_ms":{stay_ms}}}"#);
        incidents.push(IncidentRow {
            started_at: three[1].ts,
            element_type: None,
            element_label_h: None,
            ..incident(session, settings, "backtrack", three, detail)
        });
    }
    incidents
}

/// The next start or completion of the same task_type in the session.
fn next_of_task(session: &Session, start: usize) -> Option<usize> {
    let events = &session.events;
    (start + 1..events.len())
        .find(|&i| events[i].task_phase.is_some() && events[i].task_type == events[start].task_type)
}

fn starts_task(event: &Event) -> bool {
    event.task_phase.as_deref() == Some("start")
}

fn completes_task(event: &Event) -> bool {
    event.task_phase.as_deref() == Some("complete")
}

/// Outcome = `restarted` (the next is a start), `late` (a completion, too late), `none`; null where the
/// start is not abandoned.
fn abandoned_outcome(session: &Session, start: usize, settings: &Rules) -> Option<&'static str> {
    let events = &session.events;
    let Some(next) = next_of_task(session, start) else { return Some("none") };
    if starts_task(&events[next]) {
        return Some("restarted");
    }
    let late = events[next].ts - events[start].ts > settings.abandoned.within_ms;
    late.then_some("late")
}

/// A start whose next start or completion of the same task_type in the session is not a completion, or is
/// one later than 900 000 ms after it. Names the start; element columns null.
fn abandoned_tasks(session: &Session, settings: &Rules) -> Vec<IncidentRow> {
    let mut incidents = Vec::new();
    for (i, start) in session.events.iter().enumerate() {
        if !starts_task(start) {
            continue;
        }
        let Some(outcome) = abandoned_outcome(session, i, settings) else { continue };
        let task_type = json_text(start.task_type.as_deref().unwrap_or_default());
        let detail = format!(r#"{{"task_type":{task_type},"outcome":"{outcome}"}}"#);
        incidents.push(IncidentRow {
            element_type: None,
            element_label_h: None,
            ..incident(session, settings, "abandoned_task", &[start], detail)
        });
    }
    incidents
}

/// A JSON string as serde_json writes it: short escapes where JSON has them, `\u00xx` for the other
/// control characters, everything else as it is.
pub(crate) fn json_text(text: &str) -> String {
    let mut json = String::from('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            control if control < ' ' => json.push_str(&format!("\\u{:04x}", control as u32)),
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

// Rules 6: fact_sessions.

fn session_row(session: &Session, visits: &[Visit], incidents: &[IncidentRow], settings: &Rules) -> SessionRow {
    let events = &session.events;
    let first = &events[0];
    let last = &events[events.len() - 1];
    let screens: BTreeSet<&str> = events.iter().map(|event| event.screen_id.as_str()).collect();
    let task_types: BTreeSet<&String> = events.iter().filter_map(|event| event.task_type.as_ref()).collect();
    let of_type = |name: &str| count(events, |event| event.event_type == name);
    let completed = |event: &Event| completes_task(event) && event.task_success != Some(false);
    let failed = |event: &Event| completes_task(event) && event.task_success == Some(false);

    let mut row = SessionRow {
        org_id: session.org_id.clone(),
        product_id: session.product_id.clone(),
        date: session.date,
        session_key: session.session_key.clone(),
        session_id: first.session_id.clone(),
        session_no: session.session_no,
        user_hash: first.user_hash.clone(),
        start_ts: first.ts,
        end_ts: last.ts,
        duration_ms: last.ts - first.ts,
        event_count: events.len() as i64,
        click_count: of_type("click"),
        screen_visits: visits.len() as i64,
        unique_screens: screens.len() as i64,
        rage_clicks: of_kind(incidents, "rage_click"),
        dead_clicks: of_kind(incidents, "dead_click"),
        error_clicks: of_kind(incidents, "error_click"),
        backtracks: of_kind(incidents, "backtrack"),
        context_switches: of_type("focus_change"),
        tasks_started: count(events, starts_task),
        tasks_completed: count(events, completed),
        tasks_failed: count(events, failed),
        abandoned_tasks: of_kind(incidents, "abandoned_task"),
        error_events: count(events, |event| event.error_code.is_some()),
        frustration_score: 0.0,
        efficiency_score: 0.0,
        entry_screen: visits.first().map(|visit| visit.screen_id.clone()),
        exit_screen: visits.last().map(|visit| visit.screen_id.clone()),
        task_types: task_types.into_iter().cloned().collect(),
        // Required, so the first is the first non-null.
        device_type: first.device_type.clone(),
        os: first_non_null(events, |event| &event.os),
        browser: first_non_null(events, |event| &event.browser),
        version_tag: first_non_null(events, |event| &event.version_tag),
        segment: first_non_null(events, |event| &event.segment),
        row_version: 1,
    };
    row.frustration_score = frustration(&row, &settings.frustration);
    row.efficiency_score = efficiency(&row, &settings.efficiency);
    row
}

fn count(events: &[Event], counts: impl Fn(&Event) -> bool) -> i64 {
    events.iter().filter(|event| counts(event)).count() as i64
}

fn of_kind(incidents: &[IncidentRow], kind: &str) -> i64 {
    incidents.iter().filter(|incident| incident.kind == kind).count() as i64
}

/// os, browser, version_tag, segment: the first non-null in order.
fn first_non_null(events: &[Event], column: impl Fn(&Event) -> &Option<String>) -> Option<String> {
    events.iter().find_map(|event| column(event).clone())
}

/// frustration = sigmoid(−3 + 1.2·rage_clicks + 0.6·backtracks + 0.8·error_events + 1.5·abandoned_tasks
/// + 0.5·dead_clicks)
fn frustration(row: &SessionRow, weights: &FrustrationWeights) -> f64 {
    let x = weights.bias
        + weights.rage_clicks * row.rage_clicks as f64
        + weights.backtracks * row.backtracks as f64
        + weights.error_events * row.error_events as f64
        + weights.abandoned_tasks * row.abandoned_tasks as f64
        + weights.dead_clicks * row.dead_clicks as f64;
    rounded(sigmoid(x))
}

/// efficiency = sigmoid(2 − 1.0·d − 1.0·c − 2.0·u), d = min(duration_ms / 600 000, 3),
/// c = min((click_count / max(tasks_started, 1)) / 20, 3),
/// u = max(screen_visits − unique_screens, 0) / max(screen_visits, 1)
fn efficiency(row: &SessionRow, weights: &EfficiencyWeights) -> f64 {
    let d = (row.duration_ms as f64 / weights.duration_unit_ms).min(weights.cap);
    let clicks_per_task = row.click_count as f64 / row.tasks_started.max(1) as f64;
    let c = (clicks_per_task / weights.clicks_unit).min(weights.cap);
    let revisits = (row.screen_visits - row.unique_screens).max(0);
    let u = revisits as f64 / row.screen_visits.max(1) as f64;
    let x = weights.bias - weights.duration * d - weights.clicks * c - weights.revisits * u;
    rounded(sigmoid(x))
}

/// sigmoid(x) = 1 / (1 + e^−x)
fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// One over the grid of the scores.
const SCORE_UNITS: f64 = (1u64 << 40) as f64;

/// Rounded to the nearest multiple of 2⁻⁴⁰ (ties away from zero), so that sums are exact.
fn rounded(score: f64) -> f64 {
    (score * SCORE_UNITS).round() / SCORE_UNITS
}

/// The exact sum of rounded scores, as the nearest double.
fn exact_sum(scores: &[f64]) -> f64 {
    let units: i128 = scores.iter().map(|score| (score * SCORE_UNITS) as i128).sum();
    units as f64 / SCORE_UNITS
}

// Rules 7: fact_tasks.

/// A start owns the next start-or-completion of its task_type when that is a completion, however late.
fn owned_completion(session: &Session, start: usize) -> Option<usize> {
    next_of_task(session, start).filter(|&next| completes_task(&session.events[next]))
}

/// One row per task start, and one per completion that no start owns. task_no numbers the rows of a
/// session from 0 by the order of their first event (the start, or the completion without one).
fn tasks(session: &Session, incidents: &[IncidentRow], settings: &Rules) -> Vec<TaskRow> {
    let events = &session.events;
    let starts: Vec<usize> = (0..events.len()).filter(|&i| starts_task(&events[i])).collect();
    let mut rows: Vec<TaskRow> = Vec::new();
    for (i, event) in events.iter().enumerate() {
        let task_no = rows.len() as i64;
        if starts_task(event) {
            let completion = owned_completion(session, i);
            let abandoned = incidents
                .iter()
                .any(|incident| incident.kind == "abandoned_task" && incident.evidence == [event.event_id.clone()]);
            rows.push(task_row(session, task_no, Some(i), completion, abandoned, settings));
        }
        let owned = starts.iter().any(|&start| owned_completion(session, start) == Some(i));
        if completes_task(event) && !owned {
            rows.push(task_row(session, task_no, None, Some(i), false, settings));
        }
    }
    rows
}

/// started_at: of the start, null for a completion without one. completed_at: of the completion, null
/// without. duration_ms: their difference, null where one is missing. success: task_success is not false;
/// null without a completion. clicks: click events in the span. screens: distinct screen_id of the events
/// in the span.
fn task_row(
    session: &Session,
    task_no: i64,
    start: Option<usize>,
    completion: Option<usize>,
    abandoned: bool,
    settings: &Rules,
) -> TaskRow {
    let events = &session.events;
    let started_at = start.map(|i| events[i].ts);
    let completed_at = completion.map(|i| events[i].ts);
    let duration_ms = match (started_at, completed_at) {
        (Some(started_at), Some(completed_at)) => Some(completed_at - started_at),
        _ => None,
    };
    let (first, last) = match (start, completion) {
        (Some(start), Some(completion)) => (start, completion),
        (Some(start), None) => (start, end_of_open_task(session, start, settings)),
        (None, Some(completion)) => (completion, completion),
        (None, None) => unreachable!("a task has a start or a completion"),
    };
    let span = &events[first..=last];
    let screens: BTreeSet<&str> = span.iter().map(|event| event.screen_id.as_str()).collect();
    TaskRow {
        org_id: session.org_id.clone(),
        product_id: session.product_id.clone(),
        date: session.date,
        session_key: session.session_key.clone(),
        task_no,
        task_type: events[first].task_type.clone().unwrap_or_default(),
        started_at,
        completed_at,
        duration_ms,
        clicks: count(span, |event| event.event_type == "click"),
        screens: screens.len() as i64,
        success: completion.map(|i| events[i].task_success != Some(false)),
        abandoned,
        flow_complexity: flow_complexity(screens.len()),
    }
}

/// The last event that is both before the next start of that task_type and ≤ 900 000 ms after the start.
fn end_of_open_task(session: &Session, start: usize, settings: &Rules) -> usize {
    let events = &session.events;
    let next_start = (start + 1..events.len())
        .find(|&i| starts_task(&events[i]) && events[i].task_type == events[start].task_type)
        .unwrap_or(events.len());
    (start..next_start)
        .rev()
        .find(|&i| events[i].ts - events[start].ts <= settings.abandoned.within_ms)
        .unwrap_or(start)
}

/// flow_complexity: 1 for screens ≤ 2, 2 for ≤ 4, 3 for ≤ 7, 4 for ≤ 12, else 5.
fn flow_complexity(screens: usize) -> i64 {
    match screens {
        0..=2 => 1,
        3..=4 => 2,
        5..=7 => 3,
        8..=12 => 4,
        _ => 5,
    }
}

// Rules 8 and 9: the day's sums.

/// The sessions of one org, product and date.
fn by_day(reports: &[Report]) -> BTreeMap<(i32, String, String), Vec<&Report>> {
    let mut days: BTreeMap<(i32, String, String), Vec<&Report>> = BTreeMap::new();
    for report in reports {
        let session = &report.session;
        let day = (session.date, session.org_id.clone(), session.product_id.clone());
        days.entry(day).or_default().push(report);
    }
    days
}

/// A screen has a row where a session of the date visited it or filed an incident (of any kind) under it.
fn hotspots(reports: &[Report]) -> Vec<HotspotRow> {
    let mut rows = Vec::new();
    for ((date, org_id, product_id), reports) in by_day(reports) {
        let mut screens: BTreeSet<&str> = BTreeSet::new();
        for report in &reports {
            screens.extend(report.visits.iter().map(|visit| visit.screen_id.as_str()));
            screens.extend(report.incidents.iter().map(|incident| incident.screen_id.as_str()));
        }
        for screen_id in screens {
            rows.push(hotspot_row(&org_id, &product_id, date, screen_id, &reports));
        }
    }
    rows
}

/// sessions: sessions that visited it. visits: visits to it. frustration_sum, efficiency_sum: over the
/// sessions that visited it, once each. rage_clicks, dead_clicks, error_clicks, backtracks,
/// abandoned_tasks: incidents filed under it. dropoffs: sessions whose last visit is here. time_spent_ms_sum: length of its visits.
fn hotspot_row(org_id: &str, product_id: &str, date: i32, screen_id: &str, reports: &[&Report]) -> HotspotRow {
    let visits: Vec<&Visit> =
        reports.iter().flat_map(|report| &report.visits).filter(|visit| visit.screen_id == screen_id).collect();
    let visitors: Vec<&Report> = reports
        .iter()
        .copied()
        .filter(|report| report.visits.iter().any(|visit| visit.screen_id == screen_id))
        .collect();
    let incidents: Vec<IncidentRow> = reports
        .iter()
        .flat_map(|report| report.incidents.clone())
        .filter(|incident| incident.screen_id == screen_id)
        .collect();
    let frustrations: Vec<f64> = visitors.iter().map(|report| report.row.frustration_score).collect();
    let efficiencies: Vec<f64> = visitors.iter().map(|report| report.row.efficiency_score).collect();
    let left_here = |report: &&&Report| report.row.exit_screen.as_deref() == Some(screen_id);
    HotspotRow {
        org_id: org_id.to_string(),
        product_id: product_id.to_string(),
        date,
        screen_id: screen_id.to_string(),
        route: smallest_route(screen_id, reports),
        sessions: visitors.len() as i64,
        visits: visits.len() as i64,
        frustration_sum: exact_sum(&frustrations),
        efficiency_sum: exact_sum(&efficiencies),
        rage_clicks: of_kind(&incidents, "rage_click"),
        dead_clicks: of_kind(&incidents, "dead_click"),
        error_clicks: of_kind(&incidents, "error_click"),
        backtracks: of_kind(&incidents, "backtrack"),
        abandoned_tasks: of_kind(&incidents, "abandoned_task"),
        dropoffs: visitors.iter().filter(left_here).count() as i64,
        time_spent_ms_sum: visits.iter().map(|visit| visit.spent_ms).sum(),
    }
}

/// route: the smallest by bytes over the events on that screen in sessions of that date that visited it or
/// filed an incident under it.
fn smallest_route(screen_id: &str, reports: &[&Report]) -> String {
    let concerned = reports.iter().filter(|report| {
        report.visits.iter().any(|visit| visit.screen_id == screen_id)
            || report.incidents.iter().any(|incident| incident.screen_id == screen_id)
    });
    let events = concerned.flat_map(|report| &report.session.events);
    let routes = events.filter(|event| event.screen_id == screen_id).map(|event| &event.route);
    routes.min().cloned().unwrap_or_default()
}

/// A session with visits v1 … vn makes the moves ''→v1, v1→v2, …, vn→''; without visits, none.
fn moves(report: &Report) -> Vec<(String, String)> {
    if report.visits.is_empty() {
        return Vec::new();
    }
    let mut places = vec![String::new()];
    places.extend(report.visits.iter().map(|visit| visit.screen_id.clone()));
    places.push(String::new());
    places.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// moves counts them; sessions counts the sessions that made one; frustration_sum adds each such session's
/// score once.
fn flows(reports: &[Report]) -> Vec<FlowRow> {
    let mut rows = Vec::new();
    for ((date, org_id, product_id), reports) in by_day(reports) {
        let all: Vec<(String, String)> = reports.iter().flat_map(|report| moves(report)).collect();
        let distinct: BTreeSet<(String, String)> = all.iter().cloned().collect();
        for pair in distinct {
            let scores: Vec<f64> = reports
                .iter()
                .filter(|report| moves(report).contains(&pair))
                .map(|report| report.row.frustration_score)
                .collect();
            rows.push(FlowRow {
                org_id: org_id.clone(),
                product_id: product_id.clone(),
                date,
                moves: all.iter().filter(|one| **one == pair).count() as i64,
                sessions: scores.len() as i64,
                frustration_sum: exact_sum(&scores),
                from_screen: pair.0,
                to_screen: pair.1,
            });
        }
    }
    rows
}

// Rules 10: dimensions.

/// The events that carry a text in a column, by (org_id, product_id, that text).
fn by_text(
    reports: &[Report],
    column: impl Fn(&Event) -> &Option<String>,
) -> BTreeMap<(String, String, String), Vec<&Event>> {
    let mut groups: BTreeMap<(String, String, String), Vec<&Event>> = BTreeMap::new();
    for event in reports.iter().flat_map(|report| &report.session.events) {
        if let Some(text) = column(event) {
            let key = (event.org_id.clone(), event.product_id.clone(), text.clone());
            groups.entry(key).or_default().push(event);
        }
    }
    groups
}

/// dim_task_types: org_id, product_id, task_type with first_seen_at and last_seen_at (over events that
/// carry it), starts, completions.
fn task_types(reports: &[Report]) -> Vec<TaskTypeRow> {
    let mut rows = Vec::new();
    for ((org_id, product_id, task_type), events) in by_text(reports, |event| &event.task_type) {
        rows.push(TaskTypeRow {
            org_id,
            product_id,
            task_type,
            first_seen_at: events.iter().map(|event| event.ts).min().unwrap_or_default(),
            last_seen_at: events.iter().map(|event| event.ts).max().unwrap_or_default(),
            starts: events.iter().filter(|event| starts_task(event)).count() as i64,
            completions: events.iter().filter(|event| completes_task(event)).count() as i64,
        });
    }
    rows
}

/// dim_releases: org_id, product_id, version_tag with first_seen_at; released_at is null until somebody
/// records it.
fn releases(reports: &[Report]) -> Vec<ReleaseRow> {
    let mut rows = Vec::new();
    for ((org_id, product_id, version_tag), events) in by_text(reports, |event| &event.version_tag) {
        rows.push(ReleaseRow {
            org_id,
            product_id,
            version_tag,
            first_seen_at: events.iter().map(|event| event.ts).min().unwrap_or_default(),
            released_at: None,
        });
    }
    rows
}
