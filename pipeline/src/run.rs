//! `netcrab run`: turns a source of events into tables.
//!
//!     source ─┬───────────────────────▶ events_raw
//!             └─▶ the chain of stages ─▶ every derived table
//!
//! All tables are staged first and committed at the end, events_raw first. An interrupted run leaves the tables at
//! the last complete run, and running it again completes it. A source that events_raw already contains adds
//! nothing. Where events_raw contains other events, the derived tables are recomputed from all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use netcrab_operators::chain::{self, DERIVED, TablePlan};
use netcrab_operators::session::columns_of_facts;
use netcrab_operators::share::share;
use netcrab_schema::{Table, tables as schema};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Replace, RunId, Sink, StagedTable};
use netcrab_sources::Source;
use xxhash_rust::xxh3::Xxh3;

use crate::checkpoints::folder::Folder;
use crate::checkpoints::has_stream;
use crate::config::Config;
use crate::delta_log::DeltaLog;
use crate::error::{Error, Result};
use crate::plans::date_exec::DatedExec;
use crate::plans::events_exec::{EventsExec, Rejects};
use crate::plans::resources::{batch_sizes, task_context};
use crate::plans::staging::{Staging, stage_all};
use crate::plans::table_order::in_table_order;
use crate::progress::Progress;

/// What a run did.
#[derive(Debug, Default, Clone)]
pub struct RunSummary {
    /// Whether the tables already contained this run.
    pub already_stored: bool,
    /// Events read, accepted.
    pub events: u64,
    /// Rejected rows by reason.
    pub rejects: BTreeMap<String, u64>,
    /// Rows and bytes of each table written.
    pub tables: Vec<(&'static str, u64, u64)>,
    /// How long reading, deriving and staging took.
    pub stage_time: Duration,
    /// How long committing took.
    pub commit_time: Duration,
    /// The plans with their metrics, where requested.
    pub explained: Option<String>,
}

impl RunSummary {
    /// Rejected rows in all.
    pub fn rejected(&self) -> u64 {
        self.rejects.values().sum()
    }
}

/// What to run.
pub struct Job<'a> {
    /// Where events come from.
    pub source: Source,
    /// Where tables go.
    pub sink: &'a DeltaSink,
    /// Tables to write.
    pub only: Vec<&'static Table>,
    /// All settings.
    pub config: &'a Config,
    /// Whether the summary holds the plans with their metrics.
    pub explain: bool,
}

impl Job<'_> {
    /// Runs to the end, or leaves the tables as they were.
    ///
    /// # Errors
    /// [`Error::FedByStream`] for tables that a stream writes; otherwise whatever the source, a plan or the sink gives.
    pub async fn run(self, progress: Arc<Progress>) -> Result<RunSummary> {
        refuse_streamed_tables(self.sink).await?;
        let source = Arc::new(self.source);
        let hashed = Arc::clone(&source);
        let source_id = tokio::task::spawn_blocking(move || RunId::new(hashed.fingerprint())).await?;
        let raw = self.sink.open(&schema::EVENTS_RAW).await?;
        let raw_version = raw.as_ref().and_then(|raw| raw.version()).map_or(0, |version| version as i64);
        let held = self.sink.holds(&schema::EVENTS_RAW, &source_id).await?;
        let keeps_raw = self.only.iter().any(|table| table.name == schema::EVENTS_RAW.name);
        let raw_version = if held || !keeps_raw { raw_version } else { raw_version.max(0) + 1 };
        let run_id = run_id(&source_id, &self.config.rules(), raw_version)?;
        let mut wanted = Vec::new();
        for &table in &self.only {
            let id = if table.name == schema::EVENTS_RAW.name { &source_id } else { &run_id };
            if !self.sink.holds(table, id).await? {
                wanted.push(table);
            }
        }
        if wanted.is_empty() {
            return Ok(RunSummary { already_stored: true, ..RunSummary::default() });
        }
        let started = Instant::now();
        let earlier = stored_events(self.sink, self.config).await?;
        let rejects = Arc::new(Rejects::new(self.config.run.rejects_max));
        let inputs =
            RunInputs { source, earlier, held, progress: Arc::clone(&progress), rejects: Arc::clone(&rejects) };
        let plans = plans(inputs, self.config, &wanted)?;
        let context = task_context(self.config)?;
        let ids = |table: &Table| if table.name == schema::EVENTS_RAW.name { &source_id } else { &run_id };
        let mut staging = Staging { sink: self.sink, staged: Vec::new() };
        let staged = stage_all(self.sink, &plans, &context, &ids, &mut staging).await;
        if let Err(fault) = staged {
            staging.discard().await;
            return Err(fault);
        }
        let mut summary = RunSummary { events: progress.events(), ..RunSummary::default() };
        if wanted.iter().any(|table| table.name == schema::REJECTS.name) {
            let staged = stage_rejects(self.sink, &rejects, &context, &run_id, &mut summary).await?;
            staging.staged.push((&schema::REJECTS, staged));
        }
        summary.stage_time = started.elapsed();
        let started = Instant::now();
        for (table, staged) in &staging.staged {
            let replace = if table.name == schema::EVENTS_RAW.name { Replace::Nothing } else { Replace::All };
            self.sink.commit(table, ids(table), staged, replace).await?;
            summary.tables.push((table.name, staged.rows(), staged.bytes()));
        }
        summary.commit_time = started.elapsed();
        summary.explained = self.explain.then(|| explained(&plans));
        Ok(summary)
    }
}

