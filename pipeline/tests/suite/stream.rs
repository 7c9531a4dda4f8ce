//! A stream, cut into epochs and taken up again at any of them, leaves the tables of one batch.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::TimestampMillisecondType;
use netcrab_bus::memory::Memory;
use netcrab_bus::{Bus, split};
use netcrab_operators::rules::Rules;
use netcrab_pipeline::config::Config;
use netcrab_pipeline::config::stream::StreamSettings;
use netcrab_pipeline::stream::context::StreamContext;
use netcrab_pipeline::stream::shard::{EpochReport, EpochRequest, Shard};
use netcrab_schema::arrow::event_in_flight;
use netcrab_sinks::clickhouse::ClickHouse;
use netcrab_sources::generate::{self, Traffic};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::command_line::{answer, assert_same, derived, sink, succeed, text};

/// Tables fed by shards of a bus in memory.
pub(crate) struct World {
    pub(crate) shared: Arc<StreamContext>,
    pub(crate) rules: Arc<Rules>,
    bus: Arc<Memory>,
}

impl World {
    fn new(tables: &Path, shards: u32, settings: StreamSettings) -> Self {
        Self::with_clickhouse(tables, shards, settings, None)
    }

    /// The same, with ClickHouse beside the tables.
    pub(crate) fn with_clickhouse(
        tables: &Path,
        shards: u32,
        settings: StreamSettings,
        clickhouse: Option<ClickHouse>,
    ) -> Self {
        let config = Config::default();
        let bus = Arc::new(Memory::new(shards, 1 << 30));
        let shared = StreamContext {
            bus: Arc::clone(&bus) as Arc<dyn Bus>,
            results: None,
            sink: sink(tables),
            clickhouse,
            settings,
            task: netcrab_pipeline::plans::resources::task_context(&config).unwrap(),
            feed: None,
        };
        Self { shared: Arc::new(shared), rules: Arc::new(Rules::default()), bus }
    }

    pub(crate) async fn append(&self, events: &RecordBatch) {
        self.bus.append(split(events, self.bus.shards()).unwrap()).await.unwrap();
    }

    pub(crate) async fn open(&self, shard: u32) -> Shard {
        Shard::open(Arc::clone(&self.shared), shard, &self.rules).await.unwrap()
    }

    pub(crate) async fn step(&self, shard: &mut Shard, now_ms: i64, finish: bool) -> Option<EpochReport> {
        shard.step(EpochRequest { now_ms, finish, rules: &self.rules }).await.unwrap()
    }

    /// Runs a shard to the end of the bus, and closes everything.
    pub(crate) async fn finish(&self, shard: &mut Shard) {
        while self.step(shard, i64::MAX, true).await.is_some() {}
    }
}

pub(crate) fn traffic(events: u64, seed: u64) -> Vec<RecordBatch> {
    let settings =
        generate::GenerateSettings { seed, events, days: 2, batch_rows: 97, ..generate::GenerateSettings::default() };
    Traffic::new(settings).unwrap().collect::<Result<_, _>>().unwrap()
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

/// Tables of the same traffic, from one batch.
pub(crate) fn batch_tables(folder: &Path, events: u64, seed: u64) -> Vec<String> {
    let file = folder.join("events.parquet");
    let (events, seed) = (events.to_string(), seed.to_string());
    succeed(&["generate", text(&file), "--events", &events, "--seed", &seed, "--days", "2"]);
    let tables = folder.join("batch");
    succeed(&["run", text(&file), "--tables", text(&tables)]);
    derived(&tables)
}

/// No event is late where lateness is longer than the traffic.
fn patient() -> StreamSettings {
    StreamSettings { lateness_ms: 10 * 86_400_000, state_events_min: 300, ..StreamSettings::default() }
}

#[test]
fn epochs_in_any_cut_and_taken_up_again_leave_the_tables_of_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), 2000, 7);
    let tables = folder.path().join("stream");
    let world = World::new(&tables, 2, patient());
    let mut chance = ChaCha8Rng::seed_from_u64(1);
    block_on(async {
        let mut shards = [world.open(0).await, world.open(1).await];
        for events in traffic(2000, 7) {
            world.append(&events).await;
            let shard = chance.random_range(0..2usize);
            world.step(&mut shards[shard], 0, false).await;
            if chance.random_bool(0.3) {
                let uninterrupted = shards[shard].state().to_bytes().unwrap();
                shards[shard] = world.open(shard as u32).await;
                assert!(uninterrupted == shards[shard].state().to_bytes().unwrap(), "the state taken up differs");
            }
        }
        for shard in &mut shards {
            world.finish(shard).await;
            assert_eq!(shard.state().open_counts().0, 0);
        }
    });
    assert_same(&derived(&tables), &expected);
}

