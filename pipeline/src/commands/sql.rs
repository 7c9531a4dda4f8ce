//! `netcrab sql`: a query over the tables, or a prompt.

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use clap::Args;
use datafusion::prelude::{SQLOptions, SessionContext};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;

use super::query_error::{explain, table_names};
use crate::Context;

/// Arguments of `netcrab sql`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab sql --tables ./tables \"SELECT screen_id, sum(rage_clicks) FROM fact_screen_hotspots GROUP BY 1 ORDER BY 2 DESC\"
  netcrab sql --tables ./tables --json \"SELECT * FROM fact_incidents LIMIT 3\"
  netcrab sql --tables ./tables          a prompt with history; \\d lists the tables, \\q ends it")]
pub(crate) struct Arguments {
    /// Folder (or s3:// URL) of the tables.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// The query; a prompt without one.
    query: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let session = netcrab_pipeline::tables::session(&super::sink(&arguments.tables)?, &context.config.run).await?;
    if table_names(&session).is_empty() {
        bail!(no_tables(&arguments.tables));
    }
    match arguments.query {
        Some(query) => print_rows(&query_rows(&session, &query).await?, context.json)?,
        None => prompt(&session, context.json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with a folder that has none of the tables.
fn no_tables(folder: &str) -> String {
    let missing = !folder.contains("://") && !std::path::Path::new(folder).exists();
    let what = if missing { format!("{folder} does not exist") } else { format!("there are no tables in {folder}") };
    format!("{what}; check the path given to --tables, or write them with `netcrab run SOURCE --tables {folder}`")
}

async fn query_rows(session: &SessionContext, query: &str) -> Result<Vec<RecordBatch>> {
    // A folder of tables is written by runs and streams only.
    let queries = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false);
    let rows = match session.sql_with_options(query, queries).await {
        Ok(frame) => frame.collect().await,
        Err(fault) => Err(fault),
    };
    rows.map_err(|fault| anyhow!(explain(&fault, query, session)))
}

fn print_rows(rows: &[RecordBatch], json: bool) -> Result<()> {
    if !json {
        match rows.iter().any(|batch| batch.num_rows() > 0) {
            true => println!("{}", pretty_format_batches(rows)?),
            false => println!("no rows"),
        }
        return Ok(());
    }
    let mut writer = arrow::json::LineDelimitedWriter::new(std::io::stdout().lock());
    writer.write_batches(&rows.iter().collect::<Vec<_>>())?;
    Ok(writer.finish()?)
}

/// Runs queries until `\q` or the end of input; a failed query prints its error.
async fn prompt(session: &SessionContext, json: bool) -> Result<()> {
    let mut editor: rustyline::Editor<(), FileHistory> = rustyline::Editor::new()?;
    let history = std::env::home_dir().map(|home| home.join(".netcrab_history"));
    if let Some(history) = &history {
        // The history is optional: without it the prompt starts with an empty one.
        let _ = editor.load_history(history);
    }
    loop {
        let line = match editor.readline("netcrab> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        };
        let query = match line.trim().trim_end_matches(';') {
            "" => continue,
            "\\q" | "quit" | "exit" => break,
            "\\d" => "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
            query => query,
        };
        let _ = editor.add_history_entry(line.as_str());
        match query_rows(session, query).await {
            Ok(rows) => print_rows(&rows, json)?,
            Err(error) => eprintln!("error: {}", super::chain_of(&error)),
        }
    }
    if let Some(history) = &history {
        let _ = editor.save_history(history);
    }
    Ok(())
}
