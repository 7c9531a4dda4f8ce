//! What ClickHouse adds to the contract: it is prepared, brought up to date, and survives a bad network.

use std::time::{Duration, Instant};

use netcrab_schema::clickhouse as ddl;
use netcrab_schema::tables::{EVENTS_RAW, FACT_FLOWS, FACT_SESSIONS};
use netcrab_schema::{ALL, Table};
use netcrab_sinks::clickhouse::{ClickHouse, ClickHouseSettings, ClickHouseSink};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Position, Replace, RunId, Sink, TableChange};
use url::Url;

use super::contract::flows;
use super::proxy::{BUSY, Fault, Proxy};
use super::server;

fn folder() -> (tempfile::TempDir, DeltaSink) {
    let folder = tempfile::tempdir().unwrap();
    let root = Url::from_directory_path(folder.path()).unwrap();
    (folder, DeltaSink::new(root))
}

async fn text(server: &ClickHouse, question: &str) -> String {
    let answer = server.rows(question, &[]).await.unwrap();
    answer.texts("x").unwrap().join(" ")
}

async fn refused(settings: &ClickHouseSettings) -> String {
    let prepared = match ClickHouse::new(settings) {
        Ok(server) => server.prepare().await,
        Err(error) => Err(error),
    };
    prepared.unwrap_err().to_string()
}

#[tokio::test]
async fn tables_and_views_are_those_of_the_definitions_however_often_they_are_prepared() {
    let Some(shared) = server::shared() else { return };
    let server = shared.tables().await;
    server.prepare().await.unwrap();
    for table in ALL {
        let of_rows = format!(
            "SELECT name || ' ' || type AS x FROM system.columns WHERE database = currentDatabase() AND table = '{}'",
            ddl::rows_table(table)
        );
        let expected: Vec<String> = ddl::types(table).map(|(name, kind)| format!("{name} {kind}")).collect();
        assert_eq!(text(&server, &of_rows).await, expected.join(" "));
        let of_view = format!(
            "SELECT name AS x FROM system.columns WHERE database = currentDatabase() AND table = '{}'",
            table.name
        );
        let expected: Vec<&str> = table.columns().map(|column| column.name).collect();
        assert_eq!(text(&server, &of_view).await, expected.join(" "));
    }
}

#[tokio::test]
async fn a_column_that_is_new_is_added_and_one_of_another_type_is_refused_by_name() {
    let Some(shared) = server::shared() else { return };
    let settings = shared.settings();
    let server = ClickHouse::new(&settings).unwrap();
    server.prepare().await.unwrap();
    let rows = ddl::rows_table(&FACT_FLOWS);
    server.execute(&format!("ALTER TABLE {rows} DROP COLUMN sessions"), &[]).await.unwrap();
    server.prepare().await.unwrap();
    let kind = format!(
        "SELECT type AS x FROM system.columns WHERE database = currentDatabase() AND table = '{rows}' AND name = 'sessions'"
    );
    assert_eq!(text(&server, &kind).await, "SimpleAggregateFunction(sum, Int64)");
    let sessions = ddl::rows_table(&FACT_SESSIONS);
    server.execute(&format!("ALTER TABLE {sessions} MODIFY COLUMN event_count Int32"), &[]).await.unwrap();
    let said = refused(&settings).await;
    assert!(said.contains("event_count") && said.contains("Int32") && said.contains("backfill"), "{said}");
}

#[tokio::test]
async fn without_a_window_of_names_it_does_not_start() {
    let Some(shared) = server::shared() else { return };
    let settings = shared.settings();
    let server = ClickHouse::new(&settings).unwrap();
    server.prepare().await.unwrap();
    let rows = ddl::rows_table(&EVENTS_RAW);
    server
        .execute(&format!("ALTER TABLE {rows} MODIFY SETTING non_replicated_deduplication_window = 0"), &[])
        .await
        .unwrap();
    let said = refused(&settings).await;
    assert!(said.contains("events_raw_rows") && said.contains("MODIFY SETTING"), "{said}");
}

