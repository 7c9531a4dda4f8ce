//! What every sink promises: the memory sink, Delta tables, and ClickHouse where it can run.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::Date32Type;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use netcrab_schema::Table;
use netcrab_schema::tables::FACT_FLOWS;
use netcrab_sinks::clickhouse::{ClickHouse, ClickHouseSink};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::memory::MemorySink;
use netcrab_sinks::{Position, Replace, RunId, Sink, TableChange};
use url::Url;

use super::{s3, server};

const TABLE: &Table = &FACT_FLOWS;

/// A sink whose rows can be read back.
enum Opened {
    Memory(MemorySink),
    Delta(DeltaSink, #[expect(dead_code, reason = "the folder lives as long as the sink")] tempfile::TempDir),
    ClickHouse(ClickHouseSink, ClickHouse, #[expect(dead_code, reason = "as above")] tempfile::TempDir),
}

impl Opened {
    async fn every() -> Vec<Opened> {
        let delta = || {
            let folder = tempfile::tempdir().unwrap();
            let root = Url::from_directory_path(folder.path()).unwrap();
            (DeltaSink::new(root), folder)
        };
        let (sink, folder) = delta();
        let mut every = vec![Opened::Memory(MemorySink::default()), Opened::Delta(sink, folder)];
        if let Some(root) = s3::root() {
            every.push(Opened::Delta(DeltaSink::new(root), tempfile::tempdir().unwrap()));
        }
        if let Some(shared) = server::shared() {
            let (server, (staging, folder)) = (shared.tables().await, delta());
            every.push(Opened::ClickHouse(ClickHouseSink::new(server.clone(), staging), server, folder));
        }
        every
    }

    fn sink(&self) -> &dyn Sink {
        match self {
            Opened::Memory(sink) => sink,
            Opened::Delta(sink, _) => sink,
            Opened::ClickHouse(sink, ..) => sink,
        }
    }

    /// (date, moves) of every date: rows of a table that adds up may be one at any time.
    async fn rows(&self) -> Vec<(i32, i64)> {
        let batches = match self {
            Opened::Memory(sink) => sink.rows(TABLE),
            Opened::ClickHouse(_, server, _) => {
                server.rows(&format!("SELECT date, moves FROM {}", TABLE.name), &[]).await.unwrap().batches
            }
            Opened::Delta(sink, _) => match sink.open(TABLE).await.unwrap() {
                None => Vec::new(),
                Some(table) => {
                    let context = SessionContext::new();
                    context.register_table("t", table.table_provider().await.unwrap()).unwrap();
                    context.sql("SELECT date, moves FROM t").await.unwrap().collect().await.unwrap()
                }
            },
        };
        let mut dates: BTreeMap<i32, i64> = BTreeMap::new();
        for (date, moves) in batches.iter().flat_map(pairs) {
            *dates.entry(date).or_default() += moves;
        }
        dates.into_iter().collect()
    }
}

fn pairs(batch: &RecordBatch) -> Vec<(i32, i64)> {
    let dates = batch.column_by_name("date").unwrap().as_primitive::<Date32Type>();
    let moves = batch.column_by_name("moves").unwrap().as_primitive::<arrow::datatypes::Int64Type>();
    dates.values().iter().copied().zip(moves.values().iter().copied()).collect()
}

/// A stream of flows with these dates and moves, in two batches.
pub(crate) fn flows(rows: &[(i32, i64)]) -> SendableRecordBatchStream {
    let symbol = |text: &str| -> ArrayRef {
        let texts = rows.iter().map(|_| Some(text));
        Arc::new(texts.collect::<arrow::array::DictionaryArray<arrow::datatypes::Int32Type>>())
    };
    let moves: Int64Array = rows.iter().map(|(_, moves)| Some(*moves)).collect();
    let columns: Vec<ArrayRef> = vec![
        symbol("acme"),
        symbol("crm"),
        Arc::new(rows.iter().map(|(date, _)| Some(*date)).collect::<Date32Array>()),
        symbol("home"),
        symbol("pay"),
        Arc::new(moves.clone()),
        Arc::new(moves),
        Arc::new(Float64Array::from(vec![0.5; rows.len()])),
    ];
    let batch = RecordBatch::try_new(TABLE.in_flight(), columns).unwrap();
    let half = batch.num_rows() / 2;
    let batches = [batch.slice(0, half), batch.slice(half, batch.num_rows() - half)];
    Box::pin(RecordBatchStreamAdapter::new(TABLE.in_flight(), futures::stream::iter(batches.map(Ok))))
}

#[tokio::test]
async fn staged_rows_are_unseen_until_they_are_committed() {
    for opened in Opened::every().await {
        let (sink, run) = (opened.sink(), RunId::new(1));
        let staged = sink.stage(TABLE, &run, flows(&[(1, 10), (1, 11), (2, 20)])).await.unwrap();
        assert_eq!(staged.rows(), 3);
        assert!(opened.rows().await.is_empty());
        assert!(!sink.holds(TABLE, &run).await.unwrap());
        assert!(!sink.has_rows(TABLE).await.unwrap());
        assert!(sink.commit(TABLE, &run, &staged, Replace::Nothing).await.unwrap());
        assert_eq!(opened.rows().await, [(1, 21), (2, 20)]);
        assert!(sink.holds(TABLE, &run).await.unwrap());
        assert!(sink.has_rows(TABLE).await.unwrap());
    }
}

#[tokio::test]
async fn a_run_is_committed_once() {
    for opened in Opened::every().await {
        let (sink, run) = (opened.sink(), RunId::new(1));
        for first in [true, false] {
            let staged = sink.stage(TABLE, &run, flows(&[(1, 10)])).await.unwrap();
            assert_eq!(sink.commit(TABLE, &run, &staged, Replace::Nothing).await.unwrap(), first);
        }
        assert_eq!(opened.rows().await, [(1, 10)]);
    }
}

#[tokio::test]
async fn only_the_dates_named_are_replaced_both_ends_included() {
    for opened in Opened::every().await {
        let sink = opened.sink();
        let before = sink.stage(TABLE, &RunId::new(1), flows(&[(1, 1), (2, 2), (3, 3), (4, 4)])).await.unwrap();
        sink.commit(TABLE, &RunId::new(1), &before, Replace::Nothing).await.unwrap();
        let after = sink.stage(TABLE, &RunId::new(2), flows(&[(2, 22)])).await.unwrap();
        sink.commit(TABLE, &RunId::new(2), &after, Replace::Dates(2, 3)).await.unwrap();
        assert_eq!(opened.rows().await, [(1, 1), (2, 22), (4, 4)]);
    }
}

#[tokio::test]
async fn replacing_all_leaves_only_the_new_rows_and_none_empties_the_table() {
    for opened in Opened::every().await {
        let sink = opened.sink();
        for (run, rows) in [(1, vec![(1, 1), (2, 2)]), (2, vec![(5, 5)]), (3, vec![])] {
            let staged = sink.stage(TABLE, &RunId::new(run), flows(&rows)).await.unwrap();
            sink.commit(TABLE, &RunId::new(run), &staged, Replace::All).await.unwrap();
            assert_eq!(opened.rows().await, rows);
        }
    }
}

#[tokio::test]
async fn discarded_rows_never_come_back() {
    for opened in Opened::every().await {
        let sink = opened.sink();
        let staged = sink.stage(TABLE, &RunId::new(1), flows(&[(1, 1)])).await.unwrap();
        sink.discard(TABLE, &staged).await.unwrap();
        assert!(opened.rows().await.is_empty());
        assert!(!sink.has_rows(TABLE).await.unwrap());
    }
}

fn position(writer: &str, number: i64) -> Position {
    Position { writer: writer.to_owned(), number, marks: Vec::new() }
}

/// A change that adds these rows, staged.
async fn adds(sink: &dyn Sink, run: u128, rows: &[(i32, i64)]) -> TableChange {
    let staged = sink.stage(TABLE, &RunId::of_shard(7, run), flows(rows)).await.unwrap();
    sink.sync(TABLE, &staged).await.unwrap();
    TableChange { added: staged.files, ..TableChange::default() }
}

#[tokio::test]
async fn a_change_is_applied_once_however_often_it_is_asked_for() {
    for opened in Opened::every().await {
        let sink = opened.sink();
        assert_eq!(sink.position(TABLE, "a").await.unwrap(), None);
        let change = adds(sink, 1, &[(1, 10)]).await;
        assert!(opened.rows().await.is_empty());
        for first in [true, false, false] {
            assert_eq!(sink.apply(TABLE, &position("a", 5), &change).await.unwrap(), first);
        }
        assert_eq!(opened.rows().await, [(1, 10)]);
        assert_eq!(sink.position(TABLE, "a").await.unwrap(), Some(5));
    }
}

#[tokio::test]
async fn writers_number_their_changes_each_for_itself() {
    for opened in Opened::every().await {
        let sink = opened.sink();
        let (one, two, three) =
            (adds(sink, 1, &[(1, 1)]).await, adds(sink, 2, &[(1, 2)]).await, adds(sink, 3, &[(1, 3)]).await);
        assert!(sink.apply(TABLE, &position("a", 5), &one).await.unwrap());
        assert!(sink.apply(TABLE, &position("b", 1), &two).await.unwrap());
        assert!(!sink.apply(TABLE, &position("a", 4), &three).await.unwrap());
        assert!(sink.apply(TABLE, &position("a", 6), &three).await.unwrap());
        assert_eq!(opened.rows().await, [(1, 6)]);
    }
}

#[tokio::test]
async fn a_change_takes_parts_out_and_adds_others_at_once() {
    for opened in Opened::every().await {
        let sink = opened.sink();
        let (one, two) = (adds(sink, 1, &[(1, 1), (2, 2)]).await, adds(sink, 2, &[(3, 3)]).await);
        sink.apply(TABLE, &position("a", 1), &one).await.unwrap();
        sink.apply(TABLE, &position("a", 2), &two).await.unwrap();
        let mut change = adds(sink, 3, &[(1, 11)]).await;
        change.removed = one.added.iter().filter(|part| part.date == Some(1)).map(|part| part.path.clone()).collect();
        change.deleted_rows = adds(sink, 4, &[(1, 1)]).await.added;
        sink.apply(TABLE, &position("a", 3), &change).await.unwrap();
        assert_eq!(opened.rows().await, [(1, 11), (2, 2), (3, 3)]);
    }
}

#[tokio::test]
async fn two_sinks_on_one_folder_see_each_others_changes() {
    let folder = tempfile::tempdir().unwrap();
    let roots = [Some(Url::from_directory_path(folder.path()).unwrap()), s3::root()];
    for root in roots.into_iter().flatten() {
        two_sinks(&root).await;
    }
}

async fn two_sinks(root: &Url) {
    let (here, there) = (DeltaSink::new(root.clone()), DeltaSink::new(root.clone()));
    for number in 0..5 {
        let (sink, writer) = if number % 2 == 0 { (&here, "a") } else { (&there, "b") };
        let change = adds(sink, number, &[(1, number as i64)]).await;
        assert!(sink.apply(TABLE, &position(writer, number as i64), &change).await.unwrap());
    }
    let again = adds(&there, 9, &[(1, 9)]).await;
    assert!(!there.apply(TABLE, &position("a", 4), &again).await.unwrap(), "the other sink's change is seen");
    let parts = here.files(TABLE, "-s0007-").await.unwrap();
    assert_eq!(parts.iter().map(|part| part.rows).sum::<u64>(), 5);
    assert_eq!(here.files(TABLE, "-s0008-").await.unwrap().len(), 0);
}

#[tokio::test]
async fn writers_that_race_for_one_table_all_get_their_rows_in_once() {
    let folder = tempfile::tempdir().unwrap();
    let roots = [Some(Url::from_directory_path(folder.path()).unwrap()), s3::root()];
    for root in roots.into_iter().flatten() {
        let race = (0..4u128).map(|writer| {
            let sink = DeltaSink::new(root.clone());
            tokio::spawn(async move {
                for number in 0..5i64 {
                    let change = adds(&sink, writer * 100 + number as u128, &[(1, 1)]).await;
                    assert!(sink.apply(TABLE, &position(&writer.to_string(), number), &change).await.unwrap());
                }
            })
        });
        for racer in race.collect::<Vec<_>>() {
            racer.await.unwrap();
        }
        let parts = DeltaSink::new(root).files(TABLE, "").await.unwrap();
        assert_eq!(parts.iter().map(|part| part.rows).sum::<u64>(), 20);
    }
}
