//! Splits lines of the W3C extended log format, which IIS and CloudFront write.
//!
//! ```text
//! #Fields: date time c-ip cs-method cs-uri-stem cs-uri-query sc-status cs(User-Agent)
//! 2026-11-12 10:00:00 1.2.3.4 GET /a b=1 200 Mozilla/5.0+(…)    ─▶   the fields of an access log
//! ```
//!
//! The line `#Fields:` names the fields of the lines after it, and may come again. Where there is no field `date`, the
//! day is that of the last line `#Date:`, or a later one where times have passed midnight since. Times are UTC. Fields
//! are separated by tabs or single spaces; agents have `+` or `%20` for spaces.

use std::borrow::Cow;

use jiff::ToSpan;
use jiff::civil::{Date, Time};

use super::access_log::{FIELDS, Fields, stated, without_port};
use crate::percent;

/// Most fields of a line.
const FIELDS_MAX: usize = 256;

/// What the lines that begin with `#` said so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct W3cHeader {
    /// What the fields of a line are, in their order.
    parts: Option<Vec<Option<Part>>>,
    /// The day of the last line `#Date:`, as it was written.
    date: Option<String>,
    /// Midnights that lines have passed since then, and the time of the last line.
    midnights: i64,
    last: Option<Time>,
}

/// A time of day that is so many seconds before the last one is of the next day.
const BACKWARDS_SECONDS: i64 = 12 * 3600;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A field of [`FIELDS`].
    Field(usize),
    Date,
    Time,
    Query,
}

/// Names of the format, and what they are called here.
const NAMES: [(&str, &str); 14] = [
    ("c-ip", "remote_addr"),
    ("cs-method", "method"),
    ("cs-uri-stem", "path"),
    ("cs-uri", "path"),
    ("sc-status", "status"),
    ("sc-bytes", "bytes"),
    ("cs(referer)", "referer"),
    ("cs(user-agent)", "user_agent"),
    ("cs-host", "vhost"),
    ("cs(host)", "vhost"),
    ("x-host-header", "vhost"),
    ("date", "date"),
    ("time", "time"),
    ("cs-uri-query", "query"),
];

impl W3cHeader {
    /// Reads a line that begins with `#`: a line of this format, `#Name: …`, or a comment, which says nothing.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((name, said)) = line.strip_prefix('#').and_then(|line| line.split_once(':')) else { return };
        match name {
            "Fields" => self.parts = Some(said.split_ascii_whitespace().take(FIELDS_MAX).map(part).collect()),
            "Date" => {
                self.date = said.split_ascii_whitespace().next().map(str::to_owned);
                (self.midnights, self.last) = (0, None);
            }
            _ => {}
        }
    }

    /// Whether a line `#Fields:` was read, so that the lines are in this format.
    pub(crate) fn names_fields(&self) -> bool {
        self.parts.is_some()
    }

    /// The fields of a line; `None` if it has more or fewer than the line `#Fields:` names.
    pub(crate) fn fields<'a>(&mut self, line: &'a str) -> Option<Fields<'a>> {
        let separator = if line.contains('\t') { '\t' } else { ' ' };
        let mut fields: Fields<'a> = Default::default();
        let (mut date, mut time, mut query) = (None, None, None);
        let mut values = line.trim_end().split(separator);
        for part in self.parts.iter().flatten() {
            let value = values.next()?;
            match part.filter(|_| stated(value)) {
                Some(Part::Field(at)) => fields[at] = Some(readable(FIELDS[at], value)),
                Some(Part::Date) => date = Some(value),
                Some(Part::Time) => time = Some(value),
                Some(Part::Query) => query = Some(value),
                None => {}
            }
        }
        let place = |name: &str| FIELDS.iter().position(|field| *field == name);
        if let (Some(at), Some(time)) = (place("time"), time)
            && let Some(date) = date.map(Cow::Borrowed).or_else(|| self.day_of(time))
        {
            fields[at] = Some(Cow::Owned(format!("{date}T{time}Z")));
        }
        if let (Some(at), Some(query)) = (place("path"), query) {
            fields[at] = fields[at].as_ref().map(|path| Cow::Owned(format!("{path}?{query}")));
        }
        values.next().is_none().then_some(fields)
    }

    /// The day of a line without one.
    fn day_of(&mut self, time: &str) -> Option<Cow<'_, str>> {
        let date = self.date.as_deref()?;
        if let Ok(time) = time.parse::<Time>() {
            let last = self.last.replace(time);
            let backwards = last.is_some_and(|last| last.duration_since(time).as_secs() > BACKWARDS_SECONDS);
            self.midnights += i64::from(backwards);
        }
        if self.midnights == 0 {
            return Some(Cow::Borrowed(date));
        }
        let day = date.parse::<Date>().ok()?.checked_add(self.midnights.days()).ok()?;
        Some(Cow::Owned(day.to_string()))
    }
}

/// What the field `name` is; `None` where nothing is made of it.
fn part(name: &str) -> Option<Part> {
    let name = name.to_ascii_lowercase();
    let (_, known) = NAMES.iter().find(|(known, _)| *known == name)?;
    Some(match *known {
        "date" => Part::Date,
        "time" => Part::Time,
        "query" => Part::Query,
        known => Part::Field(FIELDS.iter().position(|field| *field == known)?),
    })
}

fn readable<'a>(field: &str, value: &'a str) -> Cow<'a, str> {
    match field {
        "user_agent" => Cow::Owned(percent::decoded(&value.replace('+', " ")).text.into_owned()),
        "method" => Cow::Owned(value.to_ascii_uppercase()),
        "vhost" => Cow::Borrowed(without_port(value)),
        _ => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &str, line: &str, expected: &str) {
        let mut header = W3cHeader::default();
        names.lines().for_each(|line| header.read(line));
        let found = header.fields(line);
        let found = found.map(|fields| fields.map(|field| field.unwrap_or("-".into()).into_owned()).join(" | "));
        assert_eq!(found.as_deref().unwrap_or("refused"), expected, "{line}");
    }

    #[test]
    fn iis_and_cloudfront() {
        let iis = "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken";
        let line =
            "2026-11-12 10:00:00 10.0.0.4 GET /cart id=1 443 - 198.51.100.7 Mozilla/5.0+(Windows+NT+10.0) - 200 0 0 15";
        check(
            iis,
            line,
            "198.51.100.7 | 2026-11-12T10:00:00Z | GET | /cart?id=1 | 200 | - | - | Mozilla/5.0 (Windows NT 10.0) | -",
        );
        check(
            iis,
            &line.replace("id=1", "-"),
            "198.51.100.7 | 2026-11-12T10:00:00Z | GET | /cart | 200 | - | - | Mozilla/5.0 (Windows NT 10.0) | -",
        );
        check(iis, &line[..line.len() - 3], "refused");
        check(iis, &format!("{line} 7"), "refused");
        check(
            "#Fields: date time sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent)",
            "2026-11-12\t10:00:00\t512\t2001:db8::7\tget\tshop.test:443\t/home\t404\thttp://a/\tMozilla/5.0%20(X11)",
            "2001:db8::7 | 2026-11-12T10:00:00Z | GET | /home | 404 | 512 | http://a/ | Mozilla/5.0 (X11) | shop.test",
        );
        let mut header = W3cHeader::default();
        header.read("#Software: Microsoft Internet Information Services 10.0");
        header.read("# a comment");
        assert!(!header.names_fields());
    }
}