/// Refuses tables that a stream writes: the sessions it has open would be derived twice.
///
/// # Errors
/// [`Error::FedByStream`].
pub(crate) async fn refuse_streamed_tables(sink: &DeltaSink) -> Result<()> {
    if has_stream(&Folder::of(sink)?).await? {
        return Err(Error::FedByStream);
    }
    Ok(())
}

/// Where events come from.
struct RunInputs {
    source: Arc<Source>,
    earlier: Option<Source>,
    /// Whether events_raw already contains the source.
    held: bool,
    progress: Arc<Progress>,
    rejects: Arc<Rejects>,
}

/// Identifies a run of derived tables: the source, the rules and the version of events_raw that it produces.
fn run_id(source: &RunId, rules: &netcrab_operators::rules::Rules, raw_version: i64) -> Result<RunId> {
    let mut hasher = Xxh3::new();
    hasher.update(source.as_str().as_bytes());
    hasher.update(serde_json::to_string(rules)?.as_bytes());
    hasher.update(&raw_version.to_le_bytes());
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    Ok(RunId::new(hasher.digest128()))
}

/// The events in events_raw as a source; `None` where it is empty.
///
/// # Errors
/// [`Error::StoredEvents`] where its files cannot be read.
pub async fn stored_events(sink: &DeltaSink, config: &Config) -> Result<Option<Source>> {
    if !sink.has_rows(&schema::EVENTS_RAW).await? {
        return Ok(None);
    }
    let location = sink.location(&schema::EVENTS_RAW);
    let folder = location.to_file_path().map_or_else(|()| location.to_string(), |path| path.display().to_string());
    let settings = netcrab_sources::SourceSettings { files_max: usize::MAX, ..config.sources.clone() };
    let source = Source::open_stored(&[folder], settings, &DeltaLog).await.map_err(Error::StoredEvents)?;
    Ok(Some(source))
}

fn plans(inputs: RunInputs, config: &Config, wanted: &[&'static Table]) -> Result<Vec<TablePlan>> {
    let derived: Vec<&'static Table> =
        DERIVED.into_iter().filter(|table| wanted.iter().any(|wanted| wanted.name == table.name)).collect();
    let raw = !inputs.held && wanted.iter().any(|table| table.name == schema::EVENTS_RAW.name);
    let with_events = derived.iter().any(|table| table.name == schema::EVENTS_SESSIONIZED.name);
    let columns = (!raw && !with_events).then(columns_of_facts);
    let threads = config.run.threads();
    let rows = [Some(&*inputs.source).filter(|_| !inputs.held), inputs.earlier.as_ref()];
    let rows: Option<u64> = rows.into_iter().flatten().map(Source::rows_hint).sum();
    let sizes = batch_sizes(rows, config);
    let leaf = |source: Arc<Source>| -> Arc<dyn ExecutionPlan> {
        let (progress, rejects) = (Arc::clone(&inputs.progress), Arc::clone(&inputs.rejects));
        Arc::new(EventsExec::new(source, threads, columns.clone(), progress, rejects))
    };
    let mut plans: Vec<TablePlan> = Vec::new();
    let mut sources: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    if !inputs.held {
        let mut readers = share_if_needed(leaf(Arc::clone(&inputs.source)), raw, !derived.is_empty());
        if raw && let Some(reader) = readers.pop() {
            plans.push((&schema::EVENTS_RAW, Arc::new(DatedExec::new(reader))));
        }
        sources.extend(readers);
    }
    if !derived.is_empty() {
        sources.extend(inputs.earlier.map(|earlier| leaf(Arc::new(earlier))));
        let source = if sources.len() == 1 { sources.remove(0) } else { UnionExec::try_new(sources)? };
        plans.extend(chain::plans(source, &Arc::new(config.rules()), sizes, &derived)?);
    }
    plans.into_iter().map(|(table, plan)| Ok((table, in_table_order(table, plan)?))).collect()
}

fn share_if_needed(leaf: Arc<dyn ExecutionPlan>, raw: bool, derived: bool) -> Vec<Arc<dyn ExecutionPlan>> {
    if raw && derived { share(&leaf, 2) } else { vec![leaf] }
}

/// Stages the rejected rows, and counts them by reason.
async fn stage_rejects(
    sink: &DeltaSink,
    rejects: &Rejects,
    context: &Arc<TaskContext>,
    run: &RunId,
    summary: &mut RunSummary,
) -> Result<StagedTable> {
    let (batches, not_kept) = rejects.take();
    for batch in &batches {
        let reasons = batch.column_by_name("reason").and_then(|reasons| reasons.as_dictionary_opt::<Int32Type>());
        let reasons = reasons.ok_or_else(|| Error::no_column("reason"))?;
        let names = reasons.values().as_string::<i32>();
        for key in reasons.keys().iter().flatten() {
            *summary.rejects.entry(names.value(key as usize).to_owned()).or_default() += 1;
        }
    }
    if not_kept > 0 {
        summary.rejects.insert("(not kept, see run.rejects_max)".to_owned(), not_kept as u64);
    }
    let rows = MemorySourceConfig::try_new_exec(&[batches], schema::REJECTS.in_flight(), None)?;
    let rows = in_table_order(&schema::REJECTS, rows)?.execute(0, Arc::clone(context))?;
    Ok(sink.stage(&schema::REJECTS, run, rows).await?)
}

/// The plans, each with the metrics of its operators.
fn explained(plans: &[TablePlan]) -> String {
    let plan = |(table, plan): &TablePlan| {
        let display = datafusion::physical_plan::display::DisplayableExecutionPlan::with_metrics(plan.as_ref());
        format!("{}\n{}", table.name, display.indent(false))
    };
    plans.iter().map(plan).collect::<Vec<_>>().join("\n")
}
