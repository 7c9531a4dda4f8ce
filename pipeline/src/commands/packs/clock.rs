//! The clock of the commands.

use jiff::Timestamp;

/// Now, in ms since 1970 UTC.
pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
