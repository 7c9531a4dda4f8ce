//! Compiles a mapping: resolves its names and checks everything that can be checked without a file.

use std::collections::{BTreeMap, BTreeSet};

use encoding_rs::Encoding;
use hashbrown::HashMap;
use jiff::tz::Offset;
use netcrab_schema::events::EVENT;
use netcrab_schema::{Type, nearest_clause};
use toml::Value as Toml;

use super::apply::{CompiledMapping, DeviceMapping, Entry, EventMapping, HashedColumn, SkipRule, Template};
use super::syntax::{Raw, RawDevice, RawEvent, RawHash, RawSkip, known};
use crate::Format;
use crate::event_columns::column_index;
use crate::privacy::Privacy;
use crate::read::access_log;
use crate::rules::{Rule, rule_of};
use crate::time;

/// Columns that the value of the event column may set.
const ENTRY_COLUMNS: [&str; 11] = [
    "event_type",
    "screen_id",
    "route",
    "element_type",
    "event_name",
    "task_type",
    "task_phase",
    "task_success",
    "error_code",
    "app_name",
    "segment",
];

/// The byte that separates the fields of a CSV, if the mapping says it.
pub(super) fn delimiter(given: Option<&str>, format: Format) -> Result<Option<u8>, String> {
    match given.map(str::as_bytes) {
        None => Ok(None),
        Some([byte]) if format == Format::Csv && !b"\"\r\n".contains(byte) && byte.is_ascii() => Ok(Some(*byte)),
        Some(_) => Err("`delimiter` must be one ASCII character, of a csv".to_owned()),
    }
}

/// The encoding of a text file, if the mapping says it.
pub(super) fn encoding(given: Option<&str>, format: Format) -> Result<Option<&'static Encoding>, String> {
    match given {
        Some(_) if format == Format::Parquet => Err("`encoding` is of text files; leave it out".to_owned()),
        given => given.map(crate::encoding::named).transpose(),
    }
}

/// Checks that `optional` names columns that the mapping uses.
pub(super) fn known_optional(optional: &BTreeSet<String>, format: Format, columns: &[String]) -> Result<(), String> {
    if !optional.is_empty() && format != Format::Ndjson {
        return Err("`optional` is of ndjson, whose rows may lack keys; leave it out".to_owned());
    }
    let unknown = optional.iter().find(|name| !columns.contains(name));
    unknown.map_or(Ok(()), |name| {
        let nearest = nearest_clause(name, columns.iter().map(String::as_str));
        Err(format!("`{name}` in `optional` is no column that the mapping uses{nearest}"))
    })
}

/// The index of the event column of that name.
fn event_column(name: &str, table: &str) -> Result<usize, String> {
    let names = EVENT.iter().map(|column| column.name);
    let place = EVENT.iter().position(|column| column.name == name);
    place.ok_or_else(|| format!("`{name}` in `[{table}]` is no event column{}", nearest_clause(name, names)))
}

#[derive(Default)]
pub(super) struct Compiler {
    format: Option<Format>,
    foreign: Vec<String>,
    given: BTreeSet<usize>,
}

impl Compiler {
    pub(super) fn compile(mut self, raw: Raw) -> Result<CompiledMapping, String> {
        self.format = Some(raw.format);
        let constants = self.constants(raw.constants)?;
        let columns = self.columns(raw.columns)?;
        let salt = salt(&raw.hash)?;
        let hashes = self.hashes(raw.hash.columns)?;
        let time = self.foreign(&raw.time.column)?;
        let time_format = time::TimeFormat::parse(&raw.time.format)?;
        let offset = offset(raw.time.offset.as_deref())?;
        self.given.insert(column_index("ts"));
        let route = raw.route.map(|route| Ok::<_, String>((self.foreign(&route.column)?, route.screen))).transpose()?;
        if let Some((_, screen)) = route {
            self.given.insert(column_index("route"));
            self.given.extend(screen.then_some(column_index("screen_id")));
        }
        let device = raw.device.map(|device| self.device(device)).transpose()?;
        let skips_bots = raw.user_agent.as_ref().is_some_and(|agent| agent.skip_bots);
        let user_agent = raw.user_agent.map(|agent| self.foreign(&agent.column)).transpose()?;
        if user_agent.is_some() {
            self.given.insert(column_index("device_type"));
        }
        let events = raw.event.map(|event| self.events(event, raw.events.clone())).transpose()?;
        if events.is_none() && !raw.events.is_empty() {
            return Err("`[events]` needs `[event]` with `column`, the foreign column whose values it names".to_owned());
        }
        let error = raw.error.map(|error| Ok::<_, String>((self.foreign(&error.column)?, error.from))).transpose()?;
        let skips = raw.skip.into_iter().map(|skip| self.skip(skip)).collect::<Result<_, _>>()?;
        let extra = self.extra(raw.extra)?;
        self.complete()?;
        let foreign = self.foreign;
        Ok(CompiledMapping {
            foreign,
            constants,
            columns,
            salt,
            hashes,
            time,
            time_format,
            offset,
            route,
            device,
            user_agent,
            skips_bots,
            events,
            error,
            skips,
            extra,
        })
    }

