//! Threads, memory and partitions of plans.

use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use netcrab_operators::sessionize::batch::Sizes;

use crate::config::{Config, RunSettings};
use crate::error::{Error, Result};

/// Target number of events in a partition of the batch operator.
const PARTITION_EVENTS: u64 = 65_536;

/// Partitions of the batch operator where the number of events is unknown.
const PARTITIONS: usize = 256;

/// Most entries of an action dictionary: about 12 MiB for each thread, and again where events_raw is sorted.
pub(crate) const ACTIONS_MAX: usize = 1 << 18;

/// Sizes of the batch operator for `events` events. Of `run.memory_mib` it gets half, the sorts of events_raw and
/// events_sessionized an eighth each, and the sorts of the other tables the rest.
pub fn batch_sizes(events: Option<u64>, config: &Config) -> Sizes {
    let partitions = events.map_or(PARTITIONS, |events| (events / PARTITION_EVENTS).clamp(16, 4096) as usize);
    Sizes { partitions, memory_max: (config.run.memory_mib << 20) / 2, actions_max: ACTIONS_MAX }
}

/// The DataFusion context of plans: threads, memory pool, spill folder.
///
/// # Errors
/// [`Error::SpillFolder`].
pub fn task_context(config: &Config) -> Result<Arc<TaskContext>> {
    let spill_reservation = (config.run.memory_mib << 20) / 128;
    let session = SessionConfig::new()
        .with_target_partitions(config.run.threads())
        .with_sort_spill_reservation_bytes(spill_reservation);
    let context = TaskContext::default().with_session_config(session).with_runtime(runtime(&config.run)?);
    Ok(Arc::new(context))
}

/// A fair memory pool of three quarters of `run.memory_mib` that spills to `run.spill_dir`. The rest is for the sorts of
/// events, which take a sixth of the pool each, beside it (`operators/src/sort/records.rs`).
///
/// # Errors
/// [`Error::SpillFolder`] where `run.spill_dir` cannot be used.
pub fn runtime(run: &RunSettings) -> Result<Arc<RuntimeEnv>> {
    let pool = FairSpillPool::new((run.memory_mib << 20) / 4 * 3);
    let mut builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool));
    if !run.spill_dir.as_os_str().is_empty() {
        builder = builder.with_temp_file_path(&run.spill_dir);
    }
    builder.build_arc().map_err(Error::SpillFolder)
}
