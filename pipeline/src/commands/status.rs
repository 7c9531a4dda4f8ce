//! `netcrab status`: the position of each shard of a stream.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use netcrab_pipeline::checkpoints::folder::Folder;
use netcrab_pipeline::checkpoints::manifest::Manifest;
use netcrab_pipeline::checkpoints::{self, Checkpoints};
use netcrab_pipeline::stream::shard::check::check_tables;
use netcrab_sinks::delta::DeltaSink;

use super::grouped;
use super::server::bus::{Access, open_bus};
use crate::Context;

/// How often state and tables are compared while the stream goes on in between.
const CHECKS_MAX: usize = 5;

/// Arguments of `netcrab status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab status --tables ./tables
  netcrab status --tables ./tables --json

The lag is in offsets of the bus: batches in the built-in log, events in Kafka. It reads the newest manifest of each shard; the process that runs them need not run. It ends with exit code 1 where the tables do not have the epochs that the state
says; `netcrab stream repair` mends that.")]
pub(crate) struct Arguments {
    /// Folder of the tables, or s3://bucket/prefix.
    #[arg(long, value_name = "DIR")]
    tables: String,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let sink = super::sink(&arguments.tables)?;
    let folder = Folder::of(&sink)?;
    let shards = checkpoints::shards(&folder).await?;
    if shards.is_empty() {
        bail!("no stream writes {}; start one with netcrab serve or netcrab process", arguments.tables);
    }
    let bus = open_bus(&context.config, &arguments.tables, Access::Look).await;
    if let Err(fault) = &bus {
        eprintln!("the lag is unknown: {}", super::chain_of(fault));
    }
    let (mut newest, mut fits) = (Vec::new(), Ok(()));
    for shard in shards {
        let checkpoints = Checkpoints::of(&folder, shard);
        fits = fits.and(state_fits(&sink, &checkpoints, shard).await);
        if let Some((manifest, _)) = checkpoints.newest().await? {
            let applied = checkpoints.applied(manifest.epoch).await?;
            let end = match &bus {
                Ok(opened) => opened.bus.bounds(shard).await.ok().map(|bounds| bounds.end),
                Err(_) => None,
            };
            let lag = end.map(|end| end.saturating_sub(manifest.to));
            newest.push((manifest, applied, lag));
        }
    }
    if context.json {
        println!("{}", serde_json::Value::Array(newest.iter().map(as_json).collect()));
        return fits.map(|()| ExitCode::SUCCESS);
    }
    println!(
        "{:>5}  {:>8}  {:>14}  {:>10}  {:24}  {:>16}  {:>8}",
        "shard", "epoch", "offset", "lag", "watermark", "late, last epoch", "lost"
    );
    for (manifest, applied, lag) in &newest {
        let Manifest { shard, epoch, to, watermark_ms, late, lost, .. } = manifest;
        let unapplied = if *applied { "" } else { "  (to be applied)" };
        println!(
            "{shard:>5}  {:>8}  {:>14}  {:>10}  {:24}  {:>16}  {:>8}{unapplied}",
            grouped(*epoch),
            grouped(*to),
            lag.map_or_else(|| "?".to_owned(), grouped),
            instant(*watermark_ms),
            late.len(),
            grouped(*lost)
        );
    }
    fits.map(|()| ExitCode::SUCCESS)
}

/// Checks that the tables have the epochs that the state of `shard` says.
async fn state_fits(sink: &DeltaSink, checkpoints: &Checkpoints, shard: u32) -> Result<()> {
    let mut fits = Ok(());
    for _ in 0..CHECKS_MAX {
        let newest = checkpoints.newest().await?;
        let epoch = newest.as_ref().map(|(newest, _)| newest.epoch);
        let applied = match epoch {
            Some(epoch) => checkpoints.applied(epoch).await?,
            None => true,
        };
        fits = check_tables(sink, shard, newest.as_ref(), applied).await.map(drop);
        // A stream that runs may have gone on in between.
        if fits.is_ok() || checkpoints.newest().await?.map(|(newest, _)| newest.epoch) == epoch {
            break;
        }
    }
    Ok(fits?)
}

fn as_json((manifest, applied, lag): &(Manifest, bool, Option<u64>)) -> serde_json::Value {
    serde_json::json!({
        "shard": manifest.shard,
        "epoch": manifest.epoch,
        "applied": applied,
        "nextOffset": manifest.to,
        "lag": lag,
        "watermark": instant(manifest.watermark_ms),
        "lateOfLastEpoch": manifest.late.len(),
        "lost": manifest.lost,
    })
}

/// A timestamp, or a word for none.
fn instant(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(instant) => instant.to_string(),
        Err(_) if ms > 0 => "the end".to_owned(),
        Err(_) => "none yet".to_owned(),
    }
}
