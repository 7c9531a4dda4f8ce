//! A stream, cut into epochs and taken up again at any of them, leaves the tables of one batch.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use netcrab_bus::memory::Memory;
use netcrab_bus::{Bus, split};
use netcrab_operators::settings::Settings as Rules;
use netcrab_pipeline::config::Config;
use netcrab_pipeline::stream::settings::Settings;
use netcrab_pipeline::stream::shard::{Ask, Report, Shard, Shared};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sources::generate::{self, Traffic};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::command_line::{assert_same, derived, succeed, text};

/// Tables fed by shards of a bus in memory.
struct World {
    shared: Arc<Shared>,
    rules: Arc<Rules>,
    bus: Arc<Memory>,
}

impl World {
    fn new(tables: &Path, shards: u32, settings: Settings) -> Self {
        let config = Config::default();
        let bus = Arc::new(Memory::new(shards, 1 << 30));
        let shared = Shared {
            bus: Arc::clone(&bus) as Arc<dyn Bus>,
            sink: DeltaSink::new(netcrab_pipeline::tables::address(text(tables)).unwrap()),
            folder: tables.to_owned(),
            settings,
            context: netcrab_pipeline::run::task_context(&config).unwrap(),
            live: None,
        };
        Self { shared: Arc::new(shared), rules: Arc::new(Rules::default()), bus }
    }

    async fn append(&self, events: &RecordBatch) {
        self.bus.append(split(events, self.bus.shards()).unwrap()).await.unwrap();
    }

    async fn open(&self, shard: u32) -> Shard {
        Shard::open(Arc::clone(&self.shared), shard, &self.rules).await.unwrap()
    }

    async fn step(&self, shard: &mut Shard, now_ms: i64, finish: bool) -> Option<Report> {
        shard.step(Ask { now_ms, finish, rules: &self.rules }).await.unwrap()
    }

    /// Runs a shard to the end of the bus, and closes everything.
    async fn finish(&self, shard: &mut Shard) {
        while self.step(shard, i64::MAX, true).await.is_some() {}
    }
}

pub(crate) fn traffic(events: u64, seed: u64) -> Vec<RecordBatch> {
    let settings = generate::Settings { seed, events, days: 2, batch_rows: 97, ..generate::Settings::default() };
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
fn patient() -> Settings {
    Settings { lateness_ms: 10 * 86_400_000, state_events_min: 300, ..Settings::default() }
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
                let uninterrupted = shards[shard].state_bytes().unwrap();
                shards[shard] = world.open(shard as u32).await;
                assert!(uninterrupted == shards[shard].state_bytes().unwrap(), "the state taken up differs");
            }
        }
        for shard in &mut shards {
            world.finish(shard).await;
            assert_eq!(shard.open_sessions().0, 0);
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
    let settings = Settings { lateness_ms: 0, state_events_min: 500, repair_ms: 20, ..Settings::default() };
    let world = World::new(&tables, 2, settings);
    let mut chance = ChaCha8Rng::seed_from_u64(5);
    let (mut late, mut repaired) = (0, 0);
    block_on(async {
        let mut shards = [world.open(0).await, world.open(1).await];
        let mut now_ms = 0;
        for events in traffic(3600, 11) {
            world.append(&events).await;
            for (number, shard) in shards.iter_mut().enumerate() {
                let waited = !shard.late().is_empty();
                now_ms += 7;
                let report = world.step(shard, i64::MAX / 2 + now_ms, false).await;
                late += report.map_or(0, |report| report.late);
                repaired += usize::from(waited && shard.late().is_empty());
                if chance.random_bool(0.2) {
                    let uninterrupted = shard.state_bytes().unwrap();
                    *shard = world.open(number as u32).await;
                    assert!(uninterrupted == shard.state_bytes().unwrap(), "the state taken up differs");
                }
            }
        }
        for shard in &mut shards {
            world.finish(shard).await;
            assert_eq!((shard.open_sessions().0, shard.late().len()), (0, 0));
        }
    });
    assert!(late > 20 && repaired > 2, "{late} events were late and {repaired} repairs ran");
    assert_same(&derived(&tables), &expected);
}

#[test]
fn late_events_are_repaired_after_a_restart_though_nothing_more_comes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { lateness_ms: 0, repair_ms: 50, ..Settings::default() };
    let world = World::new(&folder.path().join("stream"), 1, settings);
    block_on(async {
        let mut shard = world.open(0).await;
        let events = traffic(2000, 11);
        let mut batches = events.iter();
        let now_ms = i64::MAX / 2;
        while shard.late().is_empty() {
            world.append(batches.next().expect("some traffic is late")).await;
            world.step(&mut shard, now_ms, false).await;
        }
        let mut shard = world.open(0).await;
        for (later_ms, waits) in [(0, true), (49, true), (50, false)] {
            world.step(&mut shard, now_ms + later_ms, false).await;
            assert_eq!(!shard.late().is_empty(), waits, "{later_ms} ms after the restart");
        }
    });
}
