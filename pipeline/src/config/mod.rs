//! The settings of `netcrab.toml`, their defaults and their checks.
//!
//!     defaults ◀ netcrab.toml ◀ NETCRAB_SECTION__KEY
//!
//! An unknown key is an error that names the nearest one. The file `netcrab.toml` in the repository has every setting
//! with its default; a test keeps it so.

mod error;
pub mod packs;
pub mod stream;

use std::path::{Path, PathBuf};

use netcrab_operators::rules;
use serde::Deserialize;

pub use self::error::ConfigError;

/// A result of reading settings.
type Result<T> = std::result::Result<T, ConfigError>;

/// The example file, with every setting and its default.
pub const EXAMPLE: &str = include_str!("../../../netcrab.toml");

/// Prefix of the environment variables that override settings.
const ENVIRONMENT: &str = "NETCRAB_";

/// All settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How much a run may use.
    pub run: RunSettings,
    /// How events are read.
    pub sources: netcrab_sources::SourceSettings,
    /// When a session ends.
    pub sessionize: rules::Sessionize,
    /// What counts as friction.
    pub detect: rules::Detect,
    /// How friction becomes a score.
    pub score: rules::Score,
    /// The HTTP API.
    pub api: netcrab_api::ApiConfig,
    /// The event bus.
    pub bus: BusSettings,
    /// ClickHouse, as a second store of the tables.
    pub clickhouse: netcrab_sinks::clickhouse::ClickHouseSettings,
    /// How a stream runs.
    pub stream: stream::StreamSettings,
    /// Packs: benchmarks across organisations.
    pub packs: packs::PackSettings,
}

/// The event bus, where accepted events wait; table `[bus]` of `netcrab.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusSettings {
    /// Which bus. Default: `log`.
    pub kind: BusKind,
    /// The built-in log. Where its folder is empty it lies in `_bus` beside the tables.
    pub log: netcrab_bus::log::LogSettings,
    /// Kafka.
    #[cfg(feature = "kafka")]
    pub kafka: netcrab_bus::kafka::KafkaSettings,
    /// Kafka's settings, which this build does not read.
    #[cfg(not(feature = "kafka"))]
    pub kafka: NotRead,
}

/// An implementation of the bus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BusKind {
    /// The built-in log.
    #[default]
    Log,
    /// Kafka; only in builds with the feature `kafka`.
    Kafka,
}

/// Settings of a part that this build does not have.
#[cfg(not(feature = "kafka"))]
#[derive(Debug, Clone, Copy, Default)]
pub struct NotRead;

#[cfg(not(feature = "kafka"))]
impl<'de> Deserialize<'de> for NotRead {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// MiB of `run.memory_mib` that a thread needs: for a partition of events and the dictionaries by which it is packed.
const THREAD_MIB: usize = 32;

/// How much a run may use; table `[run]` of `netcrab.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSettings {
    /// Threads, at most one for each 32 MiB of `memory_mib`. Default: 0, which is one for each core within that bound.
    pub threads: usize,
    /// Memory of the stages, in MiB; beyond it events spill to `spill_dir`. Default: 1024.
    pub memory_mib: usize,
    /// Folder for what does not fit into memory. Default: empty, which is the system's temporary folder.
    pub spill_dir: PathBuf,
    /// Most rows that one run stores in the table `rejects`; more are only counted. Default: 1_000_000.
    pub rejects_max: usize,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { threads: 0, memory_mib: 1024, spill_dir: PathBuf::new(), rejects_max: 1_000_000 }
    }
}

impl RunSettings {
    /// The number of threads, with 0 resolved to the number of cores, or to as many as the memory is enough for.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        if self.threads == 0 { cores().min(self.threads_max()) } else { self.threads }
    }

    /// The most threads that `memory_mib` is enough for.
    fn threads_max(&self) -> usize {
        self.memory_mib / THREAD_MIB
    }
}

impl Config {
    /// Reads `file`, or `./netcrab.toml` where none is given and it exists, then the environment.
    ///
    /// # Errors
    /// [`ConfigError`], with the file and the setting.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let default = Path::new("netcrab.toml");
        let file = file.or_else(|| default.exists().then_some(default));
        let text = match file {
            Some(file) => {
                std::fs::read_to_string(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?
            }
            None => String::new(),
        };
        let overrides = std::env::vars().filter(|(name, _)| name.starts_with(ENVIRONMENT));
        Self::parse(&text, overrides).map_err(|error| {
            error.at(match file {
                Some(file) => format!("settings in {}", file.display()),
                None => "settings from the environment".to_owned(),
            })
        })
    }

    /// The settings of `text`, overridden by environment variables.
    ///
    /// # Errors
    /// [`ConfigError`], with the setting.
    pub fn parse(text: &str, environment: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut values: toml::Table = toml::from_str(text)?;
        for (name, value) in environment {
            let path: Vec<String> = name[ENVIRONMENT.len()..].to_lowercase().split("__").map(str::to_owned).collect();
            // NETCRAB_CACHE and the like are no settings: a setting has a table and a key.
            if path.len() > 1 {
                set(&mut values, &path, &value).map_err(|error| error.at(format!("environment variable {name}")))?;
            }
        }
        let example: toml::Table = toml::from_str(EXAMPLE)?;
        check_names(&values, &example, "")?;
        let config = Self::deserialize(toml::Value::Table(values))?;
        config.sources.check()?;
        config.stream.check()?;
        if config.run.memory_mib < 64 {
            return Err(ConfigError::out_of_bounds("run.memory_mib", config.run.memory_mib, "64 or more"));
        }
        if config.run.threads > config.run.threads_max() {
            let expected = format!(
                "{} or less with run.memory_mib = {}, for a thread needs {THREAD_MIB} MiB",
                config.run.threads_max(),
                config.run.memory_mib
            );
            return Err(ConfigError::out_of_bounds("run.threads", config.run.threads, expected));
        }
        Ok(config)
    }

    /// The settings that the derived tables depend on.
    pub fn rules(&self) -> rules::Rules {
        rules::Rules { sessionize: self.sessionize.clone(), detect: self.detect.clone(), score: self.score.clone() }
    }
}

/// Sets `path` to `value`, parsed as TOML where it is valid TOML, else as a string.
fn set(values: &mut toml::Table, path: &[String], value: &str) -> Result<()> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    if rest.is_empty() {
        let parsed = toml::from_str::<toml::Table>(&format!("value = {value}")).ok();
        let parsed = parsed.and_then(|mut table| table.remove("value"));
        values.insert(first.clone(), parsed.unwrap_or_else(|| toml::Value::from(value)));
        return Ok(());
    }
    let entry = values.entry(first.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    let table = entry.as_table_mut().ok_or_else(|| ConfigError::NotATable { name: first.clone() })?;
    set(table, rest, value)
}

/// Refuses names that the example file does not have, and names the nearest that it has.
fn check_names(values: &toml::Table, example: &toml::Table, path: &str) -> Result<()> {
    for (name, value) in values {
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some(known) = example.get(name) else {
            let nearest = netcrab_schema::nearest(name, example.keys().map(String::as_str));
            let nearest =
                nearest.map(|nearest| if path.is_empty() { nearest.to_owned() } else { format!("{path}.{nearest}") });
            let hint = nearest.map(|nearest| format!("; nearest is `{nearest}`")).unwrap_or_default();
            return Err(ConfigError::Unknown { name: full, nearest: hint });
        };
        if let (Some(values), Some(example)) = (value.as_table(), known.as_table()) {
            check_names(values, example, &full)?;
        }
    }
    Ok(())
}
