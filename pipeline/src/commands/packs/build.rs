//! `netcrab packs build` and `watch`: windows that are named or due, built, and their files and tables written.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use netcrab_market::Market;
use netcrab_pack_build::Window;
use netcrab_packs::Definition;
use netcrab_packs::noise::{Noise, OpenDp};
use netcrab_pipeline::checkpoints::folder::Folder;
use netcrab_pipeline::packs::build::{Builder, LEASE, sealed};
use netcrab_pipeline::packs::{files, schedule, tables, window};
use netcrab_pipeline::progress::bar;
use netcrab_sinks::clickhouse::ClickHouse;
use netcrab_sinks::delta::DeltaSink;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{definition, definitions, now_ms};
use crate::Context;
use crate::commands::{chain_of, grouped, process, serve, sink};

/// Somebody ended a build.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; what was not released yet is built by the same command")]
struct Interrupted;

/// What builds are made with, opened once.
struct Workshop<'a> {
    context: &'a Context,
    market: &'a Market,
    sink: DeltaSink,
    folder: Folder,
    /// Where the tables of released packs lie: beside the files.
    released: DeltaSink,
    clickhouse: Option<ClickHouse>,
}

impl<'a> Workshop<'a> {
    async fn open(context: &'a Context, market: &'a Market, tables: &str) -> Result<Self> {
        let clickhouse = process::clickhouse(&context.config).await?;
        let released = sink(&context.config.packs.released)?;
        let (sink, folder) = (sink(tables)?, Folder::of(&released)?);
        Ok(Self { context, market, sink, folder, released, clickhouse })
    }

    /// Builds a window and writes its files; says so.
    async fn build(&self, definition: &Definition, window: &Window) -> Result<()> {
        let mut noise = noise();
        let config = &self.context.config;
        let (market, sink) = (self.market, &self.sink);
        let holder = format!("{}-{}", std::process::id(), now_ms());
        let template = "{spinner} {msg} {wide_bar} {pos}/{len} {elapsed}, {eta} left";
        let bar = bar(1, template, self.context.quiet || self.context.json);
        bar.set_message(format!("building {} of {} to {}", definition.pack_id, window.from, window.to));
        bar.enable_steady_tick(Duration::from_millis(120));
        let progress = |done, of| {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        };
        let noise = noise.as_mut();
        let mut builder = Builder { config, market, sink, noise, now_ms, holder: holder.clone(), progress: &progress };
        let built = tokio::select! {
            built = builder.build(definition, window) => built,
            () = serve::stop_signal() => {
                market.release_lease(LEASE, &holder).await?;
                Err(Interrupted.into())
            }
        };
        bar.finish_and_clear();
        let built = built?;
        let version = market.version(&definition.pack_id, &built.version).await?.context("the version just built")?;
        let sealed = sealed(market, &version).await?;
        let created = files::write(&self.folder, &built.version, &sealed).await?;
        tables::write(config, &self.released, self.clickhouse.as_ref(), &built.version, &sealed).await?;
        if self.context.json {
            println!(
                "{}",
                json!({ "packId": definition.pack_id, "version": built.version, "existed": built.existed,
                    "rows": built.rows, "filesCreated": created, "window": [window.from, window.to] })
            );
            return Ok(());
        }
        println!(
            "{} {} of {} to {}: {}, {} rows; {created} files created in {}",
            definition.pack_id,
            built.version,
            window.from,
            window.to,
            if built.existed { "was built already" } else { "built" },
            grouped(built.rows as u64),
            self.folder.name_of(&format!("{}/{}", definition.pack_id, built.version))
        );
        Ok(())
    }

    /// Builds what is due; `left` are windows that no build is possible of. Whether all went well.
    async fn build_due(&self, left: &mut BTreeSet<(String, String)>) -> Result<bool> {
        let mut well = true;
        for definition in definitions(self.context)? {
            for window in schedule::due(self.market, &definition, Timestamp::now()).await? {
                let named = (serde_json::to_string(&definition)?, window.from.clone());
                if left.contains(&named) {
                    continue;
                }
                let Err(fault) = self.build(&definition, &window).await else { continue };
                if fault.is::<Interrupted>() {
                    return Err(fault);
                }
                well &= schedule::waits(&fault);
                eprintln!("{} of {} to {}: {}", definition.pack_id, window.from, window.to, chain_of(&fault));
                if schedule::after(&fault) == schedule::After::Never {
                    left.insert(named);
                }
                // Later windows of this pack wait for it, so that versions follow one another.
                break;
            }
        }
        Ok(well)
    }
}

pub(super) async fn build(
    context: &Context,
    market: &Market,
    pack: Option<String>,
    tables: &str,
    named: Option<String>,
) -> Result<ExitCode> {
    let workshop = Workshop::open(context, market, tables).await?;
    let Some(pack) = pack else {
        let well = workshop.build_due(&mut BTreeSet::new()).await?;
        return Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    };
    let definition = definition(context, &pack)?;
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let window = match named {
        Some(named) => window::named(definition.update_frequency, &named)?,
        None => window::last(definition.update_frequency, today)?,
    };
    let over = window.to.parse::<jiff::civil::Date>()? < today;
    ensure!(over, "{} to {} is not over yet; name an earlier window", window.from, window.to);
    workshop.build(&definition, &window).await?;
    Ok(ExitCode::SUCCESS)
}

/// Builds what is due, and looks again, until Ctrl-C.
pub(super) async fn watch(context: &Context, market: &Market, tables: &str, every_s: u64) -> Result<()> {
    let workshop = Workshop::open(context, market, tables).await?;
    let mut left = BTreeSet::new();
    if !context.quiet {
        eprintln!("building packs as they are due (Ctrl-C ends it)");
    }
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        serve::stop_signal().await;
        stopping.cancel();
    });
    while !stop.is_cancelled() {
        // What fails now is tried again; the definitions are read anew each time.
        if let Err(fault) = workshop.build_due(&mut left).await {
            if fault.is::<Interrupted>() {
                return Ok(());
            }
            eprintln!("{}", chain_of(&fault));
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(every_s)) => {}
        }
    }
    Ok(())
}

#[cfg(debug_assertions)]
/// OpenDP's noise. In builds with debug assertions `NETCRAB_PACKS_NOISE=off` leaves it out, so that tests can compare
/// what leaves with exact sums; in release builds nothing of this is there.
fn noise() -> Box<dyn Noise + Send> {
    struct Off;
    impl Noise for Off {
        fn add(&mut self, answers: &[i64], _: f64) -> Result<Vec<i64>, netcrab_packs::noise::Error> {
            Ok(answers.to_vec())
        }
    }
    if std::env::var("NETCRAB_PACKS_NOISE").is_ok_and(|value| value == "off") {
        Box::new(Off)
    } else {
        Box::new(OpenDp)
    }
}

#[cfg(not(debug_assertions))]
/// OpenDP's noise.
fn noise() -> Box<dyn Noise + Send> {
    Box::new(OpenDp)
}
