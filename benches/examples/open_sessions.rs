//! Holds a million open sessions of 25 events each, and prints their memory and speed.
//!
//!     25 epochs × 1,000,000 events ─▶ open sessions ─▶ memory, peak RSS, events/s ─▶ close all
//!
//!     cargo build --release --workspace --examples
//!     target/release/examples/open_sessions [sessions]
//!
//! Fails where the process used more than 1 GiB at any time, or where an event or a session is lost.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use arrow::array::Array;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, stream};
use netcrab_operators::rules::Sessionize;
use netcrab_operators::session::{SessionBatch, fields_of_events};
use netcrab_operators::sessionize::streaming::{OpenSessions, StreamingSessionizeExec};
use netcrab_schema::arrow::event_in_flight;

#[path = "../../operators/tests/suite/traffic.rs"]
mod traffic;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events of each session.
const STEPS: u64 = 25;
/// Events of a batch: as many as batches of files and of the bus have.
const BATCH_EVENTS: u64 = 8192;
/// Most entries of the action dictionary of a group; `netcrab` has the same bound.
const ACTIONS_MAX: usize = 1 << 18;
/// The bound on the memory of the process, in bytes.
const PEAK_MAX: usize = 1 << 30;

type State = Arc<Mutex<OpenSessions>>;

fn main() -> Result<ExitCode> {
    let sessions = std::env::args().nth(1).map_or(Ok(1_000_000), |sessions| sessions.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let state = OpenSessions::new(event_in_flight().fields(), Sessionize::default(), ACTIONS_MAX)?;
    let state: State = Arc::new(Mutex::new(state));
    let making = Arc::new(AtomicU64::new(0));

    let began = Instant::now();
    for step in 0..STEPS {
        let step = Step { step, sessions, making: Arc::clone(&making) };
        let watermark = traffic::watermark(step.step);
        let (closed, _) = runtime.block_on(epoch(step, &state, watermark))?;
        ensure!(closed == 0, "{closed} sessions closed that should be open");
    }
    let made = Duration::from_nanos(making.load(Ordering::Relaxed));
    report(&state, sessions * STEPS, began.elapsed().saturating_sub(made))?;
    let open = state.lock().unwrap_or_else(PoisonError::into_inner).counts();
    ensure!(open.sessions as u64 == sessions && open.events as u64 == sessions * STEPS, "not all are open: {open:?}");

    let began = Instant::now();
    let nothing = Step { step: STEPS, sessions: 0, making };
    let (closed, events) = runtime.block_on(epoch(nothing, &state, i64::MAX))?;
    ensure!(closed == sessions && events == sessions * STEPS, "{closed} sessions with {events} events came out");
    let seconds = began.elapsed().as_secs_f64();
    println!("closed all in {seconds:.1} s, {:.0} events/s", events as f64 / seconds);

    let peak = peak_bytes()?;
    println!("peak RSS at the end {:.0} MiB", mebibytes(peak));
    Ok(if peak <= PEAK_MAX { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one epoch. Returns the numbers of closed sessions and of their events.
async fn epoch(step: Step, state: &State, watermark: i64) -> Result<(u64, u64)> {
    let input = StreamingTableExec::try_new(event_in_flight(), vec![Arc::new(step)], None, [], false, None)?;
    let plan = StreamingSessionizeExec::new(Arc::new(input), Arc::clone(state), watermark, fields_of_events())?;
    let mut batches = plan.execute(0, Arc::default())?;
    let (mut sessions, mut events) = (0, 0);
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        sessions += batch.num_rows() as u64;
        events += SessionBatch::new(&batch)?.events().len() as u64;
    }
    Ok((sessions, events))
}

fn report(state: &State, events: u64, took: Duration) -> Result<()> {
    let memory = state.lock().unwrap_or_else(PoisonError::into_inner).memory();
    println!("{events} events open; {:.0} events/s", events as f64 / took.as_secs_f64());
    println!("state {:.0} MiB, {:.1} bytes an event", mebibytes(memory), memory as f64 / events as f64);
    println!("peak RSS {:.0} MiB of {:.0} allowed", mebibytes(peak_bytes()?), mebibytes(PEAK_MAX));
    Ok(())
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Peak resident memory of this process, in bytes.
fn peak_bytes() -> Result<usize> {
    let status =
        std::fs::read_to_string("/proc/self/status").context("the peak is read from /proc, which Linux has")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    let kibibytes: usize = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes << 10)
}

/// One event of each session, generated batch by batch.
#[derive(Debug)]
struct Step {
    step: u64,
    sessions: u64,
    /// Nanoseconds spent on generating events, over all steps.
    making: Arc<AtomicU64>,
}

impl PartitionStream for Step {
    fn schema(&self) -> &arrow::datatypes::SchemaRef {
        static SCHEMA: std::sync::OnceLock<arrow::datatypes::SchemaRef> = std::sync::OnceLock::new();
        SCHEMA.get_or_init(event_in_flight)
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (step, sessions, making) = (self.step, self.sessions, Arc::clone(&self.making));
        let batches = (0..sessions).step_by(BATCH_EVENTS as usize).map(move |first| {
            let began = Instant::now();
            let batch = traffic::events(step, first..sessions.min(first + BATCH_EVENTS));
            making.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
            Ok(batch)
        });
        Box::pin(RecordBatchStreamAdapter::new(event_in_flight(), stream::iter(batches)))
    }
}
