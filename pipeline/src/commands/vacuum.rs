//! `netcrab vacuum`: removes files that no table references.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use netcrab_pipeline::stream::vacuum::vacuum;

use super::grouped;
use crate::Context;

/// Fewest hours: a run under way has staged files that it will still commit.
const HOURS_MIN: f64 = 1.0 / 60.0;

/// Arguments of `netcrab vacuum`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab vacuum --tables ./tables --dry-run
  netcrab vacuum --tables ./tables --keep-hours 168      versions of the last week stay readable

A run or re-run leaves the files that it replaced, so that earlier versions stay readable; an interrupted one
leaves what it had staged. `netcrab serve` and `netcrab process` vacuum the tables that they write themselves.")]
pub(crate) struct Arguments {
    /// Folder (or s3:// URL) of the tables.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// Hours that a file is retained after the last table stopped referencing it.
    #[arg(long, value_name = "HOURS", default_value_t = 24.0)]
    keep_hours: f64,
    /// List what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let hours = arguments.keep_hours;
    ensure!((HOURS_MIN..1e6).contains(&hours), "--keep-hours is {hours}; expected 0.0167 (a minute) or more");
    let sink = super::sink(&arguments.tables)?;
    let folder = sink.root().to_file_path().ok();
    if let Some(folder) = &folder {
        let any = netcrab_schema::ALL.iter().any(|table| folder.join(table.name).exists());
        ensure!(any, "there are no tables in {}; check the path given to --tables", folder.display());
    }
    let keep = Duration::from_secs_f64(hours * 3600.0);
    let vacuumed = vacuum(&sink, keep, arguments.dry_run).await?;
    if context.json {
        let tables = vacuumed.iter().map(|(table, vacuumed)| {
            let (files, bytes, entries) = (vacuumed.files, vacuumed.bytes, vacuumed.log_entries);
            serde_json::json!({ "table": table.name, "files": files, "bytes": bytes, "logEntries": entries })
        });
        println!("{}", serde_json::json!({ "dryRun": arguments.dry_run, "tables": tables.collect::<Vec<_>>() }));
        return Ok(ExitCode::SUCCESS);
    }
    println!("{:<22} {:>10} {:>12} {:>12}", "table", "files", "MiB", "log entries");
    for (table, vacuumed) in &vacuumed {
        let mib = vacuumed.bytes as f64 / f64::from(1 << 20);
        println!(
            "{:<22} {:>10} {mib:>12.1} {:>12}",
            table.name,
            grouped(vacuumed.files),
            grouped(vacuumed.log_entries)
        );
    }
    println!("{}", if arguments.dry_run { "nothing was removed: --dry-run" } else { "removed" });
    Ok(ExitCode::SUCCESS)
}
