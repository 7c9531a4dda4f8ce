//! `netcrab packs`: benchmarks across organisations, from definition to sealed version.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use jiff::Timestamp;
use netcrab_market::{Market, OptIn, Status, Version};
use netcrab_operators::pack_build::Window;
use netcrab_packs::definition::VERTICALS;
use netcrab_packs::noise::{Noise, OpenDp, epsilon};
use netcrab_packs::plan::{Query, WEIGHT};
use netcrab_packs::{Definition, Plan, method};
use netcrab_pipeline::packs::build::{Builder, LEASE, sealed};
use netcrab_pipeline::packs::{files, schedule, tables, window};
use netcrab_pipeline::stream::folder::Folder;
use netcrab_sinks::clickhouse::ClickHouse;
use netcrab_sinks::delta::DeltaSink;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::grouped;
use crate::Context;

/// Arguments of `netcrab packs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab packs check                                          every definition, all faults with their lines
  netcrab packs plan crm_friction                              what accuracy to expect, before any data
  netcrab packs org acme --vertical B2B_CRM
  netcrab packs opt-in acme crm --exclude-path /billing
  netcrab packs build crm_friction --tables ./tables --window 2026-10
  netcrab packs build --due --tables ./tables                  every window that is due and not built, as from cron
  netcrab packs watch --tables ./tables                        the same, again and again
  netcrab packs show crm_friction; netcrab packs verify; netcrab packs budget")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The packs, and the newest version of each.
    List,
    /// Read definitions, and say all that is wrong with them.
    Check {
        /// Files; those of `packs.definitions` where none are given.
        files: Vec<PathBuf>,
    },
    /// What accuracy to expect, and how many organisations a cell needs; from the definition alone.
    Plan {
        /// The pack.
        pack: String,
    },
    /// Build a window, and write its files. What is built already is only written.
    Build {
        /// The pack; all that are due with --due.
        #[arg(required_unless_present = "due")]
        pack: Option<String>,
        /// Folder of the tables of facts, or s3://bucket/prefix.
        #[arg(long, value_name = "DIR")]
        tables: String,
        /// A day of the window, or a month like 2026-10. Default: the last one that is over.
        #[arg(long, value_name = "DAY", conflicts_with = "due")]
        window: Option<String>,
        /// Every window that is due and not built.
        #[arg(long)]
        due: bool,
    },
    /// Build packs when they are due: daily ones at 02:00 UTC, others at 03:00 after their window; catches up first.
    Watch {
        /// Folder of the tables of facts, or s3://bucket/prefix.
        #[arg(long, value_name = "DIR")]
        tables: String,
        /// Seconds between two looks: how soon an opt-in or a new definition is seen.
        #[arg(long, default_value_t = 60)]
        every_s: u64,
    },
    /// A version: its rows, what it covers, what it cost.
    Show {
        /// The pack.
        pack: String,
        /// The version. Default: the newest.
        #[arg(long)]
        version: Option<String>,
    },
    /// What differs between two versions.
    Diff {
        /// The pack.
        pack: String,
        /// The first version.
        first: String,
        /// The second.
        second: String,
    },
    /// Compare the files with what was released.
    Verify {
        /// The pack; all where none is given.
        pack: Option<String>,
    },
    /// What was spent of each period's privacy.
    Budget {
        /// The pack; all where none is given.
        pack: Option<String>,
    },
    /// Make a version active, deprecated or revoked.
    Mark {
        /// The pack.
        pack: String,
        /// The version.
        version: String,
        /// active, deprecated or revoked.
        status: String,
    },
    /// The organisations, their verticals and what they opted into.
    Orgs,
    /// Say which vertical an organisation is of.
    Org {
        /// The organisation.
        org: String,
        /// Its vertical.
        #[arg(long)]
        vertical: String,
    },
    /// An organisation contributes to a category of packs, from the next build on.
    OptIn {
        /// The organisation.
        org: String,
        /// The category.
        category: String,
        /// This product only.
        #[arg(long)]
        product: Option<String>,
        /// Sessions that touched a route which begins like this stay out; may be given several times.
        #[arg(long = "exclude-path", value_name = "PATH")]
        exclude_paths: Vec<String>,
        /// Sessions of this segment stay out; may be given several times.
        #[arg(long = "exclude-segment", value_name = "SEGMENT")]
        exclude_segments: Vec<String>,
    },
    /// It does no longer, from the next build on.
    OptOut {
        /// The organisation.
        org: String,
        /// The category.
        category: String,
        /// The product that was opted in.
        #[arg(long)]
        product: Option<String>,
    },
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Check { files } => return check(context, files),
        Command::Plan { pack } => plan(context, &definition(context, &pack)?)?,
        Command::List => list(context).await?,
        Command::Build { pack, tables, window, due: _ } => return build(context, pack, &tables, window).await,
        Command::Watch { tables, every_s } => watch(context, &tables, every_s).await?,
        Command::Show { pack, version } => show(context, &pack, version).await?,
        Command::Diff { pack, first, second } => diff(context, &pack, &first, &second).await?,
        Command::Verify { pack } => return verify(context, pack).await,
        Command::Budget { pack } => budget(context, pack).await?,
        Command::Mark { pack, version, status } => mark(context, &pack, &version, &status).await?,
        Command::Orgs => orgs(context).await?,
        Command::Org { org, vertical } => {
            let known = VERTICALS.contains(&vertical.as_str());
            ensure!(known, "`{vertical}` is none of {}", VERTICALS.join(", "));
            market(context).await?.set_vertical(&org, &vertical, now_ms()).await?;
        }
        Command::OptIn { org, category, product, exclude_paths, exclude_segments } => {
            let opt_in = OptIn {
                org_id: org,
                category,
                product_id: product,
                excluded_paths: exclude_paths,
                excluded_segments: exclude_segments,
            };
            market(context).await?.opt_in(&opt_in, now_ms()).await?;
        }
        Command::OptOut { org, category, product } => {
            let was = market(context).await?.opt_out(&org, &category, product.as_deref()).await?;
            ensure!(was, "`{org}` had not opted in to `{category}` like this; see netcrab packs orgs");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

async fn market(context: &Context) -> Result<Market> {
    Ok(Market::open(&context.config.packs.database).await?)
}

fn released(context: &Context) -> Result<Folder> {
    Ok(Folder::at(&netcrab_pipeline::tables::address(&context.config.packs.released)?)?)
}

/// The definition files, in order.
fn definition_files(context: &Context) -> Result<Vec<PathBuf>> {
    let folder = &context.config.packs.definitions;
    let missing = || format!("there are no definitions in {}; set `packs.definitions`", folder.display());
    let listed = std::fs::read_dir(folder).with_context(missing)?;
    let paths = listed.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")).collect();
    ensure!(!files.is_empty(), missing());
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Definition> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Definition::parse(&text).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(|fault| format!("{}: {fault}", file.display())).collect();
        anyhow::anyhow!("{}", faults.join("\n"))
    })
}

