//! Parses instants: ISO 8601, epochs, log times, and the patterns of a mapping.

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    /// ISO 8601, or a whole number of milliseconds.
    Iso,
    /// Seconds since 1970; may have a fraction.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// Microseconds since 1970.
    EpochMicros,
    /// The time of the combined log format, `17/May/2015:10:05:03 +0000`.
    Log,
    /// A strftime pattern.
    Pattern(String),
}

impl TimeFormat {
    /// The format of that name, or the strftime pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "iso" => TimeFormat::Iso,
            "epoch_s" => TimeFormat::EpochSeconds,
            "epoch_ms" => TimeFormat::EpochMillis,
            "epoch_us" => TimeFormat::EpochMicros,
            "log" => TimeFormat::Log,
            pattern if pattern.contains('%') => TimeFormat::Pattern(pattern.to_owned()),
            _ => {
                return Err(format!(
                    "time format `{text}` is none of iso, epoch_s, epoch_ms, epoch_us, log, or a pattern such as `%Y-%m-%d %H:%M:%S`"
                ));
            }
        })
    }

    /// Parses an instant to ms since 1970 UTC. A time without a zone is `offset` ahead of UTC.
    pub(crate) fn instant(&self, text: &str, offset: Offset) -> Option<i64> {
        let text = text.trim();
        match self {
            TimeFormat::Iso => parse_at(text, offset),
            TimeFormat::EpochSeconds => epoch(text, 1000.0),
            TimeFormat::EpochMillis => text.parse().ok().or_else(|| epoch(text, 1.0)),
            TimeFormat::EpochMicros => text.parse::<i64>().ok().map(|us| us.div_euclid(1000)),
            TimeFormat::Log => log_time(text),
            TimeFormat::Pattern(pattern) => {
                let time = BrokenDownTime::parse(pattern, text).ok()?;
                match time.to_timestamp() {
                    Ok(at) => Some(at.as_millisecond()),
                    Err(_) => at_offset(time.to_datetime().ok()?, offset),
                }
            }
        }
    }
}

/// Parses ISO 8601, or a whole number of milliseconds. A time without a zone is UTC.
pub(crate) fn parse(text: &str) -> Option<i64> {
    parse_at(text.trim(), Offset::UTC)
}

fn parse_at(text: &str, offset: Offset) -> Option<i64> {
    if let Some(ms) = plain_utc(text.as_bytes()) {
        return Some(ms);
    }
    if let Ok(ms) = text.parse::<i64>() {
        return Some(ms);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(floor_ms(at));
    }
    at_offset(text.parse::<DateTime>().ok()?, offset)
}

fn at_offset(civil: DateTime, offset: Offset) -> Option<i64> {
    offset.to_timestamp(civil).ok().map(floor_ms)
}

fn floor_ms(at: jiff::Timestamp) -> i64 {
    at.as_nanosecond().div_euclid(1_000_000) as i64
}

fn epoch(text: &str, ms_per_unit: f64) -> Option<i64> {
    let number: f64 = text.parse().ok()?;
    // An f64 is not exact beyond this. The range check refuses what is left.
    (number.is_finite() && number.abs() < 9e12).then(|| (number * ms_per_unit).floor() as i64)
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

fn log_time(text: &str) -> Option<i64> {
    let time = BrokenDownTime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
    Some(time.to_timestamp().ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_times_with_and_without_a_zone() {
        for (text, ms) in [
            ("2026-10-01T10:05:03Z", Some(1_790_849_103_000)),
            ("2026-10-01T10:05:03.123Z", Some(1_790_849_103_123)),
            ("2026-10-01T12:05:03.1239+02:00", Some(1_790_849_103_123)),
            ("2026-10-01 10:05:03", Some(1_790_849_103_000)),
            ("2026-10-31T00:00:00Z", Some(1_793_404_800_000)),
            ("2026-02-31T00:00:00Z", None),
            ("1790849103123", Some(1_790_849_103_123)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800_000)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000)),
            ("2028-02-29T00:00:00Z", Some(1_835_395_200_000)),
            ("2026-02-29T00:00:00Z", None),
            ("NaN", None),
            ("", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse(text), ms, "{text}");
        }
    }

    #[test]
    fn formats_of_a_mapping() {
        let check = |format: &str, text: &str| {
            TimeFormat::parse(format).ok().and_then(|format| format.instant(text, Offset::UTC))
        };
        assert_eq!(check("epoch_s", "1790849103.5"), Some(1_790_849_103_500));
        assert_eq!(check("epoch_ms", "1790849103500"), Some(1_790_849_103_500));
        assert_eq!(check("epoch_us", "1790849103500999"), Some(1_790_849_103_500));
        assert_eq!(check("epoch_s", "NaN"), None);
        assert_eq!(check("epoch_s", "1e300"), None);
        assert_eq!(check("log", "17/May/2015:10:05:03 +0200"), Some(1_431_849_903_000));
        assert_eq!(check("%Y-%m-%d %H:%M:%S", "2026-10-01 10:05:03"), Some(1_790_849_103_000));
        assert!(TimeFormat::parse("YYYY").is_err());
    }
}
