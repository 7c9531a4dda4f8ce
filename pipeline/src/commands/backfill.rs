//! `netcrab backfill`: copies the rows of the Delta tables into an empty ClickHouse.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use netcrab_pipeline::clickhouse::backfill::{self as copy, Backfill};
use netcrab_pipeline::progress::bar;

use super::grouped;
use crate::Context;

/// Where rows can be copied to.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum To {
    /// The server of `[clickhouse]`.
    Clickhouse,
}

/// Arguments of `netcrab backfill`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  NETCRAB_CLICKHOUSE__HOSTS='[\"http://localhost:8123\"]' netcrab backfill --to clickhouse --tables ./tables
  netcrab backfill --to clickhouse --tables ./tables --replace      empties ClickHouse first

Interrupted, it continues where it was. Stop `netcrab serve` and `netcrab process` on these tables first; started again
with the same [clickhouse], they write to both.")]
pub(crate) struct Arguments {
    /// Where to.
    #[arg(long, value_enum)]
    to: To,
    /// Folder (or s3:// URL) of the tables.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// Empty the tables in ClickHouse first.
    #[arg(long)]
    replace: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let To::Clickhouse = arguments.to;
    let sink = super::sink(&arguments.tables)?;
    let server = super::server::clickhouse::prepared(&context.config).await?;
    let backfill = Backfill::plan(&sink, &server, arguments.replace).await?;
    let template = "{spinner} {msg} {wide_bar} {bytes}/{total_bytes} {elapsed}, {eta} left";
    let bar = bar(backfill.bytes(), template, context.quiet);
    bar.set_position(backfill.bytes_done());
    let copied = copy::backfill(&backfill, &sink, &server, |table, bytes| {
        bar.set_message(table);
        bar.inc(bytes);
    })
    .await?;
    bar.finish_and_clear();
    if context.json {
        println!(
            "{}",
            serde_json::json!({ "files": copied.files, "rows": copied.rows, "filesBefore": backfill.files_done() })
        );
    } else {
        println!(
            "copied {} rows of {} files; check with: netcrab verify --tables {}",
            grouped(copied.rows),
            grouped(copied.files),
            arguments.tables
        );
    }
    Ok(ExitCode::SUCCESS)
}