fn definitions(context: &Context) -> Result<Vec<Definition>> {
    definition_files(context)?.iter().map(|file| read(file)).collect()
}

fn definition(context: &Context, pack: &str) -> Result<Definition> {
    let all = definitions(context)?;
    let names: Vec<&str> = all.iter().map(|definition| definition.pack_id.as_str()).collect();
    let nearest = netcrab_pipeline::config::nearest(pack, names.iter().copied()).unwrap_or_default();
    let unknown = format!("there is no pack `{pack}`; nearest is `{nearest}`, and netcrab packs list has all");
    all.into_iter().find(|definition| definition.pack_id == pack).context(unknown)
}

fn check(context: &Context, files: Vec<PathBuf>) -> Result<ExitCode> {
    let files = if files.is_empty() { definition_files(context)? } else { files };
    let read: Vec<Result<Definition>> = files.iter().map(|file| read(file)).collect();
    let wrong: Vec<String> = read.iter().filter_map(|read| Some(read.as_ref().err()?.to_string())).collect();
    if context.json {
        println!("{}", json!({ "files": files.len(), "faults": wrong }));
    } else {
        wrong.iter().for_each(|wrong| println!("{wrong}"));
        println!("{} of {} definitions are right", files.len() - wrong.len(), files.len());
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a cell of so many sessions is told of with what margin.
fn plan(context: &Context, definition: &Definition) -> Result<()> {
    let plan = Plan::of(definition)?;
    let sizes = [1, 3, 10].map(|times| u64::from(definition.min_sessions) * times);
    let margins = |query: &Query, sigma: f64| {
        sizes.map(|size| 1.96 * sigma / (WEIGHT as f64 * size as f64 * divisor(definition, query)))
    };
    if context.json {
        println!("{}", json!({ "packId": definition.pack_id, "plan": plan, "orgsNeeded": plan.orgs_needed() }));
        return Ok(());
    }
    let privacy = &definition.privacy;
    println!(
        "{}: ε {} and δ {:e} for each {} over {} builds of its period; ε {:.3} a build",
        definition.pack_id,
        privacy.epsilon,
        privacy.delta,
        privacy.unit.name().replace('_', "'s "),
        plan.windows,
        epsilon(plan.rho_window, plan.delta_window)?
    );
    println!(
        "a cell leaves nineteen times of twenty with {} organisations of {} visitors each, and {} sessions",
        plan.orgs_needed(),
        plan.whole_org_units,
        grouped(u64::from(definition.min_sessions))
    );
    println!("an organisation weighs {} sessions of a cell at most", grouped(u64::from(plan.org_sessions_max)));
    println!(
        "\n{:<28}{:>16}{:>16}{:>16}",
        "margin with sessions:",
        grouped(sizes[0]),
        grouped(sizes[1]),
        grouped(sizes[2])
    );
    let measures = method::measures(definition.kind);
    for noised in &plan.queries {
        let what = match noised.query {
            Query::Histogram(place) => format!("rank of {}, %", measures[place].name),
            Query::Sum(place) => format!("mean of {}", measures[place].name),
            Query::Count(place) => format!("sessions with {}, %", measures[place].name),
        };
        let [small, middle, large] = margins(&noised.query, noised.sigma);
        println!("{what:<28}{small:>16.4}{middle:>16.4}{large:>16.4}");
    }
    println!("\nBoth ways, nineteen times of twenty, for the noise alone.");
    Ok(())
}

/// What an answer is divided by, beside sessions, to be what the plan says of it.
fn divisor(definition: &Definition, query: &Query) -> f64 {
    let measures = method::measures(definition.kind);
    match query {
        // The rank of a quantile is off by the noise of half of the bins.
        Query::Histogram(place) => 0.01 / (measures[*place].edges.len() as f64 / 4.0).sqrt(),
        Query::Sum(place) => measures[*place].per_unit as f64,
        Query::Count(_) => 0.01,
    }
}

async fn list(context: &Context) -> Result<()> {
    let market = market(context).await?;
    let mut listed = Vec::new();
    for definition in definitions(context)? {
        let newest = market.versions(&definition.pack_id).await?.pop();
        listed.push((definition, newest));
    }
    if context.json {
        let row = |(definition, newest): &(Definition, Option<Version>)| {
            json!({ "packId": definition.pack_id, "kind": definition.kind, "title": definition.title,
                "version": newest.as_ref().map(|version| &version.version),
                "status": newest.as_ref().map(|version| version.status.name()),
                "windowTo": newest.as_ref().map(|version| &version.window_to) })
        };
        println!("{}", serde_json::Value::Array(listed.iter().map(row).collect()));
        return Ok(());
    }
    println!("{:<20}{:<17}{:<9}{:<12}{:<24}title", "pack", "kind", "version", "status", "window");
    for (definition, newest) in &listed {
        let window = newest.as_ref().map_or("none yet".to_owned(), |v| format!("{}/{}", v.window_from, v.window_to));
        println!(
            "{:<20}{:<17}{:<9}{:<12}{:<24}{}",
            definition.pack_id,
            definition.kind.name(),
            newest.as_ref().map_or("-", |version| &version.version),
            newest.as_ref().map_or("-", |version| version.status.name()),
            window,
            definition.title
        );
    }
    Ok(())
}

/// Somebody ended a build.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; what was not released yet is built by the same command")]
struct Interrupted;

/// What builds are made with, opened once.
struct Workshop<'a> {
    context: &'a Context,
    market: Market,
    sink: DeltaSink,
    folder: Folder,
    /// Where the tables of released packs lie: beside the files.
    released: DeltaSink,
    clickhouse: Option<ClickHouse>,
}

impl<'a> Workshop<'a> {
    async fn open(context: &'a Context, tables: &str) -> Result<Self> {
        let clickhouse = super::process::clickhouse(&context.config).await?;
        let released = super::sink(&context.config.packs.released)?;
        let (market, sink, folder) = (market(context).await?, super::sink(tables)?, Folder::of(&released)?);
        Ok(Self { context, market, sink, folder, released, clickhouse })
    }

    /// Builds a window and writes its files; says so.
    async fn build(&self, definition: &Definition, window: &Window) -> Result<()> {
        let mut noise = noise();
        let config = &self.context.config;
        let (market, sink) = (&self.market, &self.sink);
        let holder = format!("{}-{}", std::process::id(), now_ms());
        let mut builder = Builder { config, market, sink, noise: noise.as_mut(), now_ms, holder: holder.clone() };
        let bar = spinner(self.context, definition, window);
        let built = tokio::select! {
            built = builder.build(definition, window) => built,
            () = super::serve::stop_signal() => {
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
            for window in schedule::due(&self.market, &definition, Timestamp::now()).await? {
                let named = (serde_json::to_string(&definition)?, window.from.clone());
                if left.contains(&named) {
                    continue;
                }
                let Err(fault) = self.build(&definition, &window).await else { continue };
                if fault.is::<Interrupted>() {
                    return Err(fault);
                }
                well &= schedule::waits(&fault);
                eprintln!("{} of {} to {}: {}", definition.pack_id, window.from, window.to, super::chain_of(&fault));
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

fn spinner(context: &Context, definition: &Definition, window: &Window) -> ProgressBar {
    let is_drawn = !context.quiet && !context.json && std::io::stderr().is_terminal();
    let bar = if is_drawn { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_message(format!("building {} of {} to {}", definition.pack_id, window.from, window.to));
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}

async fn build(context: &Context, pack: Option<String>, tables: &str, named: Option<String>) -> Result<ExitCode> {
    let workshop = Workshop::open(context, tables).await?;
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
async fn watch(context: &Context, tables: &str, every_s: u64) -> Result<()> {
    let workshop = Workshop::open(context, tables).await?;
    let mut left = BTreeSet::new();
    if !context.quiet {
        eprintln!("building packs as they are due (Ctrl-C ends it)");
    }
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        super::serve::stop_signal().await;
        stopping.cancel();
    });
    while !stop.is_cancelled() {
        // What fails now is tried again; the definitions are read anew each time.
        if let Err(fault) = workshop.build_due(&mut left).await {
            if fault.is::<Interrupted>() {
                return Ok(());
            }
            eprintln!("{}", super::chain_of(&fault));
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(std::time::Duration::from_secs(every_s)) => {}
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

async fn find(market: &Market, pack: &str, version: Option<&str>) -> Result<Version> {
    let versions = market.versions(pack).await?;
    match version {
        None => versions.into_iter().next_back().with_context(|| format!("`{pack}` has no version yet; build one")),
        Some(named) => {
            let all: Vec<&str> = versions.iter().map(|version| version.version.as_str()).collect();
            let unknown = format!("`{pack}` has no version {named}; it has {}", all.join(", "));
            versions.into_iter().find(|version| version.version == named).context(unknown)
        }
    }
}

async fn show(context: &Context, pack: &str, version: Option<String>) -> Result<()> {
    let market = market(context).await?;
    let version = find(&market, pack, version.as_deref()).await?;
    let sealed = sealed(&market, &version).await?;
    let plan = Plan::of(&sealed.definition)?;
    let window = format!("{}/{}", version.window_from, version.window_to);
    let rows = netcrab_packs::release::rows(&sealed.definition, &plan, &sealed.release, &window)?;
    if context.json {
        println!(
            "{}",
            json!({ "packId": pack, "version": version.version, "status": version.status.name(), "window": window,
                "rows": files::as_json(&rows)? })
        );
        return Ok(());
    }
    println!("{}", arrow::util::pretty::pretty_format_batches(&[rows])?);
    println!(
        "{pack} {} ({}) of {window}: about {} cells left out, {} brought together; ε {:.3} of {} for each {}",
        version.version,
        version.status,
        sealed.release.left_out,
        sealed.release.brought_together,
        epsilon(plan.rho_window, plan.delta_window)?,
        sealed.definition.privacy.epsilon,
        sealed.definition.privacy.unit.name()
    );
    Ok(())
}

async fn diff(context: &Context, pack: &str, first: &str, second: &str) -> Result<()> {
    let market = market(context).await?;
    let mut lines: Vec<Vec<String>> = Vec::new();
    for named in [first, second] {
        let version = find(&market, pack, Some(named)).await?;
        let sealed = sealed(&market, &version).await?;
        let files = files::files(&version.version, &sealed)?;
        let csv = files.iter().find(|(name, _)| name == "data.csv").map(|(_, bytes)| bytes.clone()).unwrap_or_default();
        let mut said = vec![format!("window {}/{}", version.window_from, version.window_to)];
        said.extend(serde_json::to_string_pretty(&sealed.definition)?.lines().map(str::to_owned));
        said.extend(String::from_utf8_lossy(&csv).lines().map(str::to_owned));
        lines.push(said);
    }
    let [before, after] = lines.as_slice() else { bail!("two versions") };
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let those: std::collections::BTreeSet<&String> = those.iter().collect();
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    let (gone, come) = (only(before, after), only(after, before));
    if context.json {
        println!("{}", json!({ "gone": gone, "come": come }));
    } else {
        gone.iter().for_each(|line| println!("- {line}"));
        come.iter().for_each(|line| println!("+ {line}"));
    }
    Ok(())
}

async fn verify(context: &Context, pack: Option<String>) -> Result<ExitCode> {
    let (market, folder) = (market(context).await?, released(context)?);
    let packs = match pack {
        Some(pack) => vec![pack],
        None => market.pack_ids().await?,
    };
    let (mut versions, mut wrong) = (0, Vec::new());
    for pack in packs {
        for version in market.versions(&pack).await? {
            versions += 1;
            wrong.extend(files::differences(&folder, &version.version, &sealed(&market, &version).await?).await?);
        }
    }
    if context.json {
        println!("{}", json!({ "versions": versions, "wrong": wrong }));
    } else {
        wrong.iter().for_each(|wrong| println!("{wrong}"));
        println!("{versions} versions, {} files that are not what was released", wrong.len());
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn budget(context: &Context, pack: Option<String>) -> Result<()> {
    let market = market(context).await?;
    let packs = match pack {
        Some(pack) => vec![pack],
        None => market.pack_ids().await?,
    };
    if !context.json {
        println!("{:<20}{:<15}{:<12}{:>9}{:>9}  of ρ", "pack", "unit", "period", "versions", "spent %");
    }
    for pack in packs {
        for spent in market.spent(&pack).await? {
            if context.json {
                println!(
                    "{}",
                    json!({ "packId": pack, "unit": spent.unit, "period": spent.period, "versions": spent.versions,
                        "rho": spent.rho, "rhoBudget": spent.rho_budget, "delta": spent.delta,
                        "deltaBudget": spent.delta_budget })
                );
                continue;
            }
            let share = 100.0 * spent.rho / spent.rho_budget;
            let (unit, period, versions) = (&spent.unit, &spent.period, spent.versions);
            println!("{pack:<20}{unit:<15}{period:<12}{versions:>9}{share:>9.1}  {:.4}", spent.rho_budget);
        }
    }
    Ok(())
}

async fn mark(context: &Context, pack: &str, version: &str, status: &str) -> Result<()> {
    let names: Vec<&str> = Status::ALL.iter().map(|status| status.name()).collect();
    let found = Status::ALL.iter().find(|known| known.name() == status);
    let status = found.with_context(|| format!("`{status}` is none of {}", names.join(", ")))?;
    Ok(market(context).await?.set_status(pack, version, *status, now_ms()).await?)
}

async fn orgs(context: &Context) -> Result<()> {
    for organisation in market(context).await?.organisations().await? {
        if context.json {
            let opt_ins = organisation.opt_ins.iter().map(|opt_in| {
                json!({ "category": opt_in.category, "productId": opt_in.product_id,
                    "excludedPaths": opt_in.excluded_paths, "excludedSegments": opt_in.excluded_segments })
            });
            let (org_id, vertical) = (&organisation.org_id, &organisation.vertical);
            println!("{}", json!({ "orgId": org_id, "vertical": vertical, "optIns": opt_ins.collect::<Vec<_>>() }));
            continue;
        }
        let opt_ins = organisation.opt_ins.iter().map(|opt_in| match &opt_in.product_id {
            Some(product) => format!("{} ({product})", opt_in.category),
            None => opt_in.category.clone(),
        });
        println!("{:<24}{:<14}{}", organisation.org_id, organisation.vertical, opt_ins.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
