//! `netcrab run`: turns files of events into tables.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use netcrab_pipeline::delta_log::DeltaLog;
use netcrab_pipeline::progress::{Bar, Progress};
use netcrab_pipeline::run::{Job, RunSummary};
use netcrab_sources::Source;
use serde_json::json;

use super::grouped;
use crate::Context;

/// Arguments of `netcrab run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab run events.parquet --tables ./tables
  netcrab run clicks/ more.ndjson.gz s3://bucket/events/ --tables ./tables
  netcrab run shop.csv.gz --mapping docs/mapping-ecom.toml --tables ./tables
  netcrab run events/ --tables ./tables --only fact_sessions,fact_incidents

Exit code: 0, or 2 with --strict when rows were rejected, or 1 when nothing was changed.")]
pub(crate) struct Arguments {
    /// Files, folders, Delta tables or s3://bucket/prefix of Parquet, NDJSON, CSV or access logs, plain, .gz or .zst.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Folder (or s3:// URL) of the tables; created where it is missing.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// How foreign columns become events; see docs/mapping.md.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Write these tables only.
    #[arg(long, value_delimiter = ',', value_name = "TABLE,…")]
    only: Vec<String>,
    /// End with exit code 2 when rows were rejected.
    #[arg(long)]
    strict: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let summary = execute(context, &arguments, false).await?;
    if context.json {
        println!("{}", as_json(&summary));
    } else {
        print!("{}", as_text(&summary, &arguments.tables));
    }
    Ok(if arguments.strict && summary.rejected() > 0 { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

/// Runs the job, until it ends or Ctrl-C.
async fn execute(context: &Context, arguments: &Arguments, explain: bool) -> Result<RunSummary> {
    let mapping = super::mapping(arguments.mapping.as_deref())?;
    let only = super::tables(&arguments.only)?;
    let settings = context.config.sources.clone();
    let source = Source::open_with_tables(&arguments.sources, mapping, settings, &DeltaLog).await?;
    run_job(context, source, &arguments.tables, only, explain).await
}

/// Runs a job with a progress bar, until it ends or Ctrl-C.
pub(super) async fn run_job(
    context: &Context,
    source: Source,
    tables: &str,
    only: Vec<&'static netcrab_schema::Table>,
    explain: bool,
) -> Result<RunSummary> {
    let sink = super::sink(tables)?;
    let progress = Arc::new(Progress::default());
    let _bar = Bar::start(Arc::clone(&progress), source.bytes(), context.quiet || context.json);
    let job = Job { source, sink: &sink, only, config: &context.config, explain };
    tokio::select! {
        summary = job.run(progress) => Ok(summary?),
        _ = tokio::signal::ctrl_c() => bail!("interrupted; the tables are as they were, run the same command again to complete it"),
    }
}

fn as_json(summary: &RunSummary) -> serde_json::Value {
    let tables = summary.tables.iter().map(|(name, rows, bytes)| json!({"table": name, "rows": rows, "bytes": bytes}));
    json!({
        "alreadyHeld": summary.already_stored,
        "events": summary.events,
        "rejected": summary.rejected(),
        "rejects": summary.rejects,
        "tables": tables.collect::<Vec<_>>(),
        "stageSeconds": summary.stage_time.as_secs_f64(),
        "commitSeconds": summary.commit_time.as_secs_f64(),
    })
}

/// The summary for a person.
pub(super) fn as_text(summary: &RunSummary, tables: &str) -> String {
    use std::fmt::Write;
    if summary.already_stored {
        return format!("{tables} already holds these events; nothing to do (after a rule change: netcrab rerun)\n");
    }
    let seconds = (summary.stage_time + summary.commit_time).as_secs_f64();
    let mut text = format!("{} events in {seconds:.1} s\n", grouped(summary.events));
    if summary.rejected() > 0 {
        let reasons = summary.rejects.iter().map(|(reason, rows)| format!("{} {reason}", grouped(*rows)));
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "{} rejected: {reasons}; see the table rejects", grouped(summary.rejected()));
    }
    for (name, rows, bytes) in &summary.tables {
        let _ =
            writeln!(text, "  {name:<22} {:>12} rows {:>9.1} MiB", grouped(*rows), *bytes as f64 / f64::from(1 << 20));
    }
    let _ = writeln!(
        text,
        "in {tables}; look with: netcrab sql --tables {tables} \"SELECT * FROM fact_screen_hotspots LIMIT 5\""
    );
    text
}
