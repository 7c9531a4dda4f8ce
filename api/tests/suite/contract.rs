//! The OpenAPI document is the stored one, it is complete, and its examples are answers of the API.

use std::path::Path;

use netcrab_api::ApiConfig;
use serde_json::Value;

use crate::world::{World, session_key, small_world};

/// Compares with a stored file; `UPDATE_DOCS=1` writes it.
fn check_file(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, text).expect("a writable tree");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "{file} is behind; run `UPDATE_DOCS=1 cargo test -p netcrab-api` twice");
}

#[test]
fn the_stored_document_is_the_one_served() {
    check_file("docs/openapi.json", &netcrab_api::openapi_document());
}

#[tokio::test]
async fn examples_are_answers() {
    let world = World::of(&small_world()).await;
    let period = "productId=crm&from=2026-11-19&to=2026-11-20";
    let questions = [
        ("overview", format!("/v1/insights/overview?{period}")),
        ("hotspots", format!("/v1/insights/hotspots?{period}&limit=1")),
        ("sessions", format!("/v1/insights/sessions?{period}&limit=1")),
        ("session", format!("/v1/insights/sessions/{}?limit=3", session_key(0))),
        ("incidents", format!("/v1/insights/incidents?{period}&limit=1")),
        ("releases", format!("/v1/insights/releases?{period}&limit=1")),
        ("products", "/v1/insights/products".to_owned()),
        ("flows_top", format!("/v1/flows/top?{period}&limit=2")),
        ("flows_graph", format!("/v1/flows/graph?{period}&limit=3")),
        ("health", "/health".to_owned()),
        ("ready", "/ready".to_owned()),
    ];
    for (name, question) in questions {
        let mut answer = world.ask(&question).await;
        for table in answer.get_mut("tables").and_then(Value::as_array_mut).into_iter().flatten() {
            table["committedAtMs"] = 1_795_000_000_000_i64.into();
        }
        check_file(&format!("api/answers/{name}.json"), &format!("{answer:#}\n"));
    }
}

#[test]
fn every_operation_has_an_answer_and_every_member_of_it_is_in_its_schema() {
    let document: Value = serde_json::from_str(&netcrab_api::openapi_document()).expect("JSON");
    let schemas = &document["components"]["schemas"];
    for (path, item) in document["paths"].as_object().expect("paths") {
        let operation = item.get("get").unwrap_or_else(|| &item["post"]);
        assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{path}");
        for parameter in operation["parameters"].as_array().expect("parameters") {
            assert!(parameter["description"].is_string() && parameter["schema"].is_object(), "{path}: {parameter}");
        }
        let content = operation["responses"]["200"]["content"].as_object().expect("content");
        if let Some(json) = content.get("application/json").filter(|_| path != "/v1/openapi.json") {
            let name = json["schema"]["$ref"].as_str().and_then(|schema| schema.rsplit('/').next()).expect("a schema");
            let members = schemas[name]["properties"].as_object().expect("properties");
            let example = json["example"].as_object().expect("an example");
            assert_eq!(example.keys().collect::<Vec<_>>(), members.keys().collect::<Vec<_>>(), "{path}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let text = netcrab_api::openapi_document();
    let document: Value = serde_json::from_str(&text).expect("JSON");
    for reference in text.split("\"$ref\": \"#").skip(1) {
        let pointer = reference.split('"').next().expect("a closing quote");
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn settings_have_their_defaults_and_refuse_what_they_do_not_know() {
    let config: ApiConfig = serde_json::from_str("{}").expect("every setting has a default");
    assert_eq!(config, ApiConfig::default());
    assert_eq!(config.listen.to_string(), "127.0.0.1:7878");
    assert!(serde_json::from_str::<ApiConfig>(r#"{"listne": "x"}"#).is_err());
    let key = r#"{"keys": [{"key": "secret", "org_id": "acme"}]}"#;
    let config: ApiConfig = serde_json::from_str(key).expect("well formed");
    assert!(!format!("{config:?}").contains("secret"), "a key must not reach a log");
}
