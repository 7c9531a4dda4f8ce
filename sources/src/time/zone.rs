//! Splits the zone off a time.
//!
//! ```text
//! 2026-10-01 10:05:03+02                ─▶   2026-10-01 10:05:03 · +02:00
//! 2026-10-01 10:05:03 Europe/Berlin     ─▶   2026-10-01 10:05:03 · Europe/Berlin
//! 2026-10-01 10:05:03 CST               ─▶   unknown_zone: America, China and Cuba have one each
//! ```

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::reject::Reason;

/// The zone of a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Zone {
    /// The text has none.
    Absent,
    /// So far ahead of UTC.
    Offset(Offset),
    /// A name of the zone database.
    Named(TimeZone),
}

impl Zone {
    /// The ms of a civil time in this zone. A time without a zone is `offset` ahead of UTC.
    ///
    /// # Errors
    ///
    /// A time that the clocks of a named zone skipped, or showed twice.
    pub(super) fn ms(&self, civil: DateTime, offset: Offset) -> Result<i64, Reason> {
        let at = match self {
            Zone::Absent => offset.to_timestamp(civil).map_err(|_| Reason::BadTime),
            Zone::Offset(offset) => offset.to_timestamp(civil).map_err(|_| Reason::BadTime),
            Zone::Named(zone) => zone.to_ambiguous_timestamp(civil).unambiguous().map_err(|_| Reason::UnknownZone),
        };
        at.map(floor_ms)
    }
}

/// Splits the zone off the end of a time.
pub(super) fn split(text: &str) -> Result<(&str, Zone), Reason> {
    let text = without_remark(text);
    if let Some((time, name)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        // An offset before the name says which of two instants is meant, and more than the name.
        return match split(time)? {
            (time, Zone::Absent) => Ok((time, named(name.trim_start_matches('!'))?)),
            found => Ok(found),
        };
    }
    if let Some((time, word)) = text.rsplit_once(' ')
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && let Ok((time, zone @ Zone::Offset(_))) = numeric(time.trim_end())
    {
        // `+0200 CEST`: the offset says what the abbreviation leaves open.
        return Ok((time, zone));
    }
    if let Some((time, word)) = text.rsplit_once(' ')
        && let Some(zone) = word_zone(word)?
    {
        return Ok((time.trim_end(), zone));
    }
    let letters = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let word = &text[letters.len()..];
    if letters.ends_with(|c: char| c.is_ascii_digit())
        && let Some(zone) = word_zone(word)?
    {
        return Ok((letters, zone));
    }
    numeric(text)
}

/// Without `(Central European Summer Time)`, which JavaScript writes after the offset.
fn without_remark(text: &str) -> &str {
    match text.strip_suffix(')').and_then(|text| text.split_once(" (")) {
        Some((time, _)) => time.trim_end(),
        None => text,
    }
}

/// The zone that a word stands for; `None` if it is none. AM and PM are none.
pub(super) fn word_zone(word: &str) -> Result<Option<Zone>, Reason> {
    let upper = word.to_ascii_uppercase();
    match upper.as_str() {
        "UTC" | "GMT" | "UT" | "Z" => return Ok(Some(Zone::Offset(Offset::UTC))),
        "" | "AM" | "PM" => return Ok(None),
        _ => {}
    }
    if let Some(offset) = upper.strip_prefix("UTC").or_else(|| upper.strip_prefix("GMT"))
        && offset.starts_with(['+', '-'])
    {
        return Ok(Some(Zone::Offset(offset_of(offset).ok_or(Reason::BadTime)?)));
    }
    if !word.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(None);
    }
    if word.contains('/') { named(word).map(Some) } else { Err(Reason::UnknownZone) }
}

/// A zone by its name in the database. Names without a region (`EST`, `CET`) are abbreviations to most who write them.
fn named(name: &str) -> Result<Zone, Reason> {
    if ["UTC", "GMT", "Z"].contains(&name) {
        return Ok(Zone::Offset(Offset::UTC));
    }
    if let Some(offset) = offset_of(name) {
        return Ok(Zone::Offset(offset));
    }
    let zone = name.contains('/').then(|| TimeZone::get(name).ok()).flatten();
    zone.map(Zone::Named).ok_or(Reason::UnknownZone)
}

/// Splits off `+02`, `+0200`, `+02:00` or `+02:00:00`, with or without a space before it.
fn numeric(text: &str) -> Result<(&str, Zone), Reason> {
    // A sign before the time of day belongs to the date. Without one, what has a colon is `2026-10-01+02:00`.
    let day_ends = text.find(':').or_else(|| text.find('T')).unwrap_or(text.len());
    let sign = text.rfind(['+', '-']).filter(|at| *at > day_ends || text[*at..].starts_with('+'));
    match sign {
        Some(at) if at > 0 => {
            let offset = offset_of(&text[at..]).ok_or(Reason::BadTime)?;
            Ok((text[..at].trim_end(), Zone::Offset(offset)))
        }
        _ => Ok((text, Zone::Absent)),
    }
}

/// An offset of at most 15:59:59, as databases write it.
pub(super) fn offset_of(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    let colons = rest.char_indices().filter(|(_, c)| *c == ':').map(|(at, _)| at).collect::<Vec<_>>();
    let shape = matches!((digits.len(), colons.as_slice()), (1 | 2, []) | (4, [] | [2]) | (6, [] | [2, 5]));
    if !shape || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize| digits.get(from..(from + 2).min(digits.len())).filter(|part| !part.is_empty());
    let number = |from| part(from).map_or(Some(0), |part| part.parse::<i32>().ok());
    let (hours, minutes, seconds) = (number(0)?, number(2)?, number(4)?);
    let plausible = hours < 16 && minutes < 60 && seconds < 60;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60 + seconds)).ok().filter(|_| plausible)
}

/// The whole ms of an instant, rounded towards the past.
pub(super) fn floor_ms(at: jiff::Timestamp) -> i64 {
    at.as_nanosecond().div_euclid(1_000_000) as i64
}
