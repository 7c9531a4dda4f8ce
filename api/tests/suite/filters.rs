//! A filter counts the sessions it chooses and no others, by the same rules as the tables.

use netcrab_api::{ApiLimits, DeltaLimits};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::world::{Visit, World, small_world};

/// What a filter may change, as one value.
async fn answers(world: &World, filter: &str) -> Value {
    let question = format!("productId=crm&from=2026-11-01&to=2026-11-20&limit=1000{filter}");
    json!({
        "overview": world.ask(&format!("/v1/insights/overview?{}", question.replace("&limit=1000", ""))).await,
        "hotspots": world.ask(&format!("/v1/insights/hotspots?{question}")).await,
        "flows": world.ask(&format!("/v1/flows/top?{question}")).await,
        "graph": world.ask(&format!("/v1/flows/graph?{question}")).await,
        "sessions": world.ask(&format!("/v1/insights/sessions?{question}")).await,
        "incidents": world.ask(&format!("/v1/insights/incidents?{question}")).await,
    })
}

/// Every session on the same release, segment, device and task.
fn alike(mut visits: Vec<Visit>) -> Vec<Visit> {
    for visit in &mut visits {
        visit.version = Some("1");
        visit.segment = Some("all");
        visit.device = "tablet";
        visit.task_types = vec!["work"];
    }
    visits
}

#[tokio::test]
async fn a_value_that_all_sessions_have_changes_nothing() {
    let world = World::of(&alike(small_world())).await;
    let whole = answers(&world, "").await;
    for filter in ["&version=1", "&segment=all", "&device=tablet", "&taskType=work", "&version=1&taskType=work"] {
        assert_eq!(answers(&world, filter).await, whole, "{filter}");
    }
}

#[tokio::test]
async fn a_value_that_some_sessions_have_counts_those() {
    let world = World::of(&small_world()).await;
    let hotspots = world.ask("/v1/insights/hotspots?productId=crm&segment=trial").await;
    let home = &hotspots["items"].as_array().expect("a list").iter().find(|item| item["screenId"] == "home").cloned();
    let home = home.as_ref().expect("home was visited");
    assert_eq!(home["impactSessions"], 2);
    assert_eq!(home["friction"], 0.15625);
    assert_eq!(home["backtracks"], 0);
    let overview = world.ask("/v1/insights/overview?productId=crm&version=2.3").await;
    assert_eq!((&overview["sessions"], &overview["frictionIndex"]), (&json!(2), &json!(0.40625)));
    let nothing = world.ask("/v1/insights/hotspots?productId=crm&segment=nobody").await;
    assert_eq!(nothing["items"], json!([]));
}

fn visit() -> impl Strategy<Value = Visit> {
    let day = prop::sample::select(vec!["2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20"]);
    let screen = prop::sample::select(vec!["a", "b", "c"]);
    let path = prop::collection::vec((screen.clone(), 0..60_000_i64), 0..6);
    let kind = prop::sample::select(vec!["rage_click", "dead_click", "error_click", "backtrack", "abandoned_task"]);
    let incidents = prop::collection::vec((kind, screen, 0..60_000_i64), 0..3);
    (day, path, incidents, 0..64_i64, 0..1_000_i64).prop_map(|(day, mut path, incidents, score, start_ms)| {
        path.sort_by_key(|step| step.1);
        path.dedup_by_key(|step| step.1);
        Visit {
            day,
            start_ms,
            path: path.into_iter().map(|(screen, at)| (screen.to_owned(), at)).collect(),
            incidents: incidents.into_iter().map(|(kind, screen, at)| (kind, screen.to_owned(), at)).collect(),
            frustration: score as f64 / 64.0,
            efficiency: 1.0 - score as f64 / 64.0,
            ..Visit::default()
        }
    })
}

/// From the cache, from files (nothing cached), and from sessions and events: three ways, one answer.
#[test]
fn random_sessions_sum_to_the_same_by_every_way() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut runner = TestRunner::new(ProptestConfig { cases: 6, failure_persistence: None, ..Default::default() });
    let sessions = prop::collection::vec(visit(), 1..30);
    let outcome = runner.run(&sessions, |visits| {
        runtime.block_on(async {
            let visits = alike(visits);
            let held = World::of(&visits).await;
            let whole = answers(&held, "").await;
            assert_eq!(answers(&held, "&segment=all").await, whole, "from sessions");
            let nothing_cached = DeltaLimits { held_bytes_max: 0, ..DeltaLimits::default() };
            let files = World::with(&visits, nothing_cached, ApiLimits::default()).await;
            assert_eq!(answers(&files, "").await, whole, "from files");

            let score: f64 = visits.iter().map(|visit| visit.frustration).sum::<f64>() / visits.len() as f64;
            let found = whole["overview"]["frictionIndex"].as_f64().expect("there are sessions");
            assert!((found - score).abs() < 1e-6, "{found} {score}");
            let moves: i64 = whole["flows"]["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|flow| flow["moves"].as_i64().expect("a number"))
                .sum();
            let visits_of = |visit: &Visit| {
                let mut path = visit.path.clone();
                path.dedup_by(|a, b| a.0 == b.0);
                path.len() as i64
            };
            let expected: i64 =
                visits.iter().map(visits_of).map(|visits| if visits > 0 { visits + 1 } else { 0 }).sum();
            assert_eq!(moves, expected);
        });
        Ok(())
    });
    outcome.expect("every way gives the same");
}
