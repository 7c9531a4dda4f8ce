//! A shard with a million open sessions: the bytes its epochs write, and the time of a restart after a kill.
//!
//!     events, an epoch for each slice ─▶ built-in log, open sessions, tables ─▶ dropped, reopened
//!
//!     cargo build --release -p netcrab-benches --examples --features netcrab-pipeline/kafka
//!     target/release/examples/recovery [sessions] [events of each]
//!
//! It prints how many bytes of checkpoints were written for each byte of events, and how long a restart takes:
//! right after a checkpoint, and just before the next.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use arrow::array::RecordBatch;
use netcrab_bus::log::{Log, LogSettings};
use netcrab_bus::{Bus, split};
use netcrab_operators::rules::Rules;
use netcrab_pipeline::checkpoints::Checkpoints;
use netcrab_pipeline::checkpoints::folder::Folder;
use netcrab_pipeline::config::Config;
use netcrab_pipeline::config::stream::StreamSettings;
use netcrab_pipeline::stream::context::StreamContext;
use netcrab_pipeline::stream::shard::{EpochRequest, Shard};
use netcrab_sinks::delta::DeltaSink;

#[path = "../../operators/tests/suite/traffic.rs"]
mod traffic;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events of a batch: as many as the ingestion API appends at full load.
const BATCH_EVENTS: u64 = 500;
/// Events of an epoch: a second of full load.
const EPOCH_EVENTS: u64 = 50_000;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<u64>());
    let sessions = numbers.next().transpose()?.unwrap_or(1_000_000);
    let steps = numbers.next().transpose()?.unwrap_or(5);
    let folder = std::env::current_dir()?.join(format!("recovery-{}", std::process::id()));
    let run = run(&folder, sessions, steps).await;
    std::fs::remove_dir_all(&folder)?;
    run.map(|()| ExitCode::SUCCESS)
}

async fn run(folder: &std::path::Path, sessions: u64, steps: u64) -> Result<()> {
    let log = LogSettings { bytes_max: 64 << 30, ..LogSettings::of(folder.join("_bus")) };
    let bus: Arc<dyn Bus> = Arc::new(Log::open(log, Arc::new(|| 0))?);
    let address = folder.to_str().context("a folder with a name in Unicode")?;
    // No session closes: the gap is half an hour, and the whole run takes minutes.
    let settings = StreamSettings { lateness_ms: 0, ..StreamSettings::default() };
    let shared = Arc::new(StreamContext {
        bus: Arc::clone(&bus),
        results: None,
        clickhouse: None,
        sink: DeltaSink::new(netcrab_pipeline::tables::address(address)?),
        settings,
        task: netcrab_pipeline::plans::resources::task_context(&Config::default())?,
        feed: None,
    });
    let rules = Arc::new(Rules::default());
    let ask = EpochRequest { now_ms: i64::MAX / 2, finish: false, rules: &rules };
    let mut shard = Shard::open(Arc::clone(&shared), 0, &rules).await?;
    let mut event_bytes = None;
    let (mut came, mut written, mut states, mut slowest) = (0, 0, 0, std::time::Duration::ZERO);
    let mut worst_recovery = None;
    for step in 0..steps {
        for first in (0..sessions).step_by(EPOCH_EVENTS as usize) {
            let end = sessions.min(first + EPOCH_EVENTS);
            for first in (first..end).step_by(BATCH_EVENTS as usize) {
                let events: RecordBatch = traffic::events(step, first..end.min(first + BATCH_EVENTS));
                bus.append(split(&events, 1)?).await?;
            }
            let began = Instant::now();
            while shard.step(ask).await?.is_some_and(|report| report.lag > 0) {}
            slowest = slowest.max(began.elapsed());
            let (manifest, _) =
                Checkpoints::of(&Folder::Disk(folder.to_owned()), 0).newest().await?.context("an epoch")?;
            came += manifest.events;
            event_bytes = event_bytes.or(Some(bytes_in(&folder.join("_bus"))? as f64 / came as f64));
            if let Some(state) = manifest.state {
                states += 1;
                written += state.bytes;
            }
        }
        // Since the last checkpoint nearly as many events came as are open.
        if step + 2 == steps {
            let waiting = Checkpoints::of(&Folder::Disk(folder.to_owned()), 0).epochs().await?.len();
            let began = Instant::now();
            drop(shard);
            shard = Shard::open(Arc::clone(&shared), 0, &rules).await?;
            worst_recovery = Some((began.elapsed(), waiting));
        }
    }
    let (open, events, memory) = shard.state().open_counts();
    ensure!(
        open as u64 == sessions && events as u64 == sessions * steps,
        "{open} sessions with {events} events are open"
    );
    let stored = came as f64 * event_bytes.unwrap_or_default();
    println!("{open} sessions open, {events} events, {} MiB in memory", memory >> 20);
    println!("the open sessions were written {states} times, {} MiB in all", written >> 20);
    println!(
        "that is {:.2} bytes for each byte of events on the bus ({:.0} MiB)",
        written as f64 / stored,
        stored / 1048576.0
    );
    println!("slowest epoch of {EPOCH_EVENTS} events: {:.2} s", slowest.as_secs_f64());
    if let Some((took, epochs)) = worst_recovery {
        println!("opened again after {epochs} epochs since the state was written: {:.2} s", took.as_secs_f64());
    }
    let before = shard.state().to_bytes()?;
    drop(shard);
    let waiting = Checkpoints::of(&Folder::Disk(folder.to_owned()), 0).epochs().await?.len();
    let began = Instant::now();
    let shard = Shard::open(Arc::clone(&shared), 0, &rules).await?;
    println!(
        "opened again at the end, {waiting} epochs since the state was written: {:.2} s",
        began.elapsed().as_secs_f64()
    );
    ensure!(before == shard.state().to_bytes()?, "the state taken up differs");
    Ok(())
}

/// Bytes of the files in a folder and the folders in it.
fn bytes_in(folder: &std::path::Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { bytes_in(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
