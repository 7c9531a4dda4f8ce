//! `netcrab packs build` and `watch`: builds windows, and writes their files and tables.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use jiff::Timestamp;
use netcrab_market::Market;
use netcrab_pack_build::BuildWindow;
use netcrab_packs::Definition;
use netcrab_packs::noise::{Noise, OpenDp};
use netcrab_pipeline::checkpoints::folder::Folder;
use netcrab_pipeline::packs::build::{BuildOutcome, PackBuilder};
use netcrab_pipeline::packs::lease::LEASE;
use netcrab_pipeline::packs::schedule::{self, AfterFailure};
use netcrab_pipeline::packs::stored::StoredRelease;
use netcrab_pipeline::packs::{Error, files, tables, window};
use netcrab_pipeline::progress::bar;
use netcrab_sinks::clickhouse::ClickHouse;
use netcrab_sinks::delta::DeltaSink;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::definitions::{definition, definitions};
use crate::Context;
use crate::commands::clock::now_ms;
use crate::commands::server::clickhouse::clickhouse;
use crate::commands::server::signals::stop_signal;
use crate::commands::{chain_of, grouped, sink};

/// Whether work ran to its end.
enum Ended<T> {
    /// It did.
    Done(T),
    /// Ctrl-C or SIGTERM came first.
    Interrupted,
}

/// Windows that no later build can succeed for: the definition as JSON, and the first day.
type DroppedWindows = BTreeSet<(String, String)>;

/// What builds are made with, opened once.
struct Workshop<'a> {
    context: &'a Context,
    market: &'a Market,
    facts: DeltaSink,
    /// The folder of released files.
    folder: Folder,
    /// The tables of released packs, in the same folder.
    released: DeltaSink,
    clickhouse: Option<ClickHouse>,
}

impl<'a> Workshop<'a> {
    async fn open(context: &'a Context, market: &'a Market, tables: &str) -> Result<Self> {
        let clickhouse = clickhouse(&context.config).await?;
        let released = sink(&context.config.packs.released)?;
        let (facts, folder) = (sink(tables)?, Folder::of(&released)?);
        Ok(Self { context, market, facts, folder, released, clickhouse })
    }

    /// Builds a window, writes its files and rows, and prints what came of it.
    async fn build(&self, definition: &Definition, window: &BuildWindow) -> Result<Ended<()>, Error> {
        let Ended::Done(outcome) = self.build_version(definition, window).await? else {
            return Ok(Ended::Interrupted);
        };
        let version = self.market.version(&definition.pack_id, &outcome.version).await?;
        let version = version.ok_or_else(|| Error::Missing("version that was just built".to_owned()))?;
        let stored = StoredRelease::read(self.market, &version).await?;
        let created = files::write(&self.folder, &outcome.version, &stored).await?;
        let (config, clickhouse) = (&self.context.config, self.clickhouse.as_ref());
        tables::write(config, &self.released, clickhouse, &outcome.version, &stored).await?;
        self.print(definition, window, &outcome, created);
        Ok(Ended::Done(()))
    }

    /// Builds a window's version with a progress bar, until a stop signal.
    async fn build_version(&self, definition: &Definition, window: &BuildWindow) -> Result<Ended<BuildOutcome>, Error> {
        let template = "{spinner} {msg} {wide_bar} {pos}/{len} {elapsed}, {eta} left";
        let bar = bar(1, template, self.context.quiet || self.context.json);
        bar.set_message(format!("building {} of {} to {}", definition.pack_id, window.from, window.to));
        bar.enable_steady_tick(Duration::from_millis(120));
        let progress = |done, of| {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        };
        let holder = format!("{}-{}", std::process::id(), now_ms());
        let mut noise = noise();
        let mut builder = PackBuilder {
            config: &self.context.config,
            market: self.market,
            facts: &self.facts,
            noise: noise.as_mut(),
            now_ms,
            holder: holder.clone(),
            progress: &progress,
        };
        let ended = tokio::select! {
            outcome = builder.build(definition, window) => outcome.map(Ended::Done),
            () = stop_signal() => {
                self.market.release_lease(LEASE, &holder).await?;
                Ok(Ended::Interrupted)
            }
        };
        bar.finish_and_clear();
        ended
    }

