//! Parses instants: ISO 8601 and its relatives, epochs, log times, and the patterns of a mapping.
//!
//! ```text
//! text ─┬─ plain_utc, epoch ─────────────────▶ ms
//!       ├─ text: zone · fraction · form ─────▶ ms
//!       └─ pattern of the mapping ───────────▶ ms
//! ```
//!
//! Invariant: a text is read as the instant that it states, cut to whole ms, or it is refused. What it leaves open, a
//! zone apart, is never guessed.

mod epoch;
mod pattern;
mod text;
mod zone;

use jiff::tz::Offset;

use crate::reject::Reason;
pub(crate) use pattern::Pattern;

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    /// ISO 8601 and its relatives, or a number of milliseconds.
    Iso,
    /// A number since 1970, whose unit is this power of ten in milliseconds.
    Epoch(i32),
    /// The time of the combined log format, `17/May/2015:10:05:03 +0000`.
    Log,
    /// A strftime pattern.
    Pattern(Pattern),
}

impl TimeFormat {
    /// The format of that name, or the strftime pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "iso" => TimeFormat::Iso,
            "epoch_s" => TimeFormat::Epoch(3),
            "epoch_ms" => TimeFormat::Epoch(0),
            "epoch_us" => TimeFormat::Epoch(-3),
            "epoch_ns" => TimeFormat::Epoch(-6),
            "log" => TimeFormat::Log,
            pattern if pattern.contains('%') => TimeFormat::Pattern(Pattern::parse(pattern)?),
            _ => {
                return Err(format!(
                    "time format `{text}` is none of iso, epoch_s, epoch_ms, epoch_us, epoch_ns, log, or a pattern such as `%Y-%m-%d %H:%M:%S`"
                ));
            }
        })
    }

    /// Parses an instant to ms since 1970 UTC. A time without a zone is `offset` ahead of UTC.
    ///
    /// # Errors
    ///
    /// [`Reason::UnknownZone`] or [`Reason::BadTime`].
    pub(crate) fn instant(&self, text: &str, offset: Offset) -> Result<i64, Reason> {
        let text = text.trim();
        match self {
            TimeFormat::Iso => parse_at(text, offset),
            TimeFormat::Epoch(unit) => epoch::ms(text, *unit).ok_or(Reason::BadTime),
            TimeFormat::Log => text::instant(text, offset),
            TimeFormat::Pattern(pattern) => pattern.instant(text, offset),
        }
    }
}

/// Parses ISO 8601 and its relatives, or a number of milliseconds. A time without a zone is UTC.
///
/// # Errors
///
/// [`Reason::UnknownZone`] or [`Reason::BadTime`].
pub(crate) fn parse(text: &str) -> Result<i64, Reason> {
    parse_at(text.trim(), Offset::UTC)
}

fn parse_at(text: &str, offset: Offset) -> Result<i64, Reason> {
    let number = || text.parse().ok().or_else(|| epoch::ms(text, 0));
    plain_utc(text.as_bytes()).or_else(number).map_or_else(|| text::instant(text, offset), Ok)
}

/// `2026-10-01T10:05:03Z` or `….123Z`, which most senders write.
fn plain_utc(text: &[u8]) -> Option<i64> {
    let (time, fraction) = match text {
        [time @ .., b'Z'] if time.len() == 19 => (time, &[][..]),
        [time @ .., b'.', a, b, c, b'Z'] if time.len() == 19 => (time, &[*a, *b, *c][..]),
        _ => return None,
    };
    let fields = [time[4], time[7], time[10], time[13], time[16]] == *b"--T::";
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0i64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
    };
    if !fields {
        return None;
    }
    let (year, month, day) = (number(&time[..4])?, number(&time[5..7])?, number(&time[8..10])?);
    let (hour, minute, second) = (number(&time[11..13])?, number(&time[14..16])?, number(&time[17..])?);
    if !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let ms = if fraction.is_empty() { 0 } else { number(fraction)? };
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests;
