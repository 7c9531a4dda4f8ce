//! The way in: what every request passes before its handler.
//!
//!     measure ─▶ (route found) ─▶ key ─▶ parameters ─▶ a place ─▶ handler, in time
//!                                 401     400            503       504
//!
//! What goes wrong here, in axum or in a panic leaves as problem+json.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use crate::asked::Asked;
use crate::params::{Query, nearest, quoted};
use crate::problem::{Code, Problem};
use crate::routes::{ROUTES, Route, Rule};
use crate::state::AppState;

/// Counts and times every answer, and turns a panic into one.
pub(crate) async fn measure(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let path = matched.and_then(|path| ROUTES.iter().find(|route| route.path == path)).map_or("unmatched", |r| r.path);
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
    let org_id = match route.rule {
        Rule::Public => None,
        Rule::Member => Some(organisation(&state, request.headers())?),
    };
    let query = Query::read(request.uri().query().unwrap_or_default(), route.params, state.limits().rows_max)?;
    let Some(org_id) = org_id else { return Ok(next.run(request).await) };

    let path = request.uri().path().to_owned();
    let asked = Asked::new(state.clone(), org_id, query, path)?;
    request.extensions_mut().insert(asked);
    let Ok(_place) = state.places().try_acquire() else { return Err(full(&state)) };
    match tokio::time::timeout(state.request_timeout(), next.run(request)).await {
        Ok(response) => Ok(response),
        Err(_) => Err(out_of_time(&state)),
    }
}

/// The organisation of the key that was sent.
fn organisation(state: &AppState, headers: &HeaderMap) -> Result<String, Problem> {
    let mend = "send `Authorization: Bearer nc_…` with a key of `api.keys`";
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = sent.and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let key = key.ok_or_else(|| Problem::new(Code::KeyRequired, "this route needs a bearer key", mend))?;
    let org_id = state.keys().org_of(key);
    org_id.map(str::to_owned).ok_or_else(|| Problem::new(Code::KeyUnknown, "the key is not known", mend))
}

fn full(state: &AppState) -> Problem {
    let detail = format!("{} requests are at work", state.limits().requests_max);
    Problem::new(Code::Busy, detail, "ask again in a moment").retry_after(1)
}

fn out_of_time(state: &AppState) -> Problem {
    let detail = format!("the answer took longer than {} ms", state.limits().request_timeout_ms);
    Problem::new(Code::Timeout, detail, "ask for fewer days, or without filters")
}

/// The answer where no route is.
pub(crate) async fn no_such_route(uri: Uri) -> Problem {
    let paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    let mend = match nearest(uri.path(), &paths) {
        Some(path) => format!("did you mean `{path}`?"),
        None => "GET /v1/openapi.json lists the routes".to_owned(),
    };
    Problem::new(Code::NotFound, format!("there is nothing at {}", quoted(uri.path())), mend)
}

/// The answer to a method that a route does not have.
pub(crate) async fn no_such_method(method: Method) -> Response {
    let problem =
        Problem::new(Code::MethodNotAllowed, format!("{} is not for this route", quoted(method.as_str())), "use GET");
    let mut response = problem.into_response();
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET,HEAD"));
    debug_assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    response
}