    fn print(&self, definition: &Definition, window: &BuildWindow, outcome: &BuildOutcome, created: usize) {
        let BuildOutcome { version, existed, rows } = outcome;
        if self.context.json {
            println!(
                "{}",
                json!({ "packId": definition.pack_id, "version": version, "existed": existed,
                    "rows": rows, "filesCreated": created, "window": [window.from, window.to] })
            );
            return;
        }
        println!(
            "{} {version} of {} to {}: {}, {} rows; {created} files created in {}",
            definition.pack_id,
            window.from,
            window.to,
            if *existed { "was built already" } else { "built" },
            grouped(*rows as u64),
            self.folder.name_of(&format!("{}/{version}", definition.pack_id))
        );
    }

    /// Builds every window that is due and not in `dropped`. Answers whether no build failed, other than for lack of
    /// organisations.
    async fn build_due(&self, dropped: &mut DroppedWindows) -> Result<Ended<bool>> {
        let mut succeeded = true;
        for definition in definitions(self.context)? {
            for window in schedule::due(self.market, &definition, Timestamp::now()).await? {
                let key = (serde_json::to_string(&definition)?, window.from.clone());
                if dropped.contains(&key) {
                    continue;
                }
                let error = match self.build(&definition, &window).await {
                    Ok(Ended::Done(())) => continue,
                    Ok(Ended::Interrupted) => return Ok(Ended::Interrupted),
                    Err(error) => error,
                };
                let after = schedule::after_failure(&error);
                eprintln!("{} of {} to {}: {}", definition.pack_id, window.from, window.to, chain_of(&error.into()));
                succeeded &= after == AfterFailure::Wait;
                if after == AfterFailure::Drop {
                    dropped.insert(key);
                }
                // Later windows of this pack wait for this one, so that versions are in the order of their windows.
                break;
            }
        }
        Ok(Ended::Done(succeeded))
    }
}

pub(super) async fn build(
    context: &Context,
    market: &Market,
    pack: Option<String>,
    tables: &str,
    window_name: Option<String>,
) -> Result<ExitCode> {
    let workshop = Workshop::open(context, market, tables).await?;
    let Some(pack) = pack else {
        let succeeded = completed(workshop.build_due(&mut DroppedWindows::new()).await?)?;
        return Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    };
    let definition = definition(context, &pack)?;
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let window = match window_name {
        Some(name) => window::named(definition.update_frequency, &name)?,
        None => window::last(definition.update_frequency, today)?,
    };
    let over = window.to.parse::<jiff::civil::Date>()? < today;
    ensure!(over, "{} to {} is not over yet; name an earlier window", window.from, window.to);
    completed(workshop.build(&definition, &window).await?)?;
    Ok(ExitCode::SUCCESS)
}

/// What the work came to; an error where it was interrupted.
fn completed<T>(ended: Ended<T>) -> Result<T> {
    match ended {
        Ended::Done(outcome) => Ok(outcome),
        Ended::Interrupted => bail!("interrupted; the same command builds what was not released yet"),
    }
}

/// Builds what is due every `every_s` seconds, until Ctrl-C.
pub(super) async fn watch(context: &Context, market: &Market, tables: &str, every_s: u64) -> Result<()> {
    let workshop = Workshop::open(context, market, tables).await?;
    let mut dropped = DroppedWindows::new();
    if !context.quiet {
        eprintln!("building packs as they are due (Ctrl-C ends it)");
    }
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        stopping.cancel();
    });
    while !stop.is_cancelled() {
        // The definitions are read each time. What failed is tried again.
        match workshop.build_due(&mut dropped).await {
            Ok(Ended::Done(_)) => {}
            Ok(Ended::Interrupted) => return Ok(()),
            Err(error) => eprintln!("{}", chain_of(&error)),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(every_s)) => {}
        }
    }
    Ok(())
}

#[cfg(debug_assertions)]
/// OpenDP's noise. In builds with debug assertions `NETCRAB_PACKS_NOISE=off` switches it off, so that tests can compare
/// a release with exact sums. Release builds cannot switch it off.
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
