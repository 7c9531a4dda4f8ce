//! The rules by example: small histories as text, results worked out by hand.
//!
//!     text table ─▶ events ─┬─▶ reference ──────────────▶ tables ─▶ the rows of one table as short texts
//!                           ├─▶ batch operators ────────▶ the same tables
//!                           └─▶ streaming operators ────▶ the same tables

use crate::history::{MIDNIGHT, history, plain};
use crate::reference::{self, Event, IncidentRow, Row, Rules, SessionRow, Tables, json_text};
use crate::{chain, streaming};

/// Days from 1970 to it.
const DATE: i32 = 20_727;

/// The tables of `events`: one result of the reference, the batch and the streaming operators.
fn run(events: &[Event]) -> Tables {
    let split = chain::Split { batch_rows: 3, inputs: 2, partitions: 16, events_bytes: 1 << 20, actions_max: 100 };
    chain::check(events, &split).unwrap();
    streaming::check_one_epoch(events, &split).unwrap();
    reference::run(events, &Rules::default())
}

fn tables(text: &str) -> Tables {
    run(&history(text))
}

fn only_session(tables: &Tables) -> &SessionRow {
    assert_eq!(tables.sessions.len(), 1);
    &tables.sessions[0]
}

/// `session_no: event_id …`, a line per session of each key.
fn sessions(events: &[Event]) -> Vec<String> {
    let mut lines: Vec<(String, String, i64, String)> = Vec::new();
    for (event, _, session_no, position) in run(events).sessionized {
        if position == 0 {
            lines.push((event.org_id, event.session_id, session_no, event.event_id));
        } else if let Some(line) = lines.last_mut() {
            line.3 = format!("{} {}", line.3, event.event_id);
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, _, session_no, ids)| format!("{session_no}: {ids}")).collect()
}

/// `started_at screen evidence detail` of the incidents of a kind, by time.
fn incidents(kind: &str, text: &str) -> Vec<String> {
    let line = |row: &IncidentRow| {
        assert_eq!(row.event_count, row.evidence.len() as i64);
        let ids = row.evidence.join(" ");
        format!("{} {} [{ids}] {}", row.started_at - MIDNIGHT, row.screen_id, row.detail)
    };
    tables(text).incidents.iter().filter(|row| row.kind == kind).map(line).collect()
}

/// `type started..completed clicks/screens success abandoned complexity`, by task_no.
fn tasks(text: &str) -> Vec<String> {
    let at = |ts: Option<i64>| ts.map_or("-".to_string(), |ts| (ts - MIDNIGHT).to_string());
    let tables = tables(text);
    assert!(tables.tasks.iter().enumerate().all(|(i, row)| row.task_no == i as i64));
    let line = |row: &super::reference::TaskRow| {
        let success = row.success.map_or("-".to_string(), |success| success.to_string());
        format!(
            "{} {}..{} clicks {} screens {} success {success} abandoned {} complexity {}",
            row.task_type,
            at(row.started_at),
            at(row.completed_at),
            row.clicks,
            row.screens,
            row.abandoned,
            row.flow_complexity,
        )
    };
    tables.tasks.iter().map(line).collect()
}

const NONE: [&str; 0] = [];

// Order, repeats, sessions.

#[test]
fn a_gap_of_exactly_thirty_minutes_continues_the_session() {
    assert_eq!(sessions(&history("at_ms\n 0\n 1_800_000")), ["0: e0 e1"]);
}

#[test]
fn a_gap_of_one_ms_more_opens_the_next() {
    assert_eq!(sessions(&history("at_ms\n 0\n 1_800_001")), ["0: e0", "1: e1"]);
}

/// Steps of 30 min make 24 h at step 48.
fn half_hours(last_at_ms: i64) -> Vec<Event> {
    let mut events: Vec<Event> =
        (0..48).map(|i| Event { ts: MIDNIGHT + i * 1_800_000, ..plain(10 + i as usize) }).collect();
    events.push(Event { ts: MIDNIGHT + last_at_ms, ..plain(99) });
    events
}

#[test]
fn an_age_of_one_ms_under_24_hours_continues_the_session() {
    let tables = run(&half_hours(86_399_999));
    assert_eq!((only_session(&tables).event_count, only_session(&tables).duration_ms), (49, 86_399_999));
}

