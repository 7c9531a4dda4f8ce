//! Sessions that stay open between epochs equal those of all events at once.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, collect};
use netcrab_operators::chain::{self, DERIVED, TablePlan};
use netcrab_operators::rules::{Rules, Sessionize};
use netcrab_operators::session::{self, SessionBatch, fields_of_events};
use netcrab_operators::sessionize::streaming::{CheckpointError, Counts, OpenSessions, StreamingSessionizeExec};
use netcrab_schema::SessionKey;
use netcrab_schema::arrow::event_in_flight;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::arrow_rows::batch;
use crate::chain::{Split, cases, check_tables, compare, run, source, splits};
use crate::history::{MIDNIGHT, history};
use crate::reference::{self, Event};
use crate::{strategy, traffic};

const GAP_MS: i64 = 1_800_000;
const LENGTH_MS: i64 = 86_400_000;

fn no_sessions(actions_max: usize) -> OpenSessions {
    OpenSessions::new(event_in_flight().fields(), Sessionize::default(), actions_max).unwrap()
}

/// What the streaming operator derives from one epoch.
fn derive(events: &[Event], split: &Split, state: &Arc<Mutex<OpenSessions>>, watermark: i64) -> Vec<TablePlan> {
    let columns = chain::event_fields(&DERIVED);
    let sessions = StreamingSessionizeExec::new(source(events, split), Arc::clone(state), watermark, columns).unwrap();
    chain::plans_over(Arc::new(sessions), &Arc::new(Rules::default()), &DERIVED).unwrap()
}

/// Compares every table that one epoch gives, which closes everything, with the reference's.
pub(crate) fn check_one_epoch(events: &[Event], split: &Split) -> Result<(), TestCaseError> {
    let state = Arc::new(Mutex::new(no_sessions(split.actions_max)));
    let ours = run(&derive(events, split, &state, i64::MAX));
    prop_assert_eq!(state.lock().unwrap().counts(), Counts::default());
    check_tables(&ours, events)
}

#[test]
fn one_epoch_that_closes_everything_equals_the_reference_in_any_split() {
    let mut runner = TestRunner::new(cases(256));
    runner.run(&(strategy::events(80), splits()), |(events, split)| check_one_epoch(&events, &split)).unwrap();
}

/// Events on their way in, each epoch with the watermark that closes it.
#[derive(Debug, Clone)]
struct Stream {
    epochs: Vec<(Vec<Event>, i64)>,
}

impl Stream {
    /// Cuts arrivals into epochs. No event comes after a watermark above it, and no repeat after its
    /// epoch: late events and old repeats are other tests' business.
    fn new(mut events: Vec<Event>, delays: &[i64], lengths: &[usize], behind: &[i64]) -> Self {
        let mut delays = delays.iter().cycle();
        events.sort_by_cached_key(|event| event.ts + delays.next().unwrap());
        let mut seen = std::collections::BTreeMap::new();
        let mut epochs: Vec<(Vec<Event>, i64)> = Vec::new();
        let mut arriving = events.into_iter().peekable();
        let mut lengths = lengths.iter().cycle();
        while arriving.peek().is_some() {
            let epoch = epochs.len();
            let new = |event: &Event| {
                let visit = if event.session_id.is_empty() { &event.user_hash } else { &event.session_id };
                let id = [&event.org_id, &event.product_id, visit, &event.event_id].map(String::clone);
                *seen.entry(id).or_insert(epoch) == epoch
            };
            let events = arriving.by_ref().take(*lengths.next().unwrap()).filter(new).collect();
            epochs.push((events, i64::MAX));
        }
        // From the end: no watermark is above an event that is still to come.
        let mut earliest = i64::MAX;
        for (place, (events, watermark)) in epochs.iter_mut().enumerate().rev() {
            *watermark = if earliest == i64::MAX { i64::MAX } else { earliest - behind[place % behind.len()] };
            earliest = events.iter().map(|event| event.ts).min().unwrap_or(earliest).min(earliest);
        }
        Self { epochs }
    }

