//! Both stores give the same answer to the same request.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use netcrab_api::{AppState, ClickHouseStore, router};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Position, TableChange};
use serde_json::Value;
use tower::ServiceExt;
use url::Url;

use crate::server;
use crate::world::{ACME_KEY, RIVAL_KEY, Visit, World, config, now, path, small_world};

async fn ask(app: &Router, path: &str, key: &str) -> (u16, Value) {
    let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {key}"));
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Paths of every endpoint about an organisation, with each filter, both orders and pages.
fn questions() -> Vec<String> {
    let scope = "orgId=acme&productId=crm&from=2026-11-10&to=2026-11-23";
    let endpoints = [
        "/v1/insights/overview",
        "/v1/insights/hotspots",
        "/v1/insights/sessions",
        "/v1/insights/incidents",
        "/v1/flows/top",
        "/v1/flows/graph",
        "/v1/insights/releases",
    ];
    let filters = [
        "",
        "&segment=trial",
        "&segment=paid",
        "&version=2.2",
        "&version=2.3",
        "&device=mobile",
        "&taskType=checkout",
        "&segment=trial&device=mobile",
        "&version=none-such",
        "&segment=%27%20OR%201%3D1%20--",
        "&limit=1",
        "&limit=2&device=desktop",
    ];
    let mut questions =
        vec!["/v1/insights/products?orgId=acme".to_owned(), "/v1/insights/products?orgId=rival".to_owned()];
    for endpoint in endpoints {
        questions.extend(filters.iter().map(|filter| format!("{endpoint}?{scope}{filter}")));
        questions.push(format!("{endpoint}?orgId=acme&productId=erp&from=2026-11-10&to=2026-11-23"));
        questions.push(format!("{endpoint}?orgId=acme&productId=none&from=2026-11-10&to=2026-11-23"));
        questions.push(format!("{endpoint}?orgId=rival&productId=crm&from=2026-11-10&to=2026-11-23"));
        for period in ["", "&from=2026-11-10", "&to=2026-11-20"] {
            questions.push(format!("{endpoint}?orgId=acme&productId=crm{period}"));
            questions.push(format!("{endpoint}?orgId=acme&productId=ahead{period}"));
        }
        questions.push(format!("{endpoint}?orgId=acme&productId=only-ahead"));
    }
    for kind in ["rage_click", "dead_click", "backtrack", "abandoned_task"] {
        questions.push(format!("/v1/insights/incidents?{scope}&kind={kind}"));
        questions.push(format!("/v1/insights/incidents?{scope}&kind={kind}&screenId=cart&limit=1"));
    }
    questions
}

/// Sessions of many kinds on several days, which differ from day to day.
fn busy_world() -> Vec<Visit> {
    let screens = ["home", "cart", "help", "search"];
    let kinds = ["rage_click", "dead_click", "error_click", "backtrack", "abandoned_task"];
    let visit = |number: usize| {
        let screen = |step: usize| screens[(number * 7 + step * (number % 3 + 1)) % screens.len()].to_owned();
        Visit {
            day: ["2026-11-15", "2026-11-18", "2026-11-20", "2026-11-22"][number % 4],
            start_ms: 30_000_000 + (number as i64 % 5) * 1000,
            path: (0..number % 6).map(|step| (screen(step), step as i64 * 3000)).collect(),
            incidents: (0..number % 4)
                .map(|step| (kinds[(number + step) % 5], screen(step + 1), step as i64 * 900))
                .collect(),
            frustration: (number % 16) as f64 / 16.0,
            efficiency: (number % 8) as f64 / 8.0,
            version: [None, Some("2.2"), Some("2.3")][number % 3],
            segment: [Some("trial"), None, Some("paid"), Some("paid")][number % 4],
            device: ["desktop", "mobile", "tablet"][number % 3],
            task_types: [vec![], vec!["checkout"], vec!["checkout", "search"]][number % 3].clone(),
            ..Visit::default()
        }
    };
    (0..24).map(visit).collect()
}

/// Products with sessions on days that are still to come.
fn world_ahead() -> Vec<Visit> {
    let visit = |(product_id, day)| Visit { product_id, day, path: path("home@0"), ..Visit::default() };
    let days =
        [("ahead", "2026-11-19"), ("ahead", "2026-11-24"), ("ahead", "2098-01-01"), ("only-ahead", "2098-01-01")];
    days.into_iter().map(visit).collect()
}

#[tokio::test]
async fn two_stores_give_one_answer() {
    let Some(shared) = server::shared() else { return };
    let world = World::of(&[small_world(), busy_world(), world_ahead()].concat()).await;
    let tables = shared.tables().await;
    let delta = DeltaSink::new(Url::from_directory_path(world.folder.path()).unwrap());
    for &table in netcrab_schema::ALL {
        let added = delta.files(table, "").await.unwrap();
        let position = Position { writer: "test".to_owned(), number: 0, marks: Vec::new() };
        tables.write(table, 0, &position, &TableChange { added, ..TableChange::default() }, &delta).await.unwrap();
    }
    let store = Arc::new(ClickHouseStore::open(tables).await);
    let other = router(AppState::with_clock(&config(), store, now).unwrap());
    let (mut answers, mut rows) = (0, 0);
    for key in [ACME_KEY, RIVAL_KEY] {
        let (mut questions, mut named) = (questions(), std::collections::BTreeSet::new());
        while let Some(question) = questions.pop() {
            let ours = ask(&world.app, &question, key).await;
            let theirs = ask(&other, &question, key).await;
            assert_eq!(ours, theirs, "{question}");
            answers += 1;
            // Every page of it, and every session that it names.
            if let Some(cursor) = ours.1["nextCursor"].as_str() {
                let base = question.split("&cursor=").next().unwrap_or_default();
                questions.push(format!("{base}&cursor={cursor}"));
            }
            for session in ours.1["items"].as_array().into_iter().flatten() {
                rows += 1;
                let Some(name) = session["sessionKey"].as_str().filter(|name| named.insert((*name).to_owned())) else {
                    continue;
                };
                questions.push(format!("/v1/insights/sessions/{name}?orgId=acme"));
                questions.push(format!("/v1/insights/sessions/{name}?orgId=acme&productId=crm&limit=1"));
                questions.push(format!("/v1/insights/sessions/{name}?orgId=rival"));
            }
        }
    }
    assert!(answers > 150 && rows > 20, "{answers} answers with {rows} sessions");
}
