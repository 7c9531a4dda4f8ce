//! The demo page at `/`: a first look at a product, for somebody who has just run `netcrab demo`.
//!
//! It is three files in the binary, without a build step and without anything from other hosts. The page calls the
//! API as any client does. The key stays in the browser's tab: it is typed in, or given as `/#key=nc_…`, which a
//! browser does not send.

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The page.
pub(crate) async fn page() -> impl IntoResponse {
    typed("text/html; charset=utf-8", include_str!("demo_page/page.html"))
}

/// Its style.
pub(crate) async fn style() -> impl IntoResponse {
    typed("text/css; charset=utf-8", include_str!("demo_page/page.css"))
}

/// Its script.
pub(crate) async fn script() -> impl IntoResponse {
    typed("text/javascript; charset=utf-8", include_str!("demo_page/page.js"))
}

fn typed(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, content_type)], text)
}

/// Adds headers to an answer: a browser runs and frames only what this server sends, and caches nothing.
pub(crate) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