    fn events(&self) -> Vec<Event> {
        self.epochs.iter().flat_map(|(events, _)| events.clone()).collect()
    }
}

fn streams() -> impl Strategy<Value = Stream> {
    let delays = prop::collection::vec(prop_oneof![Just(0), 0..3 * GAP_MS], 7);
    let lengths = prop::collection::vec(1..30usize, 1..5);
    let behind = prop::collection::vec(prop_oneof![3 => Just(0), 1 => Just(1), 1 => 0..GAP_MS], 1..5);
    (strategy::events(80), delays, lengths, behind)
        .prop_map(|(events, delays, lengths, behind)| Stream::new(events, &delays, &lengths, &behind))
}

#[test]
fn epochs_in_any_cut_together_equal_the_reference() {
    let mut runner = TestRunner::new(cases(256));
    let (closed_early, closed_in_part) = (Cell::new(0), Cell::new(0));
    let check = |(stream, split): (Stream, Split)| {
        let state = Arc::new(Mutex::new(no_sessions(split.actions_max)));
        let mut ours: [Vec<RecordBatch>; 4] = Default::default();
        for (events, watermark) in &stream.epochs {
            let tables = run(&derive(events, &split, &state, *watermark));
            let closed: usize = tables[1].iter().map(RecordBatch::num_rows).sum();
            // The sums of the other tables are of one epoch; sessions add up by themselves.
            ours.iter_mut().zip(tables).for_each(|(ours, table)| ours.extend(table));
            let mut state = state.lock().unwrap();
            prop_assert_eq!(state.take_late().events, 0);
            closed_early.set(closed_early.get() + if state.counts().events > 0 { closed } else { 0 });
            closed_in_part.set(closed_in_part.get() + usize::from(closed > 0 && state.counts().sessions > 0));
        }
        let theirs = reference::run(&stream.events(), &reference::Rules::default());
        compare("events_sessionized", &ours[0], &theirs.sessionized)?;
        compare("fact_sessions", &ours[1], &theirs.sessions)?;
        compare("fact_incidents", &ours[2], &theirs.incidents)?;
        compare("fact_tasks", &ours[3], &theirs.tasks)
    };
    runner.run(&(streams(), splits()), check).unwrap();
    let tested = (closed_early.get(), closed_in_part.get());
    assert!(tested.0 > 0 && tested.1 > 0, "nothing stayed open while something closed: {tested:?}");
}

#[test]
fn whatever_the_watermarks_an_event_comes_out_once_or_is_late() {
    let mut runner = TestRunner::new(cases(256));
    let (some_late, watermarks) = (Cell::new(false), prop::collection::vec(-3 * GAP_MS..GAP_MS, 5));
    let check = |(stream, ahead): (Stream, Vec<i64>)| {
        let mut state = no_sessions(1000);
        let (mut latest, mut came, mut closed, mut late) = (i64::MIN, 0, 0, 0);
        for (place, (mut events, _)) in stream.epochs.into_iter().enumerate() {
            for event in &mut events {
                (latest, came) = (latest.max(event.ts), came + 1);
                event.event_id = format!("e{came}");
            }
            let handed_back = state.push(&batch(&events)).unwrap();
            closed += close(&mut state, latest.saturating_add(ahead[place % 5]))
                .iter()
                .map(|(_, events)| events)
                .sum::<usize>();
            let taken = state.take_late();
            prop_assert_eq!(taken.events, handed_back);
            prop_assert_eq!(taken.since.is_empty(), handed_back == 0);
            late += handed_back;
            prop_assert_eq!(closed + late + state.counts().events, came);
        }
        some_late.set(some_late.get() || late > 0);
        closed += close(&mut state, i64::MAX).iter().map(|(_, events)| events).sum::<usize>();
        prop_assert_eq!(closed + late, came);
        Ok(())
    };
    runner.run(&(streams(), watermarks), check).unwrap();
    assert!(some_late.get(), "nothing was late");
}

