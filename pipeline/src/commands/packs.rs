//! `netcrab packs`: benchmarks across organisations, from definition to sealed version.

mod build;
mod look;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use netcrab_market::{Market, OptIn, Status};
use netcrab_packs::Definition;
use netcrab_packs::definition::VERTICALS;
use netcrab_pipeline::checkpoints::folder::Folder;
use serde_json::json;

use self::build::{build, watch};
use self::look::{budget, diff, list, plan, show, verify};
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
    #[command(flatten)]
    Kept(Kept),
}

/// What reads or writes the operational database.
#[derive(Debug, Subcommand)]
enum Kept {
    /// The packs, and the newest version of each.
    List,
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
        Command::Check { files } => check(context, files),
        Command::Plan { pack } => plan(context, &definition(context, &pack)?).map(|()| ExitCode::SUCCESS),
        Command::Kept(command) => {
            let market = Market::open(&context.config.packs.database).await?;
            let done = run_over(context, &market, command).await;
            // A database that is a file is whole in it again, and may be copied.
            market.close().await;
            done
        }
    }
}

async fn run_over(context: &Context, market: &Market, command: Kept) -> Result<ExitCode> {
    match command {
        Kept::List => list(context, market).await?,
        Kept::Build { pack, tables, window, due: _ } => return build(context, market, pack, &tables, window).await,
        Kept::Watch { tables, every_s } => watch(context, market, &tables, every_s).await?,
        Kept::Show { pack, version } => show(context, market, &pack, version).await?,
        Kept::Diff { pack, first, second } => diff(context, market, &pack, &first, &second).await?,
        Kept::Verify { pack } => return verify(context, market, pack).await,
        Kept::Budget { pack } => budget(context, market, pack).await?,
        Kept::Mark { pack, version, status } => mark(market, &pack, &version, &status).await?,
        Kept::Orgs => orgs(context, market).await?,
        Kept::Org { org, vertical } => {
            let known = VERTICALS.contains(&vertical.as_str());
            ensure!(known, "`{vertical}` is none of {}", VERTICALS.join(", "));
            market.set_vertical(&org, &vertical, now_ms()).await?;
        }
        Kept::OptIn { org, category, product, exclude_paths, exclude_segments } => {
            let opt_in = OptIn {
                org_id: org,
                category,
                product_id: product,
                excluded_paths: exclude_paths,
                excluded_segments: exclude_segments,
            };
            market.opt_in(&opt_in, now_ms()).await?;
        }
        Kept::OptOut { org, category, product } => {
            let was = market.opt_out(&org, &category, product.as_deref()).await?;
            ensure!(was, "`{org}` had not opted in to `{category}` like this; see netcrab packs orgs");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
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
    let nearest = netcrab_schema::nearest_clause(pack, names);
    let unknown = format!("there is no pack `{pack}`{nearest}; `netcrab packs list` has all");
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

async fn mark(market: &Market, pack: &str, version: &str, status: &str) -> Result<()> {
    let names: Vec<&str> = Status::ALL.iter().map(|status| status.name()).collect();
    let found = Status::ALL.iter().find(|known| known.name() == status);
    let status = found.with_context(|| format!("`{status}` is none of {}", names.join(", ")))?;
    Ok(market.set_status(pack, version, *status, now_ms()).await?)
}

async fn orgs(context: &Context, market: &Market) -> Result<()> {
    for organisation in market.organisations().await? {
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
