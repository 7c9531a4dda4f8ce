//! `netcrab serve` with everything in one process: events in over HTTP, insight out, and kills between.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use datafusion::dataframe::DataFrameWriteOptions;
use netcrab_pipeline::config::RunSettings;
use netcrab_schema::events::EVENT;
use netcrab_sinks::clickhouse::ClickHouse;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::clickhouse::shown;
use crate::command_line::{answer, assert_same, derived, netcrab, sink, stderr, succeed, text};
use crate::example_files::shared;
use crate::server;
use crate::stream::block_on;

/// A server over `tables`, listening on `address`.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(tables: &Path, address: SocketAddr, settings: &[(&str, &str)]) -> Self {
        let arguments = ["serve", "--key", "nc_read=org_aurora", "--agent-key", "nc_agent_write=org_aurora"];
        Self::of(&arguments, tables, address, settings)
    }

    /// A command that listens.
    fn of(arguments: &[&str], tables: &Path, address: SocketAddr, settings: &[(&str, &str)]) -> Self {
        let listen = address.to_string();
        let mut command = netcrab(&["--quiet"]);
        command.args(arguments).args(["--tables", text(tables), "--listen", &listen]);
        command.envs(settings.iter().map(|(name, value)| (format!("NETCRAB_{name}"), value)));
        Self { child: command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), address }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as a service manager does.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the server did not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks until the answer has this status.
    fn insist(&self, request: &str, body: &str, status: u16) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match ask(self.address, request, body) {
                Some((found, answer)) if found == status => return answer,
                other => assert!(Instant::now() < deadline, "{request}: {other:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The status and the JSON of an answer; `None` where there was none.
fn ask(address: SocketAddr, request: &str, body: &str) -> Option<(u16, Value)> {
    let (status, body) = ask_text(address, request, body)?;
    Some((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

/// The status and the body of an answer.
pub(crate) fn ask_text(address: SocketAddr, request: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(15))).ok()?;
    let key = if request.starts_with("POST") { "nc_agent_write" } else { "nc_read" };
    let head = format!(
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

const POST: &str = "POST /v1/events/batch";

/// Events of one organisation as they go over the wire.
fn events(folder: &Path, events: u64, seed: u64) -> Vec<Value> {
    let file = folder.join("events.ndjson");
    let (events, seed) = (events.to_string(), seed.to_string());
    succeed(&["generate", text(&file), "--events", &events, "--seed", &seed, "--days", "2", "--orgs", "1"]);
    let lines = std::fs::read_to_string(&file).unwrap();
    let event = |line: &str| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event["orgId"] = json!("org_aurora");
        event
    };
    lines.lines().map(event).collect()
}

fn batch(events: &[Value]) -> String {
    json!({ "agentId": "a1", "sdkVersion": "1.0", "events": events }).to_string()
}

/// One batch run over what the stream accepted.
fn batch_of_accepted(folder: &Path, tables: &Path) -> PathBuf {
    let file = folder.join("accepted.parquet");
    block_on(async {
        let session = netcrab_pipeline::tables::session(&sink(tables), &RunSettings::default()).await.unwrap();
        let columns: Vec<&str> = EVENT.iter().map(|column| column.name).collect();
        let accepted = session.sql(&format!("SELECT {} FROM events_raw", columns.join(", "))).await.unwrap();
        let options = DataFrameWriteOptions::new().with_single_file_output(true);
        accepted.write_parquet(text(&file), options, None).await.unwrap();
    });
    let batch = folder.join("batch");
    succeed(&["run", text(&file), "--tables", text(&batch)]);
    batch
}

#[test]
fn killed_two_hundred_times_while_events_come_in_every_accepted_event_counts_once() {
    killed_while_events_come_in(&[], |_| {});
}

#[test]
fn killed_two_hundred_times_beside_clickhouse_both_count_every_accepted_event_once() {
    let Some(shared) = server::shared() else { return };
    let settings = shared.settings();
    let hosts = format!("[\"{}\"]", settings.hosts[0]);
    killed_while_events_come_in(
        &[("CLICKHOUSE__HOSTS", &hosts), ("CLICKHOUSE__DATABASE", &settings.database)],
        |expected| {
            assert_same(&block_on(shown(&ClickHouse::new(&settings).unwrap())), expected);
        },
    );
}

/// Kills a server that takes events in again and again, and compares its tables with those of a batch; `compare` gets
/// these.
fn killed_while_events_come_in(more: &[(&str, &str)], compare: impl FnOnce(&[String])) {
    let kills: usize = std::env::var("NETCRAB_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(200);
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("stream");
    let events = events(folder.path(), kills as u64 * 15, 21);
    let settings = [
        ("STREAM__EPOCH_MS", "20"),
        ("STREAM__STATE_EVENTS_MIN", "300"),
        ("STREAM__LATENESS_MS", "0"),
        ("STREAM__REPAIR_MS", "500"),
    ];
    let settings = [&settings, more].concat();
    let (address, mut chance) = (free_address(), ChaCha8Rng::seed_from_u64(2));
    for some in events.chunks(events.len().div_ceil(kills)) {
        let mut server = Server::start(&tables, address, &settings);
        std::thread::scope(|scope| {
            // The sender tries again until it is told that its events are safe; the kill does not wait for that.
            let sender = scope.spawn(|| {
                (0..100).any(|_| {
                    let answered = ask(address, POST, &batch(some)).is_some_and(|(status, _)| status == 200);
                    if !answered {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    answered
                })
            });
            std::thread::sleep(Duration::from_millis(chance.random_range(60..350)));
            server.kill();
            if !sender.join().unwrap() {
                let mut server = Server::start(&tables, address, &settings);
                server.insist(POST, &batch(some), 200);
                server.kill();
            }
        });
    }
    let mut finish = netcrab(&["process", "--tables", text(&tables), "--finish"]);
    let finished = finish.envs(more.iter().map(|(name, value)| (format!("NETCRAB_{name}"), value))).output().unwrap();
    assert!(finished.status.success(), "{}", stderr(&finished));
    let expected = derived(&batch_of_accepted(folder.path(), &tables));
    assert_same(&derived(&tables), &expected);
    compare(&expected);
    let counted =
        answer(&tables, "SELECT count(*) AS n FROM (SELECT DISTINCT session_id, user_hash, event_id FROM events_raw)");
    let sent: std::collections::BTreeSet<_> = events
        .iter()
        .map(|event| [&event["sessionId"], &event["userHash"], &event["eventId"]].map(Value::to_string))
        .collect();
    assert!(counted.contains(&format!("| {} |", sent.len())), "{} were sent, and {counted}", sent.len());
}

#[test]
fn an_event_is_seen_within_seconds_and_its_session_is_open_until_it_closes() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("stream");
    let server = Server::start(&tables, free_address(), &SOON);
    seen_while_open(&server, &server);
    server.stop();
    // What was open is shown after a restart, though nothing more comes.
    let server = Server::start(&tables, free_address(), &[]);
    let ready = server.insist("GET /ready", "", 200);
    assert_eq!(ready["status"], json!("ready"));
    until_open(&server, "s2");
    server.stop();
    succeed(&["process", "--tables", text(&tables), "--finish"]);
    assert!(answer(&tables, "SELECT count(*) AS n FROM fact_sessions").contains("| 2 |"));
}

#[test]
fn processes_apart_show_the_same_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("stream");
    let ingest = Server::of(&["ingest", "--agent-key", "nc_agent_write=org_aurora"], &tables, free_address(), &SOON);
    ingest.insist("GET /health", "", 200);
    let process = Server::of(&["process"], &tables, free_address(), &SOON);
    let serve = Server::of(&["serve", "--key", "nc_read=org_aurora"], &tables, free_address(), &[]);
    serve.insist("GET /health", "", 200);
    seen_while_open(&ingest, &serve);
    process.insist("GET /ready", "", 200);
    let metrics = page(process.address, "/metrics");
    assert!(metrics.contains("netcrab_stream_events_total{shard=\"0\"} 3"), "{metrics}");
    let status: Value = serde_json::from_str(&succeed(&["status", "--tables", text(&tables), "--json"])).unwrap();
    assert_eq!((&status[0]["shard"], &status[0]["lag"], &status[0]["applied"]), (&json!(0), &json!(0), &json!(true)));
    // Another process takes the shard up, and shows what is open.
    process.stop();
    let process = Server::of(&["process"], &tables, free_address(), &SOON);
    process.insist("GET /health", "", 200);
    let late = Server::of(&["serve", "--key", "nc_read=org_aurora"], &tables, free_address(), &[]);
    until_open(&late, "s2");
    [ingest, process, serve, late].into_iter().for_each(Server::stop);
}

/// Short epochs, and no waiting for late events.
const SOON: [(&str, &str); 2] = [("STREAM__EPOCH_MS", "100"), ("STREAM__LATENESS_MS", "0")];

const DAY: &str = "orgId=org_aurora&productId=crm&from=2026-09-21&to=2026-09-22";

fn until_open(server: &Server, session: &str) {
    let began = Instant::now();
    loop {
        let found = server.insist(&format!("GET /v1/insights/sessions?{DAY}"), "", 200);
        let mut items = found["items"].as_array().unwrap().iter();
        if items.any(|item| item["sessionId"] == *session && item["open"] == json!(true)) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{session} is not shown as open: {found}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A page that is not JSON.
fn page(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// Sends events to `taking`, and sees at `server` that their sessions are open, and then closed.
fn seen_while_open(taking: &Server, server: &Server) {
    let event = |at_ms: i64, id: &str, session: &str| {
        json!({ "orgId": "org_aurora", "productId": "crm", "sessionId": session, "userHash": "u", "eventId": id,
            "ts": 1_790_000_000_000_i64 + at_ms, "eventType": "navigation", "screenId": "home", "route": "/", "deviceType": "desktop" })
    };
    taking.insist(POST, &batch(&[event(0, "e1", "s1"), event(1000, "e2", "s1")]), 200);
    let began = Instant::now();
    let sessions = || server.insist(&format!("GET /v1/insights/sessions?{DAY}"), "", 200)["items"].clone();
    while sessions().as_array().is_none_or(Vec::is_empty) {
        assert!(began.elapsed() < Duration::from_secs(20), "the session is not shown");
        std::thread::sleep(Duration::from_millis(20));
    }
    let shown = sessions()[0].clone();
    assert_eq!((&shown["open"], &shown["eventCount"]), (&json!(true), &json!(2)));
    let session = format!("GET /v1/insights/sessions/{}?orgId=org_aurora", shown["sessionKey"].as_str().unwrap());
    let timeline = server.insist(&session, "", 200);
    assert_eq!(timeline["events"].as_array().map(Vec::len), Some(2), "{timeline}");
    // An hour later somebody else comes, and the first session is over.
    taking.insist(POST, &batch(&[event(3_600_000, "e3", "s2")]), 200);
    let began = Instant::now();
    loop {
        let sessions = sessions();
        let of = |id: &str| sessions.as_array().unwrap().iter().find(|session| session["sessionId"] == *id).cloned();
        // A session is never gone between being open and being closed.
        let (first, second) = (of("s1").unwrap(), of("s2"));
        if first["open"] == json!(false) && second.is_some_and(|second| second["open"] == json!(true)) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{sessions}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let overview = server.insist(&format!("GET /v1/insights/overview?{DAY}"), "", 200);
    assert_eq!(overview["sessions"], json!(2), "{overview}");
}

#[test]
fn a_second_process_that_would_take_events_in_says_that_one_does_already() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("stream");
    let server = Server::start(&tables, free_address(), &[]);
    server.insist("GET /health", "", 200);
    let said = crate::command_line::fail(&[
        "ingest",
        "--tables",
        text(&tables),
        "--listen",
        "127.0.0.1:0",
        "--agent-key",
        "nc_agent_other=acme",
    ]);
    assert!(said.contains("is open in another process"), "{said}");
    server.stop();
}

#[test]
fn case_31_one_event_decades_ahead_changes_no_default_view() {
    let Some(case) = shared("cases/31-future-event") else { return };
    let folder = tempfile::tempdir().unwrap();
    let answers = |name: &str| -> Vec<Value> {
        let tables = folder.path().join(name);
        succeed(&["run", text(&case.join(name).with_extension("ndjson")), "--tables", text(&tables)]);
        let server = Server::of(&["serve", "--key", "nc_read=acme"], &tables, free_address(), &[]);
        let ask = |period: &&str| server.insist(&format!("GET /v1/insights/overview?productId=crm{period}"), "", 200);
        ["", "&from=2026-11-01"].iter().map(ask).collect()
    };
    let (good, future) = (answers("good"), answers("one-future"));
    assert!(good.iter().all(|overview| overview["sessions"].as_i64() > Some(0)), "{good:?}");
    assert_eq!(good, future);
}
