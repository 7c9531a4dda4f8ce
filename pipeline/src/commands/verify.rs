//! `netcrab verify`: compares the rows of the Delta tables with those in ClickHouse.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;
use netcrab_pipeline::clickhouse::verify::{self, Difference};
use netcrab_schema::Table;

use super::grouped;
use crate::Context;

/// Arguments of `netcrab verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab verify --tables ./tables
  netcrab verify --tables ./tables --only fact_sessions,fact_flows

Compares the rows of each table and day, all columns, and exits with 1 where they differ. While a stream runs the
newest days may differ for a moment.")]
pub(crate) struct Arguments {
    /// Folder (or s3:// URL) of the tables.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// Only these tables.
    #[arg(long, value_name = "TABLES", value_delimiter = ',')]
    only: Vec<String>,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let sink = super::sink(&arguments.tables)?;
    let server = super::server::clickhouse::prepared(&context.config).await?;
    let unknown = arguments.only.iter().find(|name| netcrab_schema::by_name(name).is_none());
    ensure!(unknown.is_none(), "there is no table `{}`", unknown.map_or("", String::as_str));
    let wanted =
        |table: &&&'static Table| arguments.only.is_empty() || arguments.only.iter().any(|name| name == table.name);
    let (mut differences, mut rows, mut days) = (Vec::new(), 0, 0);
    for &table in netcrab_schema::ALL.iter().filter(wanted) {
        let compared = verify::verify(table, &sink, &context.config.run, &server).await?;
        rows += compared.rows;
        days += compared.days;
        differences.extend(compared.differences);
    }
    if context.json {
        let differences: Vec<_> = differences
            .iter()
            .map(|Difference { table, day, delta, clickhouse }| {
                serde_json::json!({ "table": table, "day": day, "rowsDelta": delta, "rowsClickHouse": clickhouse })
            })
            .collect();
        println!("{}", serde_json::json!({ "rows": rows, "days": days, "differences": differences }));
    } else if differences.is_empty() {
        println!("the same: {} rows on {} days of tables", grouped(rows), grouped(days));
    } else {
        println!("{:<22} {:<10} {:>14} {:>16}", "table", "day", "rows in Delta", "in ClickHouse");
        for Difference { table, day, delta, clickhouse } in &differences {
            let other = if delta == clickhouse { "  (other values)" } else { "" };
            println!("{table:<22} {day:<10} {:>14} {:>16}{other}", grouped(*delta), grouped(*clickhouse));
        }
        eprintln!(
            "they differ; fill ClickHouse again with: netcrab backfill --to clickhouse --replace --tables {}",
            arguments.tables
        );
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
