//! Reserves memory for bodies: of one sender, and of all senders.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Code, Problem};

/// Bytes of one permit.
pub(super) const PERMIT_BYTES: usize = 4096;

/// How many permits so many bytes take.
pub(super) fn permits(bytes: usize) -> usize {
    bytes.div_ceil(PERMIT_BYTES)
}

/// Memory reserved from a sender's share and from that of all senders.
#[derive(Debug, Default)]
pub(super) struct MemoryReservation {
    permits: usize,
    of_sender: Option<OwnedSemaphorePermit>,
    of_all: Option<OwnedSemaphorePermit>,
}

impl MemoryReservation {
    /// Grows the reservation to `wanted` permits.
    ///
    /// # Errors
    ///
    /// A problem where the memory of the sender, or of all senders, is used up.
    pub(super) fn grow(
        &mut self,
        wanted: usize,
        of_sender: &Arc<Semaphore>,
        of_all: &Arc<Semaphore>,
    ) -> Result<(), Problem> {
        let more = wanted.saturating_sub(self.permits);
        if more == 0 {
            return Ok(());
        }
        let full = |code, whose| {
            let detail = format!("{whose} fill all the memory that they may");
            Problem::new(code, detail, "send again after the time in Retry-After").retry_after(1)
        };
        let more = more as u32;
        let Ok(all) = of_all.clone().try_acquire_many_owned(more) else {
            return Err(full(Code::Busy, "batches at work"));
        };
        let Ok(one) = of_sender.clone().try_acquire_many_owned(more) else {
            return Err(full(Code::RateLimited, "batches of this key"));
        };
        join(&mut self.of_all, all);
        join(&mut self.of_sender, one);
        self.permits = wanted;
        Ok(())
    }
}

fn join(acquired: &mut Option<OwnedSemaphorePermit>, more: OwnedSemaphorePermit) {
    match acquired {
        Some(acquired) => acquired.merge(more),
        None => *acquired = Some(more),
    }
}
