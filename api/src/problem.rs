//! Errors on the wire: RFC 9457 problem details, each with a stable `code` and the `mend`.
//!
//!     {"type":"urn:netcrab:problem:invalid_parameter","title":"Invalid parameter","status":400,
//!      "code":"invalid_parameter","detail":"…what is wrong…","mend":"…what to do…"}

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use netcrab_schema::WhoActs;
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::{StoreError, TableStatus};

/// The stable name of a kind of problem. Codes are added, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    UnknownParameter,
    InvalidParameter,
    InvalidCursor,
    KeyRequired,
    KeyUnknown,
    NotFound,
    OrgNotFound,
    ProductNotFound,
    SessionNotFound,
    MethodNotAllowed,
    Busy,
    QueryTooLarge,
    Timeout,
    NotReady,
    MalformedBatch,
    BodyIncomplete,
    WrongOrg,
    BodyTooSlow,
    BodyTooLarge,
    TooManyEvents,
    UnsupportedType,
    UnsupportedEncoding,
    RateLimited,
    BusFull,
    BusUnavailable,
    NotTaking,
    Internal,
}

impl Code {
    /// Every code.
    pub(crate) const ALL: &[Self] = &[
        Self::UnknownParameter,
        Self::InvalidParameter,
        Self::InvalidCursor,
        Self::KeyRequired,
        Self::KeyUnknown,
        Self::NotFound,
        Self::OrgNotFound,
        Self::ProductNotFound,
        Self::SessionNotFound,
        Self::MethodNotAllowed,
        Self::Busy,
        Self::QueryTooLarge,
        Self::Timeout,
        Self::NotReady,
        Self::MalformedBatch,
        Self::BodyIncomplete,
        Self::WrongOrg,
        Self::BodyTooSlow,
        Self::BodyTooLarge,
        Self::TooManyEvents,
        Self::UnsupportedType,
        Self::UnsupportedEncoding,
        Self::RateLimited,
        Self::BusFull,
        Self::BusUnavailable,
        Self::NotTaking,
        Self::Internal,
    ];

    /// Its name, its status and its title.
    pub(crate) fn meaning(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::UnknownParameter => ("unknown_parameter", StatusCode::BAD_REQUEST, "Unknown parameter"),
            Self::InvalidParameter => ("invalid_parameter", StatusCode::BAD_REQUEST, "Invalid parameter"),
            Self::InvalidCursor => ("invalid_cursor", StatusCode::BAD_REQUEST, "Invalid cursor"),
            Self::KeyRequired => ("key_required", StatusCode::UNAUTHORIZED, "Key required"),
            Self::KeyUnknown => ("key_unknown", StatusCode::UNAUTHORIZED, "Unknown key"),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::OrgNotFound => ("org_not_found", StatusCode::NOT_FOUND, "Organisation not found"),
            Self::ProductNotFound => ("product_not_found", StatusCode::NOT_FOUND, "Product not found"),
            Self::SessionNotFound => ("session_not_found", StatusCode::NOT_FOUND, "Session not found"),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE, "Busy"),
            Self::QueryTooLarge => ("query_too_large", StatusCode::SERVICE_UNAVAILABLE, "Query too large"),
            Self::Timeout => ("timeout", StatusCode::GATEWAY_TIMEOUT, "Out of time"),
            Self::NotReady => ("not_ready", StatusCode::SERVICE_UNAVAILABLE, "Not ready"),
            Self::MalformedBatch => ("malformed_batch", StatusCode::BAD_REQUEST, "Malformed batch"),
            Self::BodyIncomplete => ("body_incomplete", StatusCode::BAD_REQUEST, "Incomplete body"),
            Self::WrongOrg => ("wrong_org", StatusCode::FORBIDDEN, "Wrong organisation"),
            Self::BodyTooSlow => ("body_too_slow", StatusCode::REQUEST_TIMEOUT, "Body too slow"),
            Self::BodyTooLarge => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "Body too large"),
            Self::TooManyEvents => ("too_many_events", StatusCode::PAYLOAD_TOO_LARGE, "Too many events"),
            Self::UnsupportedType => {
                ("unsupported_content_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported content type")
            }
            Self::UnsupportedEncoding => {
                ("unsupported_content_encoding", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported content encoding")
            }
            Self::RateLimited => ("rate_limited", StatusCode::TOO_MANY_REQUESTS, "Too many events"),
            Self::BusFull => ("bus_full", StatusCode::SERVICE_UNAVAILABLE, "No room for events"),
            Self::BusUnavailable => ("bus_unavailable", StatusCode::SERVICE_UNAVAILABLE, "Events cannot be kept"),
            Self::NotTaking => ("not_taking_events", StatusCode::SERVICE_UNAVAILABLE, "Not taking events"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }
}

/// What is wrong and what to do about it.
#[derive(Debug)]
pub struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: String,
    pub(crate) mend: String,
    /// The status of the tables; on `not_ready` only.
    pub(crate) tables: Vec<TableStatus>,
    /// Seconds after which a retry makes sense; sent as Retry-After.
    pub(crate) retry_after_s: Option<u32>,
}

/// Problem details as RFC 9457 has them, with `code` and `mend`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Details<'a> {
    /// A name for the kind of problem, as a URI.
    r#type: String,
    /// The kind of problem in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The kind of problem, stable, for programs.
    code: &'static str,
    /// What is wrong this time.
    detail: &'a str,
    /// What to do about it.
    mend: &'a str,
    /// How the tables stand; on `not_ready` only.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    tables: &'a [TableStatus],
}

impl Problem {
    /// A problem of that kind: what is wrong, and the mend.
    pub(crate) fn new(code: Code, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), mend: mend.into(), tables: Vec::new(), retry_after_s: None }
    }

    /// The problem as it is serialised.
    pub(crate) fn details(&self) -> Details<'_> {
        let (code, status, title) = self.code.meaning();
        Details {
            r#type: format!("urn:netcrab:problem:{code}"),
            title,
            status: status.as_u16(),
            code,
            detail: &self.detail,
            mend: &self.mend,
            tables: &self.tables,
        }
    }

    /// The same problem, with a time in seconds after which the client should retry.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// An organisation that does not exist, or that the key does not read: the answer is the same for both.
    pub(crate) fn org_not_found(org_id: &str) -> Self {
        Self::new(
            Code::OrgNotFound,
            format!("the key reads no organisation {org_id}"),
            "leave orgId out to mean the key's own organisation",
        )
    }
}

/// Logs what the operator must act on, and tells a client what it can do itself.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error.who_acts() {
            WhoActs::Retry => Self::new(Code::Busy, error.to_string(), "ask again in a moment").retry_after(1),
            WhoActs::Sender => {
                Self::new(Code::QueryTooLarge, error.to_string(), "ask for fewer days, or without filters")
                    .retry_after(5)
            }
            WhoActs::Operator => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "store could not answer");
                Self::new(Code::Internal, "the tables could not be read", "ask the operator to look into the log")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.meaning().1;
        let body = serde_json::to_vec(&self.details()).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
