//! The OpenAPI 3.1 document, built from the list of routes.
//!
//!     routes · parameters (`params.rs`) · types of answers · codes (`problem.rs`) · examples (`api/answers/`) ─▶ JSON
//!
//! The test suite records the examples, and checks that `docs/openapi.json` is a copy of the document.

pub(crate) mod answer;
mod event;

use std::collections::BTreeMap;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use self::answer::{Answer, Schemas, add};
use self::event::{event, event_batch};
use crate::params::{Kind, Param};
use crate::problem::{Code, Details, Problem};
use crate::route::{Access, Route};

/// The document as a response.
pub(crate) fn answered(routes: &[Route]) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "application/json")], document(routes))
}

/// The document of these routes.
pub(crate) fn document(routes: &[Route]) -> String {
    let mut schemas = Schemas::new();
    add::<Details<'_>>(&mut schemas);
    let item = |route: &Route, schemas: &mut Schemas| {
        let method = if route.access == Access::Agent { "post" } else { "get" };
        (route.path.to_owned(), json!({ method: operation(route, schemas) }))
    };
    let paths: Map<String, Value> = routes.iter().map(|route| item(route, &mut schemas)).collect();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "NetCrab",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Where people struggle in a product. Days are UTC and both ends of a period are included; \
                            numbers are rounded to six decimals; a mean of nothing is null. Lists are paged by `cursor`. \
                            Errors are RFC 9457 problem details with a stable `code` and the mend.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": problem_responses(),
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "A key of `api.keys`, `nc_…`; it reads one organisation." },
                "agentKey": { "type": "http", "scheme": "bearer", "description": "A key of `api.agent_keys`, `nc_agent_…`; it writes one organisation, or some of its products." },
                "agentKeyHeader": { "type": "apiKey", "in": "header", "name": "X-NetCrab-Key", "description": "The same key, where Authorization cannot be set." },
                "agentKeyBasic": { "type": "http", "scheme": "basic", "description": "The same key as a user's name, without a password." },
            },
        },
    });
    format!("{document:#}\n")
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answer(&route.answer, schemas));
    for status in problems(route) {
        let name = status.as_u16().to_string();
        responses.insert(name.clone(), json!({ "$ref": format!("#/components/responses/{name}") }));
    }
    let parameters: Vec<Value> =
        path_parameters(route).chain(route.params.iter().map(|param| parameter(param))).collect();
    let security = match route.access {
        Access::Public => json!([]),
        Access::Member => json!([{ "key": [] }]),
        Access::Agent => json!([{ "agentKey": [] }, { "agentKeyHeader": [] }, { "agentKeyBasic": [] }]),
    };
    let mut operation = json!({
        "operationId": operation_id(route.path),
        "summary": route.summary,
        "security": security,
        "parameters": parameters,
        "responses": responses,
    });
    if route.access == Access::Agent {
        schemas.insert("Event".to_owned(), event());
        schemas.insert("EventBatch".to_owned(), event_batch());
        operation["requestBody"] = json!({
            "required": true,
            "description": "A batch, or one event; plain, or compressed with gzip or zstd as Content-Encoding says.",
            "content": { "application/json": {
                "schema": { "anyOf": [
                    { "$ref": "#/components/schemas/EventBatch" },
                    { "$ref": "#/components/schemas/Event" },
                ] },
            } },
        });
    }
    operation
}

fn operation_id(path: &str) -> String {
    let words = path.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty() && *word != "v1");
    let id = words.collect::<Vec<_>>().join("_");
    if id.is_empty() { "first_look".to_owned() } else { id }
}

fn problems(route: &Route) -> Vec<StatusCode> {
    let mut problems = vec![StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR];
    if route.access == Access::Agent {
        problems.extend([
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ]);
    }
    if route.access == Access::Member {
        problems.extend([StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND, StatusCode::GATEWAY_TIMEOUT]);
    }
    if route.access == Access::Member || route.path == "/ready" {
        problems.push(StatusCode::SERVICE_UNAVAILABLE);
    }
    problems
}

fn answer(answer: &Answer, schemas: &mut Schemas) -> Value {
    let mut content = Map::new();
    if let Some(schema) = answer.schema {
        content.insert("schema".to_owned(), json!({ "$ref": schema(schemas) }));
        let example = serde_json::from_str(answer.example.1).unwrap_or(Value::Null);
        content.insert("example".to_owned(), example);
    }
    json!({ "description": "The answer.", "content": { answer.content_type: content } })
}

fn path_parameters(route: &Route) -> impl Iterator<Item = Value> {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| {
        json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": "As `sessionKey` of a session or an incident.",
            "schema": { "type": "string" },
            "example": "0123456789abcdef0123456789abcdef",
        })
    })
}

fn parameter(param: &Param) -> Value {
    let mut parameter = json!({
        "name": param.name,
        "in": "query",
        "required": param.required,
        "description": param.meaning,
        "schema": match &param.kind {
            Kind::Text => json!({ "type": "string", "minLength": 1 }),
            Kind::Cursor => json!({ "type": "string" }),
            Kind::Day => json!({ "type": "string", "format": "date" }),
            Kind::Number { min, max, default } => {
                json!({ "type": "integer", "minimum": min, "maximum": max, "default": default })
            }
            Kind::Choice(choices) => json!({ "type": "string", "enum": choices }),
        },
    });
    if let Kind::Number { default, .. } = &param.kind {
        parameter["example"] = json!(default);
    } else if !param.example.is_empty() {
        parameter["example"] = json!(param.example);
    }
    parameter
}

/// One response for each status, with its codes.
fn problem_responses() -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL {
        by_status.entry(code.meaning().1.as_u16()).or_default().push(*code);
    }
    let response = |codes: &[Code]| {
        let names: Vec<String> = codes.iter().map(|code| format!("`{}`", code.meaning().0)).collect();
        let example = |code| Problem::new(code, "What is wrong this time.", "What to do about it.");
        let example = codes.first().map(|code| json!(example(*code).details()));
        json!({
            "description": format!("Problem details; `code` is {}.", names.join(" or ")),
            "content": {
                "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" }, "example": example },
            },
        })
    };
    by_status.iter().map(|(status, codes)| (status.to_string(), response(codes))).collect()
}
