//! Events in over HTTP, through the router or through real sockets, with the bus in memory.

mod batches;
mod browsers;
mod hostile;
mod random;
mod repeats;
mod sockets;
mod tls;

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use jiff::Timestamp;
use netcrab_api::{AgentKey, ApiConfig, AppState, IngestSettings, NoTables, router};
use netcrab_bus::Bus;
use netcrab_bus::memory::Memory;
use serde_json::Value;
use tower::ServiceExt;

pub(crate) const BATCH: &str = "/v1/events/batch";

/// Writes all of acme.
pub(crate) const ACME: &str = "nc_agent_acme";

/// Writes acme's crm.
pub(crate) const ACME_CRM: &str = "nc_agent_acme_crm";

/// Writes all of rival.
pub(crate) const RIVAL: &str = "nc_agent_rival";

/// 2026-10-01T10:00:00Z, when everything here is received.
pub(crate) const NOW_MS: i64 = 1_790_848_800_000;

/// An API that takes events into a bus.
pub(crate) struct Inlet {
    pub(crate) app: Router,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) state: AppState,
    pub(crate) config: ApiConfig,
}

/// The answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(NOW_MS).expect("an instant")
}

pub(crate) fn config(ingest: IngestSettings) -> ApiConfig {
    let key = |key: &str, org_id: &str, products: &[&str]| AgentKey {
        key: key.into(),
        org_id: org_id.into(),
        products: products.iter().map(|product| (*product).to_owned()).collect(),
    };
    let agent_keys = vec![key(ACME, "acme", &[]), key(ACME_CRM, "acme", &["crm"]), key(RIVAL, "rival", &[])];
    let listen = "127.0.0.1:0".parse().expect("an address");
    ApiConfig { agent_keys, ingest, listen, ..ApiConfig::default() }
}

impl Inlet {
    pub(crate) fn new() -> Self {
        Self::with(IngestSettings::default())
    }

    pub(crate) fn with(ingest: IngestSettings) -> Self {
        Self::over(config(ingest), Arc::new(Memory::new(4, 1 << 30)))
    }

    pub(crate) fn over(config: ApiConfig, bus: Arc<dyn Bus>) -> Self {
        let sources = netcrab_sources::SourceSettings::default();
        let state = AppState::taking_events(&config, Arc::new(NoTables), now, sources, bus.clone());
        let state = state.expect("a sound configuration");
        Self { app: router(state.clone()), bus, state, config }
    }

    /// Sends a batch as JSON.
    pub(crate) async fn send(&self, key: &str, body: impl Into<Body>) -> Answer {
        self.send_with(key, &[], body).await
    }

    /// Sends a batch with these headers added to those of a plain one, or replacing them; an empty value removes one.
    pub(crate) async fn send_with(&self, key: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::post(BATCH);
        for (name, value) in [("content-type", "application/json"), ("authorization", &format!("Bearer {key}"))] {
            if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                request = request.header(name, value);
            }
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        self.ask(request.body(body.into()).expect("a sound request")).await
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.expect("a router answers everything");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body(), 1 << 24).await.expect("a body");
        let text = String::from_utf8_lossy(&body).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, body, text }
    }

    /// A column of all events on the bus, sorted.
    pub(crate) async fn kept(&self, column: &str) -> Vec<String> {
        kept(&*self.bus, column).await
    }

    pub(crate) async fn metrics(&self) -> String {
        self.ask(Request::get("/metrics").body(Body::empty()).expect("a sound request")).await.text
    }
}

impl Answer {
    /// Status, code and whether there is a Retry-After, after checking that it is a problem.
    pub(crate) fn problem(&self) -> (u16, &str, bool) {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{self:?}");
        for member in ["title", "detail", "mend"] {
            assert!(self.body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {self:?}");
        }
        let code = self.body["code"].as_str().unwrap_or_default();
        (self.status, code, self.headers.contains_key(header::RETRY_AFTER))
    }

    /// `status accepted rejected`, and `index reason field` of each error.
    pub(crate) fn verdict(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut verdict = ["status", "accepted", "rejected"].map(|member| text(&self.body[member])).join(" ");
        for error in self.body["errors"].as_array().expect("a list") {
            let field = error.get("field").map(text).unwrap_or_else(|| "-".to_owned());
            verdict += &format!("; {} {} {field}", error["index"], text(&error["reason"]));
        }
        verdict
    }
}

pub(crate) async fn kept(bus: &dyn Bus, column: &str) -> Vec<String> {
    let mut values = Vec::new();
    for shard in 0..bus.shards() {
        let bounds = bus.bounds(shard).await.expect("a shard");
        for batch in bus.read(shard, bounds.start, None, 1 << 30).await.expect("a range").batches {
            let texts = cast(batch.column_by_name(column).expect("a column"), &DataType::Utf8).expect("text");
            let texts = texts.as_string::<i32>().iter().map(|text| text.unwrap_or("-").to_owned());
            values.extend(texts);
        }
    }
    values.sort();
    values
}

/// A whole event of acme's crm; `more` stands at its end, `,"key":value`.
pub(crate) fn event(event_id: &str, more: &str) -> String {
    format!(
        r#"{{"orgId":"acme","productId":"crm","sessionId":"s1","userHash":"u1","eventId":"{event_id}","ts":{NOW_MS},"eventType":"click","screenId":"leads","route":"/leads/42","deviceType":"desktop"{more}}}"#
    )
}

/// A batch of these events.
pub(crate) fn batch(events: &[String]) -> String {
    format!(r#"{{"agentId":"a1","sdkVersion":"1.0","events":[{}]}}"#, events.join(","))
}

/// A batch of that many events.
pub(crate) fn events(count: usize) -> String {
    batch(&(0..count).map(|number| event(&format!("e{number}"), "")).collect::<Vec<_>>())
}
