//! Who works on the shards of a log: the member that has the lock of `owner.lock` owns all of them; the others wait.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::settings::LogSettings;
use crate::{Error, Membership, ShardAssignment};

/// A member. It owns all shards from `Assigned` until it is dropped or its process ends.
#[derive(Debug)]
pub(crate) struct Member {
    path: PathBuf,
    shards: u32,
    poll: Duration,
    lock: Option<File>,
}

impl Member {
    pub(crate) fn new(settings: &LogSettings) -> Self {
        Self { path: settings.folder.join("owner.lock"), shards: settings.shards, poll: settings.poll(), lock: None }
    }
}

#[async_trait]
impl Membership for Member {
    async fn changed(&mut self) -> Result<ShardAssignment, Error> {
        if self.lock.is_some() {
            return std::future::pending().await;
        }
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path);
        let file = opened.map_err(Error::io("open", &self.path))?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => tokio::time::sleep(self.poll).await,
                Err(TryLockError::Error(fault)) => return Err(Error::io("lock", &self.path)(fault)),
            }
        }
        self.lock = Some(file);
        Ok(ShardAssignment::Assigned((0..self.shards).collect()))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}
