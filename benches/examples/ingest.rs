//! Measures ingestion from an HTTP request to its durable acknowledgement. The load generator runs on the same machine.
//!
//!     load (this program again, as a process of its own) ─ HTTP ─▶ API ─▶ built-in log, synced to disk
//!
//! `cargo run --release -p netcrab-benches --example ingest -- [ENCODING] [CONNECTIONS] [EVENTS_PER_S] [SECONDS]`
//!
//! ENCODING is `plain`, `gzip` or `zstd`. Batches have 500 events of generated traffic, without repeats. With
//! EVENTS_PER_S 0 every connection sends its next batch when the last one is answered. Otherwise batches are
//! due at that rate, and their latency counts from the time they are due.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use netcrab_api::{AgentKey, ApiConfig, AppState, IngestSettings, NoTables, Server};
use netcrab_bus::log::{Log, LogSettings};
use netcrab_sources::generate::{self, FileLayout};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: usize = 500;

/// How many times a sample of 200 batches is decoded without a server.
const ROUNDS: usize = 10;

const ORG: &str = "acme";

/// Hex digits at the end of an event id that number the batch.
const MARK_DIGITS: usize = 12;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, default: &str| arguments.get(at).map_or(default, String::as_str).to_owned();
    if argument(0, "") == "load" {
        let number = |at: usize| arguments.get(at).and_then(|number| number.parse::<u64>().ok()).context("a number");
        let address = argument(1, "").parse()?;
        return load(address, &argument(2, ""), number(3)? as usize, number(4)?, number(5)?);
    }
    let encoding = argument(0, "plain");
    let [connections, events_per_s, seconds] = [argument(1, "16"), argument(2, "0"), argument(3, "10")];

    let folder = std::env::temp_dir().join(format!("netcrab-ingest-bench-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(serve(&folder, |address| {
        let address = address.to_string();
        let mut load = Command::new(std::env::current_exe()?);
        load.args(["load", &address, &encoding, &connections, &events_per_s, &seconds]).stderr(Stdio::inherit());
        ensure!(load.status()?.success(), "the load did not come through");
        let page = get(&address, "/metrics")?;
        Ok((page, cpu_seconds()?))
    }));
    std::fs::remove_dir_all(&folder)?;
    let (page, cpu_s) = outcome?;
    let value = |name: &str| -> f64 {
        let line = page.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with(' '));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    };
    let batches = value("netcrab_ingest_parse_seconds_count");
    let (decode_ms, parse_ms) = decode_alone(&encoding)?;
    let (all_ms, wait_ms) = (1000.0 * cpu_s / batches, 1000.0 * value("netcrab_ingest_append_seconds_sum") / batches);
    println!(
        "server: {cpu_s:.2} s of CPU, {all_ms:.2} ms a batch; decompressing {:.2} ms ({:.0} %), parsing {parse_ms:.2} ms ({:.0} %), \
         the rest (HTTP, repeats, bus) {:.2} ms; mean wait for the bus {wait_ms:.1} ms",
        decode_ms - parse_ms,
        100.0 * (decode_ms - parse_ms) / all_ms,
        100.0 * parse_ms / all_ms,
        all_ms - decode_ms,
    );
    Ok(())
}

/// CPU of one batch for decompressing and parsing, and for parsing alone, in ms. Measured apart, on one thread:
/// a clock within the server would also count the time in which other threads had the core.
fn decode_alone(encoding: &str) -> Result<(f64, f64)> {
    let batches = Batches::generate(encoding)?;
    let mut decoder = netcrab_sources::wire::BatchDecoder::new(netcrab_sources::SourceSettings::default());
    let sample: Vec<&[u8]> = batches.bodies.iter().take(200).map(Vec::as_slice).collect();
    let plain: Vec<Vec<u8>> = sample.iter().map(|body| decompressed(encoding, body)).collect::<Result<_>>()?;
    let before = cpu_seconds()?;
    for _ in 0..ROUNDS {
        for body in &sample {
            std::hint::black_box(decompressed(encoding, body)?);
        }
    }
    let between = cpu_seconds()?;
    for _ in 0..ROUNDS {
        for body in &plain {
            ensure!(
                decoder.batch(body, jiff::Timestamp::now().as_millisecond(), EVENTS, 1)?.events.num_rows() == EVENTS
            );
        }
    }
    let after = cpu_seconds()?;
    let decoded = (ROUNDS * sample.len()) as f64 / 1000.0;
    let decompress_s = if encoding == "plain" { 0.0 } else { between - before };
    Ok(((decompress_s + after - between) / decoded, (after - between) / decoded))
}