    /// The index of a foreign column among those that the mapping uses.
    fn foreign(&mut self, column: &str) -> Result<usize, String> {
        if self.format == Some(Format::AccessLog) && !access_log::FIELDS.contains(&column) {
            let nearest = nearest_clause(column, access_log::FIELDS);
            return Err(format!(
                "an access log has no field `{column}`{nearest}; it has {}",
                access_log::FIELDS.join(", ")
            ));
        }
        let place = self.foreign.iter().position(|known| known == column).unwrap_or(self.foreign.len());
        if place == self.foreign.len() {
            self.foreign.push(column.to_owned());
        }
        Ok(place)
    }

    fn constants(&mut self, constants: BTreeMap<String, Toml>) -> Result<Vec<(usize, Template)>, String> {
        let mut compiled = Vec::new();
        for (column, value) in constants {
            let place = event_column(&column, "constants")?;
            compiled.push((place, template(place, value, "constants")?));
            self.given.insert(place);
        }
        Ok(compiled)
    }

    fn columns(&mut self, columns: BTreeMap<String, String>) -> Result<Vec<(usize, usize)>, String> {
        let mut compiled = Vec::new();
        for (column, foreign) in columns {
            let place = event_column(&column, "columns")?;
            if let Some(instead) = elsewhere(&column) {
                return Err(format!("`{column}` cannot stand in `[columns]`; {instead}"));
            }
            compiled.push((place, self.foreign(&foreign)?));
            self.given.insert(place);
        }
        Ok(compiled)
    }

    fn hashes(&mut self, columns: BTreeMap<String, Vec<String>>) -> Result<Vec<HashedColumn>, String> {
        let mut compiled = Vec::new();
        for (column, foreign) in columns {
            let place = event_column(&column, "hash")?;
            if rule_of(&column) != Rule::Hash {
                let valid = "session_id, user_hash, event_id, element_label_h";
                return Err(format!("`{column}` in `[hash]` is not a hash; valid are {valid}, salt and salt_env"));
            }
            if foreign.is_empty() {
                return Err(format!("`{column}` in `[hash]` needs at least one foreign column"));
            }
            let of = foreign.iter().map(|foreign| self.foreign(foreign)).collect::<Result<_, _>>()?;
            compiled.push(HashedColumn { place, of });
            self.given.insert(place);
        }
        Ok(compiled)
    }

    fn device(&mut self, raw: RawDevice) -> Result<DeviceMapping, String> {
        let valid = netcrab_schema::events::DEVICE_TYPES;
        for value in raw.values.values().chain(&raw.default) {
            known(value, valid, "device")?;
        }
        self.given.insert(column_index("device_type"));
        Ok(DeviceMapping {
            column: self.foreign(&raw.column)?,
            values: raw.values.into_iter().collect(),
            default: raw.default,
        })
    }

    fn events(
        &mut self,
        raw: RawEvent,
        entries: BTreeMap<String, BTreeMap<String, Toml>>,
    ) -> Result<EventMapping, String> {
        let column = self.foreign(&raw.column)?;
        let mut compiled = HashMap::new();
        for (value, entry) in entries {
            let table = format!("events.{value}");
            compiled.insert(value, self.entry(entry, &table)?);
        }
        let default = raw.default.map(|entry| self.entry(entry, "event.default")).transpose()?;
        Ok(EventMapping { column, entries: compiled, default, skip: raw.skip.into_iter().collect() })
    }

    fn entry(&mut self, raw: BTreeMap<String, Toml>, table: &str) -> Result<Entry, String> {
        let mut entry = Entry::new();
        for (column, value) in raw {
            known(&column, &ENTRY_COLUMNS, table)?;
            let place = event_column(&column, table)?;
            entry.push((place, template(place, value, table)?));
            self.given.insert(place);
        }
        Ok(entry)
    }