#[test]
fn a_visitor_whose_ids_change_and_are_long_stays_one_key() {
    let (long, other) = ("s".repeat(300), "u".repeat(700));
    let events = history(&format!(
        "session user at_ms os\n{long} u1 0 mac\n{long} {other} 1 mac\n- {long} 2 linux\n{long} u1 3 linux\nt{long} u1 4 mac"
    ));
    for actions_max in [0, 100] {
        let state = Arc::new(Mutex::new(no_sessions(actions_max)));
        let split = Split { batch_rows: 1, inputs: 1, partitions: 16, events_bytes: 1 << 20, actions_max };
        for event in &events {
            run(&derive(std::slice::from_ref(event), &split, &state, MIDNIGHT));
        }
        assert_eq!(state.lock().unwrap().counts(), Counts { sessions: 2, events: 5 });
        check_tables(&run(&derive(&[], &split, &state, i64::MAX)), &events).unwrap();
    }
}

/// The session_no and the number of events of each session that closes.
fn close(state: &mut OpenSessions, watermark: i64) -> Vec<(i64, usize)> {
    let schema = session::schema(fields_of_events());
    let mut closing = state.close(watermark).unwrap();
    let mut closed = Vec::new();
    while let Some(batch) = state.next_closed(&mut closing, &schema).unwrap() {
        let sessions = SessionBatch::new(&batch).unwrap();
        let numbers = sessions.session_no().unwrap().to_vec();
        closed.extend(numbers.into_iter().zip(sessions.borders().map(|border| border.len())));
    }
    closed
}

/// Events of one key at these times after midnight.
fn push(state: &mut OpenSessions, at_ms: &[i64]) -> usize {
    let lines = at_ms.iter().map(|at_ms| format!("{at_ms} e{at_ms}\n")).collect::<String>();
    state.push(&batch(&history(&format!("at_ms id\n{lines}")))).unwrap()
}

#[test]
fn a_session_closes_when_the_watermark_is_more_than_a_gap_after_its_last_event() {
    let mut state = no_sessions(100);
    push(&mut state, &[0, 1000]);
    assert_eq!(close(&mut state, MIDNIGHT + 1000 + GAP_MS), []);
    assert_eq!(close(&mut state, MIDNIGHT + 1000 + GAP_MS + 1), [(0, 2)]);
}

#[test]
fn a_session_closes_when_the_watermark_is_its_length_after_its_first_event() {
    let mut state = no_sessions(100);
    let every_gap: Vec<i64> = (0..48).map(|place| place * GAP_MS).collect();
    push(&mut state, &every_gap);
    assert_eq!(close(&mut state, MIDNIGHT + LENGTH_MS - 1), []);
    assert_eq!(close(&mut state, MIDNIGHT + LENGTH_MS), [(0, 48)]);
}

#[test]
fn an_event_keeps_its_session_open_until_a_gap_after_it() {
    let mut state = no_sessions(100);
    push(&mut state, &[0]);
    push(&mut state, &[GAP_MS]);
    assert_eq!(close(&mut state, MIDNIGHT + GAP_MS + 1), []);
    push(&mut state, &[GAP_MS + 1]);
    assert_eq!(close(&mut state, MIDNIGHT + 2 * GAP_MS + 1), []);
    assert_eq!(close(&mut state, MIDNIGHT + 2 * GAP_MS + 2), [(0, 3)]);
}

#[test]
fn an_earlier_event_that_comes_later_closes_first() {
    let mut state = no_sessions(100);
    push(&mut state, &[10 * GAP_MS]);
    push(&mut state, &[GAP_MS]);
    assert_eq!(close(&mut state, MIDNIGHT + 2 * GAP_MS), []);
    assert_eq!(close(&mut state, MIDNIGHT + 2 * GAP_MS + 1), [(0, 1)]);
    assert_eq!(state.counts(), Counts { sessions: 1, events: 1 });
}

