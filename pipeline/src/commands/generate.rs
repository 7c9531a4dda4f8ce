//! `netcrab generate`: seeded, realistic traffic.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use jiff::civil::Date;
use netcrab_pipeline::progress::bar;
use netcrab_sources::generate::{self, FileLayout};

use super::grouped;
use crate::Context;

/// Arguments of `netcrab generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab generate events.parquet --events 1000000
  netcrab generate traffic/ --events 20000000 --orgs 5 --products 3 --days 90 --seed 7
  netcrab generate events.ndjson.zst --events 50000")]
pub(crate) struct Arguments {
    /// A .parquet, .ndjson, .ndjson.gz or .ndjson.zst file, or a folder of Parquet files. What is there is replaced.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Events in all, repeats included.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Organisations.
    #[arg(long, default_value_t = 3)]
    orgs: u16,
    /// Products of each organisation.
    #[arg(long, default_value_t = 2)]
    products: u16,
    /// First day.
    #[arg(long, default_value = "2026-10-01")]
    from: Date,
    /// Days.
    #[arg(long, default_value_t = 30)]
    days: u16,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let settings = generate::GenerateSettings {
        seed: arguments.seed,
        orgs: arguments.orgs,
        products_per_org: arguments.products,
        from: arguments.from,
        days: arguments.days,
        events: arguments.events,
        ..generate::GenerateSettings::default()
    };
    let written = write(&arguments.path, settings, context.quiet || context.json)?;
    if context.json {
        println!("{}", serde_json::json!({ "events": written.events, "files": written.files }));
    } else {
        let files = written.files.len();
        println!("{} events in {files} file(s) at {}", grouped(written.events), arguments.path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the traffic, with a bar on a terminal.
pub(super) fn write(path: &Path, settings: generate::GenerateSettings, quiet: bool) -> Result<generate::WrittenFiles> {
    let bar = bar(settings.events, "{spinner} generating {wide_bar} {human_pos}/{human_len} events {elapsed}", quiet);
    let mut progress = |events| bar.set_position(events);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let json = [".ndjson", ".jsonl", ".json", ".ndjson.gz", ".ndjson.zst", ".jsonl.gz", ".jsonl.zst"];
    if let Some(ending) = path.extension().filter(|ending| *ending != "parquet")
        && !json.iter().any(|known| name.ends_with(known))
    {
        let ending = ending.to_string_lossy();
        bail!("`.{ending}` is not written; name a {}, .parquet file, or a folder without a dot", json.join(", "));
    }
    let written = if json.iter().any(|ending| name.ends_with(ending)) {
        generate::write_ndjson(path, settings, &FileLayout::default(), &mut progress)?
    } else {
        generate::write_parquet(path, settings, &FileLayout::default(), &mut progress)?
    };
    bar.finish_and_clear();
    Ok(written)
}
