//! What an operator sees: tables that are missing, that appear, that break.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use deltalake::protocol::SaveMode;
use netcrab_api::{ApiLimits, DeltaLimits};
use netcrab_schema::tables::FACT_SESSIONS;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Visit, World, facts, small_world, write};

#[tokio::test]
async fn without_tables_answers_are_empty_and_ready_says_how_to_make_them() {
    let folder = TempDir::new().expect("a temporary folder");
    let world = World::open(folder, DeltaLimits::default(), ApiLimits::default()).await;
    let overview = world.ask("/v1/insights/overview?productId=crm").await;
    assert_eq!(overview["to"], "2026-11-23", "today, where no day has sessions");
    assert_eq!((&overview["sessions"], &overview["frictionIndex"]), (&json!(0), &Value::Null));
    for list in ["hotspots", "sessions", "incidents", "releases"] {
        let list = world.ask(&format!("/v1/insights/{list}?productId=crm&segment=x")).await;
        assert_eq!(list["items"], json!([]));
    }
    assert_eq!(world.ask("/v1/flows/graph?productId=crm").await["nodes"], json!([]));
    let (status, ready) = world.get("/ready", None).await;
    assert_eq!((status, &ready["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("not_ready")));
    assert!(ready["mend"].as_str().is_some_and(|mend| mend.contains("netcrab run")));
    assert_eq!(ready["tables"][0]["state"], "missing");
    assert_eq!(world.get("/health", None).await, (StatusCode::OK, json!({"status": "ok"})));

    for (name, rows) in facts(&small_world()) {
        write(world.folder.path(), netcrab_schema::by_name(name).expect("a table"), &rows, SaveMode::Overwrite).await;
    }
    world.store.refresh().await.expect("readable tables");
    assert_eq!(world.get("/ready", None).await.0, StatusCode::OK);
    assert_eq!(world.ask("/v1/insights/overview?productId=crm").await["sessions"], 4);
}

#[tokio::test]
async fn a_new_version_is_seen_and_only_its_days_change() {
    let mut visits = small_world();
    let world = World::of(&visits).await;
    visits.push(Visit { day: "2026-11-21", frustration: 0.5, ..Visit::default() });
    let rows = facts(&visits)["fact_sessions"].clone();
    write(world.folder.path(), &FACT_SESSIONS, &rows[rows.len() - 1..], SaveMode::Append).await;
    world.store.refresh().await.expect("readable tables");
    let overview = world.ask("/v1/insights/overview?productId=crm").await;
    assert_eq!((&overview["to"], &overview["sessions"]), (&json!("2026-11-21"), &json!(5)));

    write(world.folder.path(), &FACT_SESSIONS, &rows[..1], SaveMode::Overwrite).await;
    world.store.refresh().await.expect("readable tables");
    let overview = world.ask("/v1/insights/overview?productId=crm").await;
    assert_eq!((&overview["to"], &overview["sessions"]), (&json!("2026-11-19"), &json!(1)));
}

#[tokio::test]
async fn a_table_made_anew_is_read_anew_and_a_broken_one_keeps_its_last_answer() {
    let world = World::of(&small_world()).await;
    let folder = world.folder.path().join(FACT_SESSIONS.name);
    std::fs::remove_dir_all(&folder).expect("a writable folder");
    world.store.refresh().await.expect("the others are readable");
    assert_eq!(world.ask("/v1/insights/products").await["items"], json!([]));

    write(world.folder.path(), &FACT_SESSIONS, &facts(&small_world())["fact_sessions"][..2], SaveMode::Overwrite).await;
    world.store.refresh().await.expect("readable tables");
    assert_eq!(world.ask("/v1/insights/products").await["items"][0]["sessions"], 2);

    std::fs::write(folder.join("_delta_log/00000000000000000001.json"), "not json").expect("a writable folder");
    world.store.refresh().await.expect("the others are readable");
    assert_eq!(world.ask("/v1/insights/products").await["items"][0]["sessions"], 2);
    let (status, ready) = world.get("/ready", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready["detail"].as_str().is_some_and(|detail| detail == "fact_sessions cannot be read"), "{ready}");
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_say_how_tables_stand() {
    let world = World::of(&small_world()).await;
    world.ask("/v1/insights/overview?productId=crm").await;
    world.refused("/v1/insights/overview").await;
    world.refused("/nowhere").await;
    let request = Request::get("/metrics").body(Body::empty()).expect("a sound request");
    let response = world.send(request).await;
    assert!(response.headers()[header::CONTENT_TYPE].to_str().is_ok_and(|kind| kind.starts_with("text/plain")));
    let page = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let page = String::from_utf8(page.to_vec()).expect("text");
    for line in [
        r#"netcrab_api_requests_total{route="/v1/insights/overview",status="200"} 1"#,
        r#"netcrab_api_requests_total{route="/v1/insights/overview",status="400"} 1"#,
        r#"netcrab_api_requests_total{route="unmatched",status="404"} 1"#,
        r#"netcrab_api_request_duration_seconds_count{route="/v1/insights/overview"} 2"#,
        r#"netcrab_table_version{table="fact_sessions"} 0"#,
        r#"netcrab_table_rows{table="fact_sessions"} 6"#,
        r#"netcrab_table_readable{table="fact_flows"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    assert!(page.contains(r#"netcrab_table_age_seconds{table="fact_sessions"} "#));
}

#[tokio::test]
async fn the_demo_page_is_small_and_brings_everything_it_needs() {
    let world = World::of(&small_world()).await;
    let mut bytes = 0;
    for (path, kind) in [("/", "text/html"), ("/first-look.css", "text/css"), ("/first-look.js", "text/javascript")] {
        let request = Request::get(path).body(Body::empty()).expect("a sound request");
        let response = world.send(request).await;
        assert!(response.headers()[header::CONTENT_TYPE].to_str().is_ok_and(|found| found.starts_with(kind)), "{path}");
        assert!(response.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        assert!(!String::from_utf8_lossy(&body).contains("://"), "{path} asks for something from elsewhere");
        bytes += body.len();
    }
    assert!(bytes < 30_000, "{bytes} bytes");
}

#[tokio::test]
async fn a_server_drains_when_it_is_told_to_stop() {
    let world = World::of(&small_world()).await;
    let listen = "127.0.0.1:0".parse().expect("an address");
    let config = netcrab_api::ApiConfig { listen, ..crate::world::config() };
    let stop = async { tokio::time::sleep(std::time::Duration::from_millis(50)).await };
    netcrab_api::serve(config, world.store.clone(), stop).await.expect("a server that stops");
}
