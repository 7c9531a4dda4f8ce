//! Sorted rows are all rows in the order of their table, by numbers or, where those do not tell, by DataFusion.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::row::{RowConverter, SortField};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionConfig;
use netcrab_operators::chain::{TablePlan, plans};
use netcrab_operators::rules::Rules;
use netcrab_operators::sessionize::batch::Sizes;
use netcrab_operators::sort::{SortEventsExec, sort_rows};
use netcrab_schema::Table;
use netcrab_schema::events::EVENT;
use netcrab_schema::tables::{EVENTS_RAW, EVENTS_SESSIONIZED, FACT_INCIDENTS, FACT_SESSIONS};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::arrow_rows::lines;
use crate::chain::{Split, cases, compare, run, run_in, source, splits};
use crate::reference::{self, Event};
use crate::strategy;

/// The rows of one table, as they come.
fn rows(table: &'static Table, events: &[Event], split: &Split) -> Vec<RecordBatch> {
    let sizes = Sizes { partitions: split.partitions, memory_max: split.events_bytes, actions_max: split.actions_max };
    run(&plans(source(events, split), &Arc::new(Rules::default()), sizes, &[table]).unwrap()).remove(0)
}

/// The rows sorted, and how many of them DataFusion sorted.
fn sorted(table: &'static Table, rows: &[RecordBatch]) -> (Vec<RecordBatch>, usize) {
    let source = MemorySourceConfig::try_new_exec(&[rows.to_vec()], table.to_store(), None).unwrap();
    let plan = sort_rows(source, table).unwrap();
    let collected = futures::executor::block_on(collect(Arc::clone(&plan), Arc::new(TaskContext::default()))).unwrap();
    let handed_on = plan.metrics().unwrap().sum_by_name("handed_on").map_or(0, |handed_on| handed_on.as_usize());
    (collected, handed_on)
}

fn in_order(table: &Table, batches: &[RecordBatch]) -> bool {
    let key = |batch: &RecordBatch| -> Vec<ArrayRef> {
        let names = table.partition().iter().chain(table.sort);
        names.map(|name| Arc::clone(batch.column_by_name(name).unwrap())).collect()
    };
    let Some(first) = batches.first() else { return true };
    let fields = key(first).iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(fields).unwrap();
    let rows: Vec<_> = batches.iter().map(|batch| converter.convert_columns(&key(batch)).unwrap()).collect();
    rows.iter().flatten().is_sorted()
}

/// Sorts `rows`; gives how many were handed on to DataFusion.
fn check(table: &'static Table, rows: &[RecordBatch]) -> Result<usize, TestCaseError> {
    let names: Vec<&str> = table.columns().map(|column| column.name).collect();
    let (sorted, handed_on) = sorted(table, rows);
    prop_assert!(in_order(table, &sorted), "{} is not in order", table.name);
    prop_assert_eq!(lines(&sorted, &names), lines(rows, &names));
    Ok(handed_on)
}

#[test]
fn sorted_rows_are_all_rows_in_the_order_of_their_table() {
    let mut runner = TestRunner::new(cases(64));
    let check = |(events, split): (Vec<Event>, Split)| {
        for table in [&FACT_SESSIONS, &FACT_INCIDENTS] {
            prop_assert_eq!(check(table, &rows(table, &events, &split))?, 0);
        }
        Ok(())
    };
    runner.run(&(strategy::events(80), splits()), check).unwrap();
}

#[test]
fn rows_whose_dictionaries_differ_are_sorted_too() {
    let mut runner = TestRunner::new(cases(64));
    let check = |(events, others, split): (Vec<Event>, Vec<Event>, Split)| {
        let mut all = rows(&FACT_SESSIONS, &events, &split);
        let one = all.iter().any(|batch| batch.num_rows() > 0);
        let more = rows(&FACT_SESSIONS, &others, &split);
        let two = more.iter().any(|batch| batch.num_rows() > 0);
        all.extend(more);
        let handed_on = check(&FACT_SESSIONS, &all)?;
        prop_assert_eq!(handed_on > 0, one && two);
        Ok(())
    };
    runner.run(&(strategy::events(40), strategy::events(40), splits()), check).unwrap();
}

/// A context whose memory is used up at once, so that every batch is spilled.
fn without_memory() -> Arc<TaskContext> {
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(1))).build_arc().unwrap();
    let session = SessionConfig::new().with_sort_spill_reservation_bytes(0);
    Arc::new(TaskContext::default().with_session_config(session).with_runtime(runtime))
}

/// The files that the root of `plan` spilled.
fn spills(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.metrics().and_then(|metrics| metrics.spill_count()).unwrap_or(0)
}

#[test]
fn events_are_sorted_in_memory_and_spilled() {
    let names: Vec<&str> = EVENT.iter().map(|column| column.name).collect();
    let mut runner = TestRunner::new(cases(128));
    let check = |(events, split): (Vec<Event>, Split)| {
        let read = lines(&run(&[(&EVENTS_RAW, source(&events, &split))]).remove(0), &names);
        for (context, spilled) in [(Arc::new(TaskContext::default()), false), (without_memory(), true)] {
            let plan: TablePlan =
                (&EVENTS_RAW, Arc::new(SortEventsExec::new(source(&events, &split), split.actions_max).unwrap()));
            let sorted = run_in(std::slice::from_ref(&plan), &context).remove(0);
            prop_assert!(in_order(&EVENTS_RAW, &sorted), "events_raw is not in order");
            prop_assert_eq!(&lines(&sorted, &names), &read);
            prop_assert_eq!(spills(&plan.1) > 0, spilled && !events.is_empty());
        }
        Ok(())
    };
    runner.run(&(strategy::events(80), splits()), check).unwrap();
}

#[test]
fn events_of_sessions_are_sorted_in_memory_and_spilled() {
    let mut runner = TestRunner::new(cases(128));
    let check = |(events, split): (Vec<Event>, Split)| {
        let reference = reference::run(&events, &reference::Rules::default());
        let sizes =
            Sizes { partitions: split.partitions, memory_max: split.events_bytes, actions_max: split.actions_max };
        for (context, spilled) in [(Arc::new(TaskContext::default()), false), (without_memory(), true)] {
            let rules = Arc::new(Rules::default());
            let plans = plans(source(&events, &split), &rules, sizes, &[&EVENTS_SESSIONIZED]).unwrap();
            let sorted = run_in(&plans, &context).remove(0);
            prop_assert!(in_order(&EVENTS_SESSIONIZED, &sorted), "events_sessionized is not in order");
            compare("events_sessionized", &sorted, &reference.sessionized)?;
            prop_assert_eq!(spills(&plans[0].1) > 0, spilled && !events.is_empty());
        }
        Ok(())
    };
    runner.run(&(strategy::events(80), splits()), check).unwrap();
}