fn decompressed(encoding: &str, body: &[u8]) -> Result<Vec<u8>> {
    let mut plain = Vec::with_capacity(1 << 20);
    match encoding {
        "gzip" => flate2::read::MultiGzDecoder::new(body).read_to_end(&mut plain)?,
        "zstd" => zstd::stream::read::Decoder::with_buffer(body)?.read_to_end(&mut plain)?,
        _ => plain.write(body)?,
    };
    Ok(plain)
}

/// Serves while `load` runs.
async fn serve<T: Send + 'static>(folder: &std::path::Path, load: impl FnOnce(SocketAddr) -> Result<T>) -> Result<T> {
    let clock = Arc::new(|| jiff::Timestamp::now().as_millisecond());
    let log = LogSettings { shards: 2, bytes_max: 64 << 30, ..LogSettings::of(folder) };
    let bus = Arc::new(Log::open(log, clock)?);
    let key = AgentKey { key: "nc_agent_bench".to_owned(), org_id: ORG.to_owned(), products: Vec::new() };
    let ingest = IngestSettings { events_per_s_max: 10_000_000, ..IngestSettings::default() };
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ApiConfig { listen, agent_keys: vec![key], ingest, ..ApiConfig::default() };
    let sources = netcrab_sources::SourceSettings::default();
    let state = AppState::taking_events(&config, Arc::new(NoTables), jiff::Timestamp::now, sources, bus)?;
    let server = Server::bind(&config, state).await?;
    let address = server.address();
    let serving = tokio::spawn(server.run(std::future::pending()));
    let outcome = tokio::task::block_in_place(|| load(address));
    serving.abort();
    outcome
}

/// Sends batches on many connections and prints rates and latencies.
fn load(address: SocketAddr, encoding: &str, connections: usize, events_per_s: u64, seconds: u64) -> Result<()> {
    let batches = Batches::generate(encoding)?;
    let (next, started) = (AtomicU64::new(0), Instant::now());
    let until = started + Duration::from_secs(seconds);
    let due = |number: u64| match events_per_s {
        0 => None,
        rate => Some(started + Duration::from_secs_f64(number as f64 * EVENTS as f64 / rate as f64)),
    };
    let sent = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| -> Result<Vec<Duration>> {
                    let mut stream = TcpStream::connect(address)?;
                    stream.set_nodelay(true)?;
                    let (mut request, mut latencies) = (Vec::new(), Vec::new());
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let from = due(number).unwrap_or_else(Instant::now);
                        std::thread::sleep(from.saturating_duration_since(Instant::now()));
                        if from >= until || !batches.write(number, encoding, &mut request) {
                            return Ok(latencies);
                        }
                        let from = from.max(due(number).unwrap_or_else(Instant::now));
                        stream.write_all(&request)?;
                        answered(&mut stream)?;
                        latencies.push(from.elapsed());
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread ended")))
            .collect::<Result<Vec<_>>>()
    })?;
    let took = started.elapsed().as_secs_f64();
    let mut latencies: Vec<Duration> = sent.concat();
    latencies.sort();
    let ms = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "{encoding}: {:.0} events/s over {took:.1} s, {} batches of {EVENTS} on {connections} connections, {} bytes each; answer p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms; load {:.2} s of CPU",
        (latencies.len() * EVENTS) as f64 / took,
        latencies.len(),
        batches.bodies[0].len(),
        ms(0.5),
        ms(0.99),
        ms(1.0),
        cpu_seconds()?,
    );
    Ok(())
}

