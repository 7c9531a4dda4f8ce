//! `netcrab run`: turns a source of events into tables.
//!
//!     source ─┬───────────────────────▶ events_raw
//!             └─▶ the chain of stages ─▶ every derived table
//!
//! All tables are staged first and committed at the end, events_raw first. An interrupted run leaves the tables at
//! the last complete run, and running it again completes it. A source that events_raw already contains adds
//! nothing. Where events_raw contains other events, the derived tables are recomputed from all of them. A source that
//! gave no event changes nothing but `rejects`, and is read again the next time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use datafusion::execution::TaskContext;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;
use netcrab_operators::chain::{self, DERIVED, TablePlan};
use netcrab_operators::session::columns_of_facts;
use netcrab_operators::share::share;
use netcrab_operators::sort::SortEventsExec;
use netcrab_schema::arrow::event_in_flight;
use netcrab_schema::{Table, tables as schema};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Replace, RunId, Sink};
use netcrab_sources::Source;
use xxhash_rust::xxh3::Xxh3;

use crate::checkpoints::folder::Folder;
use crate::checkpoints::has_stream;
use crate::config::Config;
use crate::delta_log::DeltaLog;
use crate::error::{Error, Result};
use crate::plans::events_exec::{EventsExec, Rejects, RowCounts};
use crate::plans::resources::{ACTIONS_MAX, batch_sizes, task_context};
use crate::plans::staging::{Staging, stage_all};
use crate::plans::table_order::in_table_order;
use crate::plans::unstored_exec::{StoredRows, UnstoredExec};
use crate::progress::Progress;
use crate::rejects;
use crate::run_summary::{ExplainedPlan, RunSummary};

/// What to run.
pub struct Job<'a> {
    /// Where events come from.
    pub source: Arc<Source>,
    /// Where tables go.
    pub sink: &'a DeltaSink,
    /// Tables to write.
    pub only: Vec<&'static Table>,
    /// All settings.
    pub config: &'a Config,
    /// Whether the summary holds the plans with their metrics.
    pub explain: bool,
}

/// The hashes of stored rows take at most one part in so many of `run.memory_mib`.
const STORED_ROWS_SHARE: u64 = 8;

