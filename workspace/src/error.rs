//! What can go wrong while source files are read.

use std::path::PathBuf;

/// The operator acts on each: the source tree is not as cargo expects it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("could not read `{path}`")]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A source file is no Rust.
    #[error("`{path}` is not Rust: {source}")]
    Rust {
        /// The source file.
        path: PathBuf,
        /// What the parser says.
        source: syn::Error,
    },
    /// A `Cargo.toml` is no manifest.
    #[error("`{path}` is not a manifest: {reason}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A path that begins with `crate`, `self` or `super` leads to no item.
    #[error("`{file}` names `{name}`, and no source file defines it; define it without a macro")]
    Undefined {
        /// The file that names it, from the top of the repository.
        file: String,
        /// The path as it stands there.
        name: String,
    },
}
