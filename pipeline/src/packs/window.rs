//! The windows of a frequency: the days that a build covers.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use netcrab_pack_build::BuildWindow;
use netcrab_packs::definition::{Frequency, Unit};

use super::error::Error;

/// The last window of a frequency that ended before `today`.
///
/// # Errors
///
/// [`Error::Calendar`] when it begins before the calendar does.
pub fn last(frequency: Frequency, today: Date) -> Result<BuildWindow, Error> {
    let day_before = today.yesterday()?;
    let whole = containing(frequency, day_before)?;
    if last_day(frequency, whole)? < today {
        return window(frequency, whole);
    }
    window(frequency, containing(frequency, whole.yesterday()?)?)
}

/// The window that `text` names: by a day of it, like 2026-10-31, or for monthly packs by the month, like 2026-10.
///
/// # Errors
///
/// [`Error::NoWindow`] when the text is neither, and [`Error::MonthOfOther`] for a month of a pack that is not monthly.
pub fn named(frequency: Frequency, text: &str) -> Result<BuildWindow, Error> {
    let day = if text.len() == 7 { format!("{text}-01") } else { text.to_owned() };
    let day: Date = day.parse().map_err(|source| Error::NoWindow { text: text.to_owned(), source })?;
    if text.len() == 7 && frequency != Frequency::Monthly {
        return Err(Error::MonthOfOther(text.to_owned()));
    }
    window(frequency, containing(frequency, day)?)
}

/// The windows after the day `after` that ended before `today`, oldest first; at most `windows_max`.
///
/// # Errors
///
/// [`Error::Calendar`] when `after` is not a day, or a window lies beyond the calendar.
pub fn missed(frequency: Frequency, after: &str, today: Date, windows_max: usize) -> Result<Vec<BuildWindow>, Error> {
    let until: Date = last(frequency, today)?.to.parse()?;
    let mut day: Date = after.parse::<Date>()?.tomorrow()?;
    let mut windows = Vec::new();
    while day <= until && windows.len() < windows_max {
        windows.push(window(frequency, containing(frequency, day)?)?);
        day = last_day(frequency, containing(frequency, day)?)?.tomorrow()?;
    }
    Ok(windows)
}

/// The periods of a unit that a window overlaps: the day, like 2026-10-31, or one or two months, like 2026-10.
pub fn periods(unit: Unit, window: &BuildWindow) -> Vec<String> {
    if unit == Unit::VisitorDay {
        return vec![window.from.clone()];
    }
    let months = [&window.from[..7], &window.to[..7]];
    if months[0] == months[1] { vec![months[0].to_owned()] } else { months.map(str::to_owned).to_vec() }
}

/// The first day of the window that contains `day`.
fn containing(frequency: Frequency, day: Date) -> Result<Date, Error> {
    Ok(match frequency {
        Frequency::Daily => day,
        Frequency::Weekly => day.checked_sub(i64::from(day.weekday().since(Weekday::Monday)).days())?,
        Frequency::Monthly => day.first_of_month(),
    })
}

fn last_day(frequency: Frequency, first: Date) -> Result<Date, Error> {
    Ok(match frequency {
        Frequency::Daily => first,
        Frequency::Weekly => first.checked_add(6.days())?,
        Frequency::Monthly => first.last_of_month(),
    })
}

fn window(frequency: Frequency, first: Date) -> Result<BuildWindow, Error> {
    Ok(BuildWindow { from: first.to_string(), to: last_day(frequency, first)?.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(frequency: Frequency, today: &str, expect: (&str, &str)) {
        let found = last(frequency, today.parse().unwrap()).unwrap();
        assert_eq!((found.from.as_str(), found.to.as_str()), expect, "{today}");
    }

    #[test]
    fn the_last_window_is_over_and_not_a_day_older() {
        check(Frequency::Daily, "2026-11-01", ("2026-10-31", "2026-10-31"));
        check(Frequency::Weekly, "2026-11-02", ("2026-10-26", "2026-11-01"));
        check(Frequency::Weekly, "2026-11-01", ("2026-10-19", "2026-10-25"));
        check(Frequency::Monthly, "2026-11-01", ("2026-10-01", "2026-10-31"));
        check(Frequency::Monthly, "2026-10-31", ("2026-09-01", "2026-09-30"));
    }

    #[test]
    fn windows_that_were_missed_follow_one_another() {
        let missed = missed(Frequency::Weekly, "2026-10-11", "2026-11-02".parse().unwrap(), 10).unwrap();
        let days: Vec<_> = missed.iter().map(|window| window.from.as_str()).collect();
        assert_eq!(days, ["2026-10-12", "2026-10-19", "2026-10-26"]);
        assert_eq!(periods(Unit::VisitorMonth, &missed[2]), ["2026-10", "2026-11"]);
        assert_eq!(periods(Unit::VisitorMonth, &missed[0]), ["2026-10"]);
    }

    #[test]
    fn a_window_is_named_by_a_day_or_a_month() {
        assert_eq!(named(Frequency::Monthly, "2026-02").unwrap().to, "2026-02-28");
        assert_eq!(named(Frequency::Weekly, "2026-10-14").unwrap().from, "2026-10-12");
        assert!(named(Frequency::Weekly, "2026-10").unwrap_err().to_string().contains("month"));
        for wrong in ["", "x", "2026-13", "2026-02-30"] {
            assert!(named(Frequency::Daily, wrong).is_err(), "{wrong}");
        }
    }
}
