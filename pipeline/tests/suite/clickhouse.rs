//! A stream with ClickHouse beside its Delta tables: both hold the tables of a batch, whatever fails.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use netcrab_bus::log::Log;
use netcrab_bus::{Bus, split};
use netcrab_operators::rules::Rules;
use netcrab_pipeline::config::stream::StreamSettings;
use netcrab_pipeline::stream::crash_points::Step;
use netcrab_schema::arrow::at_rest_type;
use netcrab_schema::clickhouse as ddl;
use netcrab_sinks::clickhouse::ClickHouse;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::command_line::{self, DERIVED, answer, assert_same, derived, netcrab, stderr, text};
use crate::kills::{ended, log_in};
use crate::proxy::{BUSY, Fault, Proxy};
use crate::server;
use crate::stream::{World, batch_tables, block_on, traffic};

/// The derived tables as ClickHouse's views show them, in the words of [`derived`].
pub(crate) async fn shown(server: &ClickHouse) -> Vec<String> {
    let mut tables = Vec::new();
    for (name, order) in DERIVED {
        tables.push(table(server, name, order).await);
    }
    tables
}

/// A table as ClickHouse's view shows it, in the words of [`answer`].
async fn table(server: &ClickHouse, name: &str, order: &str) -> String {
    let table = netcrab_schema::by_name(name).unwrap();
    let fields = table.columns().map(|column| Field::new(column.name, at_rest_type(column.kind), column.nullable));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let found = server.rows(&format!("SELECT * FROM {name}"), &[]).await.unwrap();
    let cast = |batch: &RecordBatch| {
        let columns = schema.fields().iter().map(|field| {
            let column = batch.column_by_name(field.name()).unwrap();
            arrow::compute::cast(column, field.data_type()).unwrap()
        });
        RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
    };
    let batches = found.batches.iter().map(cast).collect::<Vec<_>>();
    let context = SessionContext::new();
    context.register_table(name, Arc::new(MemTable::try_new(Arc::clone(&schema), vec![batches]).unwrap())).unwrap();
    let rows = context.sql(&format!("SELECT * FROM {name} ORDER BY {order}")).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&rows).unwrap().to_string()
}

/// What a repair moves besides the derived tables.
const EVENTS_OF: [(&str, &str); 2] =
    [("events_sessionized", "session_key, position"), ("events_raw", "event_id, ts, received_at")];

async fn count(server: &ClickHouse, what: &str) -> i64 {
    server.rows(&format!("SELECT count() AS n FROM {what}"), &[]).await.unwrap().number("n").unwrap()
}