#[test]
fn an_age_of_exactly_24_hours_opens_the_next() {
    let tables = run(&half_hours(86_400_000));
    let mut seen: Vec<(i64, i64, i32)> =
        tables.sessions.iter().map(|row| (row.session_no, row.event_count, row.date)).collect();
    seen.sort();
    assert_eq!(seen, [(0, 48, DATE), (1, 1, DATE + 1)]);
}

#[test]
fn a_session_belongs_to_the_date_of_its_first_event() {
    let tables = tables(
        "at_ms  type        screen
            -1  navigation  home
             0  navigation  list
             0  navigation  home",
    );
    assert_eq!(only_session(&tables).date, DATE - 1);
    assert!(tables.hotspots.iter().all(|row| row.date == DATE - 1));
    assert!(tables.flows.iter().all(|row| row.date == DATE - 1));
    assert_eq!(tables.incidents[0].date, DATE - 1);
}

#[test]
fn an_empty_session_id_gives_way_to_the_user_hash_and_only_the_text_counts() {
    let events = history(
        "org  session  user  id
         o    s1       u1    a
         o    -        u1    b
         o    -        s1    c
         q    s1       u1    d",
    );
    assert_eq!(sessions(&events), ["0: b", "0: a c", "0: d"]);
}

#[test]
fn events_of_one_time_are_ordered_by_the_bytes_of_their_ids() {
    let events = history(
        "id   at_ms
         é    5
         e9   5
         e10  5
         Z    5
         z    4",
    );
    assert_eq!(sessions(&events), ["0: z Z e10 e9 é"]);
}

/// Of two rows with one event_id, the second given must count.
fn second_counts(text: &str) {
    let events = history(text);
    for rows in [vec![events[0].clone(), events[1].clone()], vec![events[1].clone(), events[0].clone()]] {
        let kept = run(&rows).sessionized;
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].0.to_line(), events[1].to_line());
    }
}

#[test]
fn of_repeats_the_first_received_counts_even_when_its_ts_is_later() {
    second_counts("id received_ms at_ms\n a 11 0\n a 10 7");
}

#[test]
fn a_repeat_without_received_at_comes_last() {
    second_counts("id received_ms at_ms\n a - 0\n a 999_999 7");
}

#[test]
fn of_repeats_received_together_the_earlier_ts_counts() {
    second_counts("id received_ms at_ms screen\n a - 8 a\n a - 7 z");
}

#[test]
fn repeats_that_tie_are_decided_by_the_first_column_that_differs() {
    second_counts("id screen os\n a b aix\n a a linux");
    second_counts("id os segment\n a linux a\n a aix z");
    second_counts("id segment\n a -\n a pro");
    second_counts("id seq\n a -\n a 5");
    second_counts("id seq\n a 6\n a 5");
    second_counts("id extra\n a {\"b\":1}\n a {\"a\":1}");
    second_counts("id page_y\n a 0.0\n a -0.0");
    second_counts("id page_y\n a 10.0\n a 9.0");
    second_counts("id reaction_ms\n a none\n a -");
    second_counts("id task\n a complete:t:true\n a complete:t:false");
    second_counts("id task\n a complete:t\n a complete:t:true");
}

#[test]
fn events_of_one_instant_stand_in_the_order_of_seq_then_of_their_ids() {
    for rows in ["b 1\n a 2\n d -\n c -", "d -\n a 2\n c -\n b 1"] {
        assert_eq!(sessions(&history(&format!("id seq\n {rows}"))), ["0: b a c d"]);
    }
    assert_eq!(sessions(&history("id seq\n b 7\n a 7")), ["0: a b"]);
    assert_eq!(sessions(&history("id seq at_ms\n b 1 1\n a 2 0")), ["0: a b"]);
}

#[test]
fn a_repeat_counts_once_in_a_key_and_again_in_another() {
    let events = history("id session at_ms\n a s1 0\n a s1 9_000_000\n a s2 0");
    assert_eq!(sessions(&events), ["0: a", "0: a"]);
}

/// The values come from the C library, over the bytes that rules 3 and 5 list.
#[test]
fn keys_are_the_xxh3_128_of_the_listed_bytes() {
    let tables = tables("at_ms label\n 0 pay\n 300 pay\n 900 pay");
    assert_eq!(only_session(&tables).session_key, "781324b5d39c8bd79cd2e0a8f14d311b");
    assert_eq!(tables.incidents[0].incident_id, "4d007cb302b818a03f0b9878257f3bc9");
}

