//! The whole chain equals the reference, whatever the split, the partitions and the memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use netcrab_operators::chain::{DERIVED, TablePlan, plans};
use netcrab_operators::rules::Rules;
use netcrab_operators::sessionize::batch::Sizes;
use netcrab_schema::arrow::event_in_flight;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::arrow_rows::{batch, lines};
use crate::reference::{self, Event, Row};
use crate::strategy;

/// How events reach the chain.
#[derive(Debug, Clone)]
pub(crate) struct Split {
    pub(crate) batch_rows: usize,
    pub(crate) inputs: usize,
    pub(crate) partitions: usize,
    /// Memory for events before they spill.
    pub(crate) events_bytes: usize,
    /// Actions, and clients, in a dictionary before events carry their own.
    pub(crate) actions_max: usize,
}

pub(crate) fn splits() -> impl Strategy<Value = Split> {
    let memory = prop_oneof![Just(1 << 30), Just(1 << 12)];
    let actions = prop_oneof![Just(1usize << 18), 0..6usize];
    (1..40usize, 1..4usize, prop_oneof![Just(16usize), Just(64)], memory, actions).prop_map(
        |(batch_rows, inputs, partitions, events_bytes, actions_max)| Split {
            batch_rows,
            inputs,
            partitions,
            events_bytes,
            actions_max,
        },
    )
}

/// Files that a plan spilled, all its operators together.
fn spilled_files(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spill_count()).unwrap_or(0);
    own + plan.children().into_iter().map(spilled_files).sum::<usize>()
}

/// A plan that gives `events` in this split.
pub(crate) fn source(events: &[Event], split: &Split) -> Arc<dyn ExecutionPlan> {
    let mut inputs = vec![Vec::new(); split.inputs];
    for (number, rows) in events.chunks(split.batch_rows).enumerate() {
        inputs[number % split.inputs].push(batch(rows));
    }
    MemorySourceConfig::try_new_exec(&inputs, event_in_flight(), None).unwrap()
}

/// Every derived table of `events`, in the order of [`DERIVED`], and how many files were spilled.
fn derive(events: &[Event], split: &Split) -> (Vec<Vec<RecordBatch>>, usize) {
    let settings = Arc::new(Rules::default());
    let sizes = Sizes { partitions: split.partitions, memory_max: split.events_bytes, actions_max: split.actions_max };
    let plans = plans(source(events, split), &settings, sizes, &DERIVED).unwrap();
    (run(&plans), spilled_files(&plans[0].1))
}

/// The rows of each plan; all of them run together.
pub(crate) fn run(plans: &[TablePlan]) -> Vec<Vec<RecordBatch>> {
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(256 << 20)));
    run_in(plans, &Arc::new(TaskContext::default().with_runtime(runtime.build_arc().unwrap())))
}

/// The rows of each plan, executed in `context`.
pub(crate) fn run_in(plans: &[TablePlan], context: &Arc<TaskContext>) -> Vec<Vec<RecordBatch>> {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    tokio.block_on(async {
        let tables = plans.iter().map(|(_, plan)| collect(Arc::clone(plan), Arc::clone(context)));
        futures::future::try_join_all(tables).await.unwrap()
    })
}

fn expected<R: Row>(rows: &[R]) -> Vec<String> {
    let mut lines: Vec<String> = rows.iter().map(Row::to_line).collect();
    lines.sort();
    lines
}

pub(crate) fn compare<R: Row>(name: &str, batches: &[RecordBatch], rows: &[R]) -> Result<(), TestCaseError> {
    let (ours, theirs) = (lines(batches, R::COLUMNS), expected(rows));
    let differs = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
    prop_assert!(
        ours == theirs,
        "{name} ({}): {} rows, the reference has {}; first difference {differs:#?}",
        R::COLUMNS.join("|"),
        ours.len(),
        theirs.len()
    );
    Ok(())
}

/// Compares every table; gives how many files were spilled.
pub(crate) fn check(events: &[Event], split: &Split) -> Result<usize, TestCaseError> {
    let (ours, spilled) = derive(events, split);
    check_tables(&ours, events)?;
    Ok(spilled)
}

/// Compares every table, in the order of [`DERIVED`], with the reference's of `events`.
pub(crate) fn check_tables(ours: &[Vec<RecordBatch>], events: &[Event]) -> Result<(), TestCaseError> {
    let theirs = reference::run(events, &reference::Rules::default());
    compare("events_sessionized", &ours[0], &theirs.sessionized)?;
    compare("fact_sessions", &ours[1], &theirs.sessions)?;
    compare("fact_incidents", &ours[2], &theirs.incidents)?;
    compare("fact_tasks", &ours[3], &theirs.tasks)?;
    compare("fact_screen_hotspots", &ours[4], &theirs.hotspots)?;
    compare("fact_flows", &ours[5], &theirs.flows)?;
    compare("dim_task_types", &ours[6], &theirs.task_types)?;
    compare("dim_releases", &ours[7], &theirs.releases)
}

/// `NETCRAB_CASES` runs more or fewer random cases than the default.
pub(crate) fn cases(default: u32) -> Config {
    let cases = std::env::var("NETCRAB_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default);
    Config { cases, failure_persistence: None, ..Config::default() }
}

#[test]
fn the_chain_equals_the_reference_in_any_split() {
    let mut runner = TestRunner::new(cases(512));
    runner.run(&(strategy::events(80), splits()), |(events, split)| check(&events, &split).map(|_| ())).unwrap();
}

#[test]
fn the_chain_equals_the_reference_when_it_spills() {
    let mut runner = TestRunner::new(cases(8));
    let many = prop::collection::vec(strategy::events(80), 150).prop_map(|parts| {
        let mut events: Vec<Event> = Vec::new();
        for (part, of_part) in parts.into_iter().enumerate() {
            events
                .extend(of_part.into_iter().map(|event| Event { org_id: format!("{}-{part}", event.org_id), ..event }));
        }
        events
    });
    let split = Split { batch_rows: 97, inputs: 2, partitions: 16, events_bytes: 200_000, actions_max: 100 };
    let spills = |events: Vec<Event>| {
        let spilled = check(&events, &split)?;
        prop_assert!(spilled > 0, "nothing was spilled, so nothing was tested");
        Ok(())
    };
    runner.run(&many, spills).unwrap();
}

#[test]
fn no_events_give_no_rows() {
    let (tables, _) =
        derive(&[], &Split { batch_rows: 1, inputs: 1, partitions: 16, events_bytes: 1 << 20, actions_max: 100 });
    assert!(tables.iter().flatten().all(|batch| batch.num_rows() == 0));
}
