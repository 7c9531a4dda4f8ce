//! A process that appends is killed again and again: what it said was durable is there, once.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use futures::future::join_all;
use netcrab_bus::Bus;
use netcrab_bus::log::LogSettings;

use super::{events, held, log_with};

const KILLS: u32 = 24;
const FOLDER: &str = "NETCRAB_TEST_KILLED_LOG";
const LIFE: &str = "NETCRAB_TEST_LIFE";

fn settings(folder: impl Into<std::path::PathBuf>) -> LogSettings {
    LogSettings { shards: 2, segment_bytes: 64 << 10, ..LogSettings::of(folder) }
}

/// Appends until the process is killed, and prints each append that was acknowledged.
async fn append_until_killed(folder: &str, life: &str) -> ! {
    let bus = log_with(settings(folder));
    let appender = |name: u32| {
        let bus = &bus;
        async move {
            for n in 0.. {
                let visit = format!("l{life}a{name}n{n}");
                bus.append(vec![(0, events(&visit, 0..4)), (1, events(&visit, 4..6))]).await.unwrap();
                println!("acknowledged {visit}");
            }
        }
    };
    join_all((0..4).map(appender)).await;
    unreachable!("appenders do not end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_it_acknowledged_and_repeats_nothing() {
    // Run again by itself below, it is the process that is killed.
    if let (Ok(folder), Ok(life)) = (std::env::var(FOLDER), std::env::var(LIFE)) {
        append_until_killed(&folder, &life).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for life in 0..KILLS {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "suite::kills::a_killed_process_loses_nothing_it_acknowledged_and_repeats_nothing",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(FOLDER, folder.path())
            .env(LIFE, life.to_string())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after some more appends each time, wherever it is then.
        for line in lines.by_ref() {
            acknowledged.extend(line.unwrap().strip_prefix("acknowledged ").map(str::to_owned));
            if acknowledged.len() as u32 >= (life + 1) * 7 {
                break;
            }
        }
        std::thread::sleep(std::time::Duration::from_micros(u64::from(life) * 137));
        child.kill().unwrap();
        // What it still said before it died counts too; its last line may be cut.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        acknowledged.extend(rest.iter().filter_map(|line| line.strip_prefix("acknowledged ")).map(str::to_owned));
        child.wait().unwrap();
    }
    assert!(acknowledged.len() as u32 >= KILLS * 7);
    let bus = log_with(settings(folder.path()));
    for (shard, numbers) in [(0, 0..4), (1, 4..6)] {
        let found = held(&bus, shard).await;
        let once: HashSet<&String> = found.iter().collect();
        assert_eq!(once.len(), found.len(), "an event stands twice in shard {shard}");
        for visit in &acknowledged {
            for number in numbers.clone() {
                let id = format!("{visit}-{number}");
                assert!(once.contains(&id), "{id} was acknowledged and is gone from shard {shard}");
            }
        }
    }
}
