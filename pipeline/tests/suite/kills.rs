//! `netcrab process`, killed wherever it can be: what was accepted is counted once.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use netcrab_bus::log::{Log, LogSettings};
use netcrab_bus::{Bus, split};
use netcrab_pipeline::stream::crash_points::Step;
use netcrab_pipeline::stream::vacuum::vacuum;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::bad_input::Disk;
use crate::command_line::{self, assert_same, derived, netcrab, sink, stderr, succeed, text};
use crate::skipped;
use crate::stream::{batch_tables, block_on, traffic};

const EVENTS: u64 = 3000;

/// The built-in log beside the tables, written by this process.
fn log(tables: &Path) -> Log {
    log_in(&tables.join("_bus"))
}

pub(crate) fn log_in(folder: &Path) -> Log {
    Log::open(LogSettings::of(folder), std::sync::Arc::new(|| 0)).unwrap()
}

/// The Parquet files of all tables: those that lie there, and those that are named.
fn files(tables: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let sink = sink(tables);
    let (mut lie, mut named) = (BTreeSet::new(), BTreeSet::new());
    for &table in netcrab_schema::ALL {
        let parts = block_on(sink.files(table, "part-")).unwrap();
        named.extend(parts.into_iter().map(|part| format!("{}/{}", table.name, part.path)));
        let mut folders = vec![tables.join(table.name)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() && !path.ends_with("_delta_log") {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "parquet") {
                    lie.insert(text(path.strip_prefix(tables).unwrap()).to_owned());
                }
            }
        }
    }
    (lie, named)
}

/// A child that brings events to the tables, in short epochs.
fn process(tables: &Path, crash: Option<&str>) -> Child {
    command(tables, crash).spawn().unwrap()
}

fn command(tables: &Path, crash: Option<&str>) -> Command {
    let mut command = command_line::process(text(tables));
    command.env("RUST_LOG", "warn");
    if let Some(crash) = crash {
        command.env("NETCRAB_CRASH", crash);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

pub(crate) fn ended(child: &mut Child) -> ExitStatus {
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
        // What the killed epoch staged is litter, unless it is a fact already.
        block_on(vacuum(&sink(&tables), Duration::ZERO, false)).unwrap();
    }
    for events in batches {
        block_on(log.append(split(&events, 1).unwrap())).unwrap();
    }
    succeed(&["process", "--tables", text(&tables), "--finish"]);
    assert_same(&derived(&tables), &expected);
    block_on(vacuum(&sink(&tables), Duration::ZERO, false)).unwrap();
    let (lie, named) = files(&tables);
    assert_eq!(lie, named, "files lie there that nobody names, or are named and gone");
    assert_same(&derived(&tables), &expected);
}

#[test]
fn a_disk_that_fills_up_costs_time_and_no_events() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path()) else {
        return skipped("it needs the right to mount a tmpfs");
    };
    let expected = batch_tables(folder.path(), EVENTS, 6);
    let tables = disk.folder().join("stream");
    // The bus has a disk of its own, so that events come while the tables cannot.
    let bus = folder.path().join("bus");
    let log = log_in(&bus);
    let with_bus = |mut command: Command| {
        command.env("NETCRAB_BUS__LOG__FOLDER", &bus);
        command
    };
    let mut child = with_bus(command(&tables, None)).spawn().unwrap();
    let ballast = disk.folder().join("ballast");
    for (place, events) in traffic(EVENTS, 6).into_iter().enumerate() {
        if place % 6 == 3 {
            // To the last byte: a file of zeros takes all there is and then fails.
            let mut full = std::fs::File::create(&ballast).unwrap();
            while std::io::Write::write_all(&mut full, &[0; 4096]).is_ok() {}
        }
        block_on(log.append(split(&events, 1).unwrap())).unwrap();
        std::thread::sleep(Duration::from_millis(150));
        if place % 6 == 5 {
            std::fs::remove_file(&ballast).unwrap();
            if place % 12 == 5 {
                child.kill().unwrap();
                child.wait().unwrap();
                child = with_bus(command(&tables, None)).spawn().unwrap();
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        assert!(child.try_wait().unwrap().is_none(), "the process ended at batch {place}");
    }
    let _ = std::fs::remove_file(&ballast);
    child.kill().unwrap();
    child.wait().unwrap();
    let finished = with_bus(netcrab(&["process", "--tables", text(&tables), "--finish"])).output().unwrap();
    assert!(finished.status.success(), "{}", stderr(&finished));
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
