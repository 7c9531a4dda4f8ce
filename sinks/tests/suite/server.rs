//! A real ClickHouse for tests, started by `scripts/clickhouse.sh` and gone with the process that asked for it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use netcrab_sinks::clickhouse::{ClickHouse, ClickHouseSettings};

use super::test_server;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/clickhouse.sh");

/// A server of its own.
pub(crate) struct Server {
    folder: PathBuf,
    /// Stops the server when its input ends, as it does when this process ends in whatever way.
    _keeper: Child,
}

static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The server that tests share. Where none can run here the test says so by name and reason, and fails in CI.
pub(crate) fn shared() -> Option<&'static Server> {
    match SHARED.get_or_init(own) {
        Ok(server) => Some(server),
        Err(reason) => {
            test_server::skipped(reason);
            None
        }
    }
}

/// A server that a test may stop and start.
pub(crate) fn own() -> Result<Server, String> {
    let folder = tempfile::tempdir().unwrap().keep();
    let keeper = test_server::start(SCRIPT, &folder)?;
    Ok(Server { folder, _keeper: keeper })
}

impl Server {
    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", read(&self.folder.join("http_port")))
    }

    /// Settings for a database that nobody else uses.
    pub(crate) fn settings(&self) -> ClickHouseSettings {
        let database = format!("test_{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed));
        ClickHouseSettings {
            hosts: vec![format!("http://{}", self.address())],
            database,
            ..ClickHouseSettings::default()
        }
    }

    /// Tables that nobody else uses.
    pub(crate) async fn tables(&self) -> ClickHouse {
        let server = ClickHouse::new(&self.settings()).unwrap();
        server.prepare().await.unwrap();
        server
    }

    #[allow(dead_code, reason = "not every suite stops it")]
    pub(crate) fn stop(&self) {
        self.script("stop", &[]);
    }

    /// Starts it again, on the port it had.
    #[allow(dead_code, reason = "not every suite stops it")]
    pub(crate) fn start(&self, port: &str) {
        self.script("start", &[("NETCRAB_CLICKHOUSE_HTTP_PORT", port)]);
    }

    #[allow(dead_code, reason = "as above")]
    fn script(&self, command: &str, environment: &[(&str, &str)]) {
        let mut script = Command::new(SCRIPT);
        script.arg(command).arg(&self.folder).envs(environment.iter().copied());
        assert!(script.status().unwrap().success());
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}
