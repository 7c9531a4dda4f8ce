//! How fast the built-in log takes events, and how long an appender waits for its flush.
//!
//!     cargo run --release -p netcrab-bus --example speed [FOLDER] [SECONDS]
//!
//! Appends batches of 500 generated events, durably, with one appender and with eight, into FOLDER (default:
//! a temporary one; it must be on the disk that is to be measured), for SECONDS each (default: 5). Then reads
//! all of it. One line a run: events a second, p50 and p99 of an append in ms, bytes of an event on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use futures::future::join_all;
use netcrab_bus::log::{Log, LogSettings};
use netcrab_bus::{Bus, Clock};
use netcrab_sources::generate::{self, Traffic};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const BATCH_ROWS: usize = 500;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let scratch = tempfile::tempdir()?;
    let folder = arguments.next().map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    let seconds = arguments.next().map_or(Ok(5), |seconds| seconds.parse())?;
    let settings = generate::GenerateSettings { events: 200_000, batch_rows: BATCH_ROWS, ..Default::default() };
    let batches = Arc::new(Traffic::new(settings)?.collect::<Result<Vec<_>, _>>()?);
    for appenders in [1, 8] {
        run(&folder.join(format!("speed-{appenders}")), &batches, appenders, Duration::from_secs(seconds)).await?;
    }
    Ok(())
}

async fn run(folder: &Path, batches: &Arc<Vec<RecordBatch>>, appenders: usize, time: Duration) -> Result<(), AnyError> {
    let clock: Clock =
        Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64));
    let bus = Arc::new(Log::open(LogSettings { bytes_max: 64 << 30, ..LogSettings::of(folder) }, clock)?);
    let started = Instant::now();
    let append = |appender: usize| {
        let (bus, batches) = (bus.clone(), batches.clone());
        tokio::spawn(async move {
            let mut waits = Vec::new();
            for batch in batches.iter().cycle().skip(appender * batches.len() / appenders) {
                if started.elapsed() > time {
                    break;
                }
                let asked = Instant::now();
                bus.append(vec![(0, batch.clone())]).await?;
                waits.push((asked.elapsed(), batch.num_rows()));
            }
            Ok::<_, netcrab_bus::Error>(waits)
        })
    };
    let mut waits = Vec::new();
    for found in join_all((0..appenders).map(append)).await {
        waits.extend(found??);
    }
    let took = started.elapsed().as_secs_f64();
    let events: usize = waits.iter().map(|(_, rows)| rows).sum();
    waits.sort_unstable();
    let percentile = |hundredths: usize| waits[(waits.len() - 1) * hundredths / 100].0.as_secs_f64() * 1e3;
    let (p50, p99) = (percentile(50), percentile(99));
    let read = Instant::now();
    let (end, mut next) = (bus.bounds(0).await?.end, 0);
    while next < end {
        next = bus.read(0, next, Some(end), 16 << 20).await?.next;
    }
    let read = events as f64 / read.elapsed().as_secs_f64();
    drop(bus);
    let bytes = bytes_of(folder)? as f64 / events as f64;
    println!(
        "{appenders} appenders: {:.0} events/s durable, append p50 {p50:.2} ms, p99 {p99:.2} ms; {bytes:.0} bytes an event; read {read:.0} events/s",
        events as f64 / took,
    );
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn bytes_of(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { bytes_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
