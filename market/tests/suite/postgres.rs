//! A real PostgreSQL for tests, started by `scripts/postgres.sh` and gone with the process that asked for it.

use std::process::Child;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::test_server;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/postgres.sh");

struct Server {
    port: String,
    /// Stops the server when its input ends, as it does when this process ends in whatever way.
    _keeper: Child,
}

static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The URL of an empty database that nobody else uses. Where no server can run here the test says so by name and
/// reason, and fails in CI.
pub(crate) async fn database() -> Option<String> {
    match SHARED.get_or_init(start) {
        Ok(server) => {
            let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
            super::run(&server.url("postgres"), &format!("CREATE DATABASE {name}")).await.unwrap();
            Some(server.url(&name))
        }
        Err(reason) => {
            test_server::skipped(&format!("on PostgreSQL: {reason}"));
            None
        }
    }
}

impl Server {
    fn url(&self, database: &str) -> String {
        format!("postgres://netcrab:netcrab-secret@127.0.0.1:{}/{database}", self.port)
    }
}

fn start() -> Result<Server, String> {
    let folder = tempfile::tempdir().unwrap().keep();
    let keeper = test_server::start(SCRIPT, &folder)?;
    let port = std::fs::read_to_string(folder.join("port")).unwrap();
    Ok(Server { port: port.trim().to_owned(), _keeper: keeper })
}
