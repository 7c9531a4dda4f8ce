//! When packs are built.
//!
//!     clock ─▶ windows that are due and have no version ─▶ build ─▶ files
//!
//! A daily window is due at 02:00 UTC of the day after it, any other at 03:00. What was missed while nobody built is
//! caught up on, oldest first. A pack that has no version yet begins with its last window. What cannot be built for
//! lack of organisations is tried again each time, so that it is built once enough of them opted in; what a budget
//! refuses is left.

use anyhow::Result;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use netcrab_market::{Error as MarketError, Market};
use netcrab_pack_build::Window;
use netcrab_packs::Definition;
use netcrab_packs::definition::Frequency;

use super::build::TooFew;
use super::window;

/// Most windows of one pack that are caught up on at once.
const CAUGHT_UP_MAX: usize = 60;

/// The windows of a pack that are due at `now` and were not built, oldest first.
pub async fn due(market: &Market, definition: &Definition, now: Timestamp) -> Result<Vec<Window>> {
    let frequency = definition.update_frequency;
    let hours = if frequency == Frequency::Daily { 2 } else { 3 };
    let today = now.checked_sub(hours.hours())?.to_zoned(TimeZone::UTC).date();
    let versions = market.versions(&definition.pack_id).await?;
    match versions.iter().map(|version| &version.window_to).max() {
        Some(last) => window::missed(frequency, last, today, CAUGHT_UP_MAX),
        None => Ok(vec![window::last(frequency, today)?]),
    }
}

/// What a scheduler makes of a build that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Try again the next time: something is missing that may come.
    Later,
    /// Leave this window: it can never be built.
    Never,
}

/// Whether a fault may pass.
pub fn after(fault: &anyhow::Error) -> After {
    let refused = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref::<MarketError>(), Some(MarketError::OverBudget(_)))
    };
    if fault.chain().any(refused) { After::Never } else { After::Later }
}

/// Whether a pack only waits for organisations.
pub fn waits(fault: &anyhow::Error) -> bool {
    fault.chain().any(|cause| cause.is::<TooFew>())
}
