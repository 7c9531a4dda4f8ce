//! `netcrab sql`: a query over the tables, or a prompt.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use clap::Args;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
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
  netcrab sql --tables ./tables --allow-write ./out \"COPY (SELECT * FROM fact_tasks) TO './out/tasks.parquet'\"
  netcrab sql --tables ./tables          a prompt with history; \\d lists the tables, \\q ends it")]
pub(crate) struct Arguments {
    /// Folder (or s3:// URL) of the tables.
    #[arg(long, value_name = "DIR")]
    tables: String,
    /// Let COPY write files in this folder and below; without it nothing is written.
    #[arg(long, value_name = "DIR")]
    allow_write: Option<PathBuf>,
    /// The query; a prompt without one.
    query: Option<String>,
}

/// A session that reads the tables, and the folder in which COPY may write, if any.
struct Queries {
    session: SessionContext,
    allow_write: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<ExitCode> {
    let session = netcrab_pipeline::tables::session(&super::sink(&arguments.tables)?, &context.config.run).await?;
    if table_names(&session).is_empty() {
        bail!(no_tables(&arguments.tables));
    }
    let queries = Queries { session, allow_write: arguments.allow_write };
    match arguments.query {
        Some(query) => print_rows(&queries.rows(&query).await?, context.json)?,
        None => prompt(&queries, context.json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with a folder that has none of the tables.
fn no_tables(folder: &str) -> String {
    let missing = !folder.contains("://") && !std::path::Path::new(folder).exists();
    let what = if missing { format!("{folder} does not exist") } else { format!("there are no tables in {folder}") };
    format!("{what}; check the path given to --tables, or write them with `netcrab run SOURCE --tables {folder}`")
}

impl Queries {
    /// The rows of a query. Tables are written by runs and streams only, so it may be no statement that writes, but COPY
    /// into the folder of `--allow-write`.
    async fn rows(&self, query: &str) -> Result<Vec<RecordBatch>> {
        let explained = |fault: DataFusionError| anyhow!(explain(&fault, query, &self.session));
        let plan = self.session.state().create_logical_plan(query).await.map_err(explained)?;
        let mut reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false);
        if let LogicalPlan::Copy(copy) = &plan {
            self.check_target(&copy.output_url)?;
            reads = reads.with_allow_dml(true);
            reads.verify_plan(&copy.input).map_err(explained)?;
        }
        reads.verify_plan(&plan).map_err(explained)?;
        let frame = self.session.execute_logical_plan(plan).await.map_err(explained)?;
        frame.collect().await.map_err(explained)
    }

    /// Refuses a COPY to anything but a file below the folder of `--allow-write`.
    fn check_target(&self, target: &str) -> Result<()> {
        let Some(folder) = &self.allow_write else {
            bail!("COPY writes files; allow it for a folder with --allow-write DIR");
        };
        ensure!(
            !target.contains("://"),
            "COPY writes files on this machine only; give a path below {}",
            folder.display()
        );
        let known = |path: &Path| {
            let missing = || format!("the folder {} is not there; make it first", path.display());
            std::fs::canonicalize(path).with_context(missing)
        };
        let path = std::path::absolute(target)?;
        let (parent, folder) = (known(path.parent().unwrap_or(&path))?, known(folder)?);
        let below = parent.starts_with(&folder) && !path.is_symlink();
        ensure!(
            below,
            "{target} lies outside of {}; --allow-write names the folder that COPY may write to",
            folder.display()
        );
        Ok(())
    }
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
async fn prompt(queries: &Queries, json: bool) -> Result<()> {
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
        match queries.rows(query).await {
            Ok(rows) => print_rows(&rows, json)?,
            Err(error) => eprintln!("error: {}", super::chain_of(&error)),
        }
    }
    if let Some(history) = &history {
        let _ = editor.save_history(history);
    }
    Ok(())
}
