//! `netcrab explain`: the plans of a run with the metrics of each operator.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use netcrab_pipeline::delta_log::DeltaLog;
use netcrab_pipeline::run_summary::ExplainedPlan;
use netcrab_sources::Source;
use serde_json::{Value, json};

use super::run::run_job;
use crate::Context;

/// Arguments of `netcrab explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab explain events.parquet
  netcrab explain shop.csv.gz --mapping docs/mapping-ecom.toml --only fact_sessions

The tables go to a temporary folder that is removed again.")]
pub(crate) struct Arguments {
    /// Files, folders or s3://bucket/prefix, as for `netcrab run`.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// How foreign columns become events; see docs/mapping.md.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Explain these tables only.
    #[arg(long, value_delimiter = ',', value_name = "TABLE,…")]
    only: Vec<String>,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let mapping = super::mapping(arguments.mapping.as_deref())?;
    let only = super::tables(&arguments.only)?;
    let settings = context.config.sources.clone();
    let source = Source::open_with_tables(&arguments.sources, mapping, settings, &DeltaLog).await?;
    let folder = tempfile::tempdir()?;
    let summary = run_job(context, source, &folder.path().display().to_string(), only, true).await?;
    if context.json {
        let plan = |plan: &ExplainedPlan| {
            let tree: Value = serde_json::from_str(&plan.json)?;
            anyhow::Ok(json!({"table": plan.table, "plan": tree[0]["Plan"]}))
        };
        let plans = summary.explained.iter().map(plan).collect::<Result<Vec<_>>>()?;
        println!("{}", Value::from(plans));
    } else {
        let plans = summary.explained.iter().map(|plan| format!("{}\n{}", plan.table, plan.text));
        println!("{}", plans.collect::<Vec<_>>().join("\n"));
    }
    Ok(ExitCode::SUCCESS)
}
