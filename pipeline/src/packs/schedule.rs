//! When packs are built.
//!
//!     clock ─▶ windows that are due and have no version ─▶ build ─▶ files
//!
//! A daily window is due at 02:00 UTC of the day after it, any other at 03:00. Windows that were missed while no
//! builder ran are caught up on, oldest first. A pack without a version begins with its last window. A window that too
//! few organisations contribute to is tried again each time, until enough of them opted in. A window that the privacy
//! budget refuses is dropped.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use netcrab_market::{Error as MarketError, Market};
use netcrab_pack_build::BuildWindow;
use netcrab_packs::Definition;
use netcrab_packs::definition::Frequency;

use super::error::Error;
use super::window;

/// Most windows of one pack that are caught up on at once.
const CAUGHT_UP_MAX: usize = 60;

/// The windows of a pack that are due at `now` and were not built, oldest first.
///
/// # Errors
///
/// [`Error::Market`] when the database does not answer, and [`Error::Calendar`] for days beyond the calendar.
pub async fn due(market: &Market, definition: &Definition, now: Timestamp) -> Result<Vec<BuildWindow>, Error> {
    let frequency = definition.update_frequency;
    let hours = if frequency == Frequency::Daily { 2 } else { 3 };
    let today = now.checked_sub(hours.hours())?.to_zoned(TimeZone::UTC).date();
    let versions = market.versions(&definition.pack_id).await?;
    match versions.iter().map(|version| &version.window_to).max() {
        Some(last) => window::missed(frequency, last, today, CAUGHT_UP_MAX),
        None => Ok(vec![window::last(frequency, today)?]),
    }
}

/// What a scheduler does after a build that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Tries the window again the next time, and reports no failure: the pack waits for organisations.
    Wait,
    /// Tries the window again the next time.
    Retry,
    /// Drops the window: the privacy budget of its period is spent, and will never be larger.
    Drop,
}

/// What a scheduler does after this error.
pub fn after_failure(error: &Error) -> AfterFailure {
    match error {
        Error::TooFewOrgs(_) => AfterFailure::Wait,
        Error::Market(MarketError::OverBudget(_)) => AfterFailure::Drop,
        _ => AfterFailure::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_waits_for_organisations_and_tries_again_what_may_pass() {
        assert_eq!(after_failure(&Error::TooFewOrgs(20)), AfterFailure::Wait);
        assert_eq!(after_failure(&Error::LeaseHeld), AfterFailure::Retry);
    }
}
