//! Days and periods: UTC dates, both ends included.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

const EPOCH: Date = date(1970, 1, 1);

/// A UTC date, as the days since 1970-01-01 that Arrow counts; `2026-11-23` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Day(pub i32);

impl Day {
    /// The day that many days later, or earlier where negative.
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The UTC date of an instant.
    pub fn of(instant: Timestamp) -> Self {
        let days = instant.as_second().div_euclid(86_400);
        Self(i32::try_from(days).unwrap_or(i32::MAX))
    }

    /// The calendar date; a day outside jiff's range is the first or the last of that range.
    fn date(self) -> Date {
        EPOCH.saturating_add(i64::from(self.0).days())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl FromStr for Day {
    type Err = String;

    /// Reads a date in the form `2026-11-23`.
    ///
    /// # Errors
    ///
    /// A sentence about any other text.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is not a date such as 2026-11-23");
        let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let date = plain.then(|| text.parse::<Date>().ok()).flatten().ok_or_else(refused)?;
        let days = (date.duration_since(EPOCH).as_hours() / 24) as i32;
        Ok(Self(days))
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Days from `from` to `to`, both included; `from` ≤ `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Period {
    /// First day.
    pub from: Day,
    /// Last day.
    pub to: Day,
}

impl Period {
    /// How many days.
    pub fn days(self) -> u32 {
        self.to.0.abs_diff(self.from.0) + 1
    }

    /// The equally long period that ends the day before.
    pub fn previous(self) -> Self {
        let days = self.days() as i32;
        Self { from: self.from.plus(-days), to: self.to.plus(-days) }
    }

    /// Whether `day` is in it.
    pub fn contains(self, day: Day) -> bool {
        (self.from..=self.to).contains(&day)
    }

    /// Each day, in order.
    pub fn iter(self) -> impl Iterator<Item = Day> {
        (self.from.0..=self.to.0).map(Day)
    }
}

/// An instant in microseconds as `2026-11-23T22:49:00.000Z`.
pub(crate) fn instant(micros: i64) -> String {
    let instant = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{instant:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_reads_as_it_prints() {
        for (text, days) in [("2000-01-01", 10_957), ("2024-02-29", 19_782), ("2026-11-23", 20_780)] {
            assert_eq!(text.parse(), Ok(Day(days)));
            assert_eq!(Day(days).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in ["", "2026-2-3", "2026-02-30", "20261123", "2026-11-23T00", "-026-11-23"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_previous_period_ends_the_day_before_and_is_as_long() {
        let period = Period { from: Day(100), to: Day(106) };
        assert_eq!(period.days(), 7);
        assert_eq!(period.previous(), Period { from: Day(93), to: Day(99) });
    }

    #[test]
    fn an_instant_has_milliseconds_and_a_z() {
        assert_eq!(instant(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(instant(1_700_000_000_123_000), "2023-11-14T22:13:20.123Z");
    }
}