#[test]
fn late_events_are_brought_to_their_sessions_and_the_tables_are_those_of_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), 3600, 11);
    let tables = folder.path().join("stream");
    // Nothing may be late, so whatever comes out of order after a gap is.
    let settings = StreamSettings { lateness_ms: 0, state_events_min: 500, repair_ms: 20, ..StreamSettings::default() };
    let world = World::new(&tables, 2, settings);
    let mut chance = ChaCha8Rng::seed_from_u64(5);
    let (mut late, mut repaired) = (0, 0);
    block_on(async {
        let mut shards = [world.open(0).await, world.open(1).await];
        let mut now_ms = 0;
        for events in traffic(3600, 11) {
            world.append(&events).await;
            for (number, shard) in shards.iter_mut().enumerate() {
                let waited = shard.state().late_keys() > 0;
                now_ms += 7;
                let report = world.step(shard, i64::MAX / 2 + now_ms, false).await;
                late += report.map_or(0, |report| report.late);
                repaired += usize::from(waited && shard.state().late_keys() == 0);
                // The first repairs are waited for, however slow the machine is.
                while shard.state().late_keys() > 0 && (repaired <= 2 || chance.random_bool(0.9)) {
                    now_ms += 7;
                    world.step(shard, i64::MAX / 2 + now_ms, false).await;
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                    repaired += usize::from(shard.state().late_keys() == 0);
                }
                if chance.random_bool(0.2) {
                    let uninterrupted = shard.state().to_bytes().unwrap();
                    *shard = world.open(number as u32).await;
                    assert!(uninterrupted == shard.state().to_bytes().unwrap(), "the state taken up differs");
                }
            }
        }
        for shard in &mut shards {
            world.finish(shard).await;
            assert_eq!((shard.state().open_counts().0, shard.state().late_keys()), (0, 0));
        }
    });
    assert!(late > 20 && repaired > 2, "{late} events were late and {repaired} repairs ran");
    assert_same(&derived(&tables), &expected);
}

/// How a stream comes: none of it may matter.
#[derive(Debug, Clone)]
struct Course {
    seed: u64,
    shards: u32,
    /// How far events are moved from their place, at most.
    moved: usize,
    /// Events of an arrival, at most.
    arrival: usize,
    lateness_ms: i64,
    repair_ms: u64,
    state_events_min: u64,
    epoch_bytes_max: usize,
    chance: u64,
}

fn course() -> impl Strategy<Value = Course> {
    let hours = 3_600_000;
    let lateness = prop_oneof![Just(0), 0..hours, Just(12 * hours), Just(240 * hours)];
    let moved = prop_oneof![Just(0usize), 1..40usize, Just(10_000)];
    (0..3u64, 1..4u32, moved, 40..400usize, lateness, 0..40u64, 50..2000u64, 65_536..400_000usize, any::<u64>())
        .prop_map(
            |(seed, shards, moved, arrival, lateness_ms, repair_ms, state_events_min, epoch_bytes_max, chance)| {
                Course {
                    seed,
                    shards,
                    moved,
                    arrival,
                    lateness_ms,
                    repair_ms,
                    state_events_min,
                    epoch_bytes_max,
                    chance,
                }
            },
        )
}

/// The events in an order in which none lies further than `moved` places from its own, in arrivals of any length.
fn arrivals(events: &RecordBatch, course: &Course, chance: &mut ChaCha8Rng) -> Vec<RecordBatch> {
    let mut order: Vec<(usize, u64)> =
        (0..events.num_rows()).map(|row| (row + chance.random_range(0..=course.moved), row as u64)).collect();
    order.sort_unstable();
    let rows: UInt64Array = order.into_iter().map(|(_, row)| row).collect();
    let moved = take_record_batch(events, &rows).unwrap();
    let (mut arrivals, mut start) = (Vec::new(), 0);
    while start < moved.num_rows() {
        let length = chance.random_range(1..=course.arrival).min(moved.num_rows() - start);
        arrivals.push(moved.slice(start, length));
        start += length;
    }
    arrivals
}

/// Runs a stream along its course; gives the tables and how many events were late.
fn along(course: &Course, folder: &Path, events: &RecordBatch) -> (Vec<String>, u64) {
    let settings = StreamSettings {
        lateness_ms: course.lateness_ms,
        repair_ms: course.repair_ms,
        state_events_min: course.state_events_min,
        epoch_bytes_max: course.epoch_bytes_max,
        ..StreamSettings::default()
    };
    let world = World::new(folder, course.shards, settings);
    let mut chance = ChaCha8Rng::seed_from_u64(course.chance);
    let mut late = 0;
    block_on(async {
        let mut shards = Vec::new();
        for shard in 0..course.shards {
            shards.push(world.open(shard).await);
        }
        let mut now_ms = i64::MAX / 2;
        for events in arrivals(events, course, &mut chance) {
            world.append(&events).await;
            while chance.random_bool(0.5) {
                let number = chance.random_range(0..shards.len());
                now_ms += 7;
                let report = world.step(&mut shards[number], now_ms, false).await;
                late += report.map_or(0, |report| report.late);
                if chance.random_bool(0.1) {
                    let uninterrupted = shards[number].state().to_bytes().unwrap();
                    shards[number] = world.open(number as u32).await;
                    assert!(uninterrupted == shards[number].state().to_bytes().unwrap(), "the state taken up differs");
                }
            }
        }
        for shard in &mut shards {
            world.finish(shard).await;
            assert_eq!((shard.state().open_counts().0, shard.state().late_keys()), (0, 0));
        }
    });
    (derived(folder), late)
}