#[tokio::test]
async fn wrong_settings_say_what_to_do() {
    let Some(shared) = server::shared() else { return };
    let settings = shared.settings();
    let wrong = |change: fn(&mut ClickHouseSettings)| {
        let mut settings = settings.clone();
        change(&mut settings);
        settings
    };
    for (settings, named) in [
        (wrong(|settings| settings.hosts.clear()), "clickhouse.hosts"),
        (wrong(|settings| settings.hosts = vec!["localhost:8123".to_owned()]), "localhost:8123"),
        (wrong(|settings| settings.database = "a; DROP".to_owned()), "clickhouse.database"),
        (wrong(|settings| settings.password = "wrong".to_owned()), "clickhouse.password"),
        (wrong(|settings| settings.user = "nobody".to_owned()), "clickhouse.user"),
        (wrong(|settings| settings.timeout_ms = 1), "timeout_ms"),
    ] {
        let said = refused(&settings).await;
        assert!(said.contains(named), "{named}: {said}");
        assert!(!said.contains("wrong"), "a password was said: {said}");
    }
}

const TABLE: &Table = &FACT_FLOWS;

/// The sum of all moves.
async fn moves(server: &ClickHouse) -> i64 {
    server.rows(&format!("SELECT sum(moves) AS x FROM {}", TABLE.name), &[]).await.unwrap().number("x").unwrap()
}

#[tokio::test]
async fn an_insert_whose_answer_got_lost_counts_once() {
    let Some(shared) = server::shared() else { return };
    let direct = shared.settings();
    let mut asked = 0;
    let proxy = Proxy::before(shared.address(), move || {
        asked += 1;
        [Fault::None, Fault::LostAnswer, BUSY, Fault::Refused][asked % 4]
    });
    let settings =
        ClickHouseSettings { hosts: vec![format!("http://{}", proxy.address())], timeout_ms: 700, ..direct.clone() };
    ClickHouse::new(&direct).unwrap().prepare().await.unwrap();
    let server = ClickHouse::new(&settings).unwrap();
    let (_folder, staging) = folder();
    let sink = ClickHouseSink::new(server, staging);
    for number in 1..=3 {
        let staged = sink.stage(TABLE, &RunId::of_shard(1, number), flows(&[(1, 1), (2, 10)])).await.unwrap();
        let change = TableChange { added: staged.files, ..TableChange::default() };
        let position = Position { writer: "a".to_owned(), number: number as i64, marks: Vec::new() };
        assert!(sink.apply(TABLE, &position, &change).await.unwrap());
    }
    assert!(proxy.requests() > 12, "{} requests", proxy.requests());
    assert_eq!(moves(&ClickHouse::new(&direct).unwrap()).await, 33);
}

#[tokio::test]
async fn where_one_host_is_gone_the_next_is_asked() {
    let Some(shared) = server::shared() else { return };
    let settings = shared.settings();
    let gone = "http://127.0.0.1:1".to_owned();
    let settings = ClickHouseSettings { hosts: vec![gone.clone(), settings.hosts[0].clone(), gone], ..settings };
    let server = ClickHouse::new(&settings).unwrap();
    let began = Instant::now();
    server.prepare().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(moves(&server).await, 0);
}

#[tokio::test]
async fn a_commit_that_was_interrupted_is_done_again_from_the_start() {
    let Some(shared) = server::shared() else { return };
    let server = shared.tables().await;
    let (_folder, staging) = folder();
    let sink = ClickHouseSink::new(server.clone(), staging);
    let run = RunId::new(7);
    let staged = sink.stage(TABLE, &run, flows(&[(1, 1), (2, 2)])).await.unwrap();
    assert!(sink.commit(TABLE, &run, &staged, Replace::All).await.unwrap());
    // As if it had ended before it was noted.
    server.execute("TRUNCATE TABLE netcrab_positions", &[]).await.unwrap();
    assert!(sink.commit(TABLE, &run, &staged, Replace::All).await.unwrap());
    assert_eq!(moves(&server).await, 3);
}
