//! Applies a compiled mapping: turns the foreign values of one row into an event.

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};
use jiff::tz::Offset;
use netcrab_schema::nearest_clause;

use super::user_agent;
use crate::event_columns::column_index;
use crate::extra::{self, Scalar};
use crate::listing::{Format, SourceFile};
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason};
use crate::row::{Row, Value};
use crate::{Error, route, time};

const TS: usize = column_index("ts");
const SCREEN: usize = column_index("screen_id");
const ROUTE: usize = column_index("route");
const ERROR: usize = column_index("error_code");
const EVENT_ID: usize = column_index("event_id");
const DEVICE: usize = column_index("device_type");
const OS: usize = column_index("os");
const BROWSER: usize = column_index("browser");
const EXTRA: usize = column_index("extra");

/// A mapping whose foreign columns and event columns are resolved to indexes.
#[derive(Debug)]
pub(crate) struct CompiledMapping {
    pub(super) foreign: Vec<String>,
    pub(super) constants: Vec<(usize, Template)>,
    pub(super) columns: Vec<(usize, usize)>,
    pub(super) salt: Vec<u8>,
    pub(super) hashes: Vec<HashedColumn>,
    pub(super) time: usize,
    pub(super) time_format: time::TimeFormat,
    pub(super) offset: Offset,
    pub(super) route: Option<(usize, bool)>,
    pub(super) device: Option<DeviceMapping>,
    pub(super) user_agent: Option<usize>,
    pub(super) skips_bots: bool,
    pub(super) events: Option<EventMapping>,
    pub(super) error: Option<(usize, i64)>,
    pub(super) skips: Vec<SkipRule>,
    pub(super) extra: Vec<(String, usize)>,
}

/// A value that the mapping gives.
#[derive(Debug)]
pub(super) enum Template {
    Text(String),
    /// A text with `{value}` in it.
    Pattern(String),
    Truth(bool),
    Number(f64),
}

/// The columns that one value of the event column sets.
pub(super) type Entry = Vec<(usize, Template)>;

#[derive(Debug)]
pub(super) struct HashedColumn {
    pub(super) place: usize,
    pub(super) of: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct DeviceMapping {
    pub(super) column: usize,
    pub(super) values: HashMap<String, String>,
    pub(super) default: Option<String>,
}

#[derive(Debug)]
pub(super) struct EventMapping {
    pub(super) column: usize,
    pub(super) entries: HashMap<String, Entry>,
    pub(super) default: Option<Entry>,
    pub(super) skip: HashSet<String>,
}

#[derive(Debug)]
pub(super) struct SkipRule {
    pub(super) column: usize,
    pub(super) values: HashSet<String>,
    pub(super) endings: Vec<String>,
    pub(super) contains: Vec<String>,
}

impl SkipRule {
    /// Endings are compared with the path, without `;…`, `?…` and `#…`, in any case.
    fn takes(&self, value: &str) -> bool {
        let path = value.split(['?', '#', ';']).next().unwrap_or(value);
        let lower = path.to_ascii_lowercase();
        self.values.contains(value)
            || self.endings.iter().any(|ending| lower.ends_with(ending.as_str()))
            || self.contains.iter().any(|part| value.to_ascii_lowercase().contains(part.as_str()))
    }
}

impl Template {
    fn value<'a>(&'a self, event: &str) -> Value<'a> {
        match self {
            Template::Text(text) => Value::Text(Cow::Borrowed(text)),
            Template::Pattern(pattern) => Value::Text(Cow::Owned(pattern.replace("{value}", event))),
            Template::Truth(truth) => Value::Truth(*truth),
            Template::Number(number) => Value::Number(*number),
        }
    }
}

impl CompiledMapping {
    /// The foreign columns whose values [`Self::apply`] takes, in this order.
    pub(crate) fn columns(&self) -> &[String] {
        &self.foreign
    }

    /// The foreign column that is the event id.
    pub(crate) fn event_id_column(&self) -> Option<&str> {
        let (_, foreign) = self.columns.iter().find(|(place, _)| *place == EVENT_ID)?;
        Some(&self.foreign[*foreign])
    }

    /// The index of each foreign column among the `names` of a file. Fails if one is missing, or is twice in the
    /// header of a CSV.
    pub(crate) fn find(&self, file: &SourceFile, names: &[&str]) -> Result<Vec<Option<usize>>, Error> {
        let find = |column: &String| {
            let place = names.iter().position(|name| name == column);
            let repeated = |place: usize| names[place + 1..].contains(&column.as_str());
            if file.format == Format::Csv && place.is_some_and(repeated) {
                return Err(Error::RepeatedColumn { file: file.name.clone(), column: column.clone() });
            }
            if place.is_none() && file.known.has(column) {
                return Ok(None);
            }
            place.map(Some).ok_or_else(|| {
                let nearest = nearest_clause(column, names.iter().copied().chain(file.known.partitions.names()));
                Error::Mapping(format!(
                    "`{}` has no column `{column}`{nearest}; correct the mapping, or the file",
                    file.name
                ))
            })
        };
        self.columns().iter().map(find).collect()
    }

