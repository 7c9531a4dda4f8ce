//! Slow, silent and endless clients, through a real listener: each loses its connection, none harms another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netcrab_api::{ApiConfig, ApiLimits, IngestSettings, Server};
use netcrab_bus::memory::Memory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::{ACME, BATCH, Inlet, config, events};

/// A server that stops when this is dropped.
struct Serving {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

async fn serve(ingest: IngestSettings, limits: ApiLimits) -> Serving {
    let config = ApiConfig { limits, ..config(ingest) };
    let inlet = Inlet::over(config, Arc::new(Memory::new(2, 1 << 30)));
    let server = Server::bind(&inlet.config, inlet.state).await.expect("a free port");
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Serving { address, _stop: stop }
}

fn hurried() -> (IngestSettings, ApiLimits) {
    let ingest = IngestSettings { body_grace_ms: 300, body_bytes_per_s_min: 10_000, ..IngestSettings::default() };
    (ingest, ApiLimits { head_timeout_ms: 400, answer_timeout_ms: 400, ..ApiLimits::default() })
}

fn head(length: Option<usize>) -> String {
    let framing = length.map_or("transfer-encoding: chunked".to_owned(), |length| format!("content-length: {length}"));
    format!(
        "POST {BATCH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ACME}\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
    )
}

async fn connect(serving: &Serving) -> TcpStream {
    TcpStream::connect(serving.address).await.expect("a listener")
}

/// Sends a batch and gives the status of the answer.
async fn well_behaved(serving: &Serving) -> u16 {
    let mut stream = connect(serving).await;
    let body = events(5);
    stream.write_all(head(Some(body.len())).as_bytes()).await.expect("a connection");
    stream.write_all(body.as_bytes()).await.expect("a connection");
    status(&mut stream).await
}

async fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = [0; 12];
    let read = timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.expect("an answer in time");
    match read {
        Ok(_) => std::str::from_utf8(&answer[9..]).expect("a status").parse().expect("a status"),
        Err(_) => 0,
    }
}

/// Waits for the server to close the connection.
async fn closed(mut stream: TcpStream) -> Duration {
    let started = Instant::now();
    let mut sink = [0; 4096];
    loop {
        match timeout(Duration::from_secs(10), stream.read(&mut sink)).await.expect("closed in time") {
            Ok(0) | Err(_) => return started.elapsed(),
            Ok(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_a_second_is_cut_off_and_others_are_served_meanwhile() {
    let (ingest, limits) = hurried();
    let serving = serve(ingest, limits).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(&serving).await;
        stream.write_all(head(Some(100_000)).as_bytes()).await.expect("a connection");
        stream.write_all(b"{").await.expect("a connection");
        slow.push(stream);
    }
    let started = Instant::now();
    assert_eq!(well_behaved(&serving).await, 200);
    assert!(started.elapsed() < Duration::from_millis(250), "{:?}", started.elapsed());
    for stream in &mut slow {
        assert_eq!(status(stream).await, 408);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_never_ends_and_a_connection_without_one_are_closed() {
    let (ingest, limits) = hurried();
    let serving = serve(ingest, limits).await;
    let silent = connect(&serving).await;
    let mut slow = connect(&serving).await;
    slow.write_all(b"POST /v1/eve").await.expect("a connection");
    assert!(closed(silent).await < Duration::from_secs(3));
    assert!(closed(slow).await < Duration::from_secs(3));
    let mut endless = connect(&serving).await;
    let line = format!("x: {}\r\n", "y".repeat(1000));
    let _ = endless.write_all(b"GET / HTTP/1.1\r\n").await;
    for _ in 0..1000 {
        if endless.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
    assert!(closed(endless).await < Duration::from_secs(3), "a head of a megabyte");
    assert_eq!(well_behaved(&serving).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_end_is_read_to_the_bound_and_no_further() {
    let serving = serve(IngestSettings::default(), ApiLimits::default()).await;
    // Announced: refused before any of it is read.
    let mut stream = connect(&serving).await;
    stream.write_all(head(Some(10 << 30)).as_bytes()).await.expect("a connection");
    assert_eq!(status(&mut stream).await, 413);

    // Not announced: 10 GB in chunks, as far as they are taken.
    let mut stream = connect(&serving).await;
    stream.write_all(head(None).as_bytes()).await.expect("a connection");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let (mut read, mut write) = stream.split();
    let mut sent = 0usize;
    let mut answer = [0; 12];
    let endless = async {
        while write.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
        }
    };
    tokio::select! {
        () = endless => {}
        read = read.read_exact(&mut answer) => assert!(read.is_err() || answer.ends_with(b"413"), "{answer:?}"),
    }
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    assert_eq!(well_behaved(&serving).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_loses_the_connection() {
    let (ingest, limits) = hurried();
    let serving = serve(ingest, limits).await;
    let mut stream = connect(&serving).await;
    // Requests the document again and again and reads none of it, until the server closes the connection.
    let question = "GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let asking = async {
        while stream.write_all(question.as_bytes()).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(20), asking).await.expect("cut off in time");
    assert_eq!(well_behaved(&serving).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_beyond_the_bound_waits_for_a_place() {
    let (ingest, limits) = hurried();
    let serving = serve(ingest, ApiLimits { connections_max: 2, ..limits }).await;
    let silent = [connect(&serving).await, connect(&serving).await];
    let started = Instant::now();
    assert_eq!(well_behaved(&serving).await, 200);
    assert!(started.elapsed() > Duration::from_millis(200), "it waited for one of the silent ones to be closed");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_carries_many_batches() {
    let serving = serve(IngestSettings::default(), ApiLimits::default()).await;
    let mut stream = connect(&serving).await;
    for count in 1..20 {
        let body = events(count);
        stream.write_all(head(Some(body.len())).as_bytes()).await.expect("a connection");
        stream.write_all(body.as_bytes()).await.expect("a connection");
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.expect("an answer");
        let text = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(text.starts_with("HTTP/1.1 200") && text.contains(&format!(r#""accepted":{count},"#)), "{text}");
    }
}
