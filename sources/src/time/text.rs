//! Reads instants that are written as text: ISO 8601, RFC 2822, and what databases and logs make of them.
//!
//! ```text
//! Oct 1, 2026 10:05:03.123 AM +02   ─ zone ─▶   Oct 1, 2026 10:05:03.123 AM   ─ fraction ─▶   … 10:05:03 AM · 123 ms
//!                                                                             ─ form ─▶       2026-10-01T10:05:03
//! ```
//!
//! Every form names its month or begins with the year: `01/10/2026` may be one of two days, and is refused. So are a
//! leap second and 24:00, which are no instants of their own.

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;

use super::epoch;
use super::zone::{self, Zone};
use crate::reject::Reason;

/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 128;

/// Shapes of ISO 8601 that are read; a 9 is any digit.
const ISO_SHAPES: [&str; 7] = [
    "9999-99-99T99:99:99",
    "9999-99-99 99:99:99",
    "9999-99-99",
    "9999-99-99T99:99",
    "9999-99-99 99:99",
    "99999999T999999",
    "99999999T9999",
];

/// Other forms, as strftime patterns.
const FORMS: [&str; 18] = [
    "%d/%b/%Y:%H:%M:%S",
    "%a, %d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%b %d, %Y %I:%M:%S %p",
    "%b %d, %Y, %I:%M:%S %p",
    "%B %d, %Y %I:%M:%S %p",
    "%b %d %Y %I:%M%p",
    "%b %d %Y %I:%M:%S%p",
    "%b %d, %Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %Y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y-%m-%d %H:%M:%S",
    "%b %d, %Y",
    "%d %b %Y",
    "%Y/%m/%d",
];

/// The ms of a text. A time without a zone is `offset` ahead of UTC; a date without a time is its midnight.
pub(super) fn instant(text: &str, offset: Offset) -> Result<i64, Reason> {
    if text.len() > TEXT_BYTES_MAX || !text.is_ascii() {
        return Err(Reason::BadTime);
    }
    if let Some(ms) = microsoft(text) {
        return Ok(ms);
    }
    if let Some(ms) = log_time(text) {
        return Ok(ms);
    }
    let (middle, text) = zone_in_the_middle(text)?;
    let (time, zone) = match middle {
        Zone::Absent => zone::split(&text)?,
        zone => (text.as_str(), zone),
    };
    let (time, fraction_ms) = without_fraction(time.trim());
    let civil = civil(&time, fraction_ms.is_some()).ok_or(Reason::BadTime)?;
    Ok(zone.ms(civil, offset)? + fraction_ms.unwrap_or(0))
}

/// The time of a log; `None` if it is written otherwise.
fn log_time(text: &str) -> Option<i64> {
    let time = BrokenDownTime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
    let leaps = text.contains(":60 ");
    time.to_timestamp().ok().map(zone::floor_ms).filter(|_| !leaps)
}

/// `/Date(1790849103123+0200)/` of .NET: ms since 1970; the offset says where the clock stood, not when.
fn microsoft(text: &str) -> Option<i64> {
    let inner = text.trim_matches('/').strip_prefix("Date(")?.strip_suffix(')')?;
    let end = inner.get(1..)?.find(['+', '-']).map_or(inner.len(), |at| at + 1);
    let (ms, offset) = inner.split_at(end);
    let whole = offset.is_empty() || zone::offset_of(offset).is_some();
    epoch::ms(ms, 0).filter(|_| whole && !ms.contains(['.', 'e', 'E']))
}

/// Takes the zone out of `Thu Oct 1 10:05:03 UTC 2026`, and puts single spaces between the words.
fn zone_in_the_middle(text: &str) -> Result<(Zone, String), Reason> {
    let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
    let year_last = words.last().is_some_and(|word| word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()));
    let mut zone = Zone::Absent;
    if let ([_, _, _, _, word, _], true) = (words.as_slice(), year_last)
        && let Some(found) = zone::word_zone(word)?
    {
        zone = found;
        words.remove(4);
    }
    Ok((zone, words.join(" ")))
}

/// The time without the fraction of its last second, and the whole ms of that fraction.
fn without_fraction(time: &str) -> (String, Option<i64>) {
    let clock = time.rfind(':').or_else(|| time.find('T')).unwrap_or(time.len());
    let digit = |from: usize, end: &dyn Fn(u8) -> bool| {
        time.bytes().enumerate().skip(from).find(|(_, b)| end(*b)).map_or(time.len(), |(at, _)| at)
    };
    let dot = digit(clock + 1, &|b| !b.is_ascii_digit());
    let end = digit(dot + 1, &|b| !b.is_ascii_digit());
    if !time[dot.min(time.len())..].starts_with(['.', ',']) || end == dot + 1 {
        return (time.to_owned(), None);
    }
    let ms = time[dot + 1..end].bytes().chain(*b"00").take(3).fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    (format!("{}{}", &time[..dot], &time[end..]), Some(ms))
}

fn civil(time: &str, has_fraction: bool) -> Option<DateTime> {
    let time = if time.as_bytes().get(10) == Some(&b't') { time.replacen('t', "T", 1) } else { time.to_owned() };
    if ISO_SHAPES.iter().any(|shape| has_shape(&time, shape)) {
        let seconds = time.matches(':').count() == 2 || time.len() == 15;
        let leaps = seconds && time.ends_with("60");
        return time.parse().ok().filter(|_| !leaps && (seconds || !has_fraction));
    }
    FORMS.iter().filter(|form| !has_fraction || form.contains("%S")).find_map(|form| pattern(form, &time))
}

fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(b, s): (u8, u8)| if s == b'9' { b.is_ascii_digit() } else { b == s };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// The civil time of a text by a strftime pattern.
fn pattern(pattern: &str, text: &str) -> Option<DateTime> {
    let time = BrokenDownTime::parse(pattern, text).ok()?;
    // A year of two digits may be one of several.
    time.to_datetime().ok().filter(|civil| civil.year() >= 1000 && !leaps(&time, pattern, text))
}

/// Whether a text gave second 60, which is parsed as 59: written again, it has a 59 more.
pub(super) fn leaps(time: &BrokenDownTime, pattern: &str, text: &str) -> bool {
    let count = |text: &str| text.matches("59").count();
    time.second() == Some(59) && time.to_string(pattern).is_ok_and(|again| count(&again) > count(text))
}
