//! Pages of any size show every row once, in order; a changed cursor is refused.

use netcrab_api::{ApiLimits, DeltaLimits};
use serde_json::Value;

use crate::world::{Visit, World, path, session_key};

/// Many sessions at the same instant, on many days, with alike screens: ties everywhere.
fn ties() -> Vec<Visit> {
    let days = ["2026-10-30", "2026-11-10", "2026-11-18", "2026-11-19", "2026-11-20"];
    let visit = |number: usize| Visit {
        day: days[number % days.len()],
        path: path(&format!("s{}@0 s{}@1000", number % 4, (number + 1) % 4)),
        incidents: vec![("rage_click", format!("s{}", number % 4), 500), ("dead_click", "s0".into(), 500)],
        version: Some(["1", "2", "3"][number % 3]),
        ..Visit::default()
    };
    (0..23).map(visit).collect()
}

async fn pages(world: &World, question: &str, items: &str, limit: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.ask(&format!("{question}&limit={limit}{cursor}")).await;
        let rows = page[items].as_array().expect("a list");
        assert!(rows.len() <= limit);
        all.extend(rows.iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
        assert_eq!(rows.len(), limit, "only the last page is short");
    }
}

#[tokio::test]
async fn every_list_shows_every_row_once_whatever_the_page() {
    let world = World::of(&ties()).await;
    let lists = [
        ("/v1/insights/sessions?productId=crm", "items", 23),
        ("/v1/insights/sessions?productId=crm&version=1", "items", 8),
        ("/v1/insights/incidents?productId=crm", "items", 46),
        ("/v1/insights/incidents?productId=crm&version=1", "items", 16),
        ("/v1/insights/hotspots?productId=crm", "items", 4),
        ("/v1/insights/hotspots?productId=crm&sort=friction", "items", 4),
        ("/v1/insights/releases?productId=crm", "items", 3),
        ("/v1/flows/top?productId=crm", "items", 12),
        ("/v1/insights/products?orgId=acme", "items", 1),
        (&format!("/v1/insights/sessions/{}?productId=crm", session_key(3)), "events", 5),
    ];
    for (question, items, rows) in lists {
        let whole = pages(&world, question, items, 1000).await;
        assert_eq!(whole.len(), rows, "{question}");
        for limit in [1, 2, 3, 7] {
            assert_eq!(pages(&world, question, items, limit).await, whole, "{question} by {limit}");
        }
    }
}

#[tokio::test]
async fn every_incident_of_a_session_is_on_one_page_of_it() {
    let world = World::of(&ties()).await;
    let question = format!("/v1/insights/sessions/{}?productId=crm", session_key(3));
    let whole = pages(&world, &question, "incidents", 1000).await;
    let mut by_one = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.ask(&format!("{question}&limit=1{cursor}")).await;
        by_one.extend(page["incidents"].as_array().expect("a list").iter().cloned());
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(by_one, whole);
    assert_eq!(whole.len(), 2);
}

#[tokio::test]
async fn a_cursor_belongs_to_its_question() {
    let world = World::of(&ties()).await;
    let page = world.ask("/v1/insights/sessions?productId=crm&limit=2").await;
    let cursor = page["nextCursor"].as_str().expect("there is more").to_owned();
    world.ask(&format!("/v1/insights/sessions?limit=5&productId=crm&cursor={cursor}")).await;
    let touched = format!("{}0", &cursor[..cursor.len() - 1]);
    let others = [
        format!("/v1/insights/sessions?productId=crm&cursor={touched}1"),
        format!("/v1/insights/sessions?productId=crm&cursor={}", cursor.replacen('2', "3", 1)),
        format!("/v1/insights/sessions?productId=crm&segment=x&cursor={cursor}"),
        format!("/v1/insights/incidents?productId=crm&cursor={cursor}"),
        "/v1/insights/sessions?productId=crm&cursor=nonsense".to_owned(),
        "/v1/insights/sessions?productId=crm&cursor=".to_owned(),
    ];
    for other in others {
        assert_eq!(world.refused(&other).await, (400, "invalid_cursor".into()), "{other}");
    }
}

#[tokio::test]
async fn pages_keep_the_period_of_the_first_when_a_newer_day_arrives() {
    let visits = ties();
    let world = World::of(&visits).await;
    let first = world.ask("/v1/insights/sessions?productId=crm&limit=2").await;
    let mut more = visits.clone();
    more.push(Visit { day: "2026-11-22", ..Visit::default() });
    for (name, rows) in crate::world::facts(&more) {
        let table = netcrab_schema::by_name(name).expect("a table");
        crate::world::write(world.folder.path(), table, &rows, deltalake::protocol::SaveMode::Overwrite).await;
    }
    world.store.refresh().await.expect("readable tables");
    let cursor = first["nextCursor"].as_str().expect("there is more");
    let second = world.ask(&format!("/v1/insights/sessions?productId=crm&limit=1000&cursor={cursor}")).await;
    assert_eq!(second["to"], first["to"]);
    assert_eq!(second["items"].as_array().map(Vec::len), Some(21));
    assert_eq!(world.ask("/v1/insights/sessions?productId=crm").await["to"], "2026-11-22");
}

#[tokio::test]
async fn a_limit_beyond_the_configured_one_is_refused() {
    let limits = ApiLimits { rows_max: 10, period_days_max: 31, ..ApiLimits::default() };
    let world = World::with(&ties(), DeltaLimits::default(), limits).await;
    world.ask("/v1/insights/sessions?productId=crm&limit=10").await;
    for question in ["limit=11", "from=2026-10-20&to=2026-11-20", "from=2026-11-21&to=2026-11-20"] {
        let path = format!("/v1/insights/sessions?productId=crm&{question}");
        assert_eq!(world.refused(&path).await, (400, "invalid_parameter".into()), "{question}");
    }
    world.ask("/v1/insights/sessions?productId=crm&from=2026-10-21&to=2026-11-20").await;
}
