//! `netcrab rerun`: recomputes days after a rule changed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use jiff::civil::Date;
use netcrab_pipeline::config::Config;
use netcrab_pipeline::progress::{Bar, Progress};
use netcrab_pipeline::rerun::{Scope, TableDifference, rerun};
use serde_json::json;

use super::grouped;
use crate::Context;

/// Arguments of `netcrab rerun`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab rerun --tables ./tables --from 2026-10-01 --to 2026-10-07 --rules stricter.toml --dry-run
  netcrab rerun --tables ./tables --from 2026-10-01 --to 2026-10-31 --org acme --product crm

A rules file has the tables [sessionize], [detect] and [score] of netcrab.toml; without one the
settings in force count.")]
pub(crate) struct Arguments {
    /// Folder (or s3:// URL) of the tables.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// First day, `2026-10-01`.
    #[arg(long, value_name = "DATE")]
    from: Date,
    /// Last day, included.
    #[arg(long, value_name = "DATE")]
    to: Date,
    /// Only this organisation.
    #[arg(long)]
    org: Option<String>,
    /// Only this product.
    #[arg(long)]
    product: Option<String>,
    /// Rules to recompute with.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Report what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let sink = super::sink(&arguments.tables)?;
    let rules = match &arguments.rules {
        None => context.config.rules(),
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("could not read {}; check the path given to --rules", file.display()))?;
            Config::parse(&text, std::iter::empty()).with_context(|| format!("rules in {}", file.display()))?.rules()
        }
    };
    let scope = Scope { from: arguments.from, to: arguments.to, org: arguments.org, product: arguments.product };
    let progress = Arc::new(Progress::default());
    let _bar = Bar::start(Arc::clone(&progress), u64::MAX, context.quiet || context.json);
    let changes = tokio::select! {
        changes = rerun(&sink, &context.config, rules, &scope, arguments.dry_run, progress) => changes?,
        _ = tokio::signal::ctrl_c() => return Err(super::interrupted("run the same command again to complete it")),
    };
    if context.json {
        println!("{}", as_json(&changes, arguments.dry_run));
    } else {
        print!("{}", as_text(&changes, arguments.dry_run));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(changes: &[TableDifference], dry_run: bool) -> serde_json::Value {
    let changes = changes.iter().map(|change| {
        json!({
            "table": change.table, "rowsBefore": change.rows.0, "rowsAfter": change.rows.1,
            "added": change.added, "removed": change.removed, "changed": change.changed,
        })
    });
    json!({ "dryRun": dry_run, "changes": changes.collect::<Vec<_>>() })
}

fn as_text(changes: &[TableDifference], dry_run: bool) -> String {
    use std::fmt::Write;
    let mut text = format!(
        "{:<22} {:>12} {:>12} {:>10} {:>10} {:>10}\n",
        "table", "before", "after", "added", "removed", "changed"
    );
    for change in changes {
        let number = |number: i64| grouped(number.unsigned_abs());
        let (before, after) = (number(change.rows.0), number(change.rows.1));
        let (added, removed, changed) = (number(change.added), number(change.removed), number(change.changed));
        let _ = writeln!(text, "{:<22} {before:>12} {after:>12} {added:>10} {removed:>10} {changed:>10}", change.table);
    }
    text.push_str(if dry_run { "nothing was written: --dry-run\n" } else { "written\n" });
    text
}
