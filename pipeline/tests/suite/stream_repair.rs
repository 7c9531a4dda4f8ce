//! State, tables and bus of which one was put back from a copy or lost: the stream refuses them, and what it advises
//! makes the tables those of a batch.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use arrow::array::{AsArray, RecordBatch};
use netcrab_bus::log::Log;
use netcrab_bus::{Bus, split};

use crate::bucket::until;
use crate::command_line::{self, assert_same, derived, fail, netcrab, query, stderr, succeed, text};
use crate::kills::log_in;
use crate::stream::{batch_tables, block_on, traffic};

const EVENTS: u64 = 5000;

/// A stream in a folder, and a copy of it from the time when half of the events had come.
struct World {
    folder: tempfile::TempDir,
    log: Option<Log>,
    batches: std::vec::IntoIter<RecordBatch>,
    expected: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let expected = batch_tables(folder.path(), EVENTS, seed);
        let log = Some(log_in(&folder.path().join("stream/_bus")));
        let batches = traffic(EVENTS, seed).into_iter();
        let mut world = Self { folder, log, batches, expected };
        world.append(10);
        world.catch_up();
        copy(&world.tables(), &world.old());
        world.append(10);
        world.catch_up();
        world
    }

    /// The same stream in another folder.
    fn again(&mut self) -> Self {
        self.log = None;
        let folder = tempfile::tempdir().unwrap();
        copy(&self.tables(), &folder.path().join("stream"));
        let log = Some(log_in(&folder.path().join("stream/_bus")));
        Self { folder, log, batches: self.batches.clone(), expected: self.expected.clone() }
    }

    /// The files of the shard's state whose names begin and end so, ascending.
    fn state_files(&self, begin: &str, end: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.tables().join("_stream/shard-0000")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        paths.retain(|path| path.is_file() && name(path).starts_with(begin) && name(path).ends_with(end));
        paths.sort();
        paths
    }

    fn tables(&self) -> PathBuf {
        self.folder.path().join("stream")
    }

    fn old(&self) -> PathBuf {
        self.folder.path().join("old")
    }

    fn append(&mut self, batches: usize) {
        for events in self.batches.by_ref().take(batches) {
            block_on(self.log.as_ref().unwrap().append(split(&events, 1).unwrap())).unwrap();
        }
    }

    /// Processes what is on the bus, in two goes so that there are many epochs, and is killed.
    fn catch_up(&self) {
        let mut child = process(&self.tables());
        until("the stream to catch up", || {
            let output = netcrab(&["--json", "status", "--tables", text(&self.tables())]).output().unwrap();
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            status[0]["lag"] == 0 && status[0]["applied"] == true
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Puts one folder back from the copy.
    fn put_back(&mut self, name: &str) {
        if name == "_bus" {
            self.log = None;
        }
        let (old, new) = (self.old().join(name), self.tables().join(name));
        std::fs::remove_dir_all(&new).unwrap();
        copy(&old, &new);
        if name == "_bus" {
            self.log = Some(log_in(&new));
        }
    }

    fn remove(&self, name: &str) {
        std::fs::remove_dir_all(self.tables().join(name)).unwrap();
    }

    /// What the stream says when it starts now.
    fn refused(&self) -> String {
        let output = command_line::process(text(&self.tables())).arg("--finish").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        stderr(&output)
    }

    /// Does what the error advises, sends the rest, and compares.
    fn mended(mut self, damage: &str) {
        let said = self.refused();
        if said.contains("it ends with epoch") && self.tables().join("_stream").exists() {
            let status = fail(&["status", "--tables", text(&self.tables())]);
            assert!(status.contains("`netcrab stream repair`"), "{damage}: {status}");
        }
        assert!(said.contains("does not fit") && said.contains("`netcrab stream repair`"), "{damage}: {said}");
        let said = succeed(&["stream", "repair", "--tables", text(&self.tables())]);
        assert!(said.contains("shard 0: recomputed from"), "{damage}: {said}");
        self.append(usize::MAX);
        succeed(&["process", "--tables", text(&self.tables()), "--finish"]);
        assert_same(&derived(&self.tables()), &self.expected);
    }
}

fn process(tables: &Path) -> Child {
    let mut command = command_line::process(text(tables));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").args(["-a", text(from), text(to)]).status().unwrap();
    assert!(status.success());
}

#[test]
fn an_older_state_is_refused_and_rebuilt() {
    let mut world = World::new(41);
    world.put_back("_stream");
    world.mended("an older state");
}

#[test]
fn without_its_state_a_stream_is_refused_and_rebuilt() {
    let world = World::new(42);
    world.remove("_stream");
    world.mended("no state");
}

#[test]
fn without_its_last_epochs_a_stream_is_refused_and_rebuilt() {
    let world = World::new(43);
    let epochs = world.state_files("epoch-", "");
    // Two epochs, each with its manifest and its mark.
    epochs.iter().rev().take(4).for_each(|path| std::fs::remove_file(path).unwrap());
    world.mended("epochs gone");
}

/// Whatever file of the state is damaged or gone: the advice is in the message, and following it helps.
#[test]
fn a_state_with_damaged_or_missing_files_is_rebuilt_as_its_error_advises() {
    type Damage = (&'static str, fn(&World));
    let damages: [Damage; 6] = [
        ("a manifest that is cut", |world| cut(world.state_files("epoch-", ".json").last().unwrap())),
        ("a manifest that is empty", |world| empty(world.state_files("epoch-", ".json").last().unwrap())),
        ("a state file that is cut", |world| world.state_files("state-", ".bin").iter().for_each(|path| cut(path))),
        ("a state file that is gone", |world| world.state_files("state-", ".bin").iter().for_each(|path| gone(path))),
        ("a derived table whose log is cut, and removed as advised", |world| {
            cut(&last_commit(&world.tables().join("fact_sessions")));
            let said = world.refused();
            assert!(said.contains("remove its folder") && said.contains("`netcrab stream repair`"), "{said}");
            world.remove("fact_sessions");
        }),
        ("all of it", |world| {
            world.state_files("", "").iter().for_each(|path| empty(path));
            world.remove("fact_incidents");
            world.remove("dim_releases");
        }),
    ];
    let mut world = World::new(49);
    for (damage, make) in damages {
        let mut world = world.again();
        make(&world);
        let said = world.refused();
        assert!(said.contains("`netcrab stream repair`"), "{damage}: {said}");
        succeed(&["stream", "repair", "--tables", text(&world.tables())]);
        world.append(usize::MAX);
        succeed(&["process", "--tables", text(&world.tables()), "--finish"]);
        assert_same(&derived(&world.tables()), &world.expected);
    }
}

fn cut(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn empty(path: &Path) {
    std::fs::write(path, "").unwrap();
}

fn gone(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

/// The last file of a table's log.
fn last_commit(table: &Path) -> PathBuf {
    let entries = std::fs::read_dir(table.join("_delta_log")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).max().unwrap()
}

/// A bad byte in the log: its batch is counted as lost, and the rest goes on.
#[test]
fn a_bad_byte_in_the_log_costs_its_batch_which_rejects_and_status_count() {
    let mut world = World::new(50);
    let before = world.batches.as_slice().len();
    world.append(3);
    world.log = None;
    let segment = world.tables().join("_bus/shard-0000/00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let frames: Vec<usize> = (0..bytes.len() - 4).step_by(16).filter(|at| &bytes[*at..at + 4] == b"NCFR").collect();
    // The second of the three that came last.
    bytes[frames[frames.len() - 2] + 100] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    world.log = Some(log_in(&world.tables().join("_bus")));
    world.append(usize::MAX);
    world.catch_up();
    let lost = traffic(EVENTS, 50)[traffic(EVENTS, 50).len() - before + 1].num_rows();
    let rejects = query(&world.tables(), "SELECT count(*) AS n FROM rejects WHERE reason = 'lost_on_bus'");
    assert_eq!(rejects[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), lost as i64);
    let status = succeed(&["--json", "status", "--tables", text(&world.tables())]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status[0]["lost"], lost);
    // Sent again, as docs/operations.md advises.
    for events in traffic(EVENTS, 50) {
        block_on(world.log.as_ref().unwrap().append(split(&events, 1).unwrap())).unwrap();
    }
    succeed(&["process", "--tables", text(&world.tables()), "--finish"]);
    assert_same(&derived(&world.tables()), &world.expected);
}

#[test]
fn an_older_or_missing_table_is_refused_and_rebuilt() {
    let mut world = World::new(44);
    world.put_back("fact_sessions");
    world.remove("events_sessionized");
    world.mended("tables of other epochs");
}

#[test]
fn older_events_are_refused_and_read_from_the_bus_again() {
    let mut world = World::new(45);
    world.put_back("events_raw");
    world.mended("older events");
}

#[test]
fn an_older_bus_is_refused_and_new_events_follow_those_that_are_stored() {
    let mut world = World::new(46);
    world.put_back("_bus");
    world.mended("an older bus");
}

/// The bus has as many offsets as before, and another event at the last of them.
#[test]
fn a_bus_of_another_history_is_refused() {
    let mut world = World::new(47);
    world.put_back("_bus");
    world.append(30);
    let said = world.refused();
    assert!(said.contains("another event at offset"), "{said}");
    world.mended("another bus");
}

/// As docs/operations.md says: first the bus, then each table, its log before its files; no state.
#[test]
fn a_backup_of_a_running_stream_has_every_event_acknowledged_before_it_began() {
    let mut world = World::new(48);
    let (tables, backup) = (world.tables(), world.folder.path().join("backup"));
    let mut child = process(&tables);
    world.append(3);
    let before = EVENTS as usize - world.batches.as_slice().iter().map(RecordBatch::num_rows).sum::<usize>();
    std::fs::create_dir(&backup).unwrap();
    copy(&tables.join("_bus"), &backup.join("_bus"));
    world.append(3);
    for table in netcrab_schema::ALL.iter().map(|table| table.name).filter(|table| tables.join(table).exists()) {
        std::fs::create_dir(backup.join(table)).unwrap();
        copy(&tables.join(table).join("_delta_log"), &backup.join(table).join("_delta_log"));
        for entry in std::fs::read_dir(tables.join(table)).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_name() != "_delta_log" {
                copy(&entry.path(), &backup.join(table).join(entry.file_name()));
            }
        }
        world.append(1);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    world.log = None;
    std::fs::remove_dir_all(&tables).unwrap();
    std::fs::rename(&backup, &tables).unwrap();
    world.log = Some(log_in(&tables.join("_bus")));
    let sent: Vec<RecordBatch> = traffic(EVENTS, 48);

    let said = world.refused();
    assert!(said.contains("`netcrab stream repair`"), "{said}");
    succeed(&["stream", "repair", "--tables", text(&tables)]);
    succeed(&["process", "--tables", text(&tables), "--finish"]);
    let stored = query(&tables, "SELECT DISTINCT event_id FROM events_raw");
    let stored: std::collections::HashSet<&str> =
        stored.iter().flat_map(|batch| batch.column(0).as_string_view().iter().flatten()).collect();
    let ids = sent.iter().flat_map(|batch| batch.column_by_name("event_id").unwrap().as_string_view().iter().flatten());
    let missing = ids.take(before).filter(|id| !stored.contains(id)).count();
    assert_eq!(missing, 0, "of {before} events");

    // Senders repeat what was acknowledged after the backup began.
    for events in &sent {
        block_on(world.log.as_ref().unwrap().append(split(events, 1).unwrap())).unwrap();
    }
    succeed(&["process", "--tables", text(&tables), "--finish"]);
    assert_same(&derived(&tables), &world.expected);
}
