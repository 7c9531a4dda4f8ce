//! A real ClickHouse for tests, started by `scripts/clickhouse.sh` and gone with the process that asked for it; and
//! a proxy before it that fails as networks and servers do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use netcrab_sinks::clickhouse::{ClickHouse, Settings};

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
            let name = std::thread::current().name().unwrap_or("a test").to_owned();
            let said = format!("not run: {name}: {reason}\n");
            std::io::stderr().lock().write_all(said.as_bytes()).unwrap();
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} did not run: {reason}");
            None
        }
    }
}

/// A server that a test may stop and start.
pub(crate) fn own() -> Result<Server, String> {
    let folder = tempfile::tempdir().unwrap().keep();
    let keep = r#"trap '' INT TERM; if "$0" start "$1"; then echo up; read -r _; "$0" stop "$1"; fi; rm -rf "$1""#;
    let keeper = Command::new("setsid")
        .args(["bash", "-c", keep, SCRIPT, folder.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut keeper = keeper.map_err(|fault| fault.to_string())?;
    let mut said = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if said.trim() == "up" {
        return Ok(Server { folder, _keeper: keeper });
    }
    drop(keeper.stdin.take());
    let mut reason = String::new();
    keeper.stderr.take().unwrap().read_to_string(&mut reason).unwrap();
    keeper.wait().unwrap();
    Err(reason.trim().to_owned())
}

impl Server {
    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", read(&self.folder.join("http_port")))
    }

    /// Settings for a database that nobody else uses.
    pub(crate) fn settings(&self) -> Settings {
        let database = format!("test_{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed));
        Settings { hosts: vec![format!("http://{}", self.address())], database, ..Settings::default() }
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

    fn script(&self, command: &str, environment: &[(&str, &str)]) {
        let mut script = Command::new(SCRIPT);
        script.arg(command).arg(&self.folder).envs(environment.iter().copied());
        assert!(script.status().unwrap().success());
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// What the proxy does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Brings it to the server, and the answer back.
    None,
    #[allow(dead_code, reason = "not every suite is slow")]
    /// The same, this much later.
    Slow(Duration),
    /// Brings it to the server, and keeps the answer.
    LostAnswer,
    /// Answers with an error of the server; the server never sees it.
    Error,
    /// Closes the connection at once.
    Refused,
}

/// A proxy that takes one request for each connection.
pub(crate) struct Proxy {
    address: String,
    plan: Arc<Mutex<Box<dyn FnMut() -> Fault + Send>>>,
    #[allow(dead_code, reason = "as below")]
    requests: Arc<AtomicU64>,
}

impl Proxy {
    /// A proxy before `server`; `plan` decides of each request.
    pub(crate) fn before(server: String, plan: impl FnMut() -> Fault + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let plan: Arc<Mutex<Box<dyn FnMut() -> Fault + Send>>> = Arc::new(Mutex::new(Box::new(plan)));
        let requests = Arc::new(AtomicU64::new(0));
        let (asked, counted) = (Arc::clone(&plan), Arc::clone(&requests));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let fault = (asked.lock().unwrap())();
                counted.fetch_add(1, Ordering::Relaxed);
                let server = server.clone();
                std::thread::spawn(move || {
                    let _ = handle(client, &server, fault);
                });
            }
        });
        Self { address, plan, requests }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    #[allow(dead_code, reason = "not every suite counts them")]
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    #[allow(dead_code, reason = "not every suite changes its mind")]
    pub(crate) fn now(&self, plan: impl FnMut() -> Fault + Send + 'static) {
        *self.plan.lock().unwrap() = Box::new(plan);
    }
}

fn handle(mut client: TcpStream, server: &str, fault: Fault) -> std::io::Result<()> {
    match fault {
        Fault::Refused => return client.shutdown(Shutdown::Both),
        Fault::Error => {
            client.read(&mut [0; 65_536])?;
            let said = "Code: 202. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)";
            write!(
                client,
                "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{said}",
                said.len()
            )?;
            // What is still on its way is read, so that the answer is not cut off.
            client.shutdown(Shutdown::Write)?;
            client.set_read_timeout(Some(Duration::from_secs(2)))?;
            while client.read(&mut [0; 65_536])? > 0 {}
            return Ok(());
        }
        Fault::Slow(later) => std::thread::sleep(later),
        Fault::None | Fault::LostAnswer => {}
    }
    let mut upstream = TcpStream::connect(server)?;
    // One request for each connection: the server is asked to close it.
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    upstream.write_all(&head)?;
    upstream.write_all(b"Connection: close\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, upstream.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
    });
    if fault == Fault::LostAnswer {
        std::io::copy(&mut upstream, &mut std::io::sink())?;
        // The client waits until it has waited long enough.
        client.set_read_timeout(Some(Duration::from_secs(60)))?;
        while client.read(&mut [0; 1024])? > 0 {}
        return Ok(());
    }
    std::io::copy(&mut upstream, &mut client)?;
    client.shutdown(Shutdown::Both)
}
