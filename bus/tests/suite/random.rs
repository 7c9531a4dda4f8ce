//! Random appends, reads, releases and reopenings: the log does what the memory bus does.

use netcrab_bus::log::LogSettings;
use netcrab_bus::memory::Memory;
use netcrab_bus::{Bus, Error};
use proptest::prelude::*;

use super::{events, log_with, quick_folder, rows};

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(u32, u8)>),
    Read { shard: u32, from: u8, length: u8, bytes_max: u32 },
    Release { shard: u32, before: u8 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec((0..2_u32, 0..40_u8), 1..4).prop_map(Step::Append),
        4 => (0..2_u32, 0..60_u8, 0..40_u8, 0..60_000_u32)
            .prop_map(|(shard, from, length, bytes_max)| Step::Read { shard, from, length, bytes_max }),
        1 => (0..2_u32, 0..60_u8).prop_map(|(shard, before)| Step::Release { shard, before }),
        1 => Just(Step::Reopen),
    ]
}

/// A whole range, however many steps it takes.
async fn range(bus: &dyn Bus, shard: u32, from: u64, to: u64, bytes_max: usize) -> Result<(Vec<String>, u64), String> {
    let (mut next, mut found) = (from, Vec::new());
    loop {
        let fetched = bus.read(shard, next, Some(to), bytes_max).await.map_err(|fault| match fault {
            Error::Beyond { .. } => "beyond".to_owned(),
            other => other.to_string(),
        })?;
        found.extend(rows(&fetched.batches));
        if fetched.next == next {
            return Ok((found, next));
        }
        next = fetched.next;
    }
}

async fn run(steps: Vec<Step>) {
    let folder = quick_folder();
    let settings = LogSettings { shards: 2, segment_bytes: 30_000, ..LogSettings::of(folder.path()) };
    let memory = Memory::new(2, u64::MAX);
    let mut log = Some(log_with(settings.clone()));
    for (number, step) in steps.into_iter().enumerate() {
        let open = log.as_ref().unwrap();
        match step {
            Step::Append(parts) => {
                let batch = |(part, (shard, count)): (usize, &(u32, u8))| {
                    (*shard, events(&format!("s{number}-{part}"), 0..u32::from(*count)))
                };
                let batches: Vec<_> = parts.iter().enumerate().map(batch).collect();
                memory.append(batches.clone()).await.unwrap();
                open.append(batches).await.unwrap();
            }
            Step::Read { shard, from, length, bytes_max } => {
                let (from, to) = (u64::from(from), u64::from(from) + u64::from(length));
                let expected = range(&memory, shard, from, to, bytes_max as usize).await;
                assert_eq!(range(open, shard, from, to, bytes_max as usize).await, expected);
            }
            Step::Release { shard, before } => {
                open.release(shard, before.into()).await.unwrap();
                memory.release(shard, before.into()).await.unwrap();
            }
            Step::Reopen => {
                drop(log.take());
                log = Some(log_with(settings.clone()));
                assert!(log.as_ref().unwrap().repairs().is_empty());
            }
        }
        for shard in 0..2 {
            assert_eq!(log.as_ref().unwrap().bounds(shard).await.unwrap(), memory.bounds(shard).await.unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_log_does_what_the_memory_bus_does(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