/// Reads one answer and checks that its whole batch was accepted.
fn answered(stream: &mut TcpStream) -> Result<()> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "the server closed the connection");
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        if text.ends_with('}') {
            ensure!(text.contains(r#""status":"ok","accepted":500,"#), "{text}");
            return Ok(());
        }
    }
}

/// Bodies to send: plain ones repeatedly under new ids, compressed ones once each.
struct Batches {
    bodies: Vec<Vec<u8>>,
    /// Where the ids of each plain body end.
    marks: Vec<Vec<usize>>,
}

impl Batches {
    fn generate(encoding: &str) -> Result<Self> {
        let count = if encoding == "plain" { 200 } else { 6000 };
        let path: PathBuf = std::env::temp_dir().join(format!("netcrab-ingest-load-{}.ndjson", std::process::id()));
        let events = (EVENTS * count.min(1000)) as u64;
        let settings = generate::GenerateSettings { events, orgs: 1, ..generate::GenerateSettings::default() };
        generate::write_ndjson(&path, settings, &FileLayout::default(), &mut |_| {})?;
        let text = std::fs::read_to_string(&path)?;
        std::fs::remove_file(&path)?;
        let lines: Vec<&str> = text.lines().collect();
        let chunks: Vec<String> = lines.chunks(EVENTS).map(|events| batch(&events.join(","))).collect();
        let (mut bodies, mut marks) = (Vec::new(), Vec::new());
        for number in 0..count {
            let mut body = chunks[number % chunks.len()].clone().into_bytes();
            let ends = ends_of_ids(&body);
            if encoding != "plain" {
                mark(&mut body, &ends, number as u64);
            }
            bodies.push(match encoding {
                "gzip" => {
                    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                    gzip.write_all(&body)?;
                    gzip.finish()?
                }
                "zstd" => zstd::encode_all(&body[..], 3)?,
                _ => body,
            });
            marks.push(ends);
        }
        Ok(Self { bodies, marks })
    }

    /// Writes request `number`; false where there are no more.
    fn write(&self, number: u64, encoding: &str, request: &mut Vec<u8>) -> bool {
        let at = number as usize % self.bodies.len();
        if encoding != "plain" && number as usize >= self.bodies.len() {
            return false;
        }
        let body = &self.bodies[at];
        request.clear();
        let encoded = if encoding == "plain" { String::new() } else { format!("content-encoding: {encoding}\r\n") };
        let head = format!(
            "POST /v1/events/batch HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer nc_agent_bench\r\ncontent-type: application/json\r\n{encoded}content-length: {}\r\n\r\n",
            body.len()
        );
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body);
        if encoding == "plain" {
            let length = head.len();
            mark(&mut request[length..], &self.marks[at], number);
        }
        true
    }
}

fn batch(events: &str) -> String {
    // The organisation must be that of the key, whatever the generator named it.
    let org = events.split("\"orgId\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or(ORG);
    let events = events.replace(&format!("\"orgId\":\"{org}\""), &format!("\"orgId\":\"{ORG}\""));
    format!(r#"{{"agentId":"bench","sdkVersion":"1.0.0","events":[{events}]}}"#)
}

fn ends_of_ids(body: &[u8]) -> Vec<usize> {
    let key = b"\"eventId\":\"";
    let found = body.windows(key.len()).enumerate().filter(|(_, window)| window == key);
    found.map(|(at, _)| at + key.len() + 36).collect()
}

fn mark(body: &mut [u8], ends: &[usize], number: u64) {
    let digits = format!("{number:0width$x}", width = MARK_DIGITS);
    for end in ends {
        body[end - MARK_DIGITS..*end].copy_from_slice(digits.as_bytes());
    }
}

fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

/// CPU that this process has used, in seconds: fields 14 and 15 of its stat, in hundredths (proc(5)).
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().context("a name in parentheses")?;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
