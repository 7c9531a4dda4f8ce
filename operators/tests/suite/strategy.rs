//! Draws histories that crowd the borders of the rules.
//!
//!     scenes   (visitor, act, garnish) ···        each act plays one border: 1000 or 1001 ms, 24 h or 1 ms less
//!     story    each key's clock runs on from scene to scene, so borders hold within a key
//!     arrival  the events, out of order
//!
//! Input   the most events wanted; the long acts (24 h: 49 events, a rage of 55 clicks) need room for them
//! Output  normalised events in arrival order, possibly none
//!
//! A scene shrinks to fewer, plainer events and arrival shrinks to the order of the story.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::reference::Event;

/// 2026-10-01T00:00:00Z; every key begins ten minutes before it.
const MIDNIGHT: i64 = 1_790_812_800_000;
const DAY_MS: i64 = 86_400_000;
const GAP_MS: i64 = 1_800_000;

/// At most `max` events of several orgs, products and visitors, in arrival order.
pub(crate) fn events(max: usize) -> impl Strategy<Value = Vec<Event>> {
    let arrival = vec(prop_oneof![4 => Just(0u8), 1 => any::<u8>()], max);
    (vec(scene(), 0..=max / 3 + 1), arrival).prop_map(move |(scenes, arrival)| {
        let mut story = Story { max, ..Story::default() };
        for scene in &scenes {
            story.play(scene);
        }
        let mut arriving: Vec<(u8, Event)> = arrival.into_iter().zip(story.events).collect();
        arriving.sort_by_key(|(rank, _)| *rank);
        arriving.into_iter().map(|(_, event)| event).collect()
    })
}

/// org_id, product_id, session_id, user_hash.
const VISITORS: [[&str; 4]; 9] = [
    ["acme", "crm", "s1", "u1"],
    ["acme", "crm", "", "u2"],
    // One key with the first visitor, and below with the empty session_id on both sides of the text.
    ["acme", "crm", "", "s1"],
    ["acme", "crm", "s1", "u9"],
    ["acme", "crm", "s2", "u1"],
    ["acme", "desk", "s1", "u1"],
    ["bolt", "crm", "s1", "u1"],
    // The same letters cut elsewhere: only the lengths in the hash tell the keys apart.
    ["acm", "ecrm", "s1", "u1"],
    ["acme", "crm", "x", "x"],
];

const SCREENS: [&str; 4] = ["home", "list", "pay", "a\"b\\\t\u{1}é"];

/// element_type, element_label_h.
const ELEMENTS: [(Option<&str>, Option<&str>); 6] = [
    (Some("btn"), None),
    (Some("btn"), Some("btn")),
    (Some("link"), Some("btn")),
    (None, Some("h2")),
    (Some("link"), None),
    (None, None),
];

/// reaction_ms, reaction_observed.
const REACTIONS: [(Option<f32>, bool); 8] = [
    (None, false),
    (None, true),
    (Some(2500.0), true),
    (Some(2500.5), true),
    (Some(2500.5), false),
    // The smallest float above the border.
    (Some(2500.0002), true),
    (Some(2500.0), false),
    (Some(12.0), true),
];

const TASKS: [&str; 3] = ["buy", "create_ticket", "say \"hi\""];
const ERRORS: [&str; 3] = ["E1", "E2", "quote\" slash\\ bell\u{7}"];
const EVENT_TYPES: [&str; 6] = ["click", "navigation", "scroll", "input_meta", "focus_change", "custom"];

#[derive(Debug, Clone)]
struct Scene {
    visitor: usize,
    act: Act,
    /// Varies the columns that the act leaves free; 0 is plain.
    garnish: usize,
}