#[test]
fn repairs_leave_no_ghosts_in_clickhouse() {
    let Some(shared) = server::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), 2400, 11);
    let tables = folder.path().join("stream");
    let settings = StreamSettings { lateness_ms: 0, state_events_min: 500, repair_ms: 20, ..StreamSettings::default() };
    let server = block_on(shared.tables());
    block_on(async {
        let world = World::with_clickhouse(&tables, 2, settings, Some(server.clone()));
        let mut chance = ChaCha8Rng::seed_from_u64(5);
        let mut shards = [world.open(0).await, world.open(1).await];
        let (mut now_ms, mut late) = (i64::MAX / 2, 0);
        for events in traffic(2400, 11) {
            world.append(&events).await;
            for (number, shard) in shards.iter_mut().enumerate() {
                now_ms += 7;
                late += world.step(shard, now_ms, false).await.map_or(0, |report| report.late);
                if chance.random_bool(0.2) {
                    *shard = world.open(number as u32).await;
                }
                while chance.random_bool(0.8) && shard.state().late_keys() > 0 {
                    now_ms += 7;
                    world.step(shard, now_ms, false).await;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
        for shard in &mut shards {
            world.finish(shard).await;
        }
        assert!(late > 10, "{late} events were late");
        let left = count(&server, "fact_sessions_rows WHERE gone = 1").await;
        assert!(left > 0, "no session ever left");
        assert_same(&shown(&server).await, &expected);
    });
    for (name, order) in EVENTS_OF {
        let columns = netcrab_schema::by_name(name).unwrap().columns().map(|column| column.name).collect::<Vec<_>>();
        let of_delta = answer(&tables, &format!("SELECT {} FROM {name} ORDER BY {order}", columns.join(", ")));
        assert_same(&[block_on(table(&server, name, order))], &[of_delta]);
    }
    block_on(async {
        // And so it stays when the server brings its parts together.
        for table in netcrab_schema::ALL {
            server.execute(&format!("OPTIMIZE TABLE {} FINAL", ddl::rows_table(table)), &[]).await.unwrap();
        }
        assert_same(&shown(&server).await, &expected);
    });
    assert_same(&derived(&tables), &expected);
}

#[test]
fn days_that_are_summed_anew_keep_what_came_meanwhile() {
    let Some(shared) = server::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("stream");
    let settings = StreamSettings { lateness_ms: 0, repair_ms: 0, ..StreamSettings::default() };
    let server = block_on(shared.tables());
    block_on(async {
        let mut world = World::with_clickhouse(&tables, 1, settings, Some(server.clone()));
        let mut shard = world.open(0).await;
        let batches = traffic(3000, 13);
        let mut late = 0;
        for (place, events) in batches.iter().enumerate() {
            if place == batches.len() / 2 {
                // What closed until now was counted by other rules: its days are summed anew.
                let mut rules = Rules::default();
                rules.score.rage_click += 1.0;
                world.rules = Arc::new(rules);
            }
            world.append(events).await;
            // A repair begins with one epoch and is taken up by a later one; those between bring rows of the same days.
            let report = world.step(&mut shard, i64::MAX / 2 + place as i64, false).await;
            late += report.map_or(0, |report| report.late);
        }
        assert!(late > 10, "{late} events were late");
        world.finish(&mut shard).await;
    });
    assert_same(&block_on(shown(&server)), &derived(&tables));
}

const EVENTS: u64 = 2000;

/// Enough for a batch at each step.
const MANY: u64 = 4000;

/// A child that brings events to the tables and to ClickHouse behind `host`.
fn process(tables: &Path, host: &str, database: &str, crash: Option<&str>) -> Child {
    let mut command = command(tables, host, database);
    if let Some(crash) = crash {
        command.env("NETCRAB_CRASH", crash);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn command(tables: &Path, host: &str, database: &str) -> Command {
    let mut command = command_line::process(text(tables));
    command.env("NETCRAB_CLICKHOUSE__HOSTS", format!("[\"http://{host}\"]"));
    command.env("NETCRAB_CLICKHOUSE__DATABASE", database);
    command.env("NETCRAB_CLICKHOUSE__TIMEOUT_MS", "1500");
    command
}

fn finish(tables: &Path, host: &str, database: &str) {
    let output = command(tables, host, database).arg("--finish").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

fn log(tables: &Path) -> Log {
    log_in(&tables.join("_bus"))
}

#[test]
fn killed_at_each_step_and_at_random_behind_a_network_that_fails_it_counts_every_event_once() {
    let Some(shared) = server::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), MANY, 3);
    let tables = folder.path().join("stream");
    let database = shared.settings().database;
    let mut chance = ChaCha8Rng::seed_from_u64(21);
    // A third of all calls fails in one way or another.
    let proxy = Proxy::before(shared.address(), move || match chance.random_range(0..100) {
        0..12 => BUSY,
        12..24 => Fault::Refused,
        24..27 => Fault::LostAnswer,
        27..32 => Fault::Slow(Duration::from_millis(300)),
        _ => Fault::None,
    });
    let log = log(&tables);
    let mut batches = traffic(MANY, 3).into_iter();
    let steps = Step::ALL.iter().flat_map(|step| ["before", "after"].map(|side| format!("{}.{side}:1", step.name())));
    for point in steps.chain(["insert.after:2".to_owned()]) {
        block_on(log.append(split(&batches.next().unwrap(), 1).unwrap())).unwrap();
        let mut child = process(&tables, proxy.address(), &database, Some(&point));
        if point.ends_with(":2") {
            std::thread::sleep(Duration::from_millis(800));
            block_on(log.append(split(&batches.next().unwrap(), 1).unwrap())).unwrap();
        }
        assert!(ended(&mut child).code().is_none(), "{point} was not reached");
    }
    let mut chance = ChaCha8Rng::seed_from_u64(8);
    for few in batches.collect::<Vec<_>>().chunks(3) {
        for events in few {
            block_on(log.append(split(events, 1).unwrap())).unwrap();
        }
        let mut child = process(&tables, proxy.address(), &database, None);
        std::thread::sleep(Duration::from_millis(chance.random_range(200..2500)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    finish(&tables, proxy.address(), &database);
    assert_same(&derived(&tables), &expected);
    let settings = netcrab_sinks::clickhouse::ClickHouseSettings { database, ..shared.settings() };
    let server = ClickHouse::new(&settings).unwrap();
    assert_same(&block_on(shown(&server)), &expected);
    assert_eq!(block_on(count(&server, "events_raw")), MANY as i64);
}

#[test]
fn while_clickhouse_is_stopped_events_wait_and_none_is_lost() {
    if server::shared().is_none() {
        return;
    }
    let own = server::own().unwrap();
    let (address, database) = (own.address(), "away".to_owned());
    let port = address.split_once(':').unwrap().1.to_owned();
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), EVENTS, 4);
    let tables = folder.path().join("stream");
    let log = log(&tables);
    let mut child = process(&tables, &address, &database, None);
    for (place, events) in traffic(EVENTS, 4).into_iter().enumerate() {
        block_on(log.append(split(&events, 1).unwrap())).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        match place {
            6 => own.stop(),
            14 => {
                let away_s = std::env::var("NETCRAB_AWAY_SECONDS").ok().and_then(|text| text.parse().ok());
                std::thread::sleep(Duration::from_secs(away_s.unwrap_or(120)));
                own.start(&port);
            }
            _ => {}
        }
        assert!(child.try_wait().unwrap().is_none(), "the process ended at batch {place}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    finish(&tables, &address, &database);
    assert_same(&derived(&tables), &expected);
    let settings = netcrab_sinks::clickhouse::ClickHouseSettings { database, ..own.settings() };
    assert_same(&block_on(shown(&ClickHouse::new(&settings).unwrap())), &expected);
}

fn copying(command: &[&str], settings: &netcrab_sinks::clickhouse::ClickHouseSettings) -> Command {
    let mut program = netcrab(command);
    program.env("NETCRAB_CLICKHOUSE__HOSTS", format!("[\"{}\"]", settings.hosts[0]));
    program.env("NETCRAB_CLICKHOUSE__DATABASE", &settings.database);
    program
}

fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    (output.status.success(), format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output)))
}

#[test]
fn a_backfill_copies_everything_once_and_verify_finds_what_is_missing_or_other() {
    let Some(shared) = server::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), 3000, 8);
    let tables = folder.path().join("batch");
    let settings = shared.settings();
    let backfill = ["backfill", "--to", "clickhouse", "--tables", text(&tables)];
    let verify = ["verify", "--tables", text(&tables)];
    // Killed again and again on its way.
    for pause_ms in [150, 300, 600] {
        let mut child = copying(&backfill, &settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause_ms));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (done, told) = said(&mut copying(&backfill, &settings));
    assert!(done && told.contains("copied"), "{told}");
    let server = ClickHouse::new(&settings).unwrap();
    assert_same(&block_on(shown(&server)), &expected);
    let (same, told) = said(&mut copying(&verify, &settings));
    assert!(same && told.contains("the same"), "{told}");
    let (again, told) = said(&mut copying(&backfill, &settings));
    assert!(again && told.contains("copied 0 rows"), "{told}");
    // A row less, and a row that is other.
    block_on(async {
        let one = "(SELECT session_key FROM fact_sessions_rows ORDER BY session_key LIMIT 1)";
        server.execute(&format!("DELETE FROM fact_sessions_rows WHERE session_key IN {one}"), &[]).await.unwrap();
        let other =
            "ALTER TABLE fact_tasks_rows UPDATE clicks = clicks + 1 WHERE task_no = 0 SETTINGS mutations_sync = 2";
        server.execute(other, &[]).await.unwrap();
    });
    let (same, told) = said(&mut copying(&verify, &settings));
    assert!(!same && told.contains("fact_sessions") && told.contains("--replace"), "{told}");
    assert!(told.contains("fact_tasks") && told.contains("(other values)"), "{told}");
    assert!(!told.contains("fact_flows"), "{told}");
    let (same, _) = said(copying(&verify, &settings).args(["--only", "fact_flows,events_raw"]));
    assert!(same);
    // Rows from elsewhere are not mixed with ours.
    let others = folder.path().join("others");
    std::fs::create_dir(&others).unwrap();
    batch_tables(&others, 500, 9);
    let others = others.join("batch");
    let of_others = ["backfill", "--to", "clickhouse", "--tables", text(&others)];
    let (done, told) = said(&mut copying(&of_others, &settings));
    assert!(!done && told.contains("not empty") && told.contains("--replace"), "{told}");
    let (done, told) = said(copying(&backfill, &settings).arg("--replace"));
    assert!(done, "{told}");
    assert_same(&block_on(shown(&server)), &expected);
}

#[test]
fn a_stream_goes_on_in_a_clickhouse_that_was_filled_and_refuses_one_that_lacks_epochs() {
    let Some(shared) = server::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), EVENTS, 7);
    let tables = folder.path().join("stream");
    let settings = shared.settings();
    let (host, database) = (shared.address(), settings.database.clone());
    let log = log(&tables);
    let mut batches = traffic(EVENTS, 7).into_iter();
    for events in batches.by_ref().take(10) {
        block_on(log.append(split(&events, 1).unwrap())).unwrap();
    }
    // Without ClickHouse at first.
    let mut child = netcrab(&["process", "--tables", text(&tables)]);
    child.env("NETCRAB_STREAM__EPOCH_MS", "20").env("NETCRAB_STREAM__LATENESS_MS", "0");
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    child.kill().unwrap();
    child.wait().unwrap();
    let (done, told) = said(command(&tables, &host, &database).arg("--finish"));
    assert!(!done && told.contains("backfill --to clickhouse"), "{told}");
    let (done, told) = said(&mut copying(&["backfill", "--to", "clickhouse", "--tables", text(&tables)], &settings));
    assert!(done, "{told}");
    for events in batches {
        block_on(log.append(split(&events, 1).unwrap())).unwrap();
    }
    finish(&tables, &host, &database);
    assert_same(&derived(&tables), &expected);
    assert_same(&block_on(shown(&ClickHouse::new(&settings).unwrap())), &expected);
    let (same, told) = said(&mut copying(&["verify", "--tables", text(&tables)], &settings));
    assert!(same, "{told}");
}
