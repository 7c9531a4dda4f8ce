//! `netcrab stream`: what an operator does to a stream that does not run.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, Subcommand};
use netcrab_pipeline::plans::resources::task_context;
use netcrab_pipeline::stream::context::StreamContext;
use netcrab_pipeline::stream::rebuild::{Rebuilt, rebuild_all};
use serde_json::{Value, json};

use super::grouped;
use super::server::bus::{Access, open_bus};
use crate::Context;

/// Arguments of `netcrab stream`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab stream repair --tables ./tables")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Recompute the tables and the state of a stream from events_raw and the bus.
    #[command(after_help = "\
Examples:
  netcrab stream repair --tables ./tables
  netcrab stream repair --tables s3://bucket/tables      the bus as in netcrab process

For a stream that refuses to start because its state (_stream), its tables and its bus do not fit: one of them was put
back from a copy, damaged or lost. Stop netcrab serve, ingest and process first. All derived tables are recomputed from
events_raw, and the stream goes on with the first event on the bus that events_raw does not have. Killed in the middle,
it has changed nothing or is completed by the next start. Afterwards a ClickHouse needs `netcrab backfill --replace`.")]
    Repair {
        /// Folder of the tables, or s3://bucket/prefix.
        #[arg(long, value_name = "DIR")]
        tables: String,
    },
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let Command::Repair { tables } = arguments.command;
    let config = &context.config;
    let sink = super::sink(&tables)?;
    super::folder(&sink).await?;
    let stream = StreamContext {
        bus: open_bus(config, &tables, Access::Read).await?.bus,
        // Only the Delta tables are rebuilt: ClickHouse follows by a backfill, and results were sent when they were new.
        results: None,
        clickhouse: None,
        sink,
        settings: config.stream.clone(),
        task: task_context(config)?,
        feed: None,
    };
    let mut all = Vec::new();
    let rebuilt = |rebuilt: Rebuilt| {
        if !context.json {
            println!("{}", as_text(&rebuilt));
        }
        all.push(as_json(&rebuilt));
    };
    rebuild_all(&Arc::new(stream), &Arc::new(config.rules()), rebuilt).await?;
    if context.json {
        println!("{}", Value::from(all));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(rebuilt: &Rebuilt) -> String {
    let Rebuilt { shard, epoch, events, next, waiting } = rebuilt;
    format!(
        "shard {shard}: recomputed from {} events as epoch {epoch}; goes on at offset {next} of the bus, where {} wait",
        grouped(*events),
        grouped(*waiting)
    )
}

fn as_json(rebuilt: &Rebuilt) -> Value {
    let Rebuilt { shard, epoch, events, next, waiting } = rebuilt;
    json!({ "shard": shard, "epoch": epoch, "events": events, "nextOffset": next, "lag": waiting })
}
