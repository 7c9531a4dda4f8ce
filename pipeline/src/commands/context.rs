//! What the command line says to every command.

use std::path::PathBuf;

use netcrab_pipeline::config::Config;

/// What every command gets.
pub(crate) struct Context {
    /// All settings: defaults, the file and the environment.
    pub(crate) config: Config,
    /// The settings file that `--config` names.
    pub(crate) config_file: Option<PathBuf>,
    /// Print results as JSON.
    pub(crate) json: bool,
    /// Print only results and errors.
    pub(crate) quiet: bool,
}