#[test]
fn the_first_sessions_of_a_key_close_and_the_rest_stays_and_is_numbered_on() {
    let mut state = no_sessions(100);
    push(&mut state, &[9 * GAP_MS, 0, 3 * GAP_MS, 3 * GAP_MS + 5, 6 * GAP_MS, 6 * GAP_MS + 7, 6 * GAP_MS + 8]);
    assert_eq!(close(&mut state, MIDNIGHT + 4 * GAP_MS + 6), [(0, 1), (1, 2)]);
    assert_eq!(state.counts(), Counts { sessions: 1, events: 4 });
    push(&mut state, &[6 * GAP_MS + 6]);
    assert_eq!(close(&mut state, MIDNIGHT + 7 * GAP_MS + 9), [(2, 4)]);
    assert_eq!(close(&mut state, i64::MAX), [(3, 1)]);
    assert_eq!(state.counts(), Counts::default());
}

#[test]
fn a_late_event_is_handed_back_and_one_after_its_closed_session_is_not() {
    let mut state = no_sessions(100);
    push(&mut state, &[1000]);
    assert_eq!(close(&mut state, MIDNIGHT + 2 * LENGTH_MS), [(0, 1)]);
    // Before it, its repeat, within its gap; a millisecond more begins a session.
    assert_eq!(push(&mut state, &[0, 1000, 1000 + GAP_MS, 1001 + GAP_MS]), 3);
    let late = state.take_late();
    let key = SessionKey::new("o", "p", "s1", "");
    assert_eq!((late.events, late.since.into_iter().collect::<Vec<_>>()), (3, vec![(key, MIDNIGHT)]));
    assert_eq!(close(&mut state, MIDNIGHT + 2 * LENGTH_MS), [(1, 1)]);
    assert_eq!(state.take_late().events, 0);
}

#[test]
fn a_key_that_is_held_closes_nothing_until_it_is_let_go() {
    let mut state = no_sessions(100);
    push(&mut state, &[0, 5 * GAP_MS]);
    let key = SessionKey::new("o", "p", "s1", "");
    state.hold([&key]);
    for watermark in [MIDNIGHT + 2 * GAP_MS, MIDNIGHT + 8 * GAP_MS, i64::MAX] {
        assert_eq!(close(&mut state, watermark), []);
        state.forget(watermark.min(MIDNIGHT + 8 * GAP_MS));
    }
    assert_eq!(state.counts(), Counts { sessions: 1, events: 2 });
    assert_eq!(state.closed_until(&key), None);
    state.hold([]);
    assert_eq!(close(&mut state, MIDNIGHT + 2 * GAP_MS), [(0, 1)]);
    state.hold([&key]);
    assert_eq!(close(&mut state, i64::MAX), []);
    state.hold([]);
    assert_eq!(close(&mut state, i64::MAX), [(1, 1)]);
}

#[test]
fn an_event_below_the_watermark_that_no_closed_session_concerns_is_as_good_as_any() {
    let mut state = no_sessions(100);
    push(&mut state, &[10 * GAP_MS]);
    assert_eq!(close(&mut state, MIDNIGHT + 10 * GAP_MS), []);
    assert_eq!(push(&mut state, &[9 * GAP_MS]), 0);
    assert_eq!(close(&mut state, i64::MAX), [(0, 2)]);
}

#[test]
fn a_repeat_of_an_open_event_counts_once() {
    let mut state = no_sessions(100);
    push(&mut state, &[0, 5]);
    push(&mut state, &[5, 0, 5]);
    assert_eq!(close(&mut state, i64::MAX), [(0, 2)]);
}

#[test]
fn a_forgotten_key_is_numbered_anew_and_what_came_before_is_late() {
    let mut state = no_sessions(100);
    push(&mut state, &[0]);
    assert_eq!(close(&mut state, MIDNIGHT + GAP_MS + 1), [(0, 1)]);
    state.forget(MIDNIGHT + GAP_MS);
    push(&mut state, &[2 * GAP_MS]);
    assert_eq!(close(&mut state, MIDNIGHT + 4 * GAP_MS), [(1, 1)]);
    state.forget(MIDNIGHT + 4 * GAP_MS);
    assert_eq!(push(&mut state, &[4 * GAP_MS - 1, 4 * GAP_MS]), 1);
    assert_eq!(close(&mut state, i64::MAX), [(0, 1)]);
}

