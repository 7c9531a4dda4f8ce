//! `netcrab demo`: a month of traffic, the chain, the worst screens, the API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use clap::Args;
use netcrab_api::ApiKey;
use netcrab_sources::{Source, generate};

use super::run::{as_text, run_job};
use crate::Context;

/// The key of the demo; it opens nothing but the demo's own tables.
const KEY: &str = "nc_demo";

/// Arguments of `netcrab demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab demo
  netcrab demo --dir /tmp/crab --events 5000000
  netcrab demo --no-serve")]
pub(crate) struct Arguments {
    /// Folder for events and tables.
    #[arg(long, default_value = "demo-data")]
    dir: PathBuf,
    /// Events of the month.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Address of the API, in place of `api.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// End after the tables are written.
    #[arg(long)]
    no_serve: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let events = arguments.dir.join(format!("events-{}.parquet", arguments.events));
    let tables = arguments.dir.join("tables").display().to_string();
    if !events.exists() {
        std::fs::create_dir_all(&arguments.dir)
            .with_context(|| format!("could not make {}; choose another --dir", arguments.dir.display()))?;
        // Under another name until it is whole: an interrupted demo must not leave half a file behind.
        let unfinished = arguments.dir.join("unfinished.parquet");
        let settings = generate::GenerateSettings { events: arguments.events, ..generate::GenerateSettings::default() };
        super::generate::write(&unfinished, settings, context.quiet)?;
        std::fs::rename(&unfinished, &events)?;
    }
    let source = Source::open(&[events.display().to_string()], None, context.config.sources.clone()).await?;
    let summary = run_job(context, source, &tables, super::tables(&[])?, false).await?;
    print!("{}", as_text(&summary, &tables));
    let worst = worst_screens(context, &tables).await?;
    let product = worst.first().context("the demo found no screens; remove its folder and start again")?.clone();
    println!("\nThe three worst screens of {} / {}:", product.org_id, product.product_id);
    for screen in &worst {
        let Screen { screen_id, friction, sessions, rage_clicks, backtracks, .. } = screen;
        println!(
            "  {screen_id:<28} friction {friction:.2} over {sessions} sessions, {rage_clicks} rage clicks, {backtracks} backtracks"
        );
    }
    if arguments.no_serve {
        return Ok(ExitCode::SUCCESS);
    }
    let mut api = context.config.api.clone();
    api.listen = arguments.listen.unwrap_or(api.listen);
    api.keys.push(ApiKey { key: KEY.to_owned(), org_id: product.org_id.clone() });
    let Screen { org_id, product_id, .. } = &product;
    println!("\nLook:  http://{}/#key={KEY}&orgId={org_id}&productId={product_id}", api.listen);
    println!(
        "Ask:   curl -H 'Authorization: Bearer {KEY}' 'http://{}/v1/insights/hotspots?orgId={org_id}&productId={product_id}&limit=3'",
        api.listen
    );
    println!("Query: netcrab sql --tables {tables}        (Ctrl-C ends the API)");
    super::server::tables_api::serve(api, &tables).await?;
    Ok(ExitCode::SUCCESS)
}

/// One of the worst screens.
#[derive(Debug, Clone)]
struct Screen {
    org_id: String,
    product_id: String,
    screen_id: String,
    friction: f64,
    sessions: i64,
    rage_clicks: i64,
    backtracks: i64,
}

/// The three worst screens of the product that has the worst one.
async fn worst_screens(context: &Context, tables: &str) -> Result<Vec<Screen>> {
    let session = netcrab_pipeline::tables::session(&super::sink(tables)?, &context.config.run).await?;
    let rows = session.sql(include_str!("worst_screens.sql")).await?.collect().await?;
    Ok(rows.iter().flat_map(screens).collect())
}

fn screens(batch: &RecordBatch) -> Vec<Screen> {
    let text = |column: usize, row: usize| {
        let texts = cast(batch.column(column), &DataType::Utf8);
        texts.map(|texts| texts.as_string::<i32>().value(row).to_owned()).unwrap_or_default()
    };
    let number =
        |column: usize, row: usize| batch.column(column).as_primitive::<arrow::datatypes::Int64Type>().value(row);
    let screen = |row: usize| Screen {
        org_id: text(0, row),
        product_id: text(1, row),
        screen_id: text(2, row),
        friction: batch.column(3).as_primitive::<arrow::datatypes::Float64Type>().value(row),
        sessions: number(4, row),
        rage_clicks: number(5, row),
        backtracks: number(6, row),
    };
    (0..batch.num_rows()).map(screen).collect()
}
