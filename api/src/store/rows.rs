//! Converts record batches to records.

use arrow::array::{Array, AsArray, Float64Array, ListArray, RecordBatch, StringArray};

use super::columns::{Columns, dates};
use super::error::StoreError;
use super::records::{Incident, ProductRelease, Session, SessionDay, TimelineEvent};
use crate::period::{Day, instant};

/// The records of all batches, in their order.
pub(crate) fn flat<T>(
    batches: &[RecordBatch],
    rows: fn(&RecordBatch) -> Result<Vec<T>, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = batches.iter().map(rows).collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().flatten().collect())
}

fn text(texts: &StringArray, row: usize) -> String {
    texts.value(row).to_owned()
}

fn text_or_null(texts: &StringArray, row: usize) -> Option<String> {
    texts.is_valid(row).then(|| text(texts, row))
}

fn list(lists: &ListArray, row: usize) -> Vec<String> {
    let values = lists.value(row);
    values.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}

/// Appends the sessions of one day, by version, to `days`.
pub(crate) fn session_days(day: Day, batch: &RecordBatch, days: &mut Vec<SessionDay>) -> Result<(), StoreError> {
    let (version, sessions) = (batch.texts("version_tag")?, batch.numbers("sessions")?);
    let (frustration_sum, efficiency_sum) = (batch.scores("frustration_sum")?, batch.scores("efficiency_sum")?);
    days.extend((0..batch.num_rows()).map(|row| SessionDay {
        day,
        version: text_or_null(&version, row),
        sessions: sessions.value(row),
        frustration_sum: frustration_sum.value(row),
        efficiency_sum: efficiency_sum.value(row),
    }));
    Ok(())
}

/// Releases, each with its organisation and its product.
pub(crate) fn releases(batch: &RecordBatch) -> Result<Vec<(String, String, ProductRelease)>, StoreError> {
    let (org_id, product_id) = (batch.texts("org_id")?, batch.texts("product_id")?);
    let version = batch.texts("version_tag")?;
    let (first_seen_at, released_at) = (batch.instants("first_seen_at")?, batch.instants("released_at")?);
    let releases = (0..batch.num_rows()).map(|row| {
        let release = ProductRelease {
            version: text(&version, row),
            first_seen_at_us: first_seen_at.value(row),
            released_at_us: released_at.is_valid(row).then(|| released_at.value(row)),
        };
        (text(&org_id, row), text(&product_id, row), release)
    });
    Ok(releases.collect())
}

/// Sessions, from the columns of `sessions.sql`.
pub(crate) fn sessions(batch: &RecordBatch) -> Result<Vec<Session>, StoreError> {
    let number = |name| batch.numbers(name);
    let (session_no, duration_ms) = (number("session_no")?, number("duration_ms")?);
    let (event_count, click_count) = (number("event_count")?, number("click_count")?);
    let (screen_visits, unique_screens) = (number("screen_visits")?, number("unique_screens")?);
    let (rage_clicks, dead_clicks) = (number("rage_clicks")?, number("dead_clicks")?);
    let (error_clicks, backtracks) = (number("error_clicks")?, number("backtracks")?);
    let (context_switches, tasks_started) = (number("context_switches")?, number("tasks_started")?);
    let (tasks_completed, tasks_failed) = (number("tasks_completed")?, number("tasks_failed")?);
    let (abandoned_tasks, error_events) = (number("abandoned_tasks")?, number("error_events")?);
    let (session_key, product_id) = (batch.texts("session_key")?, batch.texts("product_id")?);
    let (session_id, user_hash) = (batch.texts("session_id")?, batch.texts("user_hash")?);
    let (entry_screen, exit_screen) = (batch.texts("entry_screen")?, batch.texts("exit_screen")?);
    let (device_type, os, browser) = (batch.texts("device_type")?, batch.texts("os")?, batch.texts("browser")?);
    let (version_tag, segment) = (batch.texts("version_tag")?, batch.texts("segment")?);
    let (frustration, efficiency) = (batch.scores("frustration_score")?, batch.scores("efficiency_score")?);
    let (start_ts, end_ts) = (batch.instants("start_ts")?, batch.instants("end_ts")?);
    let (date, task_types) = (dates(batch, "date")?, batch.lists("task_types")?);
    let sessions = (0..batch.num_rows()).map(|row| Session {
        session_key: text(&session_key, row),
        date: Day(date.value(row)),
        session_id: text(&session_id, row),
        session_no: session_no.value(row),
        user_hash: text(&user_hash, row),
        start_ts: instant(start_ts.value(row)),
        end_ts: instant(end_ts.value(row)),
        duration_ms: duration_ms.value(row),
        event_count: event_count.value(row),
        click_count: click_count.value(row),
        screen_visits: screen_visits.value(row),
        unique_screens: unique_screens.value(row),
        rage_clicks: rage_clicks.value(row),
        dead_clicks: dead_clicks.value(row),
        error_clicks: error_clicks.value(row),
        backtracks: backtracks.value(row),
        context_switches: context_switches.value(row),
        tasks_started: tasks_started.value(row),
        tasks_completed: tasks_completed.value(row),
        tasks_failed: tasks_failed.value(row),
        abandoned_tasks: abandoned_tasks.value(row),
        error_events: error_events.value(row),
        frustration_score: frustration.value(row),
        efficiency_score: efficiency.value(row),
        entry_screen: text_or_null(&entry_screen, row),
        exit_screen: text_or_null(&exit_screen, row),
        task_types: list(&task_types, row),
        device_type: text_or_null(&device_type, row),
        os: text_or_null(&os, row),
        browser: text_or_null(&browser, row),
        version_tag: text_or_null(&version_tag, row),
        segment: text_or_null(&segment, row),
        open: false,
        start_us: start_ts.value(row),
        product_id: text(&product_id, row),
    });
    Ok(sessions.collect())
}

