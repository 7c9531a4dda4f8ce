//! The lease in the database by which builders take turns.
//!
//!     acquire ─▶ renewed every 150 s ─▶ dropped, and released in the database
//!
//! A builder that was killed renews it no longer; it expires ten minutes after the last renewal.

use std::time::Duration;

use netcrab_market::Market;
use tokio_util::task::AbortOnDropHandle;

use super::error::Error;

/// The name of the lease in the database.
pub const LEASE: &str = "packs";

/// How long the lease holds without being renewed.
const LEASE_MS: i64 = 600_000;

/// Acquires the lease for `holder`, and renews it until the handle is dropped.
///
/// # Errors
///
/// [`Error::LeaseHeld`] while another process builds, and [`Error::Market`] when the database does not answer.
pub(super) async fn acquire(
    market: &Market,
    holder: &str,
    now_ms: fn() -> i64,
) -> Result<AbortOnDropHandle<()>, Error> {
    if !market.lease(LEASE, holder, now_ms() + LEASE_MS, now_ms()).await? {
        return Err(Error::LeaseHeld);
    }
    let (market, holder) = (market.clone(), holder.to_owned());
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(LEASE_MS as u64 / 4)).await;
            if let Err(error) = market.lease(LEASE, &holder, now_ms() + LEASE_MS, now_ms()).await {
                tracing::warn!(reason = %error, "the lease of the build could not be renewed");
            }
        }
    })))
}
