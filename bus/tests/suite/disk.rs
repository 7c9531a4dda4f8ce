//! A disk that is full: nothing acknowledged is lost, and the log goes on when there is space.

use std::path::{Path, PathBuf};
use std::process::Command;

use netcrab_bus::log::LogSettings;
use netcrab_bus::{Bus, Error};

use super::test_server::skipped;
use super::{events, held, ids, log, log_with};

/// A file system of its own, gone with the test.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        let disk = folder.join("disk");
        std::fs::create_dir(&disk).unwrap();
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs", disk.to_str().unwrap()]).status();
        mounted.is_ok_and(|status| status.success()).then_some(Disk(disk))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_keeps_what_was_acknowledged_and_goes_on_with_space() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path(), "256k") else {
        return skipped("it needs the right to mount a tmpfs");
    };
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 64 << 10]).unwrap();
    let at = disk.0.join("bus");
    let settings = LogSettings { segment_bytes: 32 << 10, ..LogSettings::of(&at) };
    let bus = log_with(settings.clone());
    let mut acknowledged = Vec::new();
    let full = loop {
        let batch = events(&format!("s{}", acknowledged.len()), 0..3);
        match bus.append(vec![(0, batch.clone())]).await {
            Ok(()) => acknowledged.extend(ids(&[batch])),
            Err(fault) => break fault,
        }
    };
    assert!(acknowledged.len() > 20);
    assert!(matches!(full, Error::DiskFull { .. }) && full.retry_after().is_some(), "{full}");
    assert!(full.to_string().starts_with("no space is left on the disk of `"), "{full}");
    assert_eq!(held(&bus, 0).await, acknowledged);
    // Still full, still refused, still nothing lost; also on opening again.
    assert!(bus.append(vec![(0, events("more", 0..3))]).await.is_err());
    drop(bus);
    let bus = log(&at);
    assert_eq!(held(&bus, 0).await, acknowledged);
    drop(bus);
    let bus = log_with(settings);
    std::fs::remove_file(&ballast).unwrap();
    bus.append(vec![(0, events("space", 0..3))]).await.unwrap();
    acknowledged.extend(ids(&[events("space", 0..3)]));
    assert_eq!(held(&bus, 0).await, acknowledged);
    // What is released makes room before an append is refused.
    while bus.append(vec![(0, events("fill", 0..3))]).await.is_ok() {}
    bus.release(0, bus.bounds(0).await.unwrap().end).await.unwrap();
    bus.append(vec![(0, events("after", 0..3))]).await.unwrap();
    assert!(held(&bus, 0).await.ends_with(&ids(&[events("after", 0..3)])));
}
