//! How fast answers are over a year of tables. The load comes from the same machine.
//!
//!     "$(scripts/python.sh)" api/tests/speed_tables.py FOLDER
//!     NETCRAB_SPEED_TABLES=FOLDER cargo test --release -p netcrab-api speed -- --ignored --nocapture
//!
//! Requests are sent at a fixed rate, whether or not answers come; a latency counts from the moment
//! the request was due, so a stall is not hidden by waiting for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netcrab_api::{ApiConfig, ApiKey, DeltaLimits, DeltaStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

const P99_MAX: Duration = Duration::from_millis(50);
const CONNECTIONS: usize = 64;

struct Load {
    name: &'static str,
    a_second: u32,
    seconds: u32,
    question: fn(u32) -> String,
}

fn product(n: u32) -> String {
    format!("productId=product{}", n % 3)
}

static LOADS: &[Load] = &[
    Load {
        name: "overview, 30 days",
        a_second: 200,
        seconds: 10,
        question: |n| format!("/v1/insights/overview?{}", product(n)),
    },
    Load {
        name: "overview, a year",
        a_second: 200,
        seconds: 10,
        question: |n| format!("/v1/insights/overview?{}&from=2025-11-24&to=2026-11-23", product(n)),
    },
    Load {
        name: "hotspots, a year",
        a_second: 200,
        seconds: 10,
        question: |n| format!("/v1/insights/hotspots?{}&from=2025-11-24&to=2026-11-23", product(n)),
    },
    Load {
        name: "half overview, half hotspots, 30 days or a year",
        a_second: 200,
        seconds: 20,
        question: |n| {
            let question = ["overview", "hotspots"][(n % 2) as usize];
            let from = ["2025-11-24", "2026-10-25"][(n / 2 % 2) as usize];
            format!("/v1/insights/{question}?{}&from={from}&to=2026-11-23", product(n))
        },
    },
    Load {
        name: "flows, a year",
        a_second: 200,
        seconds: 5,
        question: |n| format!("/v1/flows/top?{}&from=2025-11-24", product(n)),
    },
    Load {
        name: "sessions, first page",
        a_second: 10,
        seconds: 5,
        question: |n| format!("/v1/insights/sessions?{}", product(n)),
    },
    Load {
        name: "incidents, first page",
        a_second: 10,
        seconds: 5,
        question: |n| format!("/v1/insights/incidents?{}", product(n)),
    },
    Load {
        name: "overview of a segment, 3 days",
        a_second: 2,
        seconds: 5,
        question: |n| format!("/v1/insights/overview?{}&segment=paid&from=2026-11-21&to=2026-11-23", product(n)),
    },
    Load {
        name: "unknown session in a year",
        a_second: 2,
        seconds: 5,
        question: |n| format!("/v1/insights/sessions/{n:032x}"),
    },
];

#[test]
#[ignore = "needs NETCRAB_SPEED_TABLES and a release build"]
fn a_year_of_tables_is_answered_in_time() {
    let Some(folder) = std::env::var_os("NETCRAB_SPEED_TABLES").map(PathBuf::from) else {
        panic!("set NETCRAB_SPEED_TABLES to the folder that api/tests/speed_tables.py made")
    };
    let server = runtime(2);
    let opened = Instant::now();
    let store = Arc::new(server.block_on(DeltaStore::open(&folder, DeltaLimits::default())).expect("readable tables"));
    println!("opened in {:?}", opened.elapsed());
    let listener = server.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let keys = (0..5).map(|org| ApiKey { key: format!("nc_{org}"), org_id: format!("org{org}") }).collect();
    let config = ApiConfig { listen: address, keys, ..ApiConfig::default() };
    server.spawn(async move { netcrab_api::serve(config, store, std::future::pending()).await.expect("a server") });
    std::thread::sleep(Duration::from_millis(300));

    let client = runtime(1);
    for load in LOADS {
        let mut latencies = client.block_on(run(load, address));
        latencies.sort_unstable();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
        println!("{:50} {:4}/s  p50 {p50:>10.2?}  p99 {p99:>10.2?}  max {max:>10.2?}", load.name, load.a_second);
        assert!(load.a_second < 200 || p99 <= P99_MAX, "{}: p99 {p99:?}", load.name);
    }
    server.shutdown_background();
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime")
}

async fn run(load: &'static Load, address: std::net::SocketAddr) -> Vec<Duration> {
    let free = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..CONNECTIONS {
        free.lock().await.push(TcpStream::connect(address).await.expect("a connection"));
    }
    let begun = Instant::now() + Duration::from_millis(100);
    let answers = (0..load.a_second * load.seconds).map(|n| {
        let free = free.clone();
        let due = begun + Duration::from_secs(1) * n / load.a_second;
        tokio::spawn(async move {
            tokio::time::sleep_until(due.into()).await;
            let pooled = free.lock().await.pop();
            let mut connection = match pooled {
                Some(connection) => connection,
                None => TcpStream::connect(address).await.expect("a connection"),
            };
            ask(&mut connection, &(load.question)(n), n % 5).await;
            let took = due.elapsed();
            free.lock().await.push(connection);
            took
        })
    });
    let answers: Vec<_> = answers.collect();
    let mut latencies = Vec::new();
    for answer in answers {
        latencies.push(answer.await.expect("an answer"));
    }
    latencies
}

/// Sends one request on an open connection and reads the answer, which gives its length.
async fn ask(connection: &mut TcpStream, question: &str, org: u32) {
    let request = format!("GET {question} HTTP/1.1\r\nhost: netcrab\r\nauthorization: Bearer nc_{org}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.expect("an open connection");
    let (mut answer, mut length) = (Vec::new(), usize::MAX);
    while answer.len() < length {
        let read = connection.read_buf(&mut answer).await.expect("an open connection");
        assert!(read > 0, "the server hung up");
        if length == usize::MAX
            && let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
            let ok = text.starts_with("http/1.1 200") || text.starts_with("http/1.1 404");
            assert!(ok, "{question}: {text}");
            let body = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).expect("a length");
            length = head + 4 + body.trim().parse::<usize>().expect("a number");
        }
    }
}