#[test]
fn whatever_the_order_the_epochs_and_the_lateness_a_stream_leaves_the_tables_of_a_batch() {
    const EVENTS: u64 = 1200;
    let worlds: Vec<_> = (0..3)
        .map(|seed| {
            let folder = tempfile::tempdir().unwrap();
            let expected = batch_tables(folder.path(), EVENTS, 20 + seed);
            let events = concat_batches(&event_in_flight(), &traffic(EVENTS, 20 + seed)).unwrap();
            (expected, events)
        })
        .collect();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8);
    let follow = |course: &Course| {
        let folder = tempfile::tempdir().unwrap();
        let (expected, events) = &worlds[course.seed as usize];
        let (tables, late) = along(course, folder.path(), events);
        assert_same(&tables, expected);
        late
    };
    // One in which much is late, whatever chance has for the others.
    let late = follow(&Course {
        seed: 0,
        shards: 2,
        moved: 300,
        arrival: 60,
        lateness_ms: 0,
        repair_ms: 10,
        state_events_min: 200,
        epoch_bytes_max: 65_536,
        chance: 1,
    });
    assert!(late > 100, "{late} events were late");
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let ran = TestRunner::new(config).run(&course(), |course| {
        follow(&course);
        Ok(())
    });
    ran.unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn days_expire_by_the_watermark_and_what_a_table_no_longer_names_goes() {
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), 2000, 12);
    let tables = folder.path().join("stream");
    let hour = 3_600_000;
    let settings = StreamSettings { lateness_ms: 2 * hour, events_days: 1, repair_ms: 0, ..StreamSettings::default() };
    let world = World::new(&tables, 1, settings);
    block_on(async {
        let mut shard = world.open(0).await;
        for events in traffic(2000, 12) {
            world.append(&events).await;
            world.step(&mut shard, i64::MAX / 2, false).await;
        }
        // Two days after the last event comes one more, and with it two epochs: one that sees, and one that drops.
        let last = concat_batches(&event_in_flight(), &traffic(2000, 12)).unwrap();
        let later = |hours: i64| {
            let mut columns = last.slice(last.num_rows() - 1, 1).columns().to_vec();
            let schema = event_in_flight();
            for name in ["ts", "received_at"] {
                let at = schema.index_of(name).unwrap();
                let moved = columns[at].as_primitive::<TimestampMillisecondType>().unary(|ms| ms + hours * hour);
                let moved: TimestampMillisecondArray = moved;
                columns[at] = Arc::new(moved.with_data_type(schema.field(at).data_type().clone()));
            }
            for name in ["event_id", "session_id"] {
                let at = schema.index_of(name).unwrap();
                let text: ArrayRef = Arc::new(StringArray::from(vec![format!("later-{hours}")]));
                columns[at] = arrow::compute::cast(&text, schema.field(at).data_type()).unwrap();
            }
            RecordBatch::try_new(schema, columns).unwrap()
        };
        for hours in [72, 73, 74, 75] {
            world.append(&later(hours)).await;
            world.step(&mut shard, i64::MAX / 2, false).await;
        }
    });
    let count = |sql: &str| answer(&tables, sql);
    let kept = count("SELECT count(*) AS n, count(DISTINCT date) AS days FROM events_raw");
    assert!(kept.contains("| 4 | 1    |") || kept.contains("| 4 | 2    |"), "{kept}");
    let facts = count("SELECT count(DISTINCT date) >= 2 AS several FROM fact_sessions");
    assert!(facts.contains("true"), "facts are kept: {facts}");
    assert!(expected[0].lines().count() > 50);
}

#[test]
fn late_events_are_repaired_after_a_restart_though_nothing_more_comes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StreamSettings { lateness_ms: 0, repair_ms: 50, ..StreamSettings::default() };
    let world = World::new(&folder.path().join("stream"), 1, settings);
    block_on(async {
        let mut shard = world.open(0).await;
        let events = traffic(2000, 11);
        let mut batches = events.iter();
        let now_ms = i64::MAX / 2;
        while shard.state().late_keys() == 0 {
            world.append(batches.next().expect("some traffic is late")).await;
            world.step(&mut shard, now_ms, false).await;
        }
        let mut shard = world.open(0).await;
        for later_ms in [0, 49] {
            world.step(&mut shard, now_ms + later_ms, false).await;
            assert!(shard.state().late_keys() > 0, "{later_ms} ms after the restart");
        }
        let tries = std::time::Instant::now();
        while shard.state().late_keys() > 0 {
            assert!(tries.elapsed().as_secs() < 60, "the repair that began never ends");
            world.step(&mut shard, now_ms + 100, false).await;
        }
    });
}
