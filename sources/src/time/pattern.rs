//! Reads times by a strftime pattern of a mapping.

use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{Offset, TimeZone};

use super::text::leaps;
use super::zone::{self, Zone};
use crate::reject::Reason;

/// A strftime pattern that says date and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The pattern, without a `%Z` at its end.
    text: String,
    /// Whether a zone follows: UTC, an offset or a name.
    zone_follows: bool,
}

impl Pattern {
    /// Checks a pattern by writing an instant and reading it again.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fault =
            |cause: &str| format!("time format `{text}` {cause}; say date and time, as `%Y-%m-%d %H:%M:%S` does");
        let zone_follows = text.ends_with("%Z") && !text.ends_with("%%Z");
        let plain = text.strip_suffix("%Z").filter(|_| zone_follows).unwrap_or(text);
        let pattern = Self { text: plain.trim_end().to_owned(), zone_follows };
        let sample = jiff::Timestamp::from_second(1_793_454_358).unwrap_or_default().to_zoned(TimeZone::UTC);
        let written = strtime::format(text, &sample).map_err(|error| fault(&format!("cannot be read ({error})")))?;
        match pattern.instant(&written, Offset::UTC) {
            Ok(_) => Ok(pattern),
            Err(_) => Err(fault("has a part that cannot be read, or lacks one (`%Z` is read at the end only)")),
        }
    }

    pub(super) fn instant(&self, text: &str, offset: Offset) -> Result<i64, Reason> {
        let (text, zone) = if self.zone_follows { zone::split(text)? } else { (text, Zone::Absent) };
        if self.zone_follows && zone == Zone::Absent {
            return Err(Reason::BadTime);
        }
        let time = BrokenDownTime::parse(&self.text, text).map_err(|_| Reason::BadTime)?;
        if leaps(&time, &self.text, text) {
            return Err(Reason::BadTime);
        }
        if let Ok(at) = time.to_timestamp() {
            return Ok(zone::floor_ms(at));
        }
        let civil = time.to_datetime().map_err(|_| Reason::BadTime)?;
        match time.iana_time_zone() {
            Some(name) => Zone::Named(TimeZone::get(name).map_err(|_| Reason::UnknownZone)?).ms(civil, offset),
            None => zone.ms(civil, offset),
        }
    }
}
