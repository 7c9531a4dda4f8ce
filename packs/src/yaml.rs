//! Reads a definition out of YAML.
//!
//!     text ─▶ nodes with their lines ─▶ a value for each key ─▶ rules over several keys ─▶ Definition, or all faults
//!
//! The reader goes on after a fault, so that it reports every fault with its line at once.

use netcrab_schema::nearest_clause;
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use saphyr_parser::{Event, Parser};

use crate::definition::{ANY, Definition, Fault, Frequency, Kind, Privacy, Unit, VERTICALS};

/// Most bytes of a definition.
const BYTES_MAX: usize = 256 << 10;

/// How deep lists and keys may lie in one another.
const DEPTH_MAX: usize = 16;

const KEYS: [&str; 17] = [
    "packId",
    "kind",
    "title",
    "vertical",
    "shortDescription",
    "longDescription",
    "table",
    "fields",
    "updateFrequency",
    "minOrgs",
    "minSessions",
    "retentionDays",
    "public",
    "basePriceUsd",
    "categories",
    "privacy",
    "sources",
];

const PRIVACY_KEYS: [&str; 6] = ["unit", "epsilon", "delta", "maxCellsPerUnit", "maxShareOfCell", "wholeOrgUnits"];

impl Definition {
    /// Reads a definition out of YAML.
    ///
    /// # Errors
    ///
    /// Every [`Fault`] of the text, sorted by line.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        read(text)
    }
}

/// Checks the size and the depth of a text before its nodes are built, for nodes are dropped one within the other.
fn check_bounds(text: &str) -> Result<(), Fault> {
    if text.len() > BYTES_MAX {
        return Err(Fault { line: 1, what: format!("a definition of more than {BYTES_MAX} bytes") });
    }
    let mut depth = 0;
    for event in Parser::new_from_str(text) {
        match event {
            Ok((Event::SequenceStart(..) | Event::MappingStart(..), span)) => {
                depth += 1;
                if depth > DEPTH_MAX {
                    let what = format!("lists and keys lie more than {DEPTH_MAX} deep; a definition needs 2");
                    return Err(Fault { line: span.start.line(), what });
                }
            }
            Ok((Event::SequenceEnd | Event::MappingEnd, _)) => depth -= 1,
            Ok(_) => {}
            // The loader says what is wrong.
            Err(_) => break,
        }
    }
    Ok(())
}

fn read(text: &str) -> Result<Definition, Vec<Fault>> {
    check_bounds(text).map_err(|fault| vec![fault])?;
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| vec![Fault { line: error.marker().line(), what: format!("not YAML: {}", error.info()) }])?;
    let [document] = documents.as_slice() else {
        return Err(vec![Fault { line: 1, what: "expected one document of keys and values".to_owned() }]);
    };
    let mut faults = Vec::new();
    let definition = definition(&mut Fields::of(document, &KEYS, &mut faults));
    faults.sort_by_key(|fault| fault.line);
    match definition {
        Some(definition) if faults.is_empty() => Ok(definition),
        _ => Err(faults),
    }
}

fn definition(fields: &mut Fields<'_, '_>) -> Option<Definition> {
    let kind = fields.choice("kind", &Kind::ALL.map(|kind| (kind.name(), kind)), None);
    let definition = Definition {
        pack_id: fields.name("packId"),
        kind: kind.unwrap_or(Kind::UxBenchmarks),
        title: fields.text("title", 1..=120),
        vertical: fields.vertical(),
        short_description: fields.text("shortDescription", 1..=300),
        long_description: fields.text("longDescription", 0..=20_000),
        fields: fields.names("fields", 0),
        update_frequency: fields.choice("updateFrequency", &Frequency::ALL, None).unwrap_or(Frequency::Monthly),
        min_orgs: fields.whole("minOrgs", 2..=100_000, 20),
        min_sessions: fields.whole("minSessions", 1..=1_000_000_000, 10_000),
        retention_days: fields.whole("retentionDays", 1..=3650, 365),
        public: fields.flag("public", true),
        base_price_cents: fields.cents("basePriceUsd", 49_900),
        categories: fields.names("categories", 1),
        privacy: fields.privacy(),
        sources: fields.names("sources", 0),
    };
    let kind = kind?;
    fields.check_together(kind, &definition);
    Some(definition)
}

