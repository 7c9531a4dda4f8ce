//! The appends that wait for the writer, bounded in bytes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::payload::Frame;
use crate::{Error, locked};

/// One append: its frames, and where to send the answer.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) frames: Vec<(u32, Frame)>,
    pub(crate) answer: oneshot::Sender<Result<(), Error>>,
}

impl Pending {
    pub(crate) fn bytes(&self) -> u64 {
        self.frames.iter().map(|(_, frame)| frame.len()).sum()
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    bytes_max: u64,
    retry_after: Duration,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<Pending>,
    /// Bytes that wait or are being written.
    bytes: u64,
    woken: bool,
    closed: bool,
    stopped: Option<Error>,
}

impl Queue {
    pub(crate) fn new(bytes_max: u64, retry_after: Duration) -> Self {
        Self { bytes_max, retry_after, state: Mutex::default(), more: Condvar::new() }
    }

    /// Adds an append, if there is room.
    pub(crate) fn push(&self, pending: Pending) -> Result<(), Error> {
        let (bytes, bytes_max) = (pending.bytes(), self.bytes_max);
        if bytes > bytes_max {
            return Err(Error::TooLarge { what: "an append", bytes, bytes_max, setting: "queue_bytes_max" });
        }
        let mut state = self.lock();
        if let Some(stopped) = &state.stopped {
            return Err(stopped.clone());
        }
        if state.bytes + bytes > bytes_max {
            let (retry_after, mend) = (self.retry_after, "or raise `queue_bytes_max`");
            return Err(Error::Full { what: "the queue of the log", bytes_max, retry_after, mend });
        }
        state.bytes += bytes;
        state.pending.push(pending);
        self.more.notify_one();
        Ok(())
    }

    /// Wakes the writer, so that it deletes what was released.
    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.more.notify_one();
    }

    /// Waits for appends and gives all of them; none after [`Self::wake`], `None` once the log is closed.
    pub(crate) fn take(&self) -> Option<Vec<Pending>> {
        let mut state = self.lock();
        loop {
            if !state.pending.is_empty() || state.woken {
                state.woken = false;
                return Some(std::mem::take(&mut state.pending));
            }
            if state.closed {
                return None;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Frees the room of appends that were answered.
    pub(crate) fn free(&self, bytes: u64) {
        self.lock().bytes -= bytes;
    }

    /// Refuses every append from now on.
    pub(crate) fn stop(&self, fault: Error) {
        self.lock().stopped = Some(fault);
    }

    /// Refuses every append from now on, and those that wait too.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.stopped.get_or_insert(Error::Ended);
        // Dropping an answer's sender tells its receiver that the writer ended.
        state.pending.clear();
    }

    /// Lets the writer end once it has written what waits.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.more.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}
