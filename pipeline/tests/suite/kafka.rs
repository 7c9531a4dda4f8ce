//! The pipeline over a real Kafka: processes of one group share the shards, and lose nothing when one goes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use netcrab_bus::kafka::{Kafka, KafkaSettings};
use netcrab_bus::{Bus, ResultSink, Results, split};

use crate::command_line::{answer, assert_same, derived, netcrab, query, stderr, text};
use crate::stream::{batch_tables, block_on, traffic};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/kafka.sh");
const SHARDS: u32 = 3;

/// How long the broker is away: longer than any request may take.
const AWAY: Duration = Duration::from_secs(60);

/// A broker that goes with the test.
struct Broker {
    folder: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let broker = Self { folder: tempfile::tempdir().unwrap() };
        broker.script("start");
        broker
    }

    fn script(&self, command: &str) {
        let ended = Command::new(SCRIPT).args([command, text(self.folder.path())]).output().unwrap();
        assert!(ended.status.success(), "{}", stderr(&ended));
    }

    fn servers(&self) -> String {
        format!("127.0.0.1:{}", std::fs::read_to_string(self.folder.path().join("port")).unwrap().trim())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = Command::new(SCRIPT).args(["stop", text(self.folder.path())]).status();
    }
}

/// The bus in Kafka, which dates what it is given as long past.
fn open(settings: KafkaSettings) -> Kafka {
    block_on(Kafka::open(settings, Arc::new(|| 1_790_000_000_000), netcrab_sources::SourceSettings::default())).unwrap()
}

fn command(tables: &Path, servers: &str, arguments: &[&str]) -> Command {
    let mut command = netcrab(&["process", "--tables", text(tables)]);
    command.args(arguments);
    for (name, value) in [
        ("BUS__KIND", "kafka"),
        ("BUS__KAFKA__SERVERS", servers),
        ("BUS__KAFKA__SHARDS", "3"),
        ("STREAM__EPOCH_MS", "50"),
        ("STREAM__LATENESS_MS", "0"),
        ("STREAM__STATE_EVENTS_MIN", "300"),
    ] {
        command.env(format!("NETCRAB_{name}"), value);
    }
    command
}

fn process(tables: &Path, servers: &str) -> Child {
    command(tables, servers, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn two_processes_share_the_shards_one_is_killed_the_broker_stops_and_nothing_is_lost() {
    let broker = Broker::start();
    let servers = broker.servers();
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), 1500, 17);
    let tables = folder.path().join("stream");
    // Events come with the times at which the traffic says they were received, so no clock takes part.
    let settings = KafkaSettings { servers: servers.clone(), shards: SHARDS, ..KafkaSettings::default() };
    let bus = open(settings);
    let mut first = process(&tables, &servers);
    let mut second = process(&tables, &servers);
    for (place, events) in traffic(1500, 17).into_iter().enumerate() {
        if place == 8 {
            broker.script("stop");
            std::thread::sleep(AWAY);
            broker.script("start");
        }
        block_on(bus.append(split(&events, SHARDS).unwrap())).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        if place == 4 {
            first.kill().unwrap();
            first.wait().unwrap();
            first = process(&tables, &servers);
        }
    }
    let shards = (0..SHARDS).filter(|shard| tables.join(format!("_stream/shard-{shard:04}")).exists()).count();
    assert_eq!(shards, 3, "the processes worked on {shards} shards");
    for child in [&mut first, &mut second] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let finished = command(&tables, &servers, &["--finish"]).output().unwrap();
    assert!(finished.status.success(), "{}", stderr(&finished));
    assert_same(&derived(&tables), &expected);
}

/// Offsets that lie in all partitions of a topic.
fn records(settings: &KafkaSettings, topic: &str) -> u64 {
    let bus = open(KafkaSettings { topic: topic.to_owned(), ..settings.clone() });
    (0..SHARDS).map(|shard| block_on(bus.bounds(shard)).unwrap().end).sum()
}

#[test]
fn closed_sessions_go_to_their_topics_and_what_is_no_event_to_the_rejects() {
    let broker = Broker::start();
    let servers = broker.servers();
    let folder = tempfile::tempdir().unwrap();
    let expected = batch_tables(folder.path(), 800, 18);
    let tables = folder.path().join("stream");
    let settings = KafkaSettings { servers: servers.clone(), shards: SHARDS, ..KafkaSettings::default() };
    let bus = open(settings.clone());
    for events in traffic(800, 18) {
        block_on(bus.append(split(&events, SHARDS).unwrap())).unwrap();
    }
    // Somebody else writes to the topic what is no event.
    let careless = open(KafkaSettings { analytics: settings.topic.clone(), ..settings.clone() });
    let noise = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
    block_on(careless.publish(Results::Analytics, "noise", &noise)).unwrap();
    let topics = [("SESSIONIZED", "of.sessions"), ("INCIDENTS", "of.incidents"), ("ANALYTICS", "of.facts")];
    let run = |crash: Option<&str>| {
        let mut command = command(&tables, &servers, &["--finish"]);
        command.envs(topics.map(|(name, topic)| (format!("NETCRAB_BUS__KAFKA__{name}"), topic)));
        command.envs(crash.map(|crash| ("NETCRAB_CRASH", crash)));
        command.output().unwrap()
    };
    // It dies with the first epoch in the tables and nothing sent: that is made up for.
    assert!(!run(Some("publish.before:1")).status.success());
    let finished = run(None);
    assert!(finished.status.success(), "{}", stderr(&finished));
    assert_same(&derived(&tables), &expected);
    let rows = |table: &str| {
        let counted = query(&tables, &format!("SELECT count(*) FROM {table}"));
        counted[0].column(0).as_primitive::<Int64Type>().value(0) as u64
    };
    let sent = topics.map(|(_, topic)| records(&settings, topic));
    let facts = rows("fact_sessions") + rows("fact_tasks");
    assert_eq!(sent, [rows("events_sessionized"), rows("fact_incidents"), facts]);
    let rejects = answer(&tables, "SELECT reason, field, count(*) AS n FROM rejects GROUP BY reason, field");
    assert!(rejects.contains("| unknown_key | n     | 2 |"), "{rejects}");
}