#[test]
fn open_sessions_of_other_columns_are_refused() {
    let fields = event_in_flight().fields().iter().filter(|field| field.name() != "extra").cloned().collect::<Vec<_>>();
    let state = OpenSessions::new(Schema::new(fields).fields(), Sessionize::default(), 100).unwrap();
    let split = Split { batch_rows: 1, inputs: 1, partitions: 16, events_bytes: 1 << 20, actions_max: 100 };
    let refused = StreamingSessionizeExec::new(source(&[], &split), Arc::new(Mutex::new(state)), 0, fields_of_events());
    assert!(refused.unwrap_err().to_string().contains("other columns"));
}

#[test]
fn the_plan_says_which_operator_and_what_it_did() {
    let split = Split { batch_rows: 2, inputs: 2, partitions: 16, events_bytes: 1 << 20, actions_max: 100 };
    let events = history("session at_ms\ns1 0\ns1 5\ns2 7\ns3 8000000");
    let state = Arc::new(Mutex::new(no_sessions(100)));
    let sessions = StreamingSessionizeExec::new(
        source(&events, &split),
        Arc::clone(&state),
        MIDNIGHT + 7_000_000,
        fields_of_events(),
    )
    .unwrap();
    let sessions: Arc<dyn ExecutionPlan> = Arc::new(sessions);
    let closed = collect(Arc::clone(&sessions), Arc::default());
    let closed = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(closed).unwrap();
    assert_eq!(closed.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    let shown = DisplayableExecutionPlan::with_metrics(sessions.as_ref()).indent(false).to_string();
    assert!(
        shown.contains("StreamingSessionizeExec: gap_ms=1800000, length_ms=86400000, watermark=1790819800000"),
        "{shown}"
    );
    for metric in ["events=4", "closed_sessions=2", "open_sessions=1", "late_events=0", "state_bytes="] {
        assert!(shown.contains(metric), "{metric} in {shown}");
    }
}

#[test]
fn a_million_sessions_of_25_events_would_fit_in_a_gibibyte() {
    const SESSIONS: u64 = 20_000;
    const STEPS: u64 = 25;
    let mut state = no_sessions(1 << 18);
    for step in 0..STEPS {
        for first in (0..SESSIONS).step_by(5000) {
            assert_eq!(state.push(&traffic::events(step, first..first + 5000)).unwrap(), 0);
        }
        assert_eq!(close(&mut state, traffic::watermark(step)), []);
    }
    let events = (SESSIONS * STEPS) as usize;
    assert_eq!(state.counts(), Counts { sessions: SESSIONS as usize, events });
    let bytes = state.memory() as f64 / events as f64;
    assert!(bytes <= 42.0, "{bytes:.1} bytes an event");
    println!("{bytes:.1} bytes an event");
    let closed = close(&mut state, i64::MAX);
    assert!(closed.len() == SESSIONS as usize && closed.iter().all(|session| *session == (0, STEPS as usize)));
}

fn written(state: &OpenSessions) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.write(&mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8], settings: Sessionize) -> Result<OpenSessions, CheckpointError> {
    OpenSessions::read(&mut &*bytes, event_in_flight().fields(), settings, 1000)
}

