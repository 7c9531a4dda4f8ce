//! Finds the crates of the workspace and reads their modules.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::graph::FileGraph;
use crate::module::{ModuleTree, read_tree};
use crate::resolve::uses;

/// A member of the workspace.
#[derive(Debug)]
pub struct Crate {
    /// Its folder below the top of the repository, such as `bus`.
    pub folder: String,
    /// Which of its source files uses which; paths are below `src`.
    pub graph: FileGraph,
    /// Files below `src` that no `mod` leads to.
    pub unreached: Vec<String>,
}

/// The members that the `Cargo.toml` in `root` lists, in its order.
///
/// # Errors
///
/// A file cannot be read, is no manifest, or is not Rust; or a path in a source file leads nowhere.
pub fn crates(root: &Path) -> Result<Vec<Crate>, Error> {
    let path = root.join("Cargo.toml");
    let manifest = manifest(&path)?;
    let members = manifest.get("workspace").and_then(|table| table.get("members")).and_then(toml::Value::as_array);
    let members = members.ok_or_else(|| Error::Manifest { path, reason: "`workspace.members` is missing".into() })?;
    members.iter().filter_map(toml::Value::as_str).map(|folder| read_crate(root, folder)).collect()
}

/// The member in `folder`: its library and its program, where it has them.
fn read_crate(root: &Path, folder: &str) -> Result<Crate, Error> {
    let top = root.join(folder);
    let path = top.join("Cargo.toml");
    let manifest = manifest(&path)?;
    let name = manifest.get("package").and_then(|table| table.get("name")).and_then(toml::Value::as_str);
    let name = name.ok_or_else(|| Error::Manifest { path, reason: "`package.name` is missing".into() })?;
    let sources = top.join("src");
    let mut tree = ModuleTree::new(&name.replace('-', "_"), &sources);
    for file in ["lib.rs", "main.rs"] {
        if sources.join(file).exists() {
            read_tree(&mut tree, file)?;
        }
    }
    let graph = uses(&tree)?;
    let mut unreached = Vec::new();
    if sources.exists() {
        list(&sources, &mut |path| {
            let file = path.strip_prefix(&sources).unwrap_or(path).display().to_string();
            if !graph.files().any(|known| known == file) && !tree.for_tests.contains(&file) {
                unreached.push(file);
            }
        })?;
    }
    Ok(Crate { folder: folder.to_owned(), graph, unreached })
}

fn manifest(path: &Path) -> Result<toml::Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    text.parse().map_err(|error: toml::de::Error| Error::Manifest { path: path.into(), reason: error.to_string() })
}

/// Calls `see` with each Rust file below `folder`.
fn list(folder: &Path, see: &mut impl FnMut(&Path)) -> Result<(), Error> {
    let unreadable = |source| Error::Read { path: folder.into(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path: PathBuf = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            list(&path, see)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            see(&path);
        }
    }
    Ok(())
}