impl Job<'_> {
    /// Runs to the end, or leaves the tables as they were.
    ///
    /// # Errors
    /// [`Error::FedByStream`] for tables that a stream writes; otherwise whatever the source, a plan or the sink gives.
    pub async fn run(self, progress: Arc<Progress>) -> Result<RunSummary> {
        refuse_streamed_tables(self.sink).await?;
        let wanted = self.wanted().await?;
        if wanted.tables.is_empty() && !wanted.rejects {
            let rejects = wanted.stored_rejects;
            return Ok(RunSummary { already_stored: true, rejects, ..RunSummary::of(&wanted.source) });
        }
        let started = Instant::now();
        let (read, rejects) = (Arc::default(), Arc::new(Rejects::new(self.config.run.rejects_max)));
        let earlier = stored_events(self.sink, self.config).await?;
        let adds_rows = !wanted.held && wanted.has(&schema::EVENTS_RAW) && earlier.is_some();
        let stored = if adds_rows { Some(self.stored_rows().await?) } else { None };
        let inputs = RunInputs {
            source: Arc::clone(&wanted.source),
            earlier,
            stored: stored.clone(),
            held: wanted.held,
            progress: Arc::clone(&progress),
            read: Arc::clone(&read),
            rejects: Arc::clone(&rejects),
        };
        let plans = plans(inputs, self.config, &wanted)?;
        let context = task_context(self.config)?;
        let mut staging = Staging { sink: self.sink, staged: Vec::new() };
        let staged = self.stage(&plans, &wanted, &context, &mut staging).await;
        let taken = (!wanted.held).then(|| read.events());
        if staged.is_err() || taken == Some(0) {
            // Without events there is nothing to commit, and the next run has to read the source again.
            staging.discard().await;
            staging.staged.clear();
        }
        staged?;
        let (rejected, not_kept) = rejects.take();
        let mut summary = RunSummary::of(&wanted.source);
        (summary.events, summary.taken, summary.skipped) = (progress.events(), taken, read.skipped());
        summary.repeated = stored.map_or(0, |stored| stored.repeated());
        summary.rejects = match wanted.held && !wanted.rejects {
            // The source was not read again.
            true => wanted.stored_rejects.clone(),
            false => rejects::by_reason(&rejected, not_kept)?,
        };
        summary.stage_time = started.elapsed();
        let started = Instant::now();
        self.commit(&wanted, &staging, &mut summary).await?;
        if wanted.rejects {
            let source_id = Some(&wanted.source_id).filter(|_| taken != Some(0));
            let (rows, bytes) = rejects::replace(self.sink, source_id, &wanted.names(), &rejected, &context).await?;
            summary.tables.push((schema::REJECTS.name, rows, bytes));
        }
        summary.commit_time = started.elapsed();
        if self.explain {
            summary.explained = plans.tables.iter().map(explained).collect();
        }
        Ok(summary)
    }

    /// The rows that events_raw has.
    async fn stored_rows(&self) -> Result<Arc<StoredRows>> {
        let memory_bytes = (self.config.run.memory_mib as u64) << 20;
        Ok(Arc::new(StoredRows::of(self.sink, memory_bytes / STORED_ROWS_SHARE).await?))
    }

    async fn stage(
        &self,
        plans: &Plans,
        wanted: &Wanted,
        context: &Arc<TaskContext>,
        staging: &mut Staging<'_>,
    ) -> Result<()> {
        stage_all(self.sink, &plans.tables, context, &|table: &Table| wanted.id(table), staging).await?;
        match &plans.only_rejects {
            Some(plan) => read_through(Arc::clone(plan), context).await,
            None => Ok(()),
        }
    }

    async fn commit(&self, wanted: &Wanted, staging: &Staging<'_>, summary: &mut RunSummary) -> Result<()> {
        for (table, staged) in &staging.staged {
            let replace = if table.name == schema::EVENTS_RAW.name { Replace::Nothing } else { Replace::All };
            self.sink.commit(table, wanted.id(table), staged, replace).await?;
            summary.tables.push((table.name, staged.rows(), staged.bytes()));
        }
        Ok(())
    }

    /// Finds out which of the requested tables lack this run.
    async fn wanted(&self) -> Result<Wanted> {
        let source = Arc::clone(&self.source);
        let hashed = Arc::clone(&source);
        let source_id = tokio::task::spawn_blocking(move || RunId::new(hashed.fingerprint())).await?;
        let raw = self.sink.open(&schema::EVENTS_RAW).await?;
        let raw_version = raw.as_ref().and_then(|raw| raw.version()).map_or(0, |version| version as i64);
        let held = self.sink.holds(&schema::EVENTS_RAW, &source_id).await?;
        let keeps_raw = self.only.iter().any(|table| table.name == schema::EVENTS_RAW.name);
        let raw_version = if held || !keeps_raw { raw_version } else { raw_version.max(0) + 1 };
        let run_id = run_id(&source_id, &self.config.rules(), raw_version)?;
        let (tables, stored_rejects) = (Vec::new(), BTreeMap::new());
        let mut wanted = Wanted { source, held, tables, rejects: false, stored_rejects, source_id, run_id };
        for &table in &self.only {
            if table.name == schema::REJECTS.name {
                match rejects::stored(self.sink, &wanted.source_id, &wanted.names()).await? {
                    Some(stored) => wanted.stored_rejects = stored,
                    None => wanted.rejects = true,
                }
                continue;
            }
            let stored = match table.name == schema::EVENTS_RAW.name {
                true => held,
                false => self.sink.holds(table, wanted.id(table)).await?,
            };
            if !stored {
                wanted.tables.push(table);
            }
        }
        Ok(wanted)
    }
}

/// What a run has to write.
struct Wanted {
    source: Arc<Source>,
    /// Whether events_raw already contains the source.
    held: bool,
    /// Tables to write, apart from `rejects`.
    tables: Vec<&'static Table>,
    /// Whether to write `rejects`.
    rejects: bool,
    /// Otherwise what `rejects` has of the source, by reason.
    stored_rejects: BTreeMap<String, u64>,
    /// The run in events_raw and `rejects`.
    source_id: RunId,
    /// The run in derived tables.
    run_id: RunId,
}

impl Wanted {
    fn id(&self, table: &Table) -> &RunId {
        if table.name == schema::EVENTS_RAW.name { &self.source_id } else { &self.run_id }
    }

