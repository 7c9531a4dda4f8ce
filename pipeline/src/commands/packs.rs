//! `netcrab packs`: benchmarks across organisations, from definition to released version.

mod arguments;
mod build;
mod definitions;
mod organisations;
mod plan;
mod versions;

use std::process::ExitCode;

use anyhow::Result;
use netcrab_market::{Market, OptIn};

pub(crate) use self::arguments::Arguments;
use self::arguments::{Command, DatabaseCommand};
use crate::Context;
use crate::commands::clock::now_ms;

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Check { files } => definitions::check(context, files),
        Command::Plan { pack } => {
            plan::plan(context, &definitions::definition(context, &pack)?).map(|()| ExitCode::SUCCESS)
        }
        Command::WithDatabase(command) => {
            let market = Market::open(&context.config.packs.database).await?;
            let done = run_with_database(context, &market, command).await;
            // An SQLite file is complete again without its log, and may be copied.
            market.close().await;
            done
        }
    }
}

async fn run_with_database(context: &Context, market: &Market, command: DatabaseCommand) -> Result<ExitCode> {
    match command {
        DatabaseCommand::List => versions::list(context, market).await?,
        DatabaseCommand::Build { pack, tables, window, due: _ } => {
            return build::build(context, market, pack, &tables, window).await;
        }
        DatabaseCommand::Watch { tables, every_s } => build::watch(context, market, &tables, every_s).await?,
        DatabaseCommand::Show { pack, version } => versions::show(context, market, &pack, version).await?,
        DatabaseCommand::Diff { pack, first, second } => {
            versions::diff(context, market, &pack, &first, &second).await?
        }
        DatabaseCommand::Verify { pack } => return versions::verify(context, market, pack).await,
        DatabaseCommand::Budget { pack } => versions::budget(context, market, pack).await?,
        DatabaseCommand::Mark { pack, version, status } => versions::mark(market, &pack, &version, &status).await?,
        DatabaseCommand::Orgs => organisations::list(context, market).await?,
        DatabaseCommand::Org { org, vertical } => organisations::set_vertical(market, &org, &vertical).await?,
        DatabaseCommand::OptIn { org, category, product, exclude_paths, exclude_segments } => {
            let opt_in = OptIn {
                org_id: org,
                category,
                product_id: product,
                excluded_paths: exclude_paths,
                excluded_segments: exclude_segments,
            };
            market.opt_in(&opt_in, now_ms()).await?;
        }
        DatabaseCommand::OptOut { org, category, product } => {
            organisations::opt_out(market, &org, &category, product.as_deref()).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
