//! `netcrab process`, killed wherever it can be: what was accepted is counted once.

use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use netcrab_bus::log::{Log, Settings};
use netcrab_bus::{Bus, split};
use netcrab_pipeline::stream::crash::Step;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::command_line::{assert_same, derived, netcrab, succeed, text};
use crate::stream::{batch_tables, block_on, traffic};

const EVENTS: u64 = 3000;

/// The built-in log beside the tables, written by this process.
fn log(tables: &Path) -> Log {
    let settings = Settings { folder: tables.join("_bus"), ..Settings::default() };
    Log::open(settings, std::sync::Arc::new(|| 0)).unwrap()
}

/// A child that brings events to the tables, in short epochs.
fn process(tables: &Path, crash: Option<&str>) -> Child {
    let mut command = netcrab(&["process", "--tables", text(tables)]);
    for (name, value) in [("EPOCH_MS", "20"), ("STATE_EVENTS_MIN", "400"), ("LATENESS_MS", "0"), ("REPAIR_MS", "300")] {
        command.env(format!("NETCRAB_STREAM__{name}"), value);
    }
    command.env("RUST_LOG", "warn");
    if let Some(crash) = crash {
        command.env("NETCRAB_CRASH", crash);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn ended(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "the process did not come to its end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn killed_before_and_after_each_step_of_an_epoch_it_goes_on_as_if_nothing_had_been() {
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), EVENTS, 3);
    let tables = folder.path().join("stream");
    let log = log(&tables);
    let mut batches = traffic(EVENTS, 3).into_iter();
    let mut points: Vec<String> =
        Step::ALL.iter().flat_map(|step| ["before", "after"].map(|side| format!("{}.{side}:1", step.name()))).collect();
    // In the middle of the tables, and in a later epoch of the same process.
    points.extend(["apply.before:2", "apply.after:3", "commit.after:2"].map(str::to_owned));
    for point in &points {
        let events = batches.next().unwrap();
        block_on(log.append(split(&events, 1).unwrap())).unwrap();
        let mut child = process(&tables, Some(point));
        if point.ends_with(":2") {
            std::thread::sleep(Duration::from_millis(500));
            block_on(log.append(split(&batches.next().unwrap(), 1).unwrap())).unwrap();
        }
        let status = ended(&mut child);
        assert!(!status.success() && status.code().is_none(), "{point}: {status}");
    }
    for events in batches {
        block_on(log.append(split(&events, 1).unwrap())).unwrap();
    }
    succeed(&["process", "--tables", text(&tables), "--finish"]);
    assert_same(&derived(&tables), &expected);
}

#[test]
fn killed_at_random_moments_it_counts_every_event_once() {
    let kills = std::env::var("NETCRAB_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(30);
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), EVENTS, 4);
    let tables = folder.path().join("stream");
    let log = log(&tables);
    let mut chance = ChaCha8Rng::seed_from_u64(9);
    let mut batches = traffic(EVENTS, 4).into_iter().peekable();
    let every = (kills / batches.len()).max(1);
    for kill in 0..kills {
        if kill % every == 0
            && let Some(events) = batches.next()
        {
            block_on(log.append(split(&events, 1).unwrap())).unwrap();
        }
        let mut child = process(&tables, None);
        std::thread::sleep(Duration::from_millis(chance.random_range(10..600)));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
    }
    for events in batches {
        block_on(log.append(split(&events, 1).unwrap())).unwrap();
    }
    succeed(&["process", "--tables", text(&tables), "--finish"]);
    assert_same(&derived(&tables), &expected);
}

#[test]
fn of_two_processes_on_one_shard_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("stream");
    let log = log(&tables);
    let mut children = [process(&tables, None), process(&tables, None)];
    let expected = batch_tables(folder.path(), 500, 5);
    for events in traffic(500, 5) {
        block_on(log.append(split(&events, 1).unwrap())).unwrap();
        std::thread::sleep(Duration::from_millis(150));
    }
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    succeed(&["process", "--tables", text(&tables), "--finish"]);
    assert_same(&derived(&tables), &expected);
}