#[derive(Debug, Clone)]
enum Act {
    /// One event of any type, perhaps with an error.
    Step { after_ms: i64, event_type: &'static str, screen: usize, element: usize, error: Option<usize> },
    /// Clicks on one target; after every `elsewhere`-th comes one on the next element.
    Clicks { screen: usize, element: usize, reaction: usize, intervals_ms: Vec<i64>, elsewhere: usize },
    /// A click, perhaps one on the next screen, then errors.
    Errors { screen: usize, elsewhere: bool, errors: Vec<ErrorAfter> },
    /// Navigations from screen to screen.
    Wander { stops: Vec<(usize, i64)> },
    /// Starts, completions and plain clicks around one task type.
    Task { task: usize, beats: Vec<Beat> },
    /// A task across so many screens.
    Tour { screens: usize, success: Option<bool> },
    /// Activity until an event of exactly that age.
    Age { age_ms: i64 },
    /// An event that close to the next midnight.
    Midnight { offset_ms: i64 },
    /// An earlier event once more, with columns changed, perhaps under another key.
    Repeat { of: usize, changes: [usize; 2], visitor: Option<usize> },
}

#[derive(Debug, Clone)]
struct ErrorAfter {
    after_ms: i64,
    event_type: &'static str,
    same_screen: bool,
    error: usize,
}

#[derive(Debug, Clone)]
struct Beat {
    after_ms: i64,
    phase: Option<&'static str>,
    success: Option<bool>,
    event_type: &'static str,
}

fn scene() -> impl Strategy<Value = Scene> {
    let visitor = prop_oneof![5 => Just(0), 4 => 0..VISITORS.len()];
    let garnish = prop_oneof![1 => Just(0usize), 3 => 0..64usize];
    (visitor, act(), garnish).prop_map(|(visitor, act, garnish)| Scene { visitor, act, garnish })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        10 => step(),
        8 => clicks(select(vec![0, 1, 499, 500, 501, 1000, 1001]), 0..REACTIONS.len()),
        6 => clicks(select(vec![0, 2499, 2500, 2501]), 1..REACTIONS.len()),
        1 => (0..2usize, 0..2usize).prop_map(|(screen, element)| Act::Clicks {
            screen,
            element,
            reaction: 1,
            intervals_ms: vec![20; 55],
            elsewhere: 0,
        }),
        6 => errors(),
        7 => wander(),
        8 => task(),
        3 => (select(vec![1, 2, 3, 4, 5, 7, 8, 12, 13]), success())
            .prop_map(|(screens, success)| Act::Tour { screens, success }),
        2 => select(vec![DAY_MS - 1, DAY_MS, DAY_MS + 1]).prop_map(|age_ms| Act::Age { age_ms }),
        1 => (-1..=1i64).prop_map(|offset_ms| Act::Midnight { offset_ms }),
        14 => repeat(),
    ]
}

fn step() -> impl Strategy<Value = Act> {
    let after_ms = select(vec![0, 1, 300, 1000, 1001, 20_000, GAP_MS - 1, GAP_MS, GAP_MS + 1]);
    let error = prop_oneof![3 => Just(None), 1 => (0..ERRORS.len()).prop_map(Some)];
    (after_ms, select(&EVENT_TYPES[..]), 0..SCREENS.len(), 0..ELEMENTS.len(), error).prop_map(
        |(after_ms, event_type, screen, element, error)| Act::Step { after_ms, event_type, screen, element, error },
    )
}

fn clicks(
    interval_ms: impl Strategy<Value = i64>,
    reaction: impl Strategy<Value = usize>,
) -> impl Strategy<Value = Act> {
    (0..2usize, 0..ELEMENTS.len(), reaction, vec(interval_ms, 1..8), 0..4usize).prop_map(
        |(screen, element, reaction, intervals_ms, elsewhere)| Act::Clicks {
            screen,
            element,
            reaction,
            intervals_ms,
            elsewhere,
        },
    )
}

fn errors() -> impl Strategy<Value = Act> {
    let after_ms = select(vec![0, 1, 500, 999, 1000, 1001]);
    let event_type = select(vec!["navigation", "click", "custom"]);
    let error = (after_ms, event_type, prop::bool::weighted(0.8), 0..ERRORS.len())
        .prop_map(|(after_ms, event_type, same_screen, error)| ErrorAfter { after_ms, event_type, same_screen, error });
    (0..SCREENS.len(), any::<bool>(), vec(error, 1..4)).prop_map(|(screen, elsewhere, errors)| Act::Errors {
        screen,
        elsewhere,
        errors,
    })
}

fn wander() -> impl Strategy<Value = Act> {
    let stay_ms = select(vec![0, 1, 19_999, 20_000, 20_001]);
    vec((prop_oneof![3 => 0..2usize, 1 => 0..SCREENS.len()], stay_ms), 1..7).prop_map(|stops| Act::Wander { stops })
}

fn success() -> impl Strategy<Value = Option<bool>> {
    select(vec![None, Some(true), Some(false)])
}

fn task() -> impl Strategy<Value = Act> {
    let after_ms = select(vec![0, 1, 1000, 899_999, 900_000, 900_001]);
    let phase = select(vec![Some("start"), Some("start"), Some("complete"), None]);
    let event_type = select(vec!["custom", "click", "navigation"]);
    let beat = (after_ms, phase, success(), event_type).prop_map(|(after_ms, phase, success, event_type)| Beat {
        after_ms,
        phase,
        success,
        event_type,
    });
    (0..TASKS.len(), vec(beat, 1..6)).prop_map(|(task, beats)| Act::Task { task, beats })
}

