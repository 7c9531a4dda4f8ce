//! `netcrab packs check`, and the definitions for all other commands.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use netcrab_packs::Definition;
use serde_json::json;

use crate::Context;

/// The definition files of the folder `packs.definitions`, sorted by name.
pub(super) fn definition_files(context: &Context) -> Result<Vec<PathBuf>> {
    let folder = &context.config.packs.definitions;
    let missing = || format!("there are no definitions in {}; set `packs.definitions`", folder.display());
    let listed = std::fs::read_dir(folder).with_context(missing)?;
    let paths = listed.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")).collect();
    ensure!(!files.is_empty(), missing());
    files.sort();
    Ok(files)
}

pub(super) fn read_definition(file: &Path) -> Result<Definition> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Definition::parse(&text).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(|fault| format!("{}: {fault}", file.display())).collect();
        anyhow::anyhow!("{}", faults.join("\n"))
    })
}

/// All definitions of the folder.
pub(super) fn definitions(context: &Context) -> Result<Vec<Definition>> {
    definition_files(context)?.iter().map(|file| read_definition(file)).collect()
}

/// The definition of a pack.
pub(super) fn definition(context: &Context, pack: &str) -> Result<Definition> {
    let all = definitions(context)?;
    let names: Vec<&str> = all.iter().map(|definition| definition.pack_id.as_str()).collect();
    let nearest = netcrab_schema::nearest_clause(pack, names);
    let unknown = format!("there is no pack `{pack}`{nearest}; `netcrab packs list` has all");
    all.into_iter().find(|definition| definition.pack_id == pack).context(unknown)
}

/// `netcrab packs check`: prints the faults of all definitions.
pub(super) fn check(context: &Context, files: Vec<PathBuf>) -> Result<ExitCode> {
    let files = if files.is_empty() { definition_files(context)? } else { files };
    let read: Vec<Result<Definition>> = files.iter().map(|file| read_definition(file)).collect();
    let wrong: Vec<String> = read.iter().filter_map(|read| Some(read.as_ref().err()?.to_string())).collect();
    if context.json {
        println!("{}", json!({ "files": files.len(), "faults": wrong }));
    } else {
        wrong.iter().for_each(|wrong| println!("{wrong}"));
        println!("{} of {} definitions are valid", files.len() - wrong.len(), files.len());
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