/// Incidents, from the columns of `incidents.sql`.
pub(crate) fn incidents(batch: &RecordBatch) -> Result<Vec<Incident>, StoreError> {
    let (incident_id, session_key) = (batch.texts("incident_id")?, batch.texts("session_key")?);
    let (session_id, kind) = (batch.texts("session_id")?, batch.texts("kind")?);
    let (rule_id, rule_version) = (batch.texts("rule_id")?, batch.texts("rule_version")?);
    let (screen_id, route) = (batch.texts("screen_id")?, batch.texts("route")?);
    let (element_type, element_label_h) = (batch.texts("element_type")?, batch.texts("element_label_h")?);
    let (started_at, ended_at) = (batch.instants("started_at")?, batch.instants("ended_at")?);
    let (date, event_count) = (dates(batch, "date")?, batch.numbers("event_count")?);
    let (evidence, detail) = (batch.lists("evidence")?, batch.texts("detail")?);
    let incidents = (0..batch.num_rows()).map(|row| Incident {
        incident_id: text(&incident_id, row),
        session_key: text(&session_key, row),
        session_id: text(&session_id, row),
        date: Day(date.value(row)),
        kind: text(&kind, row),
        rule_id: text(&rule_id, row),
        rule_version: text(&rule_version, row),
        screen_id: text(&screen_id, row),
        route: text(&route, row),
        element_type: text_or_null(&element_type, row),
        element_label_hash: text_or_null(&element_label_h, row),
        started_at: instant(started_at.value(row)),
        ended_at: instant(ended_at.value(row)),
        event_count: event_count.value(row),
        evidence: list(&evidence, row),
        detail: serde_json::from_str(detail.value(row)).unwrap_or_default(),
        started_us: started_at.value(row),
    });
    Ok(incidents.collect())
}

/// Events, from the columns of `timeline.sql`.
pub(crate) fn timeline(batch: &RecordBatch) -> Result<Vec<TimelineEvent>, StoreError> {
    let (position, ts) = (batch.numbers("position")?, batch.instants("ts")?);
    let (event_id, event_type) = (batch.texts("event_id")?, batch.texts("event_type")?);
    let (screen_id, route) = (batch.texts("screen_id")?, batch.texts("route")?);
    let (element_type, element_label_h) = (batch.texts("element_type")?, batch.texts("element_label_h")?);
    let (error_code, event_name) = (batch.texts("error_code")?, batch.texts("event_name")?);
    let (latency_ms, reaction_ms) = (batch.scores("latency_ms")?, batch.scores("reaction_ms")?);
    let (reaction_observed, task_success) = (batch.flags("reaction_observed")?, batch.flags("task_success")?);
    let (task_type, task_phase) = (batch.texts("task_type")?, batch.texts("task_phase")?);
    let score = |scores: &Float64Array, row| scores.is_valid(row).then(|| scores.value(row));
    let events = (0..batch.num_rows()).map(|row| TimelineEvent {
        position: position.value(row),
        event_id: text(&event_id, row),
        ts: instant(ts.value(row)),
        event_type: text(&event_type, row),
        screen_id: text(&screen_id, row),
        route: text(&route, row),
        element_type: text_or_null(&element_type, row),
        element_label_hash: text_or_null(&element_label_h, row),
        error_code: text_or_null(&error_code, row),
        latency_ms: score(&latency_ms, row),
        reaction_ms: score(&reaction_ms, row),
        reaction_observed: reaction_observed.value(row),
        event_name: text_or_null(&event_name, row),
        task_type: text_or_null(&task_type, row),
        task_phase: text_or_null(&task_phase, row),
        task_success: task_success.is_valid(row).then(|| task_success.value(row)),
    });
    Ok(events.collect())
}
