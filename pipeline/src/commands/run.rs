//! `netcrab run`: turns files of events into tables.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use netcrab_pipeline::delta_log::DeltaLog;
use netcrab_pipeline::progress::{Bar, Progress};
use netcrab_pipeline::run::Job;
use netcrab_pipeline::run_summary::{NoEvent, RunSummary};
use netcrab_sources::{LeftOut, Source};
use serde_json::{Value, json};

use super::{grouped, interrupted};
use crate::Context;

/// Most files without events that the summary for a person names.
const LEFT_OUT_SHOWN_MAX: usize = 10;

/// Exit code of `--strict` when rows were rejected.
const SOME_REJECTED: u8 = 2;

/// Exit code when the source gave no event.
const NO_EVENT: u8 = 3;

/// Arguments of `netcrab run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab run events.parquet --tables ./tables
  netcrab run clicks/ more.ndjson.gz s3://bucket/events/ --tables ./tables
  netcrab run shop.csv.gz --mapping docs/mapping-ecom.toml --tables ./tables
  netcrab run events/ --tables ./tables --only fact_sessions,fact_incidents

Exit code:
  0  the tables hold the events
  1  nothing was changed
  2  with --strict: rows were rejected; the other events are in the tables
  3  the source gave no event: no rows, all rejected, or all skipped by the mapping; only the table rejects changed")]
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
    /// End with exit code 2 when some rows were rejected.
    #[arg(long)]
    strict: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let mapping = super::mapping(arguments.mapping.as_deref())?;
    let only = super::tables(&arguments.only)?;
    let settings = context.config.sources.clone();
    let source = Source::open_with_tables(&arguments.sources, mapping, settings, &DeltaLog).await?;
    let summary = run_job(context, source, &arguments.tables, only, false).await?;
    if context.json {
        println!("{}", as_json(&summary));
    } else {
        print!("{}", as_text(&summary, &arguments.tables));
    }
    Ok(ended(&summary, &arguments))
}

/// The exit code; says what is wrong where the source gave no event.
fn ended(summary: &RunSummary, arguments: &Arguments) -> ExitCode {
    if let Some(why) = summary.no_event() {
        eprintln!("error: no event was taken from {}: {why}", arguments.sources.join(", "));
        return ExitCode::from(NO_EVENT);
    }
    if arguments.strict && summary.rejected() > 0 { ExitCode::from(SOME_REJECTED) } else { ExitCode::SUCCESS }
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
    let job = Job { source: Arc::new(source), sink: &sink, only, config: &context.config, explain };
    tokio::select! {
        summary = job.run(progress) => Ok(summary?),
        _ = tokio::signal::ctrl_c() => {
            Err(interrupted("the tables are as they were, run the same command again to complete it"))
        }
    }
}

fn as_json(summary: &RunSummary) -> Value {
    let tables = summary.tables.iter().map(|(name, rows, bytes)| json!({"table": name, "rows": rows, "bytes": bytes}));
    let (without_rows, not_read): (Vec<&LeftOut>, Vec<&LeftOut>) =
        summary.left_out.iter().partition(|left| left.why.without_rows());
    let files = |left: Vec<&LeftOut>| -> Value {
        let file =
            |left: &&LeftOut| json!({"file": left.file, "reason": left.why.name(), "detail": left.why.to_string()});
        left.iter().map(file).collect()
    };
    json!({
        "alreadyHeld": summary.already_stored,
        "events": summary.events,
        "taken": summary.taken,
        "repeated": summary.repeated,
        "skipped": summary.skipped,
        "noEvent": summary.no_event().map(NoEvent::name),
        "rejected": summary.rejected(),
        "rejects": summary.rejects,
        "notRead": files(not_read),
        "withoutRows": files(without_rows),
        "leftOut": summary.left_out_count,
        "tables": tables.collect::<Vec<_>>(),
        "stageSeconds": summary.stage_time.as_secs_f64(),
        "commitSeconds": summary.commit_time.as_secs_f64(),
    })
}

/// The summary for a person.
pub(super) fn as_text(summary: &RunSummary, tables: &str) -> String {
    let left_out = left_out(summary);
    if summary.already_stored {
        return format!(
            "{tables} already holds these events; nothing to do (after a rule change: netcrab rerun)\n{}{left_out}",
            rejected(summary)
        );
    }
    let mut text = counts(summary) + &left_out;
    for (name, rows, bytes) in &summary.tables {
        let _ =
            writeln!(text, "  {name:<22} {:>12} rows {:>9.1} MiB", grouped(*rows), *bytes as f64 / f64::from(1 << 20));
    }
    let shown = if summary.no_event().is_some() { "rejects" } else { "fact_screen_hotspots" };
    let _ = writeln!(text, "in {tables}; look with: netcrab sql --tables {tables} \"SELECT * FROM {shown} LIMIT 5\"");
    text
}

/// How many rows became events, and what became of the others.
fn counts(summary: &RunSummary) -> String {
    let seconds = (summary.stage_time + summary.commit_time).as_secs_f64();
    let noun = if summary.events == 1 { "event" } else { "events" };
    let mut text = format!("{} {noun} in {seconds:.1} s", grouped(summary.events));
    match summary.taken {
        None => text.push_str(", all of them stored before"),
        Some(taken) if taken < summary.events => {
            let _ = write!(text, ", {} of them from this source", grouped(taken));
        }
        Some(_) => {}
    }
    text.push('\n');
    if summary.repeated > 0 {
        let _ = writeln!(text, "{} were stored before, and count once", grouped(summary.repeated));
    }
    if summary.skipped > 0 {
        let _ = writeln!(text, "{} skipped by the mapping", grouped(summary.skipped));
    }
    text + &rejected(summary)
}

/// How many rows were rejected, and why; empty where none was.
fn rejected(summary: &RunSummary) -> String {
    if summary.rejected() == 0 {
        return String::new();
    }
    let reasons = summary.rejects.iter().map(|(reason, rows)| format!("{} {reason}", grouped(*rows)));
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    format!("{} rejected: {reasons}; see the table rejects\n", grouped(summary.rejected()))
}

/// The files of which nothing was read, each with the reason.
fn left_out(summary: &RunSummary) -> String {
    let mut text = String::new();
    for left in summary.left_out.iter().take(LEFT_OUT_SHOWN_MAX) {
        let what = if left.why.without_rows() { "no rows" } else { "not read" };
        let _ = writeln!(text, "{what}: {}: {}", left.file, left.why);
    }
    let more = summary.left_out_count - summary.left_out.len().min(LEFT_OUT_SHOWN_MAX);
    if more > 0 {
        let _ = writeln!(text, "and {} more files of which nothing was read (--json names more)", grouped(more as u64));
    }
    text
}