#[test]
fn a_key_keeps_its_leading_zeros_and_hashes_the_user_hash_of_an_empty_session_id() {
    let tables = tables("session\n -");
    assert_eq!(only_session(&tables).session_key, "0023aa30d0ea619cd692e3451662a093");
}

// Incidents.

#[test]
fn three_clicks_on_one_target_within_a_second_are_a_rage_click() {
    let found = incidents("rage_click", "at_ms label\n 0 pay\n 999 pay\n 1000 pay");
    assert_eq!(found, [r#"0 home [e0 e1 e2] {"clicks":3}"#]);
}

#[test]
fn the_third_click_at_1001_ms_is_not() {
    assert_eq!(incidents("rage_click", "at_ms label\n 0 pay\n 1 pay\n 1001 pay"), NONE);
}

#[test]
fn clicks_elsewhere_do_not_break_a_rage_click_and_do_not_count() {
    let found = incidents(
        "rage_click",
        "at_ms  screen  element  label
             0  home    btn      pay
           100  home    btn      -
           200  list    btn      pay
           300  home    link     pay
           400  home    -        -
           500  home    -        pay",
    );
    assert_eq!(found, [r#"0 home [e0 e3 e5] {"clicks":3}"#]);
}

#[test]
fn a_label_and_a_type_that_read_alike_are_two_targets() {
    let text = "at_ms element label\n 0 pay -\n 1 - pay\n 2 pay -\n 3 - pay";
    assert_eq!(incidents("rage_click", text), NONE);
}

#[test]
fn clicks_without_a_target_are_no_rage_click() {
    assert_eq!(incidents("rage_click", "at_ms\n 0\n 1\n 2"), NONE);
}

/// Clicks 2 (0 → 1000) and 4 (1000 → 2000) qualify, click 3 (0 → 1001) does not.
#[test]
fn qualifying_clicks_two_places_apart_are_one_rage_click() {
    let found = incidents("rage_click", "at_ms label\n 0 a\n 0 a\n 1000 a\n 1001 a\n 2000 a");
    assert_eq!(found, [r#"0 home [e0 e1 e2 e3 e4] {"clicks":5}"#]);
}

/// Clicks 2 and 5 qualify, 3 and 4 (both 0 → 5000) do not.
#[test]
fn qualifying_clicks_three_places_apart_are_two_rage_clicks() {
    let found = incidents("rage_click", "at_ms label\n 0 a\n 0 a\n 0 a\n 5000 a\n 5000 a\n 5000 a");
    assert_eq!(found, [r#"0 home [e0 e1 e2] {"clicks":3}"#, r#"5000 home [e3 e4 e5] {"clicks":3}"#]);
}

#[test]
fn evidence_stops_at_fifty_and_the_count_does_not() {
    let events: Vec<Event> = (0..51)
        .map(|i| Event { ts: MIDNIGHT + i, element_label_h: Some("pay".to_string()), ..plain(100 + i as usize) })
        .collect();
    let incident = &run(&events).incidents[0];
    assert_eq!((incident.event_count, incident.evidence.len()), (51, 50));
    assert_eq!((incident.evidence[0].as_str(), incident.evidence[49].as_str()), ("e100", "e149"));
    assert_eq!(incident.ended_at, MIDNIGHT + 50);
}

#[test]
fn a_reaction_after_more_than_2500_ms_or_none_while_watched_is_a_dead_click() {
    let found = incidents(
        "dead_click",
        "at_ms  label  reaction_ms
             0  a      2500
        10_000  b      2500.5
        20_000  c      none
        30_000  d      -",
    );
    assert_eq!(found, [r#"10000 home [e1] {"clicks":1}"#, r#"20000 home [e2] {"clicks":1}"#]);
}

#[test]
fn a_late_reaction_counts_even_where_nobody_says_to_have_watched() {
    let mut events = history("reaction_ms\n 2500.5");
    events[0].reaction_observed = false;
    assert_eq!(run(&events).incidents.len(), 1);
}

#[test]
fn dead_clicks_chain_from_one_to_the_next_over_live_ones() {
    let found = incidents(
        "dead_click",
        "at_ms  label  reaction_ms
             0  a      none
          2000  a      10
          2500  a      none
          5000  a      none
          7501  a      none",
    );
    assert_eq!(found, [r#"0 home [e0 e2 e3] {"clicks":3}"#, r#"7501 home [e4] {"clicks":1}"#]);
}

#[test]
fn dead_clicks_without_a_target_chain_on_their_screen_alone() {
    let found = incidents(
        "dead_click",
        "at_ms  screen  label  reaction_ms
             0  home    -      none
             1  home    home   none
             2  list    -      none
             3  home    -      none",
    );
    assert_eq!(
        found,
        [r#"0 home [e0 e3] {"clicks":2}"#, r#"1 home [e1] {"clicks":1}"#, r#"2 list [e2] {"clicks":1}"#,]
    );
}

#[test]
fn an_error_at_1000_ms_is_the_clicks() {
    let found = incidents("error_click", "at_ms type error\n 0 click -\n 1000 custom E1");
    assert_eq!(found, [r#"0 home [e0 e1] {"errors":1,"error_code":"E1","delay_ms":1000}"#]);
}

#[test]
fn an_error_at_1001_ms_is_nobodys() {
    assert_eq!(incidents("error_click", "at_ms type error\n 0 click -\n 1001 custom E1"), NONE);
}

#[test]
fn errors_go_to_the_nearest_click_on_their_screen_one_incident_per_click() {
    let found = incidents(
        "error_click",
        "at_ms  type        screen  error
             0  click       home    -
           100  click       list    -
           200  navigation  home    E1
           300  click       home    -
           400  custom      home    E2
           500  custom      home    E3
           600  custom      pay     E4",
    );
    assert_eq!(
        found,
        [
            r#"0 home [e0 e2] {"errors":1,"error_code":"E1","delay_ms":200}"#,
            r#"300 home [e3 e4 e5] {"errors":2,"error_code":"E2","delay_ms":100}"#,
        ]
    );
}

#[test]
fn an_error_on_a_click_belongs_to_the_click_before_it() {
    let found = incidents("error_click", "at_ms error\n 0 E0\n 10 E1\n 20 E2");
    assert_eq!(
        found,
        [
            r#"0 home [e0 e1] {"errors":1,"error_code":"E1","delay_ms":10}"#,
            r#"10 home [e1 e2] {"errors":1,"error_code":"E2","delay_ms":10}"#,
        ]
    );
}

#[test]
fn an_error_of_the_clicks_own_millisecond_needs_the_later_id() {
    let after = "id type error\n a click -\n b custom E1";
    assert_eq!(incidents("error_click", after), [r#"0 home [a b] {"errors":1,"error_code":"E1","delay_ms":0}"#]);
    let before = "id type error\n b click -\n a custom E1";
    assert_eq!(incidents("error_click", before), NONE);
}

#[test]
fn a_stay_of_20_seconds_is_a_backtrack_filed_under_the_screen_returned_to() {
    let text =
        "at_ms type screen route\n 0 navigation home /first\n 9000 navigation list /l\n 29_000 navigation home /x";
    let tables = tables(text);
    let row = &tables.incidents[0];
    assert_eq!((row.kind.as_str(), row.screen_id.as_str(), row.route.as_str()), ("backtrack", "home", "/first"));
    assert_eq!((row.started_at, row.ended_at), (MIDNIGHT + 9000, MIDNIGHT + 29_000));
    assert_eq!(row.evidence, ["e0", "e1", "e2"]);
    assert_eq!(row.detail, r#"{"via_screen":"list","stay_ms":20000}"#);
}

#[test]
fn a_stay_of_one_ms_more_is_not() {
    let text = "at_ms type screen\n 0 navigation home\n 0 navigation list\n 20_001 navigation home";
    assert_eq!(incidents("backtrack", text), NONE);
}

/// home, list, home, list; the repeated list arrives once, at 100.
#[test]
fn a_navigation_that_repeats_its_screen_is_no_arrival_and_every_triple_counts() {
    let found = incidents(
        "backtrack",
        "at_ms   type        screen
              0  navigation  home
            100  navigation  list
         20_050  navigation  list
         20_060  click       pay
         20_100  navigation  home
         20_200  navigation  list",
    );
    assert_eq!(
        found,
        [
            r#"100 home [e0 e1 e4] {"via_screen":"list","stay_ms":20000}"#,
            r#"20100 list [e1 e4 e5] {"via_screen":"home","stay_ms":100}"#,
        ]
    );
}

#[test]
fn a_task_completed_at_15_minutes_is_not_abandoned_whatever_its_success() {
    assert_eq!(incidents("abandoned_task", "at_ms task\n 0 start:buy\n 900_000 complete:buy:false"), NONE);
}

#[test]
fn a_task_is_abandoned_late_restarted_or_never_ended() {
    let found = incidents(
        "abandoned_task",
        "at_ms      task
         0          start:buy
         900_001    complete:buy
         900_002    start:buy
         900_003    start:sell
         900_004    start:buy
         900_005    complete:buy",
    );
    assert_eq!(
        found,
        [
            r#"0 home [e0] {"task_type":"buy","outcome":"late"}"#,
            r#"900002 home [e2] {"task_type":"buy","outcome":"restarted"}"#,
            r#"900003 home [e3] {"task_type":"sell","outcome":"none"}"#,
        ]
    );
}

#[test]
fn backtracks_and_abandoned_tasks_carry_no_element() {
    let tables = tables(
        "at_ms  type        screen  element  label  task
             0  navigation  home    btn      pay    start:buy
             1  navigation  list    btn      pay    -
             2  navigation  home    btn      pay    -",
    );
    assert_eq!(tables.incidents.len(), 2);
    assert!(tables.incidents.iter().all(|row| row.element_type.is_none() && row.element_label_h.is_none()));
}

/// One key, whose first event has no session_id.
#[test]
fn an_incident_carries_the_session_id_of_its_session() {
    let tables = tables("session user at_ms type task\n - s1 0 scroll -\n s1 u1 1 custom start:buy");
    assert_eq!((tables.incidents[0].session_id.as_str(), tables.sessions[0].session_id.as_str()), ("", ""));
}

#[test]
fn a_detail_escapes_as_serde_json_does() {
    let text = "q\" b\\ s/ \n\r\t\u{8}\u{c} \0\u{1f} \u{7f}é";
    assert_eq!(json_text(text), "\"q\\\" b\\\\ s/ \\n\\r\\t\\b\\f \\u0000\\u001f \u{7f}é\"");
}

// Sessions and scores.

#[test]
fn a_quiet_session_scores_0_047_on_the_grid() {
    let tables = tables("at_ms type\n 0 scroll");
    assert_eq!(only_session(&tables).frustration_score, 0.047_425_873_177_417_09);
    assert_eq!(only_session(&tables).efficiency_score, 0.880_797_077_978_059);
}

/// One rage click of three clicks (−3 + 1.2) over nothing else; c = 3/20.
#[test]
fn a_rage_click_weighs_1_2_and_three_clicks_cost_0_15() {
    let tables = tables("at_ms label\n 0 pay\n 0 pay\n 0 pay");
    assert_eq!(only_session(&tables).frustration_score, 0.141_851_064_900_038_18);
    assert_eq!(only_session(&tables).efficiency_score, 0.864_127_102_991_005_8);
}

/// d = 1 (10 min), c = 0, u = 0: sigmoid(1). A backtrack: sigmoid(−2.4). u = (3 − 2) / 3 and d = 0.
#[test]
fn duration_and_revisits_cost_efficiency() {
    let slow = tables("at_ms type\n 0 scroll\n 600_000 scroll");
    assert_eq!(only_session(&slow).efficiency_score, 0.731_058_578_629_927_1);

    let back = tables("type screen\n navigation home\n navigation list\n navigation home");
    assert_eq!(only_session(&back).frustration_score, 0.083_172_696_494_330_01);
    let expected = 1.0 / (1.0 + (-(2.0f64 - 2.0 / 3.0)).exp());
    assert!((only_session(&back).efficiency_score - expected).abs() <= 2f64.powi(-41));
}

#[test]
fn a_session_row_counts_everything_once() {
    let tables = tables(
        "at_ms  session  user  type          screen  label  reaction_ms  error  task                os     version  segment
             0  -        s1    scroll        home    -      -            -      -                   -      -        -
           100  s1       u1    navigation    home    -      -            -      start:sell          linux  2.3      -
           200  s1       u1    click         home    pay    none         -      -                   mac    2.4      pro
           300  s1       u1    custom        home    -      -            E1     complete:buy:false  -      -        free
           400  s1       u1    focus_change  home    -      -            -      complete:sell       -      -        -
           500  s1       u1    navigation    list    -      -            -      -                   -      -        -
           600  s1       u1    click         pay     -      -            E2     complete:sell:true  -      -        -",
    );
    let row = only_session(&tables);
    let seen: Vec<String> = SessionRow::COLUMNS
        .iter()
        .zip(row.fields())
        .filter(|(column, _)| !["session_key", "frustration_score", "efficiency_score", "row_version"].contains(column))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(
        seen.join("|"),
        // The empty session_id and the user_hash are those of the first event.
        format!(
            "o|p|{DATE}||0|s1|{MIDNIGHT}|{end}|600|7|2|2|3|0|1|1|0|1|1|2|1|0|2|home|list|[buy,sell]|desktop|linux|\\N|2.3|pro",
            end = MIDNIGHT + 600,
        )
    );
    // −3 + 0.8 · 2 errors + 0.5 · 1 dead click; an error click has no weight of its own.
    let expected = 1.0 / (1.0 + (0.9f64).exp());
    assert!((row.frustration_score - expected).abs() <= 2f64.powi(-41));
}

#[test]
fn a_session_without_navigation_has_no_entry_no_exit_and_no_move() {
    let tables = tables("at_ms\n 0");
    let row = only_session(&tables);
    assert_eq!((row.entry_screen.as_deref(), row.exit_screen.as_deref(), row.screen_visits), (None, None, 0));
    assert!(tables.flows.is_empty() && tables.hotspots.is_empty());
}

// Tasks.

#[test]
fn a_task_runs_from_its_start_to_its_completion_however_late() {
    let found = tasks(
        "at_ms      type        screen  task
         0          click       home    start:buy
         10         click       list    -
         900_000    scroll      pay     -
         1_000_000  click       pay     complete:buy
         1_000_001  click       more    -",
    );
    assert_eq!(found, ["buy 0..1000000 clicks 3 screens 3 success true abandoned true complexity 2"]);
}

#[test]
fn an_open_task_ends_before_its_restart_and_after_15_minutes() {
    let found = tasks(
        "at_ms      screen  task
         0          home    start:buy
         10         list    -
         20         pay     start:buy
         900_020    list    -
         900_021    home    -",
    );
    assert_eq!(
        found,
        [
            "buy 0..- clicks 2 screens 2 success - abandoned true complexity 1",
            "buy 20..- clicks 2 screens 2 success - abandoned true complexity 1",
        ]
    );
}

#[test]
fn a_completion_that_no_start_owns_is_a_task_of_its_own() {
    let found = tasks(
        "at_ms  type    screen  task
         0      custom  home    complete:buy:false
         10     custom  home    start:sell
         20     custom  home    start:buy
         30     click   list    complete:buy:true
         40     custom  home    complete:buy
         50     custom  home    complete:sell:false",
    );
    assert_eq!(
        found,
        [
            "buy -..0 clicks 0 screens 1 success false abandoned false complexity 1",
            "sell 10..50 clicks 1 screens 2 success false abandoned false complexity 1",
            "buy 20..30 clicks 1 screens 2 success true abandoned false complexity 1",
            "buy -..40 clicks 0 screens 1 success true abandoned false complexity 1",
        ]
    );
}

#[test]
fn complexity_steps_up_after_2_4_7_and_12_screens() {
    let complexity = |screens: usize| {
        let mut text = String::from("at_ms screen task\n 0 s0 start:buy\n");
        for i in 1..screens {
            text.push_str(&format!("{i} s{i} -\n"));
        }
        tables(&text).tasks[0].flow_complexity
    };
    assert_eq!([1, 2, 3, 4, 5, 7, 8, 12, 13].map(complexity), [1, 1, 2, 2, 3, 3, 4, 4, 5]);
}

// Days.

/// s1: home 0–100, list 100–150, home 150–170. s2: list 0–0, a dead click on pay.
const DAY: &str = "
    session  at_ms  type        screen  route   reaction_ms
    s1           0  navigation  home    /z      -
    s1         100  navigation  list    /list   -
    s1         150  navigation  home    /a      -
    s1         170  scroll      home    /h      -
    s2           0  navigation  list    /list2  -
    s2           0  click       pay     /pay    none";

#[test]
fn a_screens_day_adds_up_visits_and_incidents() {
    let tables = tables(DAY);
    let line = |row: &super::reference::HotspotRow| {
        format!(
            "{} {} sessions {} visits {} dead {} backtracks {} dropoffs {} ms {}",
            row.screen_id,
            row.route,
            row.sessions,
            row.visits,
            row.dead_clicks,
            row.backtracks,
            row.dropoffs,
            row.time_spent_ms_sum,
        )
    };
    assert_eq!(
        tables.hotspots.iter().map(line).collect::<Vec<_>>(),
        [
            "home /a sessions 1 visits 2 dead 0 backtracks 1 dropoffs 1 ms 120",
            "list /list sessions 2 visits 2 dead 0 backtracks 0 dropoffs 1 ms 50",
            "pay /pay sessions 0 visits 0 dead 1 backtracks 0 dropoffs 0 ms 0",
        ]
    );
}

/// One backtrack: sigmoid(−2.4); one dead click: sigmoid(−2.5).
#[test]
fn a_screens_day_adds_each_visiting_sessions_score_once() {
    let sums: Vec<f64> = tables(DAY).hotspots.iter().map(|row| row.frustration_sum).collect();
    let (back, dead) = (0.083_172_696_494_330_01, 0.075_858_180_020_986_77);
    assert_eq!(sums, [back, back + dead, 0.0]);
}

#[test]
fn a_session_drops_off_where_its_last_visit_is() {
    let tables = tables("at_ms type screen\n 0 navigation home\n 1 navigation list\n 2 click pay");
    let dropoffs: Vec<(&str, i64)> = tables.hotspots.iter().map(|row| (row.screen_id.as_str(), row.dropoffs)).collect();
    assert_eq!(dropoffs, [("home", 0), ("list", 1)]);
}

#[test]
fn an_abandoned_task_makes_a_row_for_its_screen() {
    let tables = tables("type screen task\n custom pay start:buy");
    assert_eq!((tables.hotspots.len(), tables.hotspots[0].screen_id.as_str()), (1, "pay"));
    assert_eq!((tables.hotspots[0].sessions, tables.hotspots[0].frustration_sum), (0, 0.0));
}

/// s1 goes home, list, home, list, home.
#[test]
fn moves_count_each_time_and_their_sessions_once() {
    let tables = tables(
        "session  at_ms    type        screen
         s1       0        navigation  home
         s1       30_000   navigation  list
         s1       60_000   navigation  home
         s1       90_000   navigation  list
         s1       120_000  navigation  home
         s2       0        navigation  home
         s2       1        navigation  list",
    );
    let line = |row: &super::reference::FlowRow| {
        format!("{}>{} moves {} sessions {}", row.from_screen, row.to_screen, row.moves, row.sessions)
    };
    assert_eq!(
        tables.flows.iter().map(line).collect::<Vec<_>>(),
        [
            ">home moves 2 sessions 2",
            "home> moves 1 sessions 1",
            "home>list moves 3 sessions 2",
            "list> moves 1 sessions 1",
            "list>home moves 2 sessions 1",
        ]
    );
    let quiet = 0.047_425_873_177_417_09;
    assert_eq!(
        tables.flows.iter().map(|row| row.frustration_sum).collect::<Vec<_>>()[..3],
        [quiet + quiet, quiet, quiet + quiet]
    );
}

#[test]
fn dimensions_remember_first_and_last() {
    let tables = tables(
        "session  at_ms      version  task
         s1       5          2.3      start:buy
         s1       9          2.10     complete:buy:false
         s2       2          2.3      complete:buy
         s2       9_000_000  2.3      -",
    );
    let task_types: Vec<String> = tables.task_types.iter().map(Row::to_line).collect();
    assert_eq!(task_types, [format!("o|p|buy|{}|{}|1|2", MIDNIGHT + 2, MIDNIGHT + 9)]);
    let releases: Vec<String> = tables.releases.iter().map(Row::to_line).collect();
    assert_eq!(releases, [format!("o|p|2.10|{}|\\N", MIDNIGHT + 9), format!("o|p|2.3|{}|\\N", MIDNIGHT + 2)]);
}

// Lines.

#[test]
fn every_row_has_a_value_for_every_column() {
    fn check<R: Row>(rows: &[R]) {
        assert!(!rows.is_empty());
        assert!(rows.iter().all(|row| row.fields().len() == R::COLUMNS.len()));
    }
    let tables = tables("type version task\n navigation 2.3 start:buy");
    check(&history("at_ms\n 0"));
    check(&tables.sessionized);
    check(&tables.sessions);
    check(&tables.incidents);
    check(&tables.tasks);
    check(&tables.hotspots);
    check(&tables.flows);
    check(&tables.task_types);
    check(&tables.releases);
}
