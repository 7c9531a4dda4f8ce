//! Why settings could not be read; the operator acts on all of them.

use std::path::PathBuf;

use netcrab_schema::WhoActs;

/// Settings that NetCrab cannot run with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("could not read the settings in {}; check the path given to --config", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Text that is no TOML, or a value of the wrong type.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// A name that no setting has.
    #[error("there is no setting `{name}`{nearest}; `netcrab config` prints all of them")]
    Unknown {
        /// The name.
        name: String,
        /// `; nearest is …`, or empty.
        nearest: String,
    },
    /// A value where a table should be.
    #[error("`{name}` is a value, not a table")]
    NotATable {
        /// The name.
        name: String,
    },
    /// A value out of its bounds.
    #[error("setting `{setting}` is {found}; expected {expected}")]
    OutOfBounds {
        /// The setting.
        setting: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// Settings of `[sources]`.
    #[error(transparent)]
    Sources(#[from] netcrab_sources::Error),
    /// Where the wrong setting stands.
    #[error("{place}")]
    In {
        /// The file or the environment variable.
        place: String,
        /// What is wrong there.
        #[source]
        source: Box<ConfigError>,
    },
}

impl ConfigError {
    /// The operator, always: a setting does not mend itself.
    pub fn who_acts(&self) -> WhoActs {
        WhoActs::Operator
    }

    pub(super) fn out_of_bounds(setting: &str, found: impl ToString, expected: impl ToString) -> Self {
        Self::OutOfBounds { setting: setting.to_owned(), found: found.to_string(), expected: expected.to_string() }
    }

    pub(super) fn at(self, place: String) -> Self {
        Self::In { place, source: Box::new(self) }
    }
}
