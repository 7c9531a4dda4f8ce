//! A key reads its own organisation only. The tests request every route of the OpenAPI document, new ones included.

use axum::http::StatusCode;
use serde_json::Value;

use crate::world::{ACME_KEY, RIVAL_KEY, World, session_key, small_world};

/// Path and required parameters of every GET route, and whether it needs a key. POST routes have tests of their own,
/// in `ingest`.
fn routes() -> Vec<(String, bool)> {
    let document: Value = serde_json::from_str(&netcrab_api::openapi_document()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").iter().filter(|(_, item)| item["get"].is_object());
    let route = |(path, item): (&String, &Value)| {
        let operation = &item["get"];
        let secured = match operation["security"].as_array() {
            Some(security) => !security.is_empty(),
            None => panic!("{path} says nothing about security"),
        };
        let takes = |name: &str| {
            let mut parameters = operation["parameters"].as_array().expect("parameters").iter();
            parameters.any(|parameter| parameter["name"] == name)
        };
        let product = if takes("productId") { "productId=crm&" } else { "" };
        (format!("{}?{product}", path.replace("{sessionKey}", &session_key(0))), secured)
    };
    paths.map(route).collect()
}

#[tokio::test]
async fn a_route_without_a_key_is_401_unless_it_is_public() {
    let world = World::of(&small_world()).await;
    let public: Vec<String> = routes().into_iter().filter(|route| !route.1).map(|route| route.0).collect();
    let expect = ["/", "/first-look.css", "/first-look.js", "/health", "/metrics", "/ready", "/v1/openapi.json"];
    let mut public: Vec<&str> = public.iter().map(|path| path.trim_end_matches('?')).collect();
    public.sort_unstable();
    assert_eq!(public, expect, "a route became public: is nothing of an organisation in its answer?");
    for (route, secured) in routes() {
        let (status, body) = world.get(&route, None).await;
        let (wrong_status, wrong) = world.get(&route, Some("nc_wrong")).await;
        if secured {
            assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &"key_required".into()), "{route}");
            assert_eq!((wrong_status, &wrong["code"]), (StatusCode::UNAUTHORIZED, &"key_unknown".into()), "{route}");
        } else {
            assert_eq!(status, StatusCode::OK, "{route}");
        }
    }
}

#[tokio::test]
async fn another_organisation_is_404_whether_it_exists_or_not() {
    let world = World::of(&small_world()).await;
    for (route, _) in routes().into_iter().filter(|route| route.1) {
        let (own, _) = world.get(&format!("{route}orgId=acme"), Some(ACME_KEY)).await;
        assert_eq!(own, StatusCode::OK, "{route}");
        let (theirs, of_rival) = world.get(&format!("{route}orgId=rival"), Some(ACME_KEY)).await;
        let (nobodys, of_nobody) = world.get(&format!("{route}orgId=nobody"), Some(ACME_KEY)).await;
        assert_eq!((theirs, nobodys), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND), "{route}");
        let unnamed = |body: Value| body.to_string().replace("rival", "?").replace("nobody", "?");
        assert_eq!(unnamed(of_rival), unnamed(of_nobody), "{route}");
    }
}

#[tokio::test]
async fn nothing_of_another_organisation_is_in_any_answer() {
    let world = World::of(&small_world()).await;
    for (route, _) in routes().into_iter().filter(|route| route.1) {
        let (_, body) = world.get(&route, Some(ACME_KEY)).await;
        let body = body.to_string();
        assert!(!body.contains("rival") && !body.contains("vault") && !body.contains("0.9375"), "{route}: {body}");
        let (_, body) = world.get(&route, Some(RIVAL_KEY)).await;
        let body = body.to_string();
        assert!(!body.contains("acme") && !body.contains("cart") && !body.contains("erp"), "{route}: {body}");
    }
    let theirs = format!("/v1/insights/sessions/{}", session_key(5));
    assert_eq!(world.refused(&theirs).await, (404, "session_not_found".into()));
    let nobodys = format!("/v1/insights/sessions/{}", session_key(99));
    assert_eq!(world.refused(&nobodys).await, (404, "session_not_found".into()));
}

#[tokio::test]
async fn a_product_without_sessions_is_404_with_the_nearest_name() {
    let world = World::of(&small_world()).await;
    let (status, body) = world.get("/v1/insights/overview?productId=crn", Some(ACME_KEY)).await;
    assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &"product_not_found".into()));
    assert!(body["mend"].as_str().is_some_and(|mend| mend.contains("did you mean `crm`?")), "{body}");
    let (status, body) = world.get("/v1/insights/overview?productId=erp", Some(RIVAL_KEY)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(!body["mend"].as_str().unwrap_or_default().contains("erp"), "{body}");
}