/// The values of a mapping by key, and the faults found so far.
struct Fields<'a, 'y> {
    line: usize,
    entries: Vec<(String, usize, &'a MarkedYaml<'y>)>,
    faults: &'a mut Vec<Fault>,
}

impl<'a, 'y> Fields<'a, 'y> {
    fn of(node: &'a MarkedYaml<'y>, keys: &[&str], faults: &'a mut Vec<Fault>) -> Self {
        let line = line_of(node);
        let mut entries = Vec::new();
        let YamlData::Mapping(mapping) = &node.data else {
            faults.push(Fault { line, what: "expected keys and values".to_owned() });
            return Self { line, entries, faults };
        };
        for (key, value) in mapping {
            let name = as_text(key).unwrap_or_default().to_owned();
            if keys.contains(&name.as_str()) {
                entries.push((name, line_of(key), value));
                continue;
            }
            let nearest = nearest_clause(&name, keys.iter().copied());
            faults.push(Fault { line: line_of(key), what: format!("`{name}` is no key here{nearest}") });
        }
        Self { line, entries, faults }
    }

    fn find(&self, key: &str) -> Option<(usize, &'a MarkedYaml<'y>)> {
        self.entries.iter().find(|(name, _, _)| name == key).map(|(_, line, value)| (*line, *value))
    }

    fn fault(&mut self, key: &str, what: &str) {
        let line = self.find(key).map_or(self.line, |(line, _)| line);
        self.faults.push(Fault { line, what: format!("`{key}` {what}") });
    }

    fn text(&mut self, key: &str, bytes: std::ops::RangeInclusive<usize>) -> String {
        match self.find(key) {
            None if *bytes.start() == 0 => String::new(),
            None => {
                self.fault(key, "is missing");
                String::new()
            }
            Some((_, value)) => match as_text(value).filter(|text| bytes.contains(&text.len())) {
                Some(text) => text.to_owned(),
                None => {
                    self.fault(key, &format!("is no text of {} to {} bytes", bytes.start(), bytes.end()));
                    String::new()
                }
            },
        }
    }

    fn name(&mut self, key: &str) -> String {
        let name = self.text(key, 1..=64);
        if !name.is_empty() && !is_name(&name) {
            self.fault(key, "is of lower-case letters, digits and _, and begins with a letter");
        }
        name
    }

    fn vertical(&mut self) -> String {
        let vertical = self.text("vertical", 1..=32);
        if !vertical.is_empty() && vertical != ANY && !VERTICALS.contains(&vertical.as_str()) {
            self.fault("vertical", &format!("is none of {}, {ANY}", VERTICALS.join(", ")));
        }
        vertical
    }

    fn names(&mut self, key: &str, at_least: usize) -> Vec<String> {
        let mut names = Vec::new();
        if let Some((_, value)) = self.find(key) {
            match &value.data {
                YamlData::Sequence(items) => {
                    for item in items {
                        match as_text(item).filter(|text| is_name(text)) {
                            Some(name) if !names.iter().any(|known| known == name) => names.push(name.to_owned()),
                            Some(name) => {
                                let what = format!("`{name}` stands twice in `{key}`");
                                self.faults.push(Fault { line: line_of(item), what });
                            }
                            None => {
                                let what = format!("an item of `{key}` is no name of lower-case letters, digits and _");
                                self.faults.push(Fault { line: line_of(item), what });
                            }
                        }
                    }
                }
                _ => self.fault(key, "is no list"),
            }
        }
        if names.len() < at_least && self.find(key).is_none_or(|(_, value)| value.data.is_sequence()) {
            self.fault(key, "names at least one");
        }
        names
    }

    fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)], default: Option<T>) -> Option<T> {
        let Some((_, value)) = self.find(key) else {
            if default.is_none() {
                self.fault(key, "is missing");
            }
            return default;
        };
        let chosen = as_text(value).and_then(|text| choices.iter().find(|(name, _)| *name == text));
        if chosen.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.fault(key, &format!("is none of {}", names.join(", ")));
        }
        chosen.map(|(_, value)| *value)
    }

    fn number(&mut self, key: &str, range: std::ops::RangeInclusive<f64>, default: f64) -> f64 {
        let Some((_, value)) = self.find(key) else { return default };
        let number = match &value.data {
            YamlData::Value(Scalar::Integer(number)) => Some(*number as f64),
            YamlData::Value(Scalar::FloatingPoint(number)) => Some(number.0),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                self.fault(key, &format!("is no number from {} to {}", range.start(), range.end()));
                default
            }
        }
    }

    fn whole(&mut self, key: &str, range: std::ops::RangeInclusive<u32>, default: u32) -> u32 {
        let Some((_, value)) = self.find(key) else { return default };
        let number = match &value.data {
            YamlData::Value(Scalar::Integer(number)) => u32::try_from(*number).ok(),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                self.fault(key, &format!("is no whole number from {} to {}", range.start(), range.end()));
                default
            }
        }
    }

    fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.find(key).map(|(_, value)| &value.data) {
            None => default,
            Some(YamlData::Value(Scalar::Boolean(flag))) => *flag,
            Some(_) => {
                self.fault(key, "is neither true nor false");
                default
            }
        }
    }

    /// An amount like 499.00 in cents. A text is parsed digit by digit, never as a binary fraction.
    fn cents(&mut self, key: &str, default: i64) -> i64 {
        let Some((_, value)) = self.find(key) else { return default };
        let text = match &value.data {
            YamlData::Value(Scalar::Integer(number)) => number.to_string(),
            YamlData::Value(Scalar::FloatingPoint(number)) => format!("{:.2}", number.0),
            YamlData::Value(Scalar::String(text)) => text.to_string(),
            _ => String::new(),
        };
        let (dollars, cents) = text.split_once('.').unwrap_or((&text, "00"));
        let parsed = (cents.len() == 2)
            .then(|| Some(dollars.parse::<u32>().ok()? as i64 * 100 + i64::from(cents.parse::<u8>().ok()?)))
            .flatten();
        match parsed {
            Some(cents) => cents,
            None => {
                self.fault(key, "is no amount like 499.00");
                default
            }
        }
    }

    fn privacy(&mut self) -> Privacy {
        let default = Privacy::default();
        let Some((_, node)) = self.find("privacy") else { return default };
        let mut fields = Fields::of(node, &PRIVACY_KEYS, self.faults);
        Privacy {
            unit: fields.choice("unit", &Unit::ALL, Some(default.unit)).unwrap_or(default.unit),
            epsilon: fields.number("epsilon", 0.01..=10.0, default.epsilon),
            delta: fields.number("delta", 1e-15..=1e-4, default.delta),
            max_cells_per_unit: fields.whole("maxCellsPerUnit", 1..=1000, default.max_cells_per_unit),
            max_share_of_cell: fields.number("maxShareOfCell", 0.001..=1.0, default.max_share_of_cell),
            whole_org_units: fields.whole("wholeOrgUnits", 1..=10_000, default.whole_org_units),
        }
    }

    /// Checks the rules over several keys.
    fn check_together(&mut self, kind: Kind, definition: &Definition) {
        if let Some((_, value)) = self.find("table")
            && as_text(value) != Some(kind.table())
        {
            self.fault("table", &format!("of {} is {}", kind.name(), kind.table()));
        }
        if (kind == Kind::InsightReports) == definition.sources.is_empty() {
            let what = if definition.sources.is_empty() {
                "names the packs that the report is made from"
            } else {
                "is for insight_reports only"
            };
            self.fault("sources", what);
        }
        let known = crate::method::columns(kind);
        for field in &definition.fields {
            if !known.iter().any(|column| column.name == field) {
                let names: Vec<&str> = known.iter().map(|column| column.name).collect();
                self.fault("fields", &format!("has `{field}`; {} has {}", kind.table(), names.join(", ")));
            }
        }
        let (daily_unit, daily) = (definition.privacy.unit == Unit::VisitorDay, Frequency::Daily);
        if daily_unit && definition.update_frequency != daily {
            self.fault("privacy", "has the unit visitor_day, which is for packs that are built daily");
        }
    }
}

fn line_of(node: &MarkedYaml<'_>) -> usize {
    node.span.start.line()
}

fn as_text<'a>(node: &'a MarkedYaml<'_>) -> Option<&'a str> {
    match &node.data {
        YamlData::Value(Scalar::String(text)) => Some(text),
        _ => None,
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
