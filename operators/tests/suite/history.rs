//! Small histories of events as text.
//!
//! A history names only the columns that matter. The rest: org `o`, product `p`, session_id `s1`,
//! user_hash `u1`, event_id `e` and the line's number from 0, a click on screen `home`, route `/` and
//! the screen, desktop. `at_ms` counts from midnight of 2026-10-01; `-` is absent.

use crate::reference::Event;

/// 2026-10-01T00:00:00Z.
pub(crate) const MIDNIGHT: i64 = 1_790_812_800_000;

/// Events of a text table; its first line names the columns.
pub(crate) fn history(text: &str) -> Vec<Event> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let columns: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    lines
        .enumerate()
        .map(|(no, line)| {
            let values: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(values.len(), columns.len(), "values in line {no}: {line}");
            let mut event = plain(no);
            for (column, value) in columns.iter().zip(values) {
                set(&mut event, column, value);
            }
            event
        })
        .collect()
}

pub(crate) fn plain(no: usize) -> Event {
    Event {
        org_id: "o".to_string(),
        product_id: "p".to_string(),
        session_id: "s1".to_string(),
        user_hash: "u1".to_string(),
        event_id: format!("e{no}"),
        ts: MIDNIGHT,
        event_type: "click".to_string(),
        screen_id: "home".to_string(),
        route: "/home".to_string(),
        device_type: "desktop".to_string(),
        ..Event::default()
    }
}

fn set(event: &mut Event, column: &str, value: &str) {
    let text = Some(value.to_string()).filter(|value| value != "-");
    match column {
        "org" => event.org_id = value.to_string(),
        "product" => event.product_id = value.to_string(),
        "session" => event.session_id = text.unwrap_or_default(),
        "user" => event.user_hash = value.to_string(),
        "id" => event.event_id = value.to_string(),
        "at_ms" => event.ts = MIDNIGHT + number(value),
        "received_ms" => event.received_at = text.map(|value| MIDNIGHT + number(&value)),
        "type" => event.event_type = value.to_string(),
        "seq" => event.seq = text.map(|value| number(&value)),
        "screen" => (event.screen_id, event.route) = (value.to_string(), format!("/{value}")),
        "route" => event.route = value.to_string(),
        "element" => event.element_type = text,
        "label" => event.element_label_h = text,
        "error" => event.error_code = text,
        // `-` nobody watched, `none` nothing within 2.5 s, else when.
        "reaction_ms" => {
            event.reaction_observed = value != "-";
            event.reaction_ms = value.parse().ok();
        }
        // `start:buy`, `complete:buy`, `complete:buy:false`.
        "task" => {
            let mut parts = value.split(':').map(str::to_string);
            event.task_phase = parts.next().filter(|phase| phase != "-");
            event.task_type = parts.next();
            event.task_success = parts.next().map(|success| success == "true");
        }
        "os" => event.os = text,
        "version" => event.version_tag = text,
        "segment" => event.segment = text,
        "extra" => event.extra = text,
        "page_y" => event.page_y = value.parse().ok(),
        other => panic!("no column `{other}`"),
    }
}

fn number(value: &str) -> i64 {
    value.replace('_', "").parse().expect("a number")
}
