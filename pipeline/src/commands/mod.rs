//! One command, one file: its arguments with examples, and what it prints.

pub(crate) mod backfill;
mod clock;
pub(crate) mod completions;
pub(crate) mod context;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod ingest;
pub(crate) mod packs;
pub(crate) mod process;
mod query_error;
pub(crate) mod rerun;
pub(crate) mod run;
pub(crate) mod serve;
mod server;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod stream;
pub(crate) mod vacuum;
pub(crate) mod verify;

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, anyhow, bail};
use netcrab_pipeline::checkpoints::folder::Folder;
use netcrab_schema::Table;
use netcrab_sinks::delta::DeltaSink;

/// An error with its causes, each named once.
pub(crate) fn chain_of(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // What DataFusion says before errors that are not its own.
        let text = text.trim_start_matches("External error: ").to_owned();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// Whether Ctrl-C ends the process.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The error of a command that Ctrl-C ends; `advice` says what is left and how to go on.
fn interrupted(advice: &str) -> anyhow::Error {
    INTERRUPTED.store(true, Ordering::Relaxed);
    anyhow!("interrupted; {advice}")
}

/// Whether Ctrl-C ends the process. A library's task that is cut off then may panic, which tells nobody anything.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// The Delta tables in a folder or at a URL.
pub(crate) fn sink(tables: &str) -> Result<DeltaSink> {
    Ok(DeltaSink::new(netcrab_pipeline::tables::address(tables)?))
}

/// The folder of the tables. A bucket that cannot be used is an error here, once, and not in the log of each epoch.
pub(crate) async fn folder(sink: &DeltaSink) -> Result<Folder> {
    let folder = Folder::of(sink)?;
    folder.names().await?;
    Ok(folder)
}

/// The tables of these names, or all.
pub(crate) fn tables(names: &[String]) -> Result<Vec<&'static Table>> {
    if names.is_empty() {
        return Ok(netcrab_schema::ALL.to_vec());
    }
    names.iter().map(|name| table(name)).collect()
}

fn table(name: &str) -> Result<&'static Table> {
    if let Some(table) = netcrab_schema::by_name(name) {
        return Ok(table);
    }
    let names = netcrab_schema::ALL.iter().map(|table| table.name);
    let nearest = netcrab_schema::nearest_clause(name, names);
    bail!("there is no table `{name}`{nearest}; docs/tables.md lists all");
}

/// The mapping in `file`, where one is given.
pub(crate) fn mapping(file: Option<&std::path::Path>) -> Result<Option<netcrab_sources::Mapping>> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("could not read the mapping {}; check the path given to --mapping", file.display()))?;
    Ok(Some(netcrab_sources::Mapping::parse(&text).with_context(|| file.display().to_string())?))
}

/// 1234567 as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}