fn repeat() -> impl Strategy<Value = Act> {
    let visitor = prop_oneof![5 => Just(None), 1 => (0..VISITORS.len()).prop_map(Some)];
    // Mostly columns that decide between rows: received_at and ts, or late ones that only a tie reaches.
    let change = || prop_oneof![2 => 1..7usize, 3 => 7..16usize, 2 => 0..CHANGES];
    let second = prop_oneof![1 => Just(0), 1 => change()];
    (0..1000usize, change(), second, visitor).prop_map(|(of, first, second, visitor)| Act::Repeat {
        of,
        changes: [first, second],
        visitor,
    })
}

/// First and last time of the open session of a key.
#[derive(Debug, Clone, Copy)]
struct Clock {
    first_ts: i64,
    last_ts: i64,
}

type Key = (&'static str, &'static str, &'static str);

#[derive(Debug, Default)]
struct Story {
    max: usize,
    events: Vec<Event>,
    clocks: BTreeMap<Key, Clock>,
}

impl Story {
    fn play(&mut self, scene: &Scene) {
        match &scene.act {
            Act::Step { after_ms, event_type, screen, element, error } => {
                let mut event = self.event(scene, *after_ms, event_type, SCREENS[*screen]);
                on_element(&mut event, *element);
                event.error_code = error.map(|error| ERRORS[error].to_string());
                self.push(event);
            }
            Act::Clicks { screen, element, reaction, intervals_ms, elsewhere } => {
                for (i, interval_ms) in intervals_ms.iter().enumerate() {
                    self.click(scene, *interval_ms, SCREENS[*screen], *element, *reaction);
                    if *elsewhere > 0 && i % elsewhere == 0 {
                        self.click(scene, 0, SCREENS[*screen], (element + 1) % ELEMENTS.len(), 0);
                    }
                }
            }
            Act::Errors { screen, elsewhere, errors } => {
                self.click(scene, 5000, SCREENS[*screen], 0, 0);
                if *elsewhere {
                    self.click(scene, 0, SCREENS[(screen + 1) % SCREENS.len()], 0, 0);
                }
                for error in errors {
                    let screen = if error.same_screen { *screen } else { (screen + 1) % SCREENS.len() };
                    let mut event = self.event(scene, error.after_ms, error.event_type, SCREENS[screen]);
                    event.error_code = Some(ERRORS[error.error].to_string());
                    self.push(event);
                }
            }
            Act::Wander { stops } => {
                for (screen, stay_ms) in stops {
                    let event = self.event(scene, *stay_ms, "navigation", SCREENS[*screen]);
                    self.push(event);
                }
            }
            Act::Task { task, beats } => {
                for beat in beats {
                    let mut event = self.event(scene, beat.after_ms, beat.event_type, SCREENS[0]);
                    if let Some(phase) = beat.phase {
                        in_task(&mut event, TASKS[*task], phase, beat.success);
                    }
                    self.push(event);
                }
            }
            Act::Tour { screens, success } => self.tour(scene, *screens, *success),
            Act::Age { age_ms } => self.age(scene, *age_ms),
            Act::Midnight { offset_ms } => {
                let last_ts = self.clock(scene).map_or(MIDNIGHT - 600_000, |clock| clock.last_ts);
                let midnight = (last_ts + 1).div_euclid(DAY_MS) * DAY_MS + DAY_MS;
                let event = self.event(scene, midnight + offset_ms - last_ts, "navigation", SCREENS[1]);
                self.push(event);
            }
            Act::Repeat { of, changes, visitor } => self.repeat(*of, *changes, *visitor),
        }
    }

    fn tour(&mut self, scene: &Scene, screens: usize, success: Option<bool>) {
        for i in 0..screens {
            let mut event = self.event(scene, 1000, "navigation", &format!("t{i}"));
            if i == 0 {
                in_task(&mut event, TASKS[0], "start", None);
            }
            if i + 1 == screens && screens > 1 {
                in_task(&mut event, TASKS[0], "complete", success);
            }
            self.push(event);
        }
    }

    /// Does nothing where the session is older already or the events would not suffice.
    fn age(&mut self, scene: &Scene, age_ms: i64) {
        let Some(clock) = self.clock(scene) else { return };
        let until = clock.first_ts + age_ms;
        let steps = (until - clock.last_ts + GAP_MS - 1) / GAP_MS;
        if steps < 1 || self.events.len() + steps as usize > self.max {
            return;
        }
        for _ in 1..steps {
            let event = self.event(scene, GAP_MS, "scroll", SCREENS[0]);
            self.push(event);
        }
        let event = self.event(scene, until - clock.last_ts - GAP_MS * (steps - 1), "click", SCREENS[0]);
        self.push(event);
    }

    fn repeat(&mut self, of: usize, changes: [usize; 2], visitor: Option<usize>) {
        if self.events.is_empty() {
            return;
        }
        let mut event = self.events[of % self.events.len()].clone();
        for change in changes {
            change_column(&mut event, change);
        }
        if let Some(visitor) = visitor {
            seat(&mut event, visitor);
        }
        if self.events.len() < self.max {
            self.events.push(event);
        }
    }

    fn click(&mut self, scene: &Scene, after_ms: i64, screen: &str, element: usize, reaction: usize) {
        let mut event = self.event(scene, after_ms, "click", screen);
        on_element(&mut event, element);
        (event.reaction_ms, event.reaction_observed) = REACTIONS[reaction];
        self.push(event);
    }

    fn clock(&self, scene: &Scene) -> Option<Clock> {
        self.clocks.get(&key(scene.visitor)).copied()
    }

    /// A plain event of the scene's visitor, so long after the one before it in its key.
    fn event(&mut self, scene: &Scene, after_ms: i64, event_type: &str, screen: &str) -> Event {
        let last_ts = self.clock(scene).map_or(MIDNIGHT - 600_000, |clock| clock.last_ts);
        let no = self.events.len();
        // Of one scene no two events look alike, yet garnish 0 leaves all of them plain.
        let garnish = scene.garnish * (1 + no % 5);
        let pick = |texts: [Option<&str>; 3]| texts[garnish % 3].map(str::to_string);
        let mut event = Event {
            // By bytes: Z < a < e < é, and e10 < e9; digits and a UUID are packed in other forms.
            event_id: match garnish % 6 {
                4 => format!("{no:016x}"),
                5 => format!("0190b6f1-2c3d-7e4f-8a5b-{no:012x}"),
                plain => format!("{}{no}", ["e", "Z", "é", "a"][plain]),
            },
            ts: last_ts + after_ms,
            event_type: event_type.to_string(),
            // Against the order of the ids, alike, or absent.
            seq: [Some(1000 - no as i64), None, Some(7), Some(no as i64)][garnish % 4],
            screen_id: screen.to_string(),
            route: [format!("/{screen}"), "/a".to_string(), format!("/{screen}/:id")][garnish % 3].clone(),
            device_type: ["desktop", "mobile", "tablet"][garnish % 3].to_string(),
            received_at: [Some(last_ts + after_ms + 50), None, Some(MIDNIGHT)][garnish % 3],
            app_name: pick([None, Some("web"), Some("app")]),
            os: pick([None, None, Some("linux")]),
            browser: pick([None, Some("firefox"), Some("chrome")]),
            version_tag: [None, Some("2.3"), Some("2.10"), None][garnish % 4].map(str::to_string),
            segment: [None, None, Some("pro"), Some("free"), None][garnish % 5].map(str::to_string),
            latency_ms: [None, Some(0.5), Some(1e9)][garnish % 3],
            event_name: pick([None, Some("saved"), None]),
            ..Event::default()
        };
        seat(&mut event, scene.visitor);
        event
    }

    fn push(&mut self, event: Event) {
        if self.events.len() == self.max {
            return;
        }
        let visitor = VISITORS.iter().position(|visitor| {
            [&event.org_id, &event.product_id, &event.session_id, &event.user_hash] == visitor.each_ref()
        });
        if let Some(visitor) = visitor {
            let fresh = Clock { first_ts: event.ts, last_ts: event.ts };
            let clock = self.clocks.entry(key(visitor)).or_insert(fresh);
            let joins = event.ts - clock.last_ts <= GAP_MS && event.ts - clock.first_ts < DAY_MS;
            *clock = if joins { Clock { last_ts: event.ts, ..*clock } } else { fresh };
        }
        self.events.push(event);
    }
}

fn key(visitor: usize) -> Key {
    let [org_id, product_id, session_id, user_hash] = VISITORS[visitor];
    (org_id, product_id, if session_id.is_empty() { user_hash } else { session_id })
}

fn seat(event: &mut Event, visitor: usize) {
    let [org_id, product_id, session_id, user_hash] = VISITORS[visitor].map(str::to_string);
    *event = Event { org_id, product_id, session_id, user_hash, ..event.clone() };
}

fn on_element(event: &mut Event, element: usize) {
    let (element_type, element_label_h) = ELEMENTS[element];
    event.element_type = element_type.map(str::to_string);
    event.element_label_h = element_label_h.map(str::to_string);
}

fn in_task(event: &mut Event, task_type: &str, phase: &str, success: Option<bool>) {
    event.task_type = Some(task_type.to_string());
    event.task_phase = Some(phase.to_string());
    event.task_success = success.filter(|_| phase == "complete");
}

/// How many changes `change_column` knows; 0 changes nothing.
const CHANGES: usize = 26;

fn change_column(event: &mut Event, change: usize) {
    let toggle = |text: &mut Option<String>, value: &str| {
        *text = if text.is_some() { None } else { Some(value.to_string()) };
    };
    match change {
        1 => event.received_at = None,
        2 => event.received_at = Some(1),
        3 => event.received_at = Some(MIDNIGHT * 2),
        4 => event.ts += 1,
        5 => event.ts -= 1,
        6 => event.ts += GAP_MS + 1,
        7 => toggle(&mut event.extra, "{}"),
        8 => toggle(&mut event.extra, "{\"a\":1}"),
        9 => toggle(&mut event.segment, "pro"),
        10 => toggle(&mut event.version_tag, "2.3"),
        11 => {
            event.task_success = match event.task_success {
                None => Some(true),
                Some(true) => Some(false),
                Some(false) => None,
            }
        }
        12 => event.reaction_observed = !event.reaction_observed,
        13 => event.reaction_ms = if event.reaction_ms.is_some() { None } else { Some(2500.5) },
        14 => event.page_y = if event.page_y.is_some() { Some(-0.0) } else { Some(0.0) },
        15 => event.page_x = Some(-0.0),
        16 => toggle(&mut event.element_label_h, "btn"),
        17 => toggle(&mut event.error_code, "E0"),
        18 => event.event_type = if event.event_type == "click" { "custom".into() } else { "click".into() },
        19 => event.screen_id = SCREENS[0].to_string(),
        20 => event.device_type = "mobile".to_string(),
        21 if !event.session_id.is_empty() => event.user_hash = "u0".to_string(),
        // The key stays: visitor x/x with and without its session_id.
        22 if event.session_id == event.user_hash => event.session_id = String::new(),
        24 => event.seq = None,
        25 => event.seq = Some(0),
        23 if event.task_phase.is_some() => {
            let other = if event.task_phase.as_deref() == Some("start") { "complete" } else { "start" };
            event.task_phase = Some(other.to_string());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::super::reference::{Event, IncidentRow, Row, Rules, Tables, run};
    use super::{DAY_MS, events};

    const BORDERS: &[&str] = &[
        "no events",
        "two orgs",
        "two products",
        "one session_id in two orgs",
        "out of order",
        "tie in ts",
        "tie in ts, seq against event_id",
        "tie in ts, seq null last",
        "tie in ts and seq",
        "repeat, exact",
        "repeat, received_at null and set",
        "repeat, late column only",
        "repeat, other session",
        "one event_id under two keys",
        "gap 1799999",
        "gap 1800000",
        "gap 1800001",
        "age 86399999",
        "age 86400000",
        "empty session_id",
        "one key, empty and set session_id",
        "midnight crossed",
        "no navigation",
        "click without target",
        "label reads like type",
        "third click 1000",
        "third click 1001",
        "rage, two on a target",
        "rage, more than 50",
        "rage, 4 or more",
        "reaction 2500",
        "reaction 2500.5",
        "no reaction observed",
        "dead, chain 2500",
        "dead, chain 2501",
        "dead, on screen",
        "error 1000",
        "error 1001",
        "error on a click",
        "error click, several errors",
        "stay 20000",
        "stay 20001",
        "backtrack, twice in a row",
        "completion 900000",
        "completion 900001",
        "restarted",
        "late",
        "none",
        "completion without start",
        "success null",
        "success false",
        "success true",
        "open task, event 900000",
        "open task, event 900001",
        "complexity 1",
        "complexity 2",
        "complexity 3",
        "complexity 4",
        "complexity 5",
        "hotspot without visit",
        "move twice in a session",
        "screen visited twice",
        "several sessions of a key",
    ];

    #[test]
    fn the_strategy_meets_every_border() {
        let mut runner = TestRunner::deterministic();
        let strategy = events(120);
        let mut met: BTreeMap<&str, usize> = BTreeMap::new();
        for _ in 0..300 {
            let Ok(tree) = strategy.new_tree(&mut runner) else { continue };
            let events = tree.current();
            assert!(events.len() <= 120);
            for border in borders(&events, &run(&events, &Rules::default())) {
                *met.entry(border).or_default() += 1;
            }
        }
        let rare: Vec<&&str> = BORDERS.iter().filter(|border| met.get(**border).copied().unwrap_or(0) < 3).collect();
        assert!(rare.is_empty(), "met fewer than 3 times in 300: {rare:?}; met: {met:#?}");
        let unlisted: Vec<&&str> = met.keys().filter(|border| !BORDERS.contains(border)).collect();
        assert!(unlisted.is_empty(), "not in BORDERS: {unlisted:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arrival_order_does_not_matter((events, shuffled) in events(80).prop_flat_map(|events| {
            (Just(events.clone()), Just(events).prop_shuffle())
        })) {
            prop_assert_eq!(lines(&run(&events, &Rules::default())), lines(&run(&shuffled, &Rules::default())));
        }

        #[test]
        fn sending_everything_twice_changes_nothing(events in events(80)) {
            let twice = [events.clone(), events.clone()].concat();
            prop_assert_eq!(lines(&run(&events, &Rules::default())), lines(&run(&twice, &Rules::default())));
        }

        #[test]
        fn the_days_add_up_to_the_sessions(events in events(80)) {
            let tables = run(&events, &Rules::default());
            let sessions = &tables.sessions;
            let of_kind = |kind: &str| tables.incidents.iter().filter(|row| row.kind == kind).count() as i64;
            prop_assert_eq!(sessions.iter().map(|row| row.event_count).sum::<i64>(), tables.sessionized.len() as i64);
            prop_assert_eq!(sessions.iter().map(|row| row.rage_clicks).sum::<i64>(), of_kind("rage_click"));
            prop_assert_eq!(tables.hotspots.iter().map(|row| row.dead_clicks).sum::<i64>(), of_kind("dead_click"));
            prop_assert_eq!(tables.hotspots.iter().map(|row| row.backtracks).sum::<i64>(), of_kind("backtrack"));
            prop_assert_eq!(
                tables.hotspots.iter().map(|row| row.visits).sum::<i64>(),
                sessions.iter().map(|row| row.screen_visits).sum::<i64>()
            );
            let visiting = sessions.iter().filter(|row| row.screen_visits > 0);
            prop_assert_eq!(
                tables.flows.iter().map(|row| row.moves).sum::<i64>(),
                visiting.clone().map(|row| row.screen_visits + 1).sum::<i64>()
            );
            prop_assert_eq!(tables.hotspots.iter().map(|row| row.dropoffs).sum::<i64>(), visiting.count() as i64);
            let ids: BTreeSet<&String> = tables.incidents.iter().map(|row| &row.incident_id).collect();
            prop_assert_eq!(ids.len(), tables.incidents.len());
        }
    }

    fn lines(tables: &Tables) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(tables.sessionized.iter().map(Row::to_line));
        lines.extend(tables.sessions.iter().map(Row::to_line));
        lines.extend(tables.incidents.iter().map(Row::to_line));
        lines.extend(tables.tasks.iter().map(Row::to_line));
        lines.extend(tables.hotspots.iter().map(Row::to_line));
        lines.extend(tables.flows.iter().map(Row::to_line));
        lines.extend(tables.task_types.iter().map(Row::to_line));
        lines.extend(tables.releases.iter().map(Row::to_line));
        lines
    }

    type Key = (String, String, String);

    fn key(event: &Event) -> Key {
        let visit = if event.session_id.is_empty() { &event.user_hash } else { &event.session_id };
        (event.org_id.clone(), event.product_id.clone(), visit.clone())
    }

    /// The borders that a history touches.
    fn borders(events: &[Event], tables: &Tables) -> BTreeSet<&'static str> {
        let mut met = BTreeSet::new();
        among_raw(events, &mut met);
        among_sessionized(tables, &mut met);
        among_facts(tables, &mut met);
        met
    }

    fn among_raw(events: &[Event], met: &mut BTreeSet<&'static str>) {
        let mut note = |name, holds: bool| {
            if holds {
                met.insert(name);
            }
        };
        note("no events", events.is_empty());
        note("out of order", events.windows(2).any(|pair| key(&pair[0]) == key(&pair[1]) && pair[0].ts > pair[1].ts));
        for (i, a) in events.iter().enumerate() {
            for b in &events[i + 1..] {
                note("two orgs", a.org_id != b.org_id);
                note("two products", a.org_id == b.org_id && a.product_id != b.product_id);
                let one_session = !a.session_id.is_empty() && a.session_id == b.session_id;
                note("one session_id in two orgs", one_session && a.org_id != b.org_id);
                let same_key = key(a) == key(b);
                note(
                    "one key, empty and set session_id",
                    same_key && a.session_id.is_empty() != b.session_id.is_empty(),
                );
                if a.event_id != b.event_id {
                    continue;
                }
                note("one event_id under two keys", !same_key);
                if !same_key {
                    continue;
                }
                let alike = a.to_line() == b.to_line();
                note("repeat, exact", alike);
                note("repeat, received_at null and set", a.received_at.is_some() != b.received_at.is_some());
                let tied = a.received_at == b.received_at && a.ts == b.ts && a.fields()[..27] == b.fields()[..27];
                note("repeat, late column only", tied && !alike);
                note("repeat, other session", (a.ts - b.ts).abs() > 1_800_000);
            }
        }
    }

    fn among_sessionized(tables: &Tables, met: &mut BTreeSet<&'static str>) {
        let mut note = |name, holds: bool| {
            if holds {
                met.insert(name);
            }
        };
        let mut keys: BTreeMap<Key, Vec<&(Event, String, i64, i64)>> = BTreeMap::new();
        for row in &tables.sessionized {
            keys.entry(key(&row.0)).or_default().push(row);
        }
        for rows in keys.values_mut() {
            rows.sort_by_key(|row| (row.2, row.3));
            note("several sessions of a key", rows.iter().any(|row| row.2 > 0));
            for pair in rows.windows(2) {
                let gap_ms = pair[1].0.ts - pair[0].0.ts;
                let opens = pair[0].2 != pair[1].2;
                note("gap 1799999", gap_ms == 1_799_999 && !opens);
                note("gap 1800000", gap_ms == 1_800_000 && !opens);
                note("gap 1800001", gap_ms == 1_800_001 && opens);
                note("tie in ts", gap_ms == 0);
                let (a, b) = (&pair[0].0, &pair[1].0);
                note(
                    "tie in ts, seq against event_id",
                    gap_ms == 0 && a.seq < b.seq && a.seq.is_some() && a.event_id > b.event_id,
                );
                note(
                    "tie in ts, seq null last",
                    gap_ms == 0 && a.seq.is_some() && b.seq.is_none() && a.event_id > b.event_id,
                );
                note("tie in ts and seq", gap_ms == 0 && a.seq == b.seq);
            }
        }
        let mut sessions: BTreeMap<&String, Vec<&Event>> = BTreeMap::new();
        for row in &tables.sessionized {
            sessions.entry(&row.1).or_default().push(&row.0);
        }
        let ends: BTreeMap<Key, Vec<(i64, i64)>> =
            keys.iter().map(|(key, rows)| (key.clone(), rows.iter().map(|row| (row.0.ts, row.3)).collect())).collect();
        for rows in ends.values() {
            let mut first_ts = 0;
            for i in 0..rows.len() {
                if rows[i].1 == 0 {
                    let near = i > 0 && rows[i].0 - rows[i - 1].0 <= 1_800_000;
                    note("age 86400000", near && rows[i].0 - first_ts == DAY_MS);
                    first_ts = rows[i].0;
                }
                note("age 86399999", rows[i].0 - first_ts == DAY_MS - 1);
            }
        }
        for events in sessions.values() {
            within_session(events, &mut note);
        }
    }

    fn within_session(events: &[&Event], note: &mut impl FnMut(&'static str, bool)) {
        let (first, last) = (events[0], events[events.len() - 1]);
        note("empty session_id", first.session_id.is_empty());
        note("midnight crossed", first.ts.div_euclid(DAY_MS) != last.ts.div_euclid(DAY_MS));
        let of_type = |name: &str| events.iter().copied().filter(|event| event.event_type == name).collect::<Vec<_>>();
        let (clicks, navigations) = (of_type("click"), of_type("navigation"));
        note("no navigation", navigations.is_empty());
        for click in &clicks {
            note("click without target", click.element_type.is_none() && click.element_label_h.is_none());
            note("reaction 2500", click.reaction_ms == Some(2500.0));
            note("reaction 2500.5", click.reaction_ms == Some(2500.5));
            note("no reaction observed", click.reaction_ms.is_none() && click.reaction_observed);
            let reads_alike = |other: &&Event| {
                other.screen_id == click.screen_id
                    && other.element_label_h.is_none()
                    && other.element_type.is_some()
                    && other.element_type == click.element_label_h
            };
            note("label reads like type", clicks.iter().any(reads_alike));
            let on_target: Vec<i64> = clicks
                .iter()
                .filter(|other| other.screen_id == click.screen_id && click.element_label_h.is_some())
                .filter(|other| other.element_label_h == click.element_label_h)
                .map(|other| other.ts)
                .collect();
            note("third click 1000", on_target.windows(3).any(|three| three[2] - three[0] == 1000));
            note("third click 1001", on_target.windows(3).any(|three| three[2] - three[0] == 1001));
            let dead: Vec<i64> = clicks
                .iter()
                .filter(|other| other.screen_id == click.screen_id && click.element_label_h.is_some())
                .filter(|other| other.element_label_h == click.element_label_h)
                .filter(|other| other.reaction_ms.is_none() && other.reaction_observed)
                .map(|other| other.ts)
                .collect();
            note("dead, chain 2500", dead.windows(2).any(|pair| pair[1] - pair[0] == 2500));
            note("dead, chain 2501", dead.windows(2).any(|pair| pair[1] - pair[0] == 2501));
        }
        for (i, error) in events.iter().enumerate().filter(|(_, event)| event.error_code.is_some()) {
            let click = events[..i]
                .iter()
                .rev()
                .find(|event| event.event_type == "click" && event.screen_id == error.screen_id);
            let Some(click) = click else { continue };
            note("error 1000", error.ts - click.ts == 1000);
            note("error 1001", error.ts - click.ts == 1001);
            note("error on a click", error.event_type == "click" && error.ts - click.ts <= 1000);
        }
        let sequence: Vec<&Event> = navigations
            .iter()
            .enumerate()
            .filter(|(i, event)| *i == 0 || navigations[i - 1].screen_id != event.screen_id)
            .map(|(_, event)| *event)
            .collect();
        for three in sequence.windows(3).filter(|three| three[0].screen_id == three[2].screen_id) {
            note("stay 20000", three[2].ts - three[1].ts == 20_000);
            note("stay 20001", three[2].ts - three[1].ts == 20_001);
        }
        note("screen visited twice", sequence.windows(3).any(|three| three[0].screen_id == three[2].screen_id));
        for (i, start) in events.iter().enumerate().filter(|(_, event)| event.task_phase.as_deref() == Some("start")) {
            let later = &events[i + 1..];
            let next = later.iter().find(|event| event.task_type == start.task_type);
            if next.is_none() {
                note("open task, event 900000", later.iter().any(|event| event.ts - start.ts == 900_000));
                note("open task, event 900001", later.iter().any(|event| event.ts - start.ts == 900_001));
            }
            let Some(next) = next.filter(|event| event.task_phase.as_deref() == Some("complete")) else { continue };
            note("completion 900000", next.ts - start.ts == 900_000);
            note("completion 900001", next.ts - start.ts == 900_001);
        }
    }

    fn among_facts(tables: &Tables, met: &mut BTreeSet<&'static str>) {
        let mut note = |name, holds: bool| {
            if holds {
                met.insert(name);
            }
        };
        let on_target = |a: &IncidentRow, b: &IncidentRow| {
            a.session_key == b.session_key && a.screen_id == b.screen_id && a.element_label_h == b.element_label_h
        };
        for row in &tables.incidents {
            let rage = row.kind == "rage_click";
            note("rage, 4 or more", rage && row.event_count > 3);
            note("rage, more than 50", rage && row.event_count > 50 && row.evidence.len() == 50);
            let again = |other: &&IncidentRow| {
                other.kind == row.kind && on_target(other, row) && other.started_at > row.ended_at
            };
            note(
                "rage, two on a target",
                rage && row.element_label_h.is_some() && tables.incidents.iter().any(|other| again(&other)),
            );
            let no_element = row.element_type.is_none() && row.element_label_h.is_none();
            note("dead, on screen", row.kind == "dead_click" && no_element);
            note("error click, several errors", row.kind == "error_click" && row.event_count > 2);
            let returns = |other: &IncidentRow| other.kind == "backtrack" && other.evidence[..2] == row.evidence[1..];
            note("backtrack, twice in a row", row.kind == "backtrack" && tables.incidents.iter().any(returns));
            note("restarted", row.detail.ends_with("\"restarted\"}"));
            note("late", row.detail.ends_with("\"late\"}"));
            note("none", row.detail.ends_with("\"none\"}"));
        }
        for row in &tables.tasks {
            note("completion without start", row.started_at.is_none());
            note("success true", row.success == Some(true));
            note("success false", row.success == Some(false));
            let complexity = ["complexity 1", "complexity 2", "complexity 3", "complexity 4", "complexity 5"];
            note(complexity[row.flow_complexity as usize - 1], true);
        }
        let completions = tables.sessionized.iter().filter(|row| row.0.task_phase.as_deref() == Some("complete"));
        note("success null", completions.clone().any(|row| row.0.task_success.is_none()));
        note("hotspot without visit", tables.hotspots.iter().any(|row| row.visits == 0));
        note("move twice in a session", tables.flows.iter().any(|row| row.moves > row.sessions));
    }
}
