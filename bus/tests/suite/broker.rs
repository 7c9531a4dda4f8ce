//! A real broker for tests, started by `scripts/kafka.sh` and gone with the process that asked for it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use netcrab_bus::kafka::{Kafka, KafkaSettings};

use super::{Time, test_server};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/kafka.sh");

/// A broker of its own.
pub(crate) struct Broker {
    pub(crate) folder: PathBuf,
    /// Stops the broker when its input ends, as it does when this process ends in whatever way.
    _keeper: Child,
}

static SHARED: OnceLock<Result<Broker, String>> = OnceLock::new();
static TOPICS: AtomicU32 = AtomicU32::new(0);

/// The broker that tests share. Where none can run here the test says so by name and reason, and fails in CI.
pub(crate) fn shared() -> Option<&'static Broker> {
    match SHARED.get_or_init(own) {
        Ok(broker) => Some(broker),
        Err(reason) => {
            test_server::skipped(reason);
            None
        }
    }
}

/// A broker that a test may stop and start.
pub(crate) fn own() -> Result<Broker, String> {
    let folder = tempfile::tempdir().unwrap().keep();
    let keeper = test_server::start(SCRIPT, &folder)?;
    Ok(Broker { folder, _keeper: keeper })
}

impl Broker {
    pub(crate) fn servers(&self) -> String {
        format!("127.0.0.1:{}", read(&self.folder.join("port")))
    }

    pub(crate) fn sasl_servers(&self) -> String {
        format!("127.0.0.1:{}", read(&self.folder.join("sasl_port")))
    }

    pub(crate) fn stop(&self) {
        self.script("stop");
    }

    pub(crate) fn start(&self) {
        self.script("start");
    }

    fn script(&self, command: &str) {
        assert!(Command::new(SCRIPT).arg(command).arg(&self.folder).status().unwrap().success());
    }

    /// Settings for a topic and a group that nobody else uses.
    pub(crate) fn settings(&self, shards: u32) -> KafkaSettings {
        let topic = format!("events.raw.{}", TOPICS.fetch_add(1, Ordering::Relaxed));
        KafkaSettings {
            servers: self.servers(),
            group: topic.clone(),
            topic,
            shards,
            poll_ms: 20,
            ..KafkaSettings::default()
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

pub(crate) async fn open(settings: KafkaSettings) -> Kafka {
    let sources = netcrab_sources::SourceSettings::default();
    let time = Time::default();
    time.advance(1_790_000_200_000);
    Kafka::open(settings, time.clock(), sources).await.unwrap()
}