    /// The names of the source's files.
    fn names(&self) -> Vec<&str> {
        self.source.names().collect()
    }

    fn has(&self, table: &Table) -> bool {
        self.tables.iter().any(|wanted| wanted.name == table.name)
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

/// Where events come from, and who counts them.
struct RunInputs {
    source: Arc<Source>,
    earlier: Option<Source>,
    /// The rows of events_raw that are not written again.
    stored: Option<Arc<StoredRows>>,
    /// Whether events_raw already contains the source.
    held: bool,
    progress: Arc<Progress>,
    /// The rows of `source`.
    read: Arc<RowCounts>,
    rejects: Arc<Rejects>,
}

/// What a run executes.
struct Plans {
    tables: Vec<TablePlan>,
    /// Reads the source for its rejects, where no table reads it.
    only_rejects: Option<Arc<dyn ExecutionPlan>>,
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

fn plans(inputs: RunInputs, config: &Config, wanted: &Wanted) -> Result<Plans> {
    let derived: Vec<&'static Table> = DERIVED.into_iter().filter(|table| wanted.has(table)).collect();
    let raw = !inputs.held && wanted.has(&schema::EVENTS_RAW);
    // Faults go unnoticed in columns that are not read.
    let all_columns = raw || wanted.rejects || wanted.has(&schema::EVENTS_SESSIONIZED);
    let columns = (!all_columns).then(columns_of_facts);
    let threads = config.run.threads();
    let rows = [Some(&*inputs.source).filter(|_| !inputs.held), inputs.earlier.as_ref()];
    let rows: Option<u64> = rows.into_iter().flatten().map(Source::rows_hint).sum();
    let sizes = batch_sizes(rows, config);
    let leaf = |source: Arc<Source>, counts: Arc<RowCounts>| -> Arc<dyn ExecutionPlan> {
        let (progress, rejects) = (Arc::clone(&inputs.progress), Arc::clone(&inputs.rejects));
        Arc::new(EventsExec::new(source, threads, columns.clone(), progress, counts, rejects))
    };
    let read = || leaf(Arc::clone(&inputs.source), Arc::clone(&inputs.read));
    let mut plans: Vec<TablePlan> = Vec::new();
    let mut sources: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    if raw || (!inputs.held && !derived.is_empty()) {
        let mut readers = share_if_needed(read(), raw, !derived.is_empty());
        if raw && let Some(reader) = readers.pop() {
            let unstored = match &inputs.stored {
                Some(stored) => Arc::new(UnstoredExec::new(reader, Arc::clone(stored))),
                None => reader,
            };
            plans.push((&schema::EVENTS_RAW, Arc::new(SortEventsExec::new(unstored, ACTIONS_MAX)?)));
        }
        sources.extend(readers);
    }
    let only_rejects = (wanted.rejects && plans.is_empty() && sources.is_empty()).then(read);
    if !derived.is_empty() {
        sources.extend(inputs.earlier.map(|earlier| leaf(Arc::new(earlier), Arc::default())));
        let source = match sources.len() {
            // A release before held sources without events too.
            0 => Arc::new(EmptyExec::new(event_in_flight())),
            1 => sources.remove(0),
            _ => UnionExec::try_new(sources)?,
        };
        plans.extend(chain::plans(source, &Arc::new(config.rules()), sizes, &derived)?);
    }
    let tables = plans.into_iter().map(|(table, plan)| Ok((table, in_table_order(table, plan)?)));
    Ok(Plans { tables: tables.collect::<Result<_>>()?, only_rejects })
}

/// Executes `plan` for what it counts and collects.
async fn read_through(plan: Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<()> {
    let mut rows = execute_stream(plan, Arc::clone(context))?;
    while rows.try_next().await?.is_some() {}
    Ok(())
}

fn share_if_needed(leaf: Arc<dyn ExecutionPlan>, raw: bool, derived: bool) -> Vec<Arc<dyn ExecutionPlan>> {
    if raw && derived { share(&leaf, 2) } else { vec![leaf] }
}

/// A plan with the metrics of its operators.
fn explained((table, plan): &TablePlan) -> ExplainedPlan {
    let display = DisplayableExecutionPlan::with_metrics(plan.as_ref());
    ExplainedPlan {
        table: table.name,
        text: display.indent(false).to_string(),
        json: display.pgjson(false).to_string(),
    }
}
