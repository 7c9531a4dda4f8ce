//! Expires the days that a table no longer retains.
//!
//!     watermark − days ─▶ files of earlier dates ─▶ out of the table, by the epoch
//!
//! The watermark decides, not the clock, so a repeated epoch expires the same files.

use std::collections::BTreeMap;

use netcrab_operators::session::DAY_MS;
use netcrab_schema::tables::{EVENTS_RAW, EVENTS_SESSIONIZED};
use netcrab_sinks::TableChange;

use super::table_files::TableFiles;
use crate::config::stream::StreamSettings;

/// What expires at `watermark_ms`, by table; whole dates only.
pub fn expired(settings: &StreamSettings, files: &TableFiles, watermark_ms: i64) -> BTreeMap<String, TableChange> {
    // The infinite watermark of a stream's end expires nothing.
    if watermark_ms == i64::MAX {
        return BTreeMap::new();
    }
    let today = watermark_ms.div_euclid(DAY_MS);
    let mut changes: BTreeMap<String, TableChange> = BTreeMap::new();
    for (table, date, parts) in files.all() {
        let days = if [EVENTS_RAW.name, EVENTS_SESSIONIZED.name].contains(&table) {
            settings.events_days
        } else {
            settings.facts_days
        };
        let first = i32::try_from(today.saturating_sub(i64::from(days))).unwrap_or(i32::MIN);
        if days > 0 && date.is_some_and(|date| date < first) {
            let change = changes.entry(table.to_owned()).or_default();
            change.removed.extend(parts.iter().map(|part| part.path.clone()));
            change.expired_before = Some(first);
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use netcrab_schema::tables::FACT_SESSIONS;
    use netcrab_sinks::StagedFile;

    use super::*;

    #[test]
    fn a_date_is_kept_for_as_many_days_after_it_and_no_more() {
        let mut files = TableFiles::default();
        for table in [&EVENTS_RAW, &FACT_SESSIONS] {
            let part = |date: i32| StagedFile {
                path: format!("{date}"),
                date: Some(date),
                rows: 1,
                bytes: 1,
                stats: String::new(),
                moved: false,
            };
            let added = (0..10).map(part).collect();
            files.apply(&BTreeMap::from([(table.name.to_owned(), TableChange { added, ..TableChange::default() })]));
        }
        let settings = StreamSettings { events_days: 3, ..StreamSettings::default() };
        let of_day = |day: i64, ms: i64| {
            let mut expired = expired(&settings, &files, day * DAY_MS + ms);
            let events = expired.remove(EVENTS_RAW.name).map(|change| change.removed).unwrap_or_default();
            assert!(expired.is_empty(), "facts are kept for ever: {expired:?}");
            events
        };
        assert_eq!(of_day(3, DAY_MS - 1), Vec::<String>::new());
        assert_eq!(of_day(4, 0), ["0"]);
        assert_eq!(of_day(6, 0), ["0", "1", "2"]);
        assert!(expired(&settings, &files, i64::MAX).is_empty());
        assert!(expired(&settings, &files, i64::MIN).is_empty());
    }
}
