//! Lets pages of the allowed origins send events from a browser.
//!
//!     OPTIONS  Origin, Access-Control-Request-…  ─▶ 204, what may be sent
//!     POST     Origin                            ─▶ the answer, readable for the page
//!
//! A page of another origin gets the same answers without these headers, so its browser does not show them to it.
//! Cookies are not used: a key is sent in a header. <https://fetch.spec.whatwg.org/#http-cors-protocol>

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::state::AppState;

/// The answer to a preflight request.
pub(crate) async fn preflight() -> Response {
    let headers = [
        (header::ALLOW, "POST, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-encoding, content-type, x-netcrab-key"),
        (header::ACCESS_CONTROL_MAX_AGE, "7200"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Adds to every answer, also to a refusal, the origin whose pages may read it.
pub(crate) async fn allow(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let allowed = request.headers().get(header::ORIGIN).and_then(|origin| allowed(&state, origin));
    let mut response = next.run(request).await;
    if let Some(origin) = allowed {
        add_headers(response.headers_mut(), origin);
    }
    response
}

fn allowed(state: &AppState, origin: &HeaderValue) -> Option<HeaderValue> {
    let origins = &state.ingest().ok()?.settings().origins;
    if origins.iter().any(|known| known == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    origins.iter().any(|known| known.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

fn add_headers(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}
