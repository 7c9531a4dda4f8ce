//! Runs one detector over small histories, in text and out as text; for tests alone.
//!
//! ```text
//! at_ms  label          0..900 home [e0 e1 e2] {"clicks":3}
//!     0  pay
//!   300  pay      ─▶    started_at..ended_at, screen, evidence, detail
//!   900  pay
//! ```
//!
//! A history names the columns that matter. The rest of an event: one session, event_id `e` and the line's number
//! from 0, a click on screen `home`. `-` is absent. Columns are those of an event, but `at_ms` is its ts,
//! `label` its element_label_h, `screen` its screen_id, `error` its error_code; `reaction_ms` is `-` where nobody
//! watched, `none` where nothing reacted; `task` is `start:buy`, `complete:buy` or `complete:buy:false`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, RecordBatch, StringViewArray, StructArray,
    TimestampMillisecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMillisecondType};
use netcrab_schema::arrow::event_in_flight;

use super::actions::Actions;
use super::events::Events;
use super::incidents::{IncidentDictionaries, Incidents, incident_fields};
use super::scan::Scan;
use crate::rules::{Detect, Sessionize};
use crate::session::{self, SessionBatch, fields_of_facts};
use crate::sessionize::streaming::OpenSessions;
use crate::symbols::{SymbolArray, text_of};

/// Asserts that `detect` finds these incidents in `history`, a line for each, sessions and incidents in order.
pub(super) fn check(detect: impl Fn(&Events<'_>, &mut Scan, &mut Incidents), history: &str, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(incidents(detect, &events(history)), expected, "in {history}");
}

/// The events of a history; its first line names the columns.
fn events(history: &str) -> RecordBatch {
    let mut lines = history.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let columns = lines.find(|line| !line.is_empty()).expect("a line of column names");
    let rows: Vec<Vec<&str>> = lines.filter(|line| !line.is_empty()).collect();
    assert!(rows.iter().all(|row| row.len() == columns.len()), "a value for each column in each line");
    let given = |row: usize, column: &str| {
        let place = columns.iter().position(|name| *name == column)?;
        Some(rows[row][place]).filter(|value| *value != "-")
    };
    let schema = event_in_flight();
    let column = |name: &str, kind: &DataType| -> ArrayRef {
        let values: Vec<Option<String>> =
            (0..rows.len()).map(|row| value(name, row, |name| given(row, name))).collect();
        typed(&values, kind)
    };
    let columns = schema.fields().iter().map(|field| column(field.name(), field.data_type())).collect();
    RecordBatch::try_new(Arc::clone(&schema), columns).expect("columns of an event")
}

/// The value of an event column in line `row`, of which `given` has what the history says.
fn value<'a>(column: &str, row: usize, given: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let task = |place: usize| given("task").and_then(|task| task.split(':').nth(place));
    match column {
        "event_id" => Some(format!("e{row}")),
        "ts" => Some(given("at_ms").unwrap_or("0").to_owned()),
        "event_type" => Some(given("type").unwrap_or("click").to_owned()),
        "screen_id" | "route" => Some(given("screen").unwrap_or("home").to_owned()),
        "element_label_h" => given("label").map(str::to_owned),
        "element_type" => given("element").map(str::to_owned),
        "error_code" => given("error").map(str::to_owned),
        "reaction_ms" => given("reaction_ms").filter(|value| *value != "none").map(str::to_owned),
        "reaction_observed" => Some(given("reaction_ms").is_some().to_string()),
        "task_phase" => task(0).map(str::to_owned),
        "task_type" => task(1).map(str::to_owned),
        "task_success" => task(2).map(str::to_owned),
        "org_id" | "product_id" | "session_id" | "user_hash" | "device_type" => Some("x".to_owned()),
        _ => None,
    }
}

fn typed(values: &[Option<String>], kind: &DataType) -> ArrayRef {
    let texts = || values.iter().map(Option::as_deref);
    match kind {
        DataType::Timestamp(..) => {
            let instants = texts().map(|text| text.map(|text| text.parse::<i64>().expect("milliseconds")));
            Arc::new(instants.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
        }
        DataType::Int64 => cast(&texts().collect::<StringViewArray>(), kind).expect("whole numbers"),
        DataType::Float32 => {
            let reals = texts().map(|text| text.map(|text| text.parse::<f32>().expect("a number")));
            Arc::new(reals.collect::<Float32Array>())
        }
        DataType::Boolean => Arc::new(texts().map(|text| text.map(|text| text == "true")).collect::<BooleanArray>()),
        DataType::Dictionary(..) => Arc::new(texts().collect::<SymbolArray>()),
        other => cast(&texts().collect::<StringViewArray>(), other).expect("a column of texts"),
    }
}

/// What `detect` finds in the sessions of `events`.
fn incidents(detect: impl Fn(&Events<'_>, &mut Scan, &mut Incidents), events: &RecordBatch) -> Vec<String> {
    let mut open = OpenSessions::new(events.schema_ref().fields(), Sessionize::default(), 100).unwrap();
    open.push(events).unwrap();
    let mut closing = open.close(i64::MAX).unwrap();
    let schema = session::schema(fields_of_facts());
    let (mut actions, mut scan, mut lines) = (Actions::default(), Scan::default(), Vec::new());
    while let Some(batch) = open.next_closed(&mut closing, &schema).unwrap() {
        let sessions = SessionBatch::new(&batch).unwrap();
        actions.read(sessions.events()).unwrap();
        let events = Events::new(sessions.events(), &actions).unwrap();
        let mut found = Incidents::default();
        for rows in sessions.borders() {
            scan.read(&events, rows);
            detect(&events, &mut scan, &mut found);
            found.end_session();
        }
        let (rules, keys) = (Detect::default(), sessions.session_key().unwrap());
        let columns = found.into_columns(&rules, &IncidentDictionaries::new(&rules), keys, &events).unwrap();
        lines.extend(lines_of(&StructArray::new(incident_fields(), columns, None)));
    }
    lines
}

fn lines_of(incidents: &StructArray) -> Vec<String> {
    let column = |name: &str| incidents.column_by_name(name).expect("a column of incidents");
    let instant = |name: &str, row: usize| column(name).as_primitive::<TimestampMillisecondType>().value(row);
    let screens = session::symbols(incidents, "screen_id").unwrap();
    let line = |row: usize| {
        let (start, end) = (instant("started_at", row), instant("ended_at", row));
        let screen = text_of(screens, screens.keys().value(row));
        let evidence = column("evidence").as_list::<i32>().value(row);
        let evidence: Vec<&str> = evidence.as_string_view().iter().flatten().collect();
        let detail = column("detail").as_string_view().value(row);
        format!("{start}..{end} {screen} [{}] {detail}", evidence.join(" "))
    };
    (0..incidents.len()).map(line).collect()
}