    /// The event of a row, not validated yet; `None` if the mapping skips the row. `ts` is its time where the file has
    /// it as an instant. Later steps overwrite earlier ones: constants, columns, device, the entry of the event, route, error, hashes, extra.
    pub(crate) fn apply<'a>(
        &'a self,
        values: &'a [Option<Cow<'_, str>>],
        ts: Option<i64>,
        privacy: &Privacy,
    ) -> Result<Option<Row<'a>>, Fault> {
        let value = |column: usize| values[column].as_deref().map(str::trim).filter(|text| !text.is_empty());
        if self.skips.iter().any(|skip| value(skip.column).is_some_and(|value| skip.takes(value))) {
            return Ok(None);
        }
        let agent = self.user_agent.and_then(value).unwrap_or_default();
        if self.skips_bots && user_agent::read(agent).is_bot() {
            return Ok(None);
        }
        let mut row = Row::new();
        for (place, template) in &self.constants {
            row.set(*place, template.value(""));
        }
        for (place, column) in &self.columns {
            if let Some(text) = value(*column) {
                row.set_parsed(*place, Cow::Borrowed(text))?;
            }
        }
        row.set(TS, ts.map_or_else(|| self.instant(value(self.time)), |ts| Ok(Value::Instant(ts)))?);
        self.device(&mut row, &value);
        if !self.event(&mut row, &value)? {
            return Ok(None);
        }
        self.route(&mut row, &value);
        self.error(&mut row, &value);
        for hash in &self.hashes {
            hash.apply(&mut row, &self.salt, &value);
        }
        self.extra(&mut row, &value, privacy)?;
        Ok(Some(row))
    }

    /// The column with the time of a row.
    pub(crate) fn time_column(&self) -> usize {
        self.time
    }

    /// The instant of a time without a zone, given as ms of that time since 1970.
    pub(crate) fn at_offset(&self, civil_ms: i64) -> i64 {
        civil_ms.saturating_sub(i64::from(self.offset.seconds()) * 1000)
    }

    fn instant(&self, text: Option<&str>) -> Result<Value<'static>, Fault> {
        let text = text.ok_or_else(|| Fault::field(Reason::MissingField, "ts"))?;
        // Parquet instants arrive as ISO 8601, whatever the mapping says about texts.
        let iso = |reason| if text.as_bytes().get(10) == Some(&b'T') { time::parse(text) } else { Err(reason) };
        let instant = self.time_format.instant(text, self.offset).or_else(iso);
        instant.map(Value::Instant).map_err(|reason| Fault::field(reason, "ts"))
    }

    fn device<'a>(&'a self, row: &mut Row<'a>, value: &impl Fn(usize) -> Option<&'a str>) {
        if let Some(agent) = self.user_agent {
            let visitor = user_agent::read(value(agent).unwrap_or_default());
            row.set_text(DEVICE, visitor.device_type);
            row.set_text(OS, visitor.os.clone().unwrap_or_default());
            row.set_text(BROWSER, visitor.browser.clone().unwrap_or_default());
        }
        if let Some(device) = &self.device {
            let given = value(device.column);
            let named = given.and_then(|given| device.values.get(given)).map(String::as_str);
            let same = given.filter(|given| netcrab_schema::events::DEVICE_TYPES.contains(given));
            if let Some(text) = named.or(same).or(device.default.as_deref()).or(given) {
                row.set_text(DEVICE, text);
            }
        }
    }

    /// Sets the columns of the event; `false` if the mapping skips the row.
    fn event<'a>(&'a self, row: &mut Row<'a>, value: &impl Fn(usize) -> Option<&'a str>) -> Result<bool, Fault> {
        let Some(events) = &self.events else { return Ok(true) };
        let given = value(events.column).unwrap_or_default();
        if events.skip.contains(given) {
            return Ok(false);
        }
        let entry = events.entries.get(given).or(events.default.as_ref());
        let unmapped = || Fault::field(Reason::UnmappedEvent, self.foreign[events.column].clone());
        for (place, template) in entry.ok_or_else(unmapped)? {
            row.set(*place, template.value(given));
        }
        Ok(true)
    }

    fn route<'a>(&'a self, row: &mut Row<'a>, value: &impl Fn(usize) -> Option<&'a str>) {
        if let Some((column, screen)) = self.route
            && let Some(address) = value(column)
        {
            let route = route::template(address);
            if screen {
                row.set_text(SCREEN, route.clone());
            }
            row.set_text(ROUTE, route);
        }
    }

    fn error<'a>(&'a self, row: &mut Row<'a>, value: &impl Fn(usize) -> Option<&'a str>) {
        let Some((column, from)) = self.error else { return };
        if let Some(status) = value(column).filter(|status| status.parse::<i64>().is_ok_and(|status| status >= from)) {
            row.set_text(ERROR, status);
        }
    }

    fn extra<'a>(
        &'a self,
        row: &mut Row<'a>,
        value: &impl Fn(usize) -> Option<&'a str>,
        privacy: &Privacy,
    ) -> Result<(), Fault> {
        let mut scalars = extra::Scalars::new();
        for (key, column) in &self.extra {
            let Some(text) = value(*column) else { continue };
            if let Some(reason) = privacy.text(text) {
                return Err(Fault::field(reason, key.clone()));
            }
            scalars.push((Cow::Borrowed(key), Scalar::Text(Cow::Borrowed(text))));
        }
        if scalars.is_empty() {
            return Ok(());
        }
        let mut canonical = String::new();
        extra::write(&scalars, &mut canonical);
        if canonical.len() > extra::EXTRA_BYTES_MAX {
            return Err(Fault::field(Reason::ExtraTooLong, "extra"));
        }
        row.set_text(EXTRA, canonical);
        Ok(())
    }
}

impl HashedColumn {
    /// Sets a column to XXH3-128 over the salt and the values, each after its length, as 32 hexadecimal digits.
    /// Absent if all values are absent.
    fn apply<'a>(&self, row: &mut Row<'_>, salt: &[u8], value: &impl Fn(usize) -> Option<&'a str>) {
        if self.of.iter().all(|column| value(*column).is_none()) {
            return;
        }
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        let mut feed = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u32).to_le_bytes());
            hasher.update(bytes);
        };
        feed(salt);
        for column in &self.of {
            feed(value(*column).unwrap_or_default().as_bytes());
        }
        row.set_text(self.place, format!("{:032x}", hasher.digest128()));
    }
}
