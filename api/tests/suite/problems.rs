//! Whatever goes wrong, the answer is problem+json with a code and the mend.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use netcrab_api::{ApiLimits, DeltaLimits};
use serde_json::Value;

use crate::world::{ACME_KEY, World, small_world};

async fn check(world: &World, method: Method, path: &str, status: u16, code: &str) -> Value {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("bearer {ACME_KEY}"))
        .body(Body::from("{"))
        .expect("a sound request");
    let response = world.send(request).await;
    assert_eq!(response.status(), status, "{path}");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json", "{path}");
    assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503, "{path}");
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["code"], code, "{path}");
    assert_eq!(body["status"], status, "{path}");
    assert_eq!(body["type"], format!("urn:netcrab:problem:{code}"), "{path}");
    for member in ["title", "detail", "mend"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{path}: {member}");
    }
    body
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let world = World::of(&small_world()).await;
    let overview = "/v1/insights/overview";
    check(&world, Method::GET, "/nowhere", 404, "not_found").await;
    check(&world, Method::GET, "/v1/insights/overview/", 404, "not_found").await;
    check(&world, Method::POST, overview, 405, "method_not_allowed").await;
    check(&world, Method::DELETE, "/health", 405, "method_not_allowed").await;
    check(&world, Method::GET, overview, 400, "invalid_parameter").await;
    check(&world, Method::GET, &format!("{overview}?productId=crm&from=2026-13-01"), 400, "invalid_parameter").await;
    check(&world, Method::GET, &format!("{overview}?productId=crm&device=watch"), 400, "invalid_parameter").await;
    check(&world, Method::GET, "/health?x=1", 400, "unknown_parameter").await;
    check(&world, Method::GET, "/v1/insights/sessions/%FF", 404, "session_not_found").await;
    check(&world, Method::GET, &format!("{overview}?productId={}", "x".repeat(5000)), 400, "invalid_parameter").await;
}

#[tokio::test]
async fn a_misspelt_parameter_or_path_is_told_the_nearest() {
    let world = World::of(&small_world()).await;
    let body =
        check(&world, Method::GET, "/v1/insights/overview?productId=crm&vresion=2", 400, "unknown_parameter").await;
    assert_eq!(body["mend"], "did you mean `version`?");
    let body = check(&world, Method::GET, "/v1/insight/hotspots", 404, "not_found").await;
    assert_eq!(body["mend"], "did you mean `/v1/insights/hotspots`?");
}

#[tokio::test]
async fn notes_and_the_status_of_agents_are_not_there_until_something_fills_them() {
    let world = World::of(&small_world()).await;
    for path in ["/v1/insights/notes?productId=crm", "/v1/agent/status"] {
        check(&world, Method::GET, path, 404, "not_found").await;
    }
}

#[tokio::test]
async fn no_place_is_503_and_no_time_is_504() {
    let full = ApiLimits { requests_max: 0, ..ApiLimits::default() };
    let world = World::with(&small_world(), DeltaLimits::default(), full).await;
    check(&world, Method::GET, "/v1/insights/overview?productId=crm", 503, "busy").await;
    let (status, _) = world.get("/health", None).await;
    assert!(status.is_success(), "health answers when nothing else does");

    let hurried = ApiLimits { request_timeout_ms: 0, ..ApiLimits::default() };
    let world = World::with(&small_world(), DeltaLimits::default(), hurried).await;
    check(&world, Method::GET, "/v1/insights/sessions?productId=crm", 504, "timeout").await;
}

#[tokio::test]
async fn heavy_questions_wait_and_are_refused_apart_from_cheap_ones() {
    let none = DeltaLimits { queries_max: 0, queries_waiting_max: 0, ..DeltaLimits::default() };
    let world = World::with(&small_world(), none, ApiLimits::default()).await;
    check(&world, Method::GET, "/v1/insights/sessions?productId=crm", 503, "busy").await;
    world.ask("/v1/insights/overview?productId=crm").await;
    world.ask("/v1/insights/hotspots?productId=crm").await;
    world.ask("/v1/flows/top?productId=crm").await;

    let small = DeltaLimits { query_rows_max: 2, held_bytes_max: 0, ..DeltaLimits::default() };
    let one = small_world().split_off(4);
    let world = World::with(&one, small.clone(), ApiLimits::default()).await;
    world.ask("/v1/insights/overview?productId=erp").await;
    let world =
        World::with(&small_world()[..4], DeltaLimits { query_rows_max: 3, ..small }, ApiLimits::default()).await;
    check(&world, Method::GET, "/v1/insights/sessions?productId=crm", 503, "query_too_large").await;
}
