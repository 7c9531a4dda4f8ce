//! The pipeline over a real Kafka: processes of one group share the shards, and lose nothing when one goes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use netcrab_bus::kafka::{Kafka, Settings};
use netcrab_bus::{Bus, split};

use crate::command_line::{assert_same, derived, netcrab, stderr, text};
use crate::stream::{batch_tables, block_on, traffic};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/kafka.sh");
const SHARDS: u32 = 3;

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
    let settings = Settings { servers: servers.clone(), shards: SHARDS, ..Settings::default() };
    let bus: Arc<dyn Bus> = Arc::new(
        block_on(Kafka::open(settings, Arc::new(|| 1_790_000_000_000), netcrab_sources::Settings::default())).unwrap(),
    );
    let mut first = process(&tables, &servers);
    let mut second = process(&tables, &servers);
    for (place, events) in traffic(1500, 17).into_iter().enumerate() {
        if place == 8 {
            broker.script("stop");
            std::thread::sleep(Duration::from_secs(2));
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