#[test]
fn a_state_that_was_written_and_read_back_goes_on_to_the_byte() {
    let mut runner = TestRunner::new(cases(128));
    let check = |(stream, forgets): (Stream, i64)| {
        let (mut ours, mut other) = (no_sessions(1000), no_sessions(1000));
        for (events, watermark) in stream.epochs {
            let events = batch(&events);
            // The same rows in other batches, whose dictionaries then hold what these rows do not need.
            let half = events.num_rows() / 2;
            other.push(&events.slice(0, half)).unwrap();
            other.push(&events.slice(half, events.num_rows() - half)).unwrap();
            ours.push(&events).unwrap();
            prop_assert_eq!(close(&mut ours, watermark), close(&mut other, watermark));
            for state in [&mut ours, &mut other] {
                state.forget(watermark.saturating_sub(forgets));
            }
            let bytes = written(&ours);
            prop_assert!(bytes == written(&other), "the states differ");
            other = read(&bytes, Sessionize::default()).unwrap();
            prop_assert_eq!(other.counts(), ours.counts());
            prop_assert!(bytes == written(&other), "the state read back differs");
        }
        Ok(())
    };
    runner.run(&(streams(), 0..3 * GAP_MS), check).unwrap();
}

#[test]
fn a_damaged_state_is_refused() {
    let mut state = no_sessions(1000);
    push(&mut state, &[0, 5, 9 * GAP_MS]);
    close(&mut state, MIDNIGHT + 2 * GAP_MS);
    let whole = written(&state);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        assert!(read(&bytes, Sessionize::default()).is_err(), "byte {at}");
        assert!(read(&whole[..at], Sessionize::default()).is_err(), "cut at {at}");
    }
}

#[test]
fn a_state_goes_on_only_under_the_settings_it_was_opened_with() {
    let bytes = written(&no_sessions(1000));
    let other = Sessionize { gap_ms: 1, ..Sessionize::default() };
    let refused = read(&bytes, other).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("gap_ms = 1800000"), "{refused}");
    assert!(read(&bytes, Sessionize::default()).is_ok());
}

#[test]
fn a_look_at_open_sessions_gives_what_closing_them_all_would_and_changes_nothing() {
    let mut runner = TestRunner::new(cases(128));
    let check = |stream: Stream| {
        let mut state = no_sessions(1000);
        state.note_changes(usize::MAX);
        let schema = session::schema(fields_of_events());
        for (events, watermark) in stream.epochs {
            state.push(&batch(&events)).unwrap();
            close(&mut state, watermark);
            let before = written(&state);
            let open: Vec<u32> = (0..state.slots()).collect();
            let mut view = state.view(open.clone()).unwrap();
            let mut viewed = Vec::new();
            while let Some((batch, keys)) = state.next_viewed(&mut view, &schema).unwrap() {
                prop_assert_eq!(batch.num_rows(), keys.len());
                viewed.push(batch);
            }
            prop_assert!(before == written(&state), "the look changed the state");
            // In the order of keys on one side, and of timers on the other.
            let mut copy = read(&before, Sessionize::default()).unwrap();
            let mut closing = copy.close(i64::MAX).unwrap();
            let mut closed = Vec::new();
            while let Some(batch) = copy.next_closed(&mut closing, &schema).unwrap() {
                closed.push(batch);
            }
            let lines = |batches: &[RecordBatch]| {
                let printed = arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string();
                let mut lines: Vec<String> = printed
                    .lines()
                    .filter(|line| !line.starts_with('+'))
                    .map(|line| line.split_whitespace().collect())
                    .collect();
                lines.sort();
                lines.dedup();
                lines
            };
            prop_assert_eq!(lines(&viewed), lines(&closed));
        }
        Ok(())
    };
    runner.run(&streams(), check).unwrap();
}

#[test]
fn keys_that_changed_are_told_once_and_no_more_than_wanted() {
    let mut state = no_sessions(100);
    state.note_changes(1);
    push(&mut state, &[0, 1, 2]);
    assert_eq!(state.take_changed(), (vec![0], vec![]));
    assert_eq!(state.take_changed(), (vec![], vec![]));
    close(&mut state, i64::MAX);
    assert_eq!(state.take_changed(), (vec![], vec![0]));
    state.push(&batch(&history("session at_ms\ns2 0\ns3 0"))).unwrap();
    assert_eq!(state.take_changed().0.len(), 1);
}