    fn skip(&mut self, raw: RawSkip) -> Result<SkipRule, String> {
        if raw.values.is_empty() && raw.endings.is_empty() && raw.contains.is_empty() {
            return Err("`[[skip]]` needs `values`, `endings` or `contains`".to_owned());
        }
        let column = self.foreign(&raw.column)?;
        Ok(SkipRule { column, values: raw.values.into_iter().collect(), endings: raw.endings, contains: raw.contains })
    }

    fn extra(&mut self, columns: Vec<String>) -> Result<Vec<(String, usize)>, String> {
        let privacy = Privacy::new(&crate::privacy::PrivacySettings::default());
        if columns.len() > crate::extra::EXTRA_KEYS_MAX {
            return Err(format!(
                "`extra` names {} columns; at most {} fit",
                columns.len(),
                crate::extra::EXTRA_KEYS_MAX
            ));
        }
        let mut compiled = Vec::new();
        for column in columns {
            if privacy.denies_key(&column) {
                return Err(format!("`{column}` in `extra` reads like personal data; leave it out, or hash it"));
            }
            let place = self.foreign(&column)?;
            compiled.push((column, place));
        }
        Ok(compiled)
    }

    /// Checks that every required column is given.
    fn complete(&self) -> Result<(), String> {
        let made = ["session_id", "event_id", "reaction_observed", "route", "device_type"];
        for (place, column) in EVENT.iter().enumerate() {
            if column.nullable || made.contains(&column.name) || self.given.contains(&place) {
                continue;
            }
            let from = match column.name {
                "user_hash" => "`[hash]`, made of the columns that tell visitors apart",
                "event_type" => "`[constants]`, or `[event]` with `[events.…]` for its values",
                "screen_id" => "`[columns]`, `[events.…]`, or `[route]` with `screen = true`",
                _ => "`[constants]` or `[columns]`",
            };
            return Err(format!("nothing gives `{}`, which every event needs; add it under {from}", column.name));
        }
        Ok(())
    }
}

/// For a column that has a table of its own, what to do instead.
fn elsewhere(column: &str) -> Option<&'static str> {
    match column {
        "user_hash" | "element_label_h" => Some("put it under `[hash]`, so that no plain value gets through"),
        "ts" => Some("put it under `[time]` with its format"),
        "route" => Some("put it under `[route]`"),
        "extra" => Some("list the columns in `extra = [...]`"),
        _ => None,
    }
}

/// A value that the mapping gives. `{value}` in a text stands for the value of the event column.
fn template(place: usize, value: Toml, table: &str) -> Result<Template, String> {
    let column = &EVENT[place];
    if let (Rule::OneOf(values), Toml::String(text)) = (rule_of(column.name), &value) {
        known(text, values, &format!("{table}` as `{}", column.name))?;
    }
    match (column.kind, value) {
        (Type::Symbol | Type::Repeated | Type::Text, Toml::String(text)) if column.name != "extra" => {
            Ok(match text.contains("{value}") {
                true => Template::Pattern(text),
                false => Template::Text(text),
            })
        }
        (Type::Bool, Toml::Boolean(truth)) => Ok(Template::Truth(truth)),
        (Type::Float32, Toml::Float(number)) => Ok(Template::Number(number)),
        (Type::Float32, Toml::Integer(number)) => Ok(Template::Number(number as f64)),
        (_, value) => Err(format!("`{}` in `[{table}]` cannot be {}", column.name, value.type_str())),
    }
}

fn salt(hash: &RawHash) -> Result<Vec<u8>, String> {
    match (&hash.salt, &hash.salt_env) {
        (Some(_), Some(_)) => Err("`[hash]` has both `salt` and `salt_env`; keep one".to_owned()),
        (Some(salt), None) => Ok(salt.clone().into_bytes()),
        (None, Some(name)) => std::env::var(name)
            .map(String::into_bytes)
            .map_err(|_| format!("`salt_env` names `{name}`, which is not set; set it, or use `salt`")),
        (None, None) => Ok(Vec::new()),
    }
}

fn offset(text: Option<&str>) -> Result<Offset, String> {
    let Some(text) = text else { return Ok(Offset::UTC) };
    let parsed = || {
        let (sign, rest) = match text.split_at_checked(1)? {
            ("+", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return None,
        };
        let (hours, minutes) = rest.split_once(':')?;
        let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
        let plausible = (0..=14).contains(&hours) && (0..60).contains(&minutes);
        Offset::from_seconds(sign * (hours * 60 + minutes) * 60).ok().filter(|_| plausible)
    };
    parsed().ok_or_else(|| format!("`offset` is `{text}`; expected `+02:00` or the like"))
}
