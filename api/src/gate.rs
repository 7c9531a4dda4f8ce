//! The gate: what every request passes before its handler.
//!
//!     measure ─▶ (route found) ─▶ key ─▶ parameters ─▶ permit ─▶ handler, in time
//!                                 401     400           503       504
//!
//! Routes that take events have bounds of their own; see `ingest`.
//!
//! An error of the gate, of axum or of a handler that panics is answered as problem+json.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::FutureExt;
use netcrab_schema::nearest;

use crate::ingest::Sender;
use crate::insight_request::InsightRequest;
use crate::params::{Query, quoted};
use crate::problem::{Code, Problem};
use crate::route::{Access, Route};
use crate::state::AppState;

/// Header for an agent key whose sender cannot set Authorization.
const KEY_HEADER: &str = "x-netcrab-key";

/// Counts and times every answer. A handler that panics is answered 500.
pub(crate) async fn measure(
    State((state, routes)): State<(AppState, &'static [Route])>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let path = matched.and_then(|path| routes.iter().find(|route| route.path == path)).map_or("unmatched", |r| r.path);
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(path, "a handler panicked");
            Problem::new(Code::Internal, "something broke", "ask the operator to look into the log").into_response()
        }
    };
    state.metrics().observe(path, response.status().as_u16(), started.elapsed());
    response
}

/// Lets a request through to the handler of its route.
pub(crate) async fn admit(
    State((state, route)): State<(AppState, &'static Route)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let org_id = match route.access {
        Access::Public => None,
        Access::Member => Some(organisation(&state, request.headers())?),
        Access::Agent => {
            let sender = sender(&state, request.headers())?;
            request.extensions_mut().insert(sender);
            None
        }
    };
    let query = Query::read(request.uri().query().unwrap_or_default(), route.params, state.limits().rows_max)?;
    let Some(org_id) = org_id else { return Ok(next.run(request).await) };

    let path = request.uri().path().to_owned();
    let insight_request = InsightRequest::new(state.clone(), org_id, query, path)?;
    request.extensions_mut().insert(insight_request);
    let Ok(_permit) = state.request_permits().try_acquire() else { return Err(full(&state)) };
    match tokio::time::timeout(state.request_timeout(), next.run(request)).await {
        Ok(response) => Ok(response),
        Err(_) => Err(out_of_time(&state)),
    }
}

/// The organisation of the key that was sent.
fn organisation(state: &AppState, headers: &HeaderMap) -> Result<String, Problem> {
    let mend = "send `Authorization: Bearer nc_…` with a key of `api.keys`";
    let key = credentials(headers, "bearer");
    let key = key.ok_or_else(|| Problem::new(Code::KeyRequired, "this route needs a bearer key", mend))?;
    let org_id = state.keys().find(key);
    org_id.cloned().ok_or_else(|| Problem::new(Code::KeyUnknown, "the key is not known", mend))
}

/// The sender whose agent key the request carries: as a bearer key, in [`KEY_HEADER`], or, as SDKs with a write key
/// do, as a user's name without a password.
fn sender(state: &AppState, headers: &HeaderMap) -> Result<Arc<Sender>, Problem> {
    let mend = "send `Authorization: Bearer nc_agent_…` with a key of `api.agent_keys`";
    let plain = credentials(headers, "bearer").or_else(|| headers.get(KEY_HEADER)?.to_str().ok().map(str::trim));
    let key = plain.map(str::to_owned).or_else(|| {
        let pair = String::from_utf8(BASE64_STANDARD.decode(credentials(headers, "basic")?).ok()?).ok()?;
        Some(pair.split(':').next().unwrap_or_default().to_owned())
    });
    let key = key.ok_or_else(|| Problem::new(Code::KeyRequired, "this route needs an agent key", mend))?;
    let sender = state.ingest()?.sender(&key);
    sender.cloned().ok_or_else(|| Problem::new(Code::KeyUnknown, "the key is not known", mend))
}

/// The credentials after `scheme` in the Authorization header.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (found, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}

fn full(state: &AppState) -> Problem {
    let detail = format!("{} requests are at work", state.limits().requests_max);
    Problem::new(Code::Busy, detail, "ask again in a moment").retry_after(1)
}

fn out_of_time(state: &AppState) -> Problem {
    let detail = format!("the answer took longer than {} ms", state.limits().request_timeout_ms);
    Problem::new(Code::Timeout, detail, "ask for fewer days, or without filters")
}

/// The answer to a path that no route has.
pub(crate) fn no_such_route(routes: &[Route], uri: &Uri) -> Problem {
    let mend = match nearest(uri.path(), routes.iter().map(|route| route.path)) {
        Some(path) => format!("did you mean `{path}`?"),
        None => "GET /v1/openapi.json lists the routes".to_owned(),
    };
    Problem::new(Code::NotFound, format!("there is nothing at {}", quoted(uri.path())), mend)
}

/// The answer to a method that a route does not have.
pub(crate) async fn no_such_method(route: &'static Route, method: Method) -> Response {
    let (mend, allow) = match route.access {
        Access::Agent => ("use POST", "POST,OPTIONS"),
        Access::Public | Access::Member => ("use GET", "GET,HEAD"),
    };
    let detail = format!("{} is not for this route", quoted(method.as_str()));
    let mut response = Problem::new(Code::MethodNotAllowed, detail, mend).into_response();
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
    debug_assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    response
}
